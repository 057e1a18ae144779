/* decision.h: what an instance does that does not serve. */

#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/clock.h"
#include "agent/decision_json.h"

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ENV "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"

static char v1[] = "1.0", v2[] = "2.0", broke[] = "it broke", boot_1[] = "boot-1", d_1[] = "d-1",
            mine[] = "a test of mine";

static DecisionFacts facts_of(const Record *record, LifePosture posture) {
        return (DecisionFacts){
                .record = record,
                .instance = "i-1",
                .posture = posture,
                .life = "the reason",
                .target_known = true,
                .target_serial = 5,
                .target_sha256 = SHA_A,
                .wanted = { v2, SHA_B },
                .env_sha256 = ENV,
                .boot_id = "boot-1",
                .now = 1000 * USEC_PER_SEC,
        };
}

static Decision decision_of(const DecisionFacts *facts) {
        _cleanup_free_ char *text = NULL;
        DecisionCase again;
        Decision d, once_more;

        decide(facts, &d);
        /* What it hangs on is kept with the deployment, for `muster replay`. */
        assert_int_equal(decision_to_text(facts, &d, &text), 0);
        assert_int_equal(decision_case_parse(text, &again, NULL), 0);
        decide(&again.facts, &once_more);
        assert_int_equal(once_more.action, d.action);
        assert_string_equal(once_more.reason, d.reason);
        decision_case_deinit(&again);
        return d;
}

static DecisionAction action(const Record *record, LifePosture posture) {
        const DecisionFacts facts = facts_of(record, posture);

        return decision_of(&facts).action;
}

/* A release that was good, in this boot. */
static Record good(char *version, const char *sha256) {
        Record record = { .good_boot_id = boot_1 };

        record.good.version = version;
        snprintf(record.good.sha256, sizeof(record.good.sha256), "%s", sha256);
        snprintf(record.good_env_sha256, sizeof(record.good_env_sha256), "%s", ENV);
        return record;
}

/* Whatever state an app is in, and whatever is asked for. */
static void test_a_leaving_instance_begins_nothing(_unused_ void **state) {
        for (unsigned bits = 0; bits < 64; bits++) {
                Record record = (bits & 1) ? good(v1, SHA_A) : (Record){};
                DecisionFacts facts = facts_of(&record, POSTURE_LEAVE);
                Decision d;

                record.good_is_down = bits & 2;
                record.good_is_stopped = bits & 4;
                if (bits & 8)
                        record.pin = (LocalPin){ .release = { v2, SHA_B }, .reason = mine };
                if (bits & 16)
                        record.deployment = (Deployment){ .id = d_1,
                                                          .to = { v2, SHA_B },
                                                          .outcome = OUTCOME_ROLLBACK_FAILED,
                                                          .step = STEP_END };
                facts.target_known = bits & 32;
                d = decision_of(&facts);
                assert_int_equal(d.action, (bits & 1) && !(bits & 4) ? DECISION_DRAIN : DECISION_DRAINED);
                assert_non_null(strstr(d.reason, "the reason"));
        }
}

static void test_what_was_cut_is_drained(_unused_ void **state) {
        for (unsigned bits = 0; bits < 4; bits++) {
                Record record = (bits & 1) ? good(v1, SHA_A) : (Record){};

                record.good_is_stopped = true;
                record.deployment = (Deployment){ .id = d_1,
                                                  .to = { v2, SHA_B },
                                                  .outcome = OUTCOME_FAILED,
                                                  .step = STEP_END,
                                                  .failed_step = (bits & 2) ? STEP_UNITS : STEP_FETCH,
                                                  .reason = broke,
                                                  .cancelled = true,
                                                  .cut = true };
                assert_int_equal(action(&record, POSTURE_LEAVE),
                                 (bits & 2) ? DECISION_DRAIN : DECISION_DRAINED);
                if (!(bits & 2))
                        continue;
                assert_string_equal(decision_runs(&record)->version, v2);
                record.deployment.failed_step = STEP_SWITCH;
                assert_string_equal(decision_runs(&record)->version, (bits & 1) ? v1 : v2);
        }
}

static void test_prepare(_unused_ void **state) {
        Record record = {};
        DecisionFacts facts;

        assert_int_equal(action(&record, POSTURE_PREPARE), DECISION_PREFETCH);
        record.prefetched = (ReleaseRef){ v2, SHA_B };
        assert_int_equal(action(&record, POSTURE_PREPARE), DECISION_PREFETCHED);
        assert_int_equal(action(&record, POSTURE_SERVE), DECISION_DEPLOY);
        record.pin = (LocalPin){ .release = { v1, SHA_A }, .reason = mine };
        assert_int_equal(action(&record, POSTURE_PREPARE), DECISION_PREFETCH);
        record.prefetched = (ReleaseRef){ v1, SHA_A };
        assert_int_equal(action(&record, POSTURE_PREPARE), DECISION_PREFETCHED);
        record.pin = (LocalPin){};
        assert_int_equal(action(&record, POSTURE_PREPARE), DECISION_PREFETCH);
        facts = facts_of(&record, POSTURE_PREPARE);
        facts.target_known = false;
        assert_int_equal(decision_of(&facts).action, DECISION_WAIT);
}

/* Back from service into the pool: what runs is stopped, and what is asked for meanwhile is fetched. */
static void test_back_to_the_pool(_unused_ void **state) {
        Record record = good(v1, SHA_A);

        assert_int_equal(action(&record, POSTURE_PREPARE), DECISION_DRAIN);
        record.good_is_stopped = true;
        assert_int_equal(action(&record, POSTURE_PREPARE), DECISION_PREFETCH);
        record.prefetched = (ReleaseRef){ v2, SHA_B };
        assert_int_equal(action(&record, POSTURE_PREPARE), DECISION_PREFETCHED);
        record = good(v2, SHA_B);
        record.good_is_stopped = true;
        assert_int_equal(action(&record, POSTURE_PREPARE), DECISION_PREFETCHED);
        assert_false(decision_is_serving(&record, "boot-1"));
        assert_int_equal(action(&record, POSTURE_SERVE), DECISION_DEPLOY);
}

static void test_prepare_after_a_failure(_unused_ void **state) {
        Record record = { .n_failures = 1 };
        Failure *failure = &record.failures[0];
        DecisionFacts facts = facts_of(&record, POSTURE_PREPARE);

        *failure = (Failure){ .release = { v2, SHA_B },
                              .serial = 5,
                              .step = STEP_FETCH,
                              .fault = FAULT_HOST,
                              .count = 1,
                              .at = facts.now,
                              .reason = broke };
        assert_int_equal(decision_of(&facts).action, DECISION_RETRY);
        facts.now += DECISION_RETRY_FIRST;
        assert_int_equal(decision_of(&facts).action, DECISION_PREFETCH);
        failure->fault = FAULT_RELEASE;
        assert_int_equal(decision_of(&facts).action, DECISION_FAILED);
}

static void test_hold(_unused_ void **state) {
        Record record = {};
        DecisionFacts facts = facts_of(&record, POSTURE_HOLD);
        Decision d = decision_of(&facts);

        assert_int_equal(d.action, DECISION_WAIT);
        assert_string_equal(d.reason, "nothing is begun: the reason");
        record = good(v1, SHA_A);
        assert_int_equal(action(&record, POSTURE_HOLD), DECISION_WAIT);
        record = good(v2, SHA_B);
        assert_int_equal(action(&record, POSTURE_HOLD), DECISION_FINISHED);
        facts.boot_id = "boot-2"; /* to look is not to begin */
        assert_int_equal(decision_of(&facts).action, DECISION_CHECK);
        record.good_is_stopped = true;
        assert_int_equal(decision_of(&facts).action, DECISION_WAIT);
        /* Standby is where root tries things out. */
        record.pin = (LocalPin){ .release = { v1, SHA_A }, .reason = mine };
        assert_int_equal(decision_of(&facts).action, DECISION_DEPLOY);
}

static void test_hold_and_a_failed_rollback(_unused_ void **state) {
        Record record = good(v1, SHA_A);

        record.good_is_down = true;
        record.deployment = (Deployment){ .id = d_1,
                                          .to = { v2, SHA_B },
                                          .from = { v1, SHA_A },
                                          .accepted = 5,
                                          .outcome = OUTCOME_ROLLBACK_FAILED,
                                          .rollback_fault = FAULT_HOST,
                                          .rollback_reason = broke,
                                          .boot_id = boot_1,
                                          .step = STEP_END };
        assert_int_equal(action(&record, POSTURE_SERVE), DECISION_ROLL_BACK);
        assert_int_equal(action(&record, POSTURE_HOLD), DECISION_WAIT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_leaving_instance_begins_nothing),
                cmocka_unit_test(test_what_was_cut_is_drained),
                cmocka_unit_test(test_prepare),
                cmocka_unit_test(test_back_to_the_pool),
                cmocka_unit_test(test_prepare_after_a_failure),
                cmocka_unit_test(test_hold),
                cmocka_unit_test(test_hold_and_a_failed_rollback),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
