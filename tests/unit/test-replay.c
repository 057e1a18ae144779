#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/clock.h"
#include "agent/base/strv.h"
#include "agent/decision_json.h"
#include "agent/deployment_json.h"
#include "agent/replay.h"

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define NOW (UINT64_C(1790000000) * USEC_PER_SEC)

static char v1[] = "1.0", v2[] = "2.0";

/* A deployment of 2.0 over 1.0, decided on as musterd does. */
static void begin(Deployment *d) {
        Record record = { .good = { v1, SHA_A }, .good_boot_id = (char[]){ "boot-1" }, .serial = 6 };
        const FailedChecks checks = { .count = 1, .at = NOW, .reason = "status 503" };
        DecisionFacts facts = {
                .record = &record,
                .instance = "i-1",
                .target_known = true,
                .target_serial = 6,
                .target_sha256 = SHA_A,
                .wanted = { v2, SHA_B },
                .env_sha256 = "",
                .boot_id = "boot-1",
                .checks = &checks,
                .now = NOW,
        };
        Decision decision;

        decide(&facts, &decision);
        assert_int_equal(decision.action, DECISION_DEPLOY);
        *d = (Deployment){ .id = strdup("d-1"), .serial = 6, .accepted = 6, .started = NOW };
        assert_int_equal(release_ref_copy(&d->to, &facts.wanted), 0);
        assert_int_equal(release_ref_copy(&d->from, &record.good), 0);
        assert_int_equal(decision_to_text(&facts, &decision, &d->facts), 0);
}

static void apply(Deployment *d, DeploymentEventKind kind, const char *boot_id) {
        const DeploymentEvent event = { .kind = kind,
                                        .at = NOW + d->n_events * USEC_PER_SEC,
                                        .boot_id = boot_id,
                                        .reason = kind == DEPLOYMENT_STEP_FAILED ? "exit status 3" : NULL,
                                        .fault = kind == DEPLOYMENT_STEP_FAILED ? FAULT_RELEASE
                                                                                : FAULT_UNKNOWN };

        assert_int_equal(deployment_apply(d, &event), 0);
}

static void run_to(Deployment *d, Step step, const char *boot_id) {
        while (d->step != step) {
                apply(d, DEPLOYMENT_STEP_STARTED, boot_id);
                apply(d, DEPLOYMENT_STEP_SUCCEEDED, boot_id);
        }
}

/* Through the file that the history keeps. */
static int replay(const Deployment *d, Replay *ret) {
        _cleanup_(deployment_deinit) Deployment back = {};
        json_auto_t *json = NULL;
        Error error = {};
        int r;

        assert_int_equal(deployment_to_json(d, &json), 0);
        assert_int_equal(deployment_from_json(json, &back, &error), 0);
        r = replay_deployment(&back, ret, &error);
        if (r < 0)
                fail_msg("%s", error.message);
        return r;
}

/* A crash, a reboot, a way back that fails and is tried again: everything comes out the same. */
static void test_same(_unused_ void **state) {
        _cleanup_(deployment_deinit) Deployment d = {};
        Replay result;

        begin(&d);
        run_to(&d, STEP_UNITS, "boot-1");
        apply(&d, DEPLOYMENT_STEP_STARTED, "boot-1");
        apply(&d, DEPLOYMENT_RESUMED, "boot-1");
        apply(&d, DEPLOYMENT_STEP_STARTED, "boot-1");
        apply(&d, DEPLOYMENT_RESUMED, "boot-2");
        apply(&d, DEPLOYMENT_STEP_STARTED, "boot-2");
        apply(&d, DEPLOYMENT_STEP_FAILED, "boot-2");
        assert_int_equal(d.outcome, OUTCOME_ROLLBACK_FAILED);
        assert_int_equal(replay(&d, &result), REPLAY_SAME);
        apply(&d, DEPLOYMENT_ROLLBACK_RETRIED, "boot-2");
        run_to(&d, STEP_END, "boot-2");
        assert_int_equal(replay(&d, &result), REPLAY_SAME);
        assert_string_equal(result.difference, "");
        assert_int_equal(result.decisions, d.n_events + 1);
        assert_true(result.whole);
}

static void expect_difference(const Deployment *d, const char *text) {
        Replay result;

        assert_int_equal(replay(d, &result), REPLAY_DIFFERS);
        if (!strstr(result.difference, text))
                fail_msg("%s", result.difference);
}

static void test_differs(_unused_ void **state) {
        _cleanup_(deployment_deinit) Deployment d = {};

        begin(&d);
        run_to(&d, STEP_END, "boot-1");
        d.events[7].then = STEP_COMMIT;
        expect_difference(&d,
                          "after BEFORE_INSTALL and event \"succeeded\" at 2026-09-21T14:13:27Z came COMMIT, "
                          "now it would be SWITCH");
        d.events[7].then = STEP_SWITCH;
        d.events[8].kind = DEPLOYMENT_STEP_SUCCEEDED;
        expect_difference(&d, "is not one that SWITCH can have");
        d.events[8].kind = DEPLOYMENT_STEP_STARTED;
        d.outcome = OUTCOME_ROLLED_BACK;
        expect_difference(&d, "it ended as rolled-back, now it would as succeeded");
        d.outcome = OUTCOME_SUCCEEDED;
        assert_int_equal(string_set(&d.reason, "it broke"), 0);
        expect_difference(&d, "it failed in VERIFY (it broke)");
}

static void change_facts(Deployment *d, const char *from, const char *to) {
        char *found = strstr(d->facts, from);
        char *text;

        assert_non_null(found);
        assert_true(asprintf(&text, "%.*s%s%s", (int) (found - d->facts), d->facts, to,
                             found + strlen(from)) > 0);
        free(d->facts);
        d->facts = text;
}

static void test_decision_differs(_unused_ void **state) {
        _cleanup_(deployment_deinit) Deployment d = {};

        begin(&d);
        change_facts(&d, "\"action\":\"deploy\"", "\"action\":\"wait\"");
        expect_difference(&d,
                          "it was decided to wait (target 6 asks for release 2.0), now it would be deploy");
        change_facts(&d, "\"action\":\"wait\"", "\"action\":\"deploy\"");
        change_facts(&d, "asks for release", "wants release");
        expect_difference(&d, "it was decided because \"target 6 wants release 2.0\"");
        change_facts(&d, "wants release", "asks for release");
        memcpy(d.to.sha256, SHA_A, sizeof(d.to.sha256));
        expect_difference(&d, "release 2.0 was wanted, and 2.0 was deployed");
}

/* What an older muster kept has neither facts nor events. */
static void test_nothing_recorded(_unused_ void **state) {
        _cleanup_(deployment_deinit) Deployment d = { .id = strdup("d-1"), .outcome = OUTCOME_SUCCEEDED };
        Replay result;

        assert_int_equal(string_set(&d.to.version, "1.0"), 0);
        d.step = STEP_END;
        assert_int_equal(replay(&d, &result), REPLAY_SAME);
        assert_int_equal(result.decisions, 0);
        assert_false(result.whole);
}

static void test_malformed_facts(_unused_ void **state) {
        static const char *const texts[] = { "{}", "[]", "{\"record\":{\"schema\":2}}", "null" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                DecisionCase c;
                Error error = {};

                assert_int_equal(decision_case_parse(texts[i], &c, &error), -EINVAL);
                assert_string_equal(error.message, "the facts of the decision are malformed");
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_same),
                cmocka_unit_test(test_differs),
                cmocka_unit_test(test_decision_differs),
                cmocka_unit_test(test_nothing_recorded),
                cmocka_unit_test(test_malformed_facts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
