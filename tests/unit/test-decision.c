#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/base/utf8.h"
#include "agent/decision.h"

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ENV "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"

static char v1[] = "1.0", v2[] = "2.0", broke[] = "it broke", boot_1[] = "boot-1", boot_2[] = "boot-2",
            d_1[] = "d-1";

static DecisionFacts facts_of(const Record *record) {
        return (DecisionFacts){
                .record = record,
                .instance = "i-1",
                .target_known = true,
                .target_serial = 5,
                .target_sha256 = SHA_A,
                .wanted = { v2, SHA_B },
                .env_sha256 = ENV,
                .boot_id = "boot-1",
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
        record.good_boot_id = boot_1;
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

/* What the rollout of the group holds back is not begun; what comes next is fetched meanwhile, once. */
static void test_rollout(_unused_ void **state) {
        Record record = { .good = { v1, SHA_A }, .good_boot_id = boot_1 };
        DecisionFacts facts = facts_of(&record);
        Deployment fetch = { .id = d_1, .kind = KIND_PREFETCH, .to = { v2, SHA_B } };
        Decision d;

        memcpy(record.good_env_sha256, ENV, sizeof(ENV));
        facts.held = "rollout serial-5: waits for a place to change";
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_WAIT);
        assert_string_equal(d.reason, facts.held);
        facts.held = NULL;
        facts.candidate = true;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
        assert_string_equal(d.reason, "target 5 moves the group to release 2.0");
        facts.candidate = false;
        facts.wanted = (ReleaseRef){ v1, SHA_A };
        facts.ahead = (ReleaseRef){ v2, SHA_B };
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_PREFETCH);
        assert_ptr_equal(d.release, &facts.ahead);
        assert_false(decision_supersedes(&facts, &fetch));
        facts.posture = POSTURE_HOLD;
        facts.life = "it is in standby";
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_WAIT);
        facts.posture = POSTURE_SERVE;
        record.prefetched = (ReleaseRef){ v2, SHA_B };
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_FINISHED);
        facts.ahead = (ReleaseRef){};
        assert_true(decision_supersedes(&facts, &fetch));
}

/* What cannot be fetched ahead is tried again later, and does not change what the app is. */
static void test_fetch_ahead_fails(_unused_ void **state) {
        Record record = { .good = { v1, SHA_A }, .good_boot_id = boot_1, .n_failures = 1 };
        DecisionFacts facts = facts_of(&record);
        Decision d;

        memcpy(record.good_env_sha256, ENV, sizeof(ENV));
        facts.wanted = (ReleaseRef){ v1, SHA_A };
        facts.ahead = (ReleaseRef){ v2, SHA_B };
        record.failures[0] = (Failure){ .release = { v2, SHA_B },
                                        .serial = 5,
                                        .step = STEP_FETCH,
                                        .fault = FAULT_HOST,
                                        .count = 1,
                                        .at = facts.now,
                                        .reason = broke };
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_FINISHED);
        assert_int_equal(d.retry_at, facts.now + DECISION_RETRY_FIRST);
        facts.now = d.retry_at;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_PREFETCH);
        record.failures[0].fault = FAULT_RELEASE;
        assert_int_equal(decision_retry_at(&record.failures[0]), USEC_INFINITY);
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_FINISHED);
}

static void test_local(_unused_ void **state) {
        Record record = { .good = { v1, SHA_A },
                          .good_is_local = true,
                          .good_serial = 5,
                          .serial = 5,
                          .good_boot_id = boot_1 };
        DecisionFacts facts = facts_of(&record);
        Decision d;

        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_FINISHED);
        facts.target_serial = record.serial = 6; /* accepted before it is decided on */
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
}

/* The pin of this instance: the target is not followed, whatever it says and whether or not it is known. */

static void pin(Record *record) {
        static char reason[] = "heap dump";

        record->pin = (LocalPin){ { v1, SHA_A }, reason, 1 };
}

static void test_local_pin(_unused_ void **state) {
        Record record = { .good = { v2, SHA_B }, .good_boot_id = boot_1 };
        DecisionFacts facts = facts_of(&record);
        Decision d;

        pin(&record);
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
        assert_true(d.local_pin);
        assert_string_equal(d.reason, "this instance was pinned to release 1.0: heap dump");
        record.good = (ReleaseRef){ v1, SHA_A };
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_FINISHED);
        assert_string_equal(d.reason, "this instance is pinned to release 1.0: heap dump");
        record.pin = (LocalPin){};
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
        assert_false(d.local_pin);
        assert_string_equal(d.reason, "target 5 asks for release 2.0");
}

static void test_pinned_target(_unused_ void **state) {
        Record record = { .n_failures = 1 };
        DecisionFacts facts = facts_of(&record);
        Decision d;

        facts.pinned = true;
        record.failures[0] = (Failure){ .release = { v2, SHA_B }, .serial = 4, .reason = broke };
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY); /* what failed under another serial is tried again */
        assert_string_equal(d.reason, "target 5 pins the group to release 2.0");
        record.good = (ReleaseRef){ v2, SHA_B };
        record.good_boot_id = boot_1;
        memcpy(record.good_env_sha256, ENV, sizeof(ENV));
        decide(&facts, &d);
        assert_string_equal(d.reason, "release 2.0 is what target 5 pins the group to");
}

/* All that a decision with a pin can depend on, times all that it must not depend on. */

typedef enum Past { NEVER_FAILED, FAILED_FOR_GOOD, FAILED_BY_HOST, FAILED_BY_HOST_LONG_AGO, PASTS } Past;

static Failure failure_of(Past past, ReleaseRef release, uint64_t serial, uint64_t now) {
        return (Failure){
                .release = release,
                .serial = serial,
                .step = STEP_HEALTH,
                .fault = past == FAILED_FOR_GOOD ? FAULT_RELEASE : FAULT_HOST,
                .count = 1,
                .at = past == FAILED_BY_HOST_LONG_AGO ? now - DECISION_RETRY_MAX : now,
                .reason = broke,
        };
}

static DecisionAction expected_with_pin(bool serves, Past past) {
        static const DecisionAction after[] = {
                [NEVER_FAILED] = DECISION_DEPLOY,
                [FAILED_FOR_GOOD] = DECISION_FAILED,
                [FAILED_BY_HOST] = DECISION_RETRY,
                [FAILED_BY_HOST_LONG_AGO] = DECISION_DEPLOY,
        };

        return serves ? DECISION_FINISHED : after[past];
}

static void check_pinned(bool known, bool target_pinned, unsigned good, bool by_hand, Past past,
                         Past past_of_target) {
        const ReleaseRef goods[] = { {}, { v1, SHA_A }, { v2, SHA_B } };
        Record record = { .good = goods[good],
                          .good_is_local = by_hand && good > 0,
                          .good_serial = 5,
                          .good_boot_id = boot_1 };
        DecisionFacts facts = facts_of(&record);
        Decision d;

        pin(&record);
        facts.target_known = known;
        facts.pinned = target_pinned;
        if (past != NEVER_FAILED)
                record.failures[record.n_failures++] = failure_of(past, goods[1], 0, facts.now);
        if (past_of_target !=
            NEVER_FAILED) { /* of the target's release, and of the pinned one under the target */
                record.failures[record.n_failures++] = failure_of(past_of_target, goods[2], 5, facts.now);
                record.failures[record.n_failures++] = failure_of(past_of_target, goods[1], 5, facts.now);
        }
        decide(&facts, &d);
        assert_int_equal(d.action, expected_with_pin(good == 1, past));
        assert_true(d.local_pin);
        assert_false(d.env_changed);
        assert_non_null(strstr(d.reason, "1.0"));
        assert_null(strstr(d.reason, "2.0"));
}

static void test_every_local_pin(_unused_ void **state) {
        unsigned n = 0;

        for (unsigned bits = 0; bits < 8; bits++)
                for (unsigned good = 0; good < 3; good++)
                        for (Past past = 0; past < PASTS; past++)
                                for (Past other = 0; other < PASTS; other++, n++)
                                        check_pinned(bits & 1, bits & 2, good, bits & 4, past, other);
        assert_int_equal(n, 8 * 3 * PASTS * PASTS);
}

/* What the agent's own end interrupted is begun again at once, the first time. */
static void test_interrupted(_unused_ void **state) {
        Record record = { .n_failures = 1 };
        DecisionFacts facts = facts_of(&record);
        Decision d;

        record.failures[0] = (Failure){ .release = { v2, SHA_B },
                                        .serial = 5,
                                        .fault = FAULT_HOST,
                                        .count = 1,
                                        .interrupted = true,
                                        .at = facts.now,
                                        .reason = broke };
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
        record.failures[0].count = 2;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_RETRY);
        assert_int_equal(d.retry_at, facts.now + DECISION_RETRY_FIRST);
}

/* Faults of the host, too, are given up once they have disturbed what serves often enough. */
static void test_disturbing_failures_have_a_breaker(_unused_ void **state) {
        Record record = { .n_failures = 1 };
        DecisionFacts facts = facts_of(&record);
        Decision d;

        record.failures[0] = (Failure){ .release = { v2, SHA_B },
                                        .serial = 5,
                                        .step = STEP_UNITS,
                                        .fault = FAULT_HOST,
                                        .count = 1000,
                                        .disturbing = DECISION_DISTURBING_MAX - 1,
                                        .reason = broke };
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
        record.failures[0].disturbing++;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_FAILED);
        assert_string_equal(d.reason, "release 2.0 failed again and again, the last time in UNITS: it broke");
}

/* Quarantine is by digest and rollout: a target's new serial within a rollout does not lift it, a pin does. */
static void test_quarantine(_unused_ void **state) {
        Record record = { .n_failures = 1 };
        DecisionFacts facts = facts_of(&record);
        Decision d;

        record.failures[0] = (Failure){ .release = { v2, SHA_B },
                                        .serial = 5,
                                        .rollout = d_1,
                                        .fault = FAULT_RELEASE,
                                        .count = 1,
                                        .reason = broke };
        facts.rollout = "d-1";
        facts.target_serial = 9;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_FAILED);
        facts.rollout = "d-2";
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
        facts.pinned = true; /* which has no rollout */
        facts.rollout = NULL;
        facts.target_serial = 5;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
}

static Record down(void) {
        return (Record){
                .good = { v1, SHA_A },
                .good_env_sha256 = ENV,
                .good_is_down = true,
                .good_boot_id = boot_1,
                .deployment = { .id = d_1,
                                .accepted = 5,
                                .boot_id = boot_1,
                                .from = { v1, SHA_A },
                                .to = { v2, SHA_B },
                                .outcome = OUTCOME_ROLLBACK_FAILED,
                                .rollback_step = STEP_ROLLBACK_HEALTH,
                                .rollback_reason = broke,
                                .rollback_fault = FAULT_RELEASE,
                                .finished = 1000 * USEC_PER_SEC },
        };
}

static void test_failed_rollback(_unused_ void **state) {
        Record record = down();
        DecisionFacts facts = facts_of(&record);
        Decision d;

        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_STUCK);
        assert_non_null(strstr(d.reason, "the way back to 1.0 failed in ROLLBACK_HEALTH: it broke"));
        assert_false(decision_is_serving(&record, "boot-1"));
        facts.target_known = false;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_STUCK);

        /* A newer target leads out, also one for the very release that is down. */
        facts.target_known = true;
        facts.target_serial = 6;
        facts.wanted = (ReleaseRef){ v1, SHA_A };
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);

        /* And it stays down where that deployment ends before it has changed anything. */
        record.deployment.outcome = OUTCOME_FAILED;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
        record.good_is_down = false;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_FINISHED);
}

/* So does a pin of this instance, if it is newer than that. */
static void test_failed_rollback_and_local_pin(_unused_ void **state) {
        Record record = down();
        DecisionFacts facts = facts_of(&record);
        Decision d;

        pin(&record);
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_STUCK);
        record.pin.since = record.deployment.finished + 1;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
        assert_true(d.local_pin);
}

static void test_failed_rollback_is_tried_again_and_has_a_breaker(_unused_ void **state) {
        Record record = down();
        DecisionFacts facts = facts_of(&record);
        unsigned tries = 0;
        Decision d;

        record.deployment.rollback_fault = FAULT_HOST;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_RETRY);
        assert_int_equal(d.retry_at, facts.now + DECISION_RETRY_FIRST);
        for (; tries < 1000; tries++) {
                facts.now += DECISION_RETRY_MAX;
                decide(&facts, &d);
                if (d.action != DECISION_ROLL_BACK)
                        break;
                record.deployment.rollbacks++;
                record.deployment.finished = facts.now;
        }
        assert_int_equal(tries, DECISION_ROLLBACKS_MAX);
        assert_int_equal(d.action, DECISION_STUCK);

        /* A restart of the instance is worth a try, whoever is to blame, but not for ever. */
        record.deployment.rollback_fault = FAULT_RELEASE;
        record.deployment.rollbacks = 0;
        facts.boot_id = "boot-2";
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_ROLL_BACK);
        record.deployment.rollbacks = DECISION_ROLLBACKS_MAX;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_STUCK);
}

static void test_checks_after_a_reboot(_unused_ void **state) {
        Record record = { .good = { v2, SHA_B }, .good_env_sha256 = ENV, .good_boot_id = boot_2 };
        DecisionFacts facts = facts_of(&record);
        FailedChecks checks = {};
        Decision d;

        facts.checks = &checks;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_CHECK);
        facts.target_known = false; /* nor does a depot that does not answer keep it from that */
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_CHECK);
        facts.target_known = true;
        for (checks.count = 1; checks.count < DECISION_CHECKS_MAX; checks.count++) {
                checks.at = facts.now;
                decide(&facts, &d);
                assert_int_equal(d.action, DECISION_RETRY);
                facts.now = d.retry_at;
                decide(&facts, &d);
                assert_int_equal(d.action, DECISION_CHECK);
        }
        facts.now += 100 * DECISION_RETRY_MAX;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_UNHEALTHY);
        assert_false(decision_is_serving(&record, "boot-1"));
        record.good_boot_id = boot_1;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_FINISHED);
        assert_true(decision_is_serving(&record, "boot-1"));

        /* Another release is not held up by the checks of the one that it replaces. */
        record.good = (ReleaseRef){ v1, SHA_A };
        record.good_boot_id = boot_2;
        decide(&facts, &d);
        assert_int_equal(d.action, DECISION_DEPLOY);
}

static void test_supersedes(_unused_ void **state) {
        Record record = {};
        DecisionFacts facts = facts_of(&record);
        Deployment deployment = { .to = { v2, SHA_B } };

        assert_false(decision_supersedes(&facts, &deployment));
        deployment.to = (ReleaseRef){ v1, SHA_A };
        assert_true(decision_supersedes(&facts, &deployment));
        pin(&record); /* whatever the target asks for */
        assert_false(decision_supersedes(&facts, &deployment));
        deployment.to = (ReleaseRef){ v2, SHA_B };
        assert_true(decision_supersedes(&facts, &deployment));
        record.pin = (LocalPin){};
        deployment.to = (ReleaseRef){ v1, SHA_A };
        facts.target_known = false; /* a depot that does not answer says nothing */
        assert_false(decision_supersedes(&facts, &deployment));
}

/* What was cut in the middle of a character could not be told in any document. */
static void test_reasons_are_utf8(_unused_ void **state) {
        Record record = { .n_failures = 1 };
        DecisionFacts facts = facts_of(&record);
        char reason[ERROR_MESSAGE_MAX];
        Decision d;

        for (size_t before = 0; before < 3; before++) {
                utf8_format(reason, sizeof(reason), "%.*s", (int) before, "aa");
                while (strlen(reason) + 3 < sizeof(reason))
                        strcat(reason, "\xe2\x82\xac");
                record.failures[0] = (Failure){ .release = { v2, SHA_B },
                                                .serial = 5,
                                                .step = STEP_HEALTH,
                                                .fault = FAULT_RELEASE,
                                                .reason = reason };
                decide(&facts, &d);
                assert_int_equal(d.action, DECISION_FAILED);
                assert_true(utf8_is_valid(d.reason));
        }
}

static void test_serial(_unused_ void **state) {
        char prod[] = "prod";
        Record record = { .group = prod, .serial = 7, .target_sha256 = SHA_A };
        Error error = {};

        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(decision_accept_target(&record, "prod", 8, SHA_B, &error), 0);
                assert_int_equal(decision_accept_target(&record, "prod", 7, SHA_A, &error), 0);
                assert_int_equal(decision_accept_target(&record, "prod", 7, SHA_B, &error), -EEXIST);
                assert_int_equal(decision_accept_target(&record, "prod", 6, SHA_A, &error), -ESTALE);
                assert_int_equal(error.fault, FAULT_INPUT);
                record.group = NULL; /* whichever it was of: it counts */
        }
        record.group = prod;
        assert_int_equal(decision_accept_target(&record, "blue", 1, SHA_B, &error), 0);
        assert_int_equal(decision_accept_target(&record, "blue", 7, SHA_B, &error), 0);
        record = (Record){};
        assert_int_equal(decision_accept_target(&record, "prod", 0, SHA_B, &error), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_target),
                cmocka_unit_test(test_first_deploy_and_finished),
                cmocka_unit_test(test_failures),
                cmocka_unit_test(test_host_faults_are_tried_again_more_and_more_slowly),
                cmocka_unit_test(test_rollout),
                cmocka_unit_test(test_fetch_ahead_fails),
                cmocka_unit_test(test_local),
                cmocka_unit_test(test_local_pin),
                cmocka_unit_test(test_pinned_target),
                cmocka_unit_test(test_every_local_pin),
                cmocka_unit_test(test_interrupted),
                cmocka_unit_test(test_disturbing_failures_have_a_breaker),
                cmocka_unit_test(test_quarantine),
                cmocka_unit_test(test_failed_rollback),
                cmocka_unit_test(test_failed_rollback_and_local_pin),
                cmocka_unit_test(test_failed_rollback_is_tried_again_and_has_a_breaker),
                cmocka_unit_test(test_checks_after_a_reboot),
                cmocka_unit_test(test_supersedes),
                cmocka_unit_test(test_reasons_are_utf8),
                cmocka_unit_test(test_serial),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
