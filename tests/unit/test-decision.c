#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/decision.h"

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ENV "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"

static char v1[] = "1.0", v2[] = "2.0", broke[] = "it broke";

static DecisionFacts facts_of(const Record *record) {
        return (DecisionFacts){
                .record = record,
                .instance = "i-1",
                .target_known = true,
                .target_serial = 5,
                .target_sha256 = SHA_A,
                .stable = { v2, SHA_B },
                .env_sha256 = ENV,
                .now = 1000 * USEC_PER_SEC,
        };
}

static void test_no_target(_unused_ void **state) {
        Record record = {};
        DecisionFacts facts = facts_of(&record);
        Decision d;

        facts.target_known = false;
        facts.no_target = "the depot cannot be reached";
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_WAIT);
        assert_string_equal(d.reason, "the depot cannot be reached");
}

static void test_first_deploy_and_finished(_unused_ void **state) {
        Record record = {};
        DecisionFacts facts = facts_of(&record);
        Decision d;

        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
        assert_string_equal(d.reason, "target 5 asks for release 2.0");
        record.good = (ReleaseRef){ v2, SHA_B };
        memcpy(record.good_env_sha256, ENV, sizeof(ENV));
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_FINISHED);
        record.good_env_sha256[0] = 'f';
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
        assert_true(d.env_changed);
        record.good = (ReleaseRef){ v1, SHA_A };
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
        assert_false(d.env_changed);
}

static void test_failures(_unused_ void **state) {
        Record record = { .n_failures = 1 };
        DecisionFacts facts = facts_of(&record);
        Decision d;

        record.failures[0] = (Failure){ .release = { v2, SHA_B },
                                        .serial = 5,
                                        .step = STEP_HEALTH,
                                        .fault = FAULT_RELEASE,
                                        .count = 1,
                                        .at = facts.now,
                                        .reason = broke };
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_FAILED);
        assert_string_equal(d.reason, "release 2.0 failed in HEALTH: it broke");
        facts.target_serial = 6;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
}

static void test_host_faults_are_tried_again_more_and_more_slowly(_unused_ void **state) {
        Record record = { .n_failures = 1 };
        DecisionFacts facts = facts_of(&record);
        uint64_t last = 0;

        for (unsigned count = 1; count < 100; count++) {
                Decision d;
                uint64_t delay;

                record.failures[0] = (Failure){ .release = { v2, SHA_B },
                                                .serial = 5,
                                                .fault = FAULT_HOST,
                                                .count = count,
                                                .at = facts.now,
                                                .reason = broke };
                decide(&facts, &d);
                assert_int_equal(d.action, DECISION_RETRY);
                delay = d.retry_at - facts.now;
                assert_true(delay >= last && delay <= DECISION_RETRY_MAX);
                last = delay;
        }
        assert_true(last == DECISION_RETRY_MAX);
        facts.now += DECISION_RETRY_MAX;
        record.failures[0].at = facts.now - DECISION_RETRY_MAX;
        for (int back = 0; back < 2; back++) { /* also with the clock set back */
                Decision d;

                decide(&facts, &d);
                assert_int_equal(d.action, DECISION_DEPLOY);
                facts.now = 1;
        }
}

static void test_local(_unused_ void **state) {
        Record record = { .good = { v1, SHA_A }, .good_is_local = true, .good_serial = 5, .serial = 5 };
        DecisionFacts facts = facts_of(&record);
        Decision d;

        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_FINISHED);
        facts.target_serial = record.serial = 6; /* accepted before it is decided on */
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
}

static void test_serial(_unused_ void **state) {
        Record record = { .serial = 7, .target_sha256 = SHA_A };
        Error error = {};

        assert_int_equal(decision_accept_target(&record, 8, SHA_B, &error), 0);
        assert_int_equal(decision_accept_target(&record, 7, SHA_A, &error), 0);
        assert_int_equal(decision_accept_target(&record, 7, SHA_B, &error), -EEXIST);
        assert_int_equal(decision_accept_target(&record, 6, SHA_A, &error), -ESTALE);
        assert_int_equal(error.fault, FAULT_INPUT);
        record = (Record){};
        assert_int_equal(decision_accept_target(&record, 0, SHA_B, &error), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_target),
                cmocka_unit_test(test_first_deploy_and_finished),
                cmocka_unit_test(test_failures),
                cmocka_unit_test(test_host_faults_are_tried_again_more_and_more_slowly),
                cmocka_unit_test(test_local),
                cmocka_unit_test(test_serial),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
