#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/buffer.h"
#include "agent/deployment.h"

static void begin(Deployment *d, bool first) {
        *d = (Deployment){ .id = strdup("d-1"), .started = 1 };
        d->to = (ReleaseRef){ .version = strdup("2.0"), .sha256 = "bb" };
        if (!first)
                d->from = (ReleaseRef){ .version = strdup("1.0"), .sha256 = "aa" };
}

static int apply(Deployment *d, DeploymentEventKind kind) {
        DeploymentEvent event = { .kind = kind, .at = 7, .boot_id = "boot-1", .fault = FAULT_RELEASE };

        if (kind == DEPLOYMENT_STEP_FAILED || kind == DEPLOYMENT_CANCELLED)
                event.reason = "it broke";
        return deployment_apply(d, &event);
}

/* Runs every step with success but FAIL_AT, and writes the order of the steps. */
static void run(Deployment *d, Step fail_at, Step also_fail_at, Buffer *order) {
        for (int i = 0; i < 64 && deployment_is_running(d); i++) {
                Step step = d->step;

                assert_int_equal(buffer_printf(order, "%s ", step_to_string(step)), 0);
                assert_int_equal(apply(d, DEPLOYMENT_STEP_STARTED), 0);
                assert_int_equal(apply(d, step == fail_at || step == also_fail_at
                                                  ? DEPLOYMENT_STEP_FAILED
                                                  : DEPLOYMENT_STEP_SUCCEEDED),
                                 0);
        }
        assert_false(deployment_is_running(d));
        assert_int_equal(d->step, STEP_END);
}

#define FORWARD                                                                                              \
        "VERIFY FETCH APPLICATION_STOP BEFORE_INSTALL SWITCH AFTER_INSTALL UNITS APPLICATION_START "         \
        "VALIDATE_SERVICE HEALTH COMMIT "
#define BACK "ROLLBACK_STOP ROLLBACK_SWITCH ROLLBACK_UNITS ROLLBACK_START ROLLBACK_HEALTH "
#define BACK_TO_NONE "ROLLBACK_STOP ROLLBACK_SWITCH "

static void test_orders(_unused_ void **state) {
        static const struct {
                Step fail_at, also;
                bool first;
                const char *order;
                Outcome outcome;
        } cases[] = {
                { STEP_COUNT, STEP_COUNT, false, FORWARD, OUTCOME_SUCCEEDED },
                { STEP_COUNT, STEP_COUNT, true, FORWARD, OUTCOME_SUCCEEDED },
                { STEP_VERIFY, STEP_COUNT, false, "VERIFY ", OUTCOME_FAILED },
                { STEP_FETCH, STEP_COUNT, false, "VERIFY FETCH ", OUTCOME_FAILED },
                { STEP_APPLICATION_STOP, STEP_COUNT, false, FORWARD, OUTCOME_SUCCEEDED },
                { STEP_BEFORE_INSTALL, STEP_COUNT, false,
                  "VERIFY FETCH APPLICATION_STOP BEFORE_INSTALL " BACK, OUTCOME_ROLLED_BACK },
                { STEP_BEFORE_INSTALL, STEP_COUNT, true,
                  "VERIFY FETCH APPLICATION_STOP BEFORE_INSTALL " BACK_TO_NONE, OUTCOME_FAILED },
                { STEP_SWITCH, STEP_ROLLBACK_STOP, false,
                  "VERIFY FETCH APPLICATION_STOP BEFORE_INSTALL SWITCH " BACK, OUTCOME_ROLLED_BACK },
                { STEP_HEALTH, STEP_COUNT, true,
                  "VERIFY FETCH APPLICATION_STOP BEFORE_INSTALL SWITCH AFTER_INSTALL UNITS APPLICATION_START "
                  "VALIDATE_SERVICE HEALTH " BACK_TO_NONE,
                  OUTCOME_FAILED },
                { STEP_COMMIT, STEP_COUNT, false, FORWARD BACK, OUTCOME_ROLLED_BACK },
                { STEP_UNITS, STEP_ROLLBACK_UNITS, false,
                  "VERIFY FETCH APPLICATION_STOP BEFORE_INSTALL SWITCH AFTER_INSTALL UNITS ROLLBACK_STOP "
                  "ROLLBACK_SWITCH ROLLBACK_UNITS ",
                  OUTCOME_ROLLBACK_FAILED },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(deployment_deinit) Deployment d = {};
                _cleanup_buffer_ Buffer order = {};

                begin(&d, cases[i].first);
                run(&d, cases[i].fail_at, cases[i].also, &order);
                assert_string_equal(buffer_string(&order), cases[i].order);
                assert_int_equal(d.outcome, cases[i].outcome);
                assert_int_equal(d.finished, 7);
                if (cases[i].outcome != OUTCOME_SUCCEEDED)
                        assert_int_equal(d.failed_step, cases[i].fail_at);
        }
}

#define FORWARD_OUT                                                                                          \
        "VERIFY FETCH BEFORE_BLOCK_TRAFFIC BLOCK_TRAFFIC AFTER_BLOCK_TRAFFIC APPLICATION_STOP "              \
        "BEFORE_INSTALL SWITCH AFTER_INSTALL UNITS APPLICATION_START VALIDATE_SERVICE HEALTH "
#define ALLOW "BEFORE_ALLOW_TRAFFIC ALLOW_TRAFFIC AFTER_ALLOW_TRAFFIC "

/* Out of the load balancer before anything is changed, in it again after the checks, whatever comes of it. */
static void test_orders_with_traffic(_unused_ void **state) {
        static const struct {
                Step fail_at, also;
                bool first;
                const char *order;
                Outcome outcome;
        } cases[] = {
                { STEP_COUNT, STEP_COUNT, false, FORWARD_OUT ALLOW "COMMIT ", OUTCOME_SUCCEEDED },
                { STEP_COUNT, STEP_COUNT, true, FORWARD_OUT ALLOW "COMMIT ", OUTCOME_SUCCEEDED },
                { STEP_BEFORE_BLOCK_TRAFFIC, STEP_AFTER_BLOCK_TRAFFIC, false, FORWARD_OUT ALLOW "COMMIT ",
                  OUTCOME_SUCCEEDED },
                { STEP_BLOCK_TRAFFIC, STEP_COUNT, false,
                  "VERIFY FETCH BEFORE_BLOCK_TRAFFIC BLOCK_TRAFFIC ROLLBACK_ALLOW_TRAFFIC ", OUTCOME_FAILED },
                { STEP_BLOCK_TRAFFIC, STEP_ROLLBACK_ALLOW_TRAFFIC, false,
                  "VERIFY FETCH BEFORE_BLOCK_TRAFFIC BLOCK_TRAFFIC ROLLBACK_ALLOW_TRAFFIC ", OUTCOME_FAILED },
                { STEP_HEALTH, STEP_COUNT, false, FORWARD_OUT BACK "ROLLBACK_ALLOW_TRAFFIC ",
                  OUTCOME_ROLLED_BACK },
                { STEP_HEALTH, STEP_ROLLBACK_ALLOW_TRAFFIC, false, FORWARD_OUT BACK "ROLLBACK_ALLOW_TRAFFIC ",
                  OUTCOME_ROLLED_BACK },
                { STEP_HEALTH, STEP_COUNT, true, FORWARD_OUT BACK_TO_NONE "ROLLBACK_ALLOW_TRAFFIC ",
                  OUTCOME_FAILED },
                { STEP_BEFORE_ALLOW_TRAFFIC, STEP_COUNT, false,
                  FORWARD_OUT "BEFORE_ALLOW_TRAFFIC " BACK "ROLLBACK_ALLOW_TRAFFIC ", OUTCOME_ROLLED_BACK },
                { STEP_ALLOW_TRAFFIC, STEP_COUNT, false,
                  FORWARD_OUT "BEFORE_ALLOW_TRAFFIC ALLOW_TRAFFIC ROLLBACK_BLOCK_TRAFFIC " BACK
                              "ROLLBACK_ALLOW_TRAFFIC ",
                  OUTCOME_ROLLED_BACK },
                { STEP_AFTER_ALLOW_TRAFFIC, STEP_ROLLBACK_BLOCK_TRAFFIC, false,
                  FORWARD_OUT ALLOW "ROLLBACK_BLOCK_TRAFFIC " BACK "ROLLBACK_ALLOW_TRAFFIC ",
                  OUTCOME_ROLLED_BACK },
                { STEP_COMMIT, STEP_COUNT, false,
                  FORWARD_OUT ALLOW "COMMIT ROLLBACK_BLOCK_TRAFFIC " BACK "ROLLBACK_ALLOW_TRAFFIC ",
                  OUTCOME_ROLLED_BACK },
                { STEP_UNITS, STEP_ROLLBACK_UNITS, false,
                  "VERIFY FETCH BEFORE_BLOCK_TRAFFIC BLOCK_TRAFFIC AFTER_BLOCK_TRAFFIC APPLICATION_STOP "
                  "BEFORE_INSTALL SWITCH AFTER_INSTALL UNITS ROLLBACK_STOP ROLLBACK_SWITCH ROLLBACK_UNITS ",
                  OUTCOME_ROLLBACK_FAILED },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(deployment_deinit) Deployment d = {};
                _cleanup_buffer_ Buffer order = {};

                begin(&d, cases[i].first);
                d.traffic = true;
                run(&d, cases[i].fail_at, cases[i].also, &order);
                assert_string_equal(buffer_string(&order), cases[i].order);
                assert_int_equal(d.outcome, cases[i].outcome);
        }
}

/* Given up where nothing but the load balancer was touched: only that is undone. */
static void test_cancel_with_traffic(_unused_ void **state) {
        static const struct {
                Step before;
                bool started;
                Step then;
        } cases[] = {
                { STEP_BEFORE_BLOCK_TRAFFIC, false, STEP_END },
                { STEP_BEFORE_BLOCK_TRAFFIC, true, STEP_END },
                { STEP_BLOCK_TRAFFIC, false, STEP_END },
                { STEP_BLOCK_TRAFFIC, true, STEP_ROLLBACK_ALLOW_TRAFFIC },
                { STEP_AFTER_BLOCK_TRAFFIC, true, STEP_ROLLBACK_ALLOW_TRAFFIC },
                { STEP_APPLICATION_STOP, false, STEP_ROLLBACK_ALLOW_TRAFFIC },
                { STEP_APPLICATION_STOP, true, STEP_ROLLBACK_STOP },
                { STEP_HEALTH, true, STEP_ROLLBACK_STOP },
                { STEP_ALLOW_TRAFFIC, true, STEP_ROLLBACK_BLOCK_TRAFFIC },
                { STEP_COMMIT, false, STEP_ROLLBACK_BLOCK_TRAFFIC },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(deployment_deinit) Deployment d = {};

                begin(&d, false);
                d.traffic = true;
                d.step = cases[i].before;
                if (cases[i].started)
                        assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), 0);
                assert_int_equal(apply(&d, DEPLOYMENT_CANCELLED), 0);
                assert_int_equal(d.step, cases[i].then);
                if (d.step != STEP_ROLLBACK_ALLOW_TRAFFIC)
                        continue;
                assert_false(deployment_has_changed_anything(&d));
                assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), 0);
                assert_int_equal(apply(&d, DEPLOYMENT_STEP_SUCCEEDED), 0);
                assert_int_equal(d.outcome, OUTCOME_FAILED);
        }
}

static bool changes_the_app(Step step) {
        return (step >= STEP_APPLICATION_STOP && step <= STEP_HEALTH) ||
               (step >= STEP_ROLLBACK_STOP && step <= STEP_ROLLBACK_HEALTH);
}

/* What a step that ended well has made of it; one that failed or was interrupted may have done anything. */
static void follow(Step step, bool good, bool *in, bool *out) {
        bool block = step == STEP_BLOCK_TRAFFIC || step == STEP_ROLLBACK_BLOCK_TRAFFIC;
        bool allow = step == STEP_ALLOW_TRAFFIC || step == STEP_ROLLBACK_ALLOW_TRAFFIC;

        if (block || allow) {
                *in = good && allow;
                *out = good && block;
        }
}

/* Whatever happens in whatever order: on the way forward the app is changed only while the instance is out, what succeeds is
 * in again, and it ends. Every sequence of choices is walked. */
static void walk(const unsigned char *choices, size_t n) {
        static const DeploymentEventKind kinds[] = { DEPLOYMENT_STEP_SUCCEEDED, DEPLOYMENT_STEP_FAILED,
                                                     DEPLOYMENT_CANCELLED };
        _cleanup_(deployment_deinit) Deployment d = {};
        bool in = true, out = false;

        begin(&d, false);
        d.traffic = true;
        for (size_t i = 0; i < 64 && deployment_is_running(&d); i++) {
                DeploymentEventKind kind = kinds[i < n ? choices[i] : 0];
                Step step = d.step;

                if (changes_the_app(step) && !step_is_rollback(step))
                        assert_true(out);
                if (step == STEP_COMMIT)
                        assert_true(in);
                assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), 0);
                if (apply(&d, kind) == -EINVAL) {
                        kind = DEPLOYMENT_STEP_SUCCEEDED;
                        assert_int_equal(apply(&d, kind), 0);
                }
                follow(step, kind == DEPLOYMENT_STEP_SUCCEEDED, &in, &out);
        }
        assert_false(deployment_is_running(&d));
        if (d.outcome == OUTCOME_SUCCEEDED)
                assert_true(in);
}

static void test_every_order_with_traffic(_unused_ void **state) {
        unsigned char choices[24] = {};

        for (size_t i = 0; i < sizeof(choices); i++)
                for (size_t j = i + 1; j < sizeof(choices); j++)
                        for (unsigned a = 0; a < 9; a++) {
                                choices[i] = (unsigned char) (a % 3);
                                choices[j] = (unsigned char) (a / 3);
                                walk(choices, sizeof(choices));
                                choices[i] = choices[j] = 0;
                        }
}

static void test_reason_is_the_first(_unused_ void **state) {
        _cleanup_(deployment_deinit) Deployment d = {};
        DeploymentEvent event = { .kind = DEPLOYMENT_STEP_FAILED, .reason = "first", .fault = FAULT_HOST };

        begin(&d, false);
        d.step = STEP_UNITS;
        assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), 0);
        assert_int_equal(deployment_apply(&d, &event), 0);
        assert_int_equal(d.step, STEP_ROLLBACK_STOP);
        assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), 0);
        assert_int_equal(apply(&d, DEPLOYMENT_STEP_FAILED), 0);
        assert_string_equal(d.reason, "first");
        assert_int_equal(d.fault, FAULT_HOST);
        assert_int_equal(d.failed_step, STEP_UNITS);
        assert_int_equal(d.steps[1].result, STEP_RESULT_TOLERATED);
        assert_string_equal(d.steps[1].reason, "it broke");
}

static void test_what_is_not_allowed(_unused_ void **state) {
        _cleanup_(deployment_deinit) Deployment d = {};

        assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), -EINVAL);
        begin(&d, true);
        assert_int_equal(apply(&d, DEPLOYMENT_STEP_SUCCEEDED), -EINVAL);
        assert_int_equal(apply(&d, DEPLOYMENT_STEP_FAILED), -EINVAL);
        assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), 0);
        assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), -EINVAL);
        d.step = STEP_COMMIT; /* begun */
        assert_int_equal(apply(&d, DEPLOYMENT_CANCELLED), -EINVAL);
        assert_int_equal(apply(&d, DEPLOYMENT_HOOK_SUCCEEDED), -EINVAL);
        assert_int_equal(apply(&d, DEPLOYMENT_ROLLBACK_RETRIED), -EINVAL);
        d.step = STEP_ROLLBACK_UNITS;
        assert_int_equal(apply(&d, DEPLOYMENT_CANCELLED), -EINVAL);
}

static void test_cancel(_unused_ void **state) {
        for (Step step = STEP_VERIFY; step < STEP_COMMIT; step++) {
                _cleanup_(deployment_deinit) Deployment d = {};

                begin(&d, false);
                d.step = step;
                assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), 0);
                assert_int_equal(apply(&d, DEPLOYMENT_CANCELLED), 0);
                assert_true(d.cancelled);
                assert_int_equal(d.steps[0].result, STEP_RESULT_INTERRUPTED);
                if (step < STEP_APPLICATION_STOP)
                        assert_int_equal(d.outcome, OUTCOME_FAILED);
                else
                        assert_int_equal(d.step, STEP_ROLLBACK_STOP);
        }
}

/* Where the target is read once more: before anything was changed, before SWITCH, before COMMIT. */
static void test_cancel_between_steps(_unused_ void **state) {
        static const struct {
                Step before, then;
                Outcome outcome;
        } cases[] = {
                { STEP_APPLICATION_STOP, STEP_END, OUTCOME_FAILED },
                { STEP_SWITCH, STEP_ROLLBACK_STOP, OUTCOME_RUNNING },
                { STEP_COMMIT, STEP_ROLLBACK_STOP, OUTCOME_RUNNING },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(deployment_deinit) Deployment d = {};

                begin(&d, false);
                while (d.step != cases[i].before) {
                        assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), 0);
                        assert_int_equal(apply(&d, DEPLOYMENT_STEP_SUCCEEDED), 0);
                }
                assert_int_equal(apply(&d, DEPLOYMENT_CANCELLED), 0);
                assert_int_equal(d.step, cases[i].then);
                assert_int_equal(d.outcome, cases[i].outcome);
                assert_int_equal(d.failed_step, cases[i].before);
        }
}

static void resume_with(Deployment *d, const char *boot_id) {
        DeploymentEvent event = { .kind = DEPLOYMENT_RESUMED, .at = 9, .boot_id = boot_id };

        assert_int_equal(deployment_apply(d, &event), 0);
}

static void begin_at(Deployment *d, Step step, bool started) {
        begin(d, false);
        d->step = step;
        if (started)
                assert_int_equal(apply(d, DEPLOYMENT_STEP_STARTED), 0);
        else
                d->boot_id = strdup("boot-1");
}

static void test_resume_in_the_same_boot(_unused_ void **state) {
        for (Step step = STEP_VERIFY; step < STEP_END; step++) {
                _cleanup_(deployment_deinit) Deployment d = {};

                begin_at(&d, step, true);
                resume_with(&d, "boot-1");
                assert_int_equal(d.interrupted, step <= STEP_FETCH);
                if (step <= STEP_FETCH) {
                        assert_int_equal(d.outcome, OUTCOME_FAILED);
                        assert_int_equal(d.fault, FAULT_HOST);
                        continue;
                }
                assert_int_equal(d.step, step);
                assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), 0);
                assert_int_equal(d.attempt, 2);
        }
}

static void test_resume_after_a_reboot(_unused_ void **state) {
        for (Step step = STEP_VERIFY; step < STEP_END; step++) {
                _cleanup_(deployment_deinit) Deployment d = {};

                begin_at(&d, step, true);
                resume_with(&d, "boot-2");
                assert_string_equal(d.reason, "the instance was restarted in the middle");
                if (step < STEP_APPLICATION_STOP)
                        assert_int_equal(d.outcome, OUTCOME_FAILED);
                else
                        assert_int_equal(d.step, STEP_ROLLBACK_SWITCH);
        }
}

/* After a reboot the app joins its target groups by the record; it need not be brought up again for that. */
static void test_resume_while_out_after_a_reboot(_unused_ void **state) {
        static const Step steps[] = { STEP_BEFORE_BLOCK_TRAFFIC, STEP_BLOCK_TRAFFIC,
                                      STEP_AFTER_BLOCK_TRAFFIC };
        _cleanup_(deployment_deinit) Deployment back = {};

        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                _cleanup_(deployment_deinit) Deployment d = {};

                begin_at(&d, steps[i], true);
                d.traffic = true;
                resume_with(&d, "boot-2");
                assert_int_equal(d.outcome, OUTCOME_FAILED);
                assert_true(d.interrupted);
        }
        begin_at(&back, STEP_BLOCK_TRAFFIC, true);
        back.traffic = true;
        assert_int_equal(apply(&back, DEPLOYMENT_STEP_FAILED), 0);
        assert_int_equal(back.step, STEP_ROLLBACK_ALLOW_TRAFFIC);
        assert_int_equal(apply(&back, DEPLOYMENT_STEP_STARTED), 0);
        resume_with(&back, "boot-2");
        assert_int_equal(back.outcome, OUTCOME_FAILED);
}

/* Between FETCH and ApplicationStop nothing has been changed yet. */
static void test_resume_before_anything_was_changed(_unused_ void **state) {
        _cleanup_(deployment_deinit) Deployment same = {}, rebooted = {};

        begin_at(&same, STEP_APPLICATION_STOP, false);
        resume_with(&same, "boot-1");
        assert_true(deployment_is_running(&same));
        assert_int_equal(same.step, STEP_APPLICATION_STOP);
        begin_at(&rebooted, STEP_APPLICATION_STOP, false);
        resume_with(&rebooted, "boot-2");
        assert_int_equal(rebooted.outcome, OUTCOME_FAILED);
        assert_true(rebooted.interrupted);
}

/* Of several hooks those that have succeeded are not run again, in this step. */
static void test_hooks(_unused_ void **state) {
        _cleanup_(deployment_deinit) Deployment d = {};

        begin_at(&d, STEP_BEFORE_INSTALL, true);
        assert_int_equal(apply(&d, DEPLOYMENT_HOOK_SUCCEEDED), 0);
        assert_int_equal(apply(&d, DEPLOYMENT_HOOK_SUCCEEDED), 0);
        resume_with(&d, "boot-1");
        assert_int_equal(d.hooks_done, 2);
        assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), 0);
        assert_int_equal(d.hooks_done, 2);
        assert_int_equal(apply(&d, DEPLOYMENT_STEP_SUCCEEDED), 0);
        assert_int_equal(d.hooks_done, 0);
}

/* However the agent dies, it never goes on for ever. */
static void test_resume_has_a_breaker(_unused_ void **state) {
        for (Step step = STEP_BEFORE_BLOCK_TRAFFIC; step < STEP_END; step++) {
                _cleanup_(deployment_deinit) Deployment d = {};
                int deaths = 0;

                begin(&d, false);
                d.step = step;
                d.traffic = true;
                for (; deaths < 100 && deployment_is_running(&d); deaths++) {
                        assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), 0);
                        resume_with(&d, "boot-1");
                }
                assert_true(deaths < 32);
                if (step < STEP_APPLICATION_STOP)
                        assert_int_equal(d.outcome, OUTCOME_FAILED);
                else if (step == STEP_ROLLBACK_ALLOW_TRAFFIC)
                        assert_int_equal(d.outcome, OUTCOME_ROLLED_BACK);
                else
                        assert_int_equal(d.outcome, OUTCOME_ROLLBACK_FAILED);
        }
}

/* Nor does an instance that restarts again and again. */
static void test_reboots_have_a_breaker(_unused_ void **state) {
        _cleanup_(deployment_deinit) Deployment d = {};
        char boot_id[] = "boot-a";
        int reboots = 0;

        begin_at(&d, STEP_UNITS, true);
        for (; reboots < 100 && deployment_is_running(&d); reboots++) {
                DeploymentEvent started = { .kind = DEPLOYMENT_STEP_STARTED, .boot_id = boot_id };

                boot_id[5]++;
                resume_with(&d, boot_id);
                if (deployment_is_running(&d))
                        assert_int_equal(deployment_apply(&d, &started), 0);
        }
        assert_true(reboots <= (int) ROLLBACK_REBOOTS_MAX + 1);
        assert_int_equal(d.outcome, OUTCOME_ROLLBACK_FAILED);
        assert_non_null(strstr(d.rollback_reason, "again and again"));
        assert_int_equal(d.fault, FAULT_HOST);
}

static void test_failed_rollback_is_told_apart_and_tried_again(_unused_ void **state) {
        _cleanup_(deployment_deinit) Deployment d = {};
        DeploymentEvent full = { .kind = DEPLOYMENT_STEP_FAILED, .reason = "disk full", .fault = FAULT_HOST };
        DeploymentEvent again = { .kind = DEPLOYMENT_ROLLBACK_RETRIED, .boot_id = "boot-2" };

        begin_at(&d, STEP_HEALTH, true);
        assert_int_equal(apply(&d, DEPLOYMENT_STEP_FAILED), 0);
        assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), 0);
        assert_int_equal(apply(&d, DEPLOYMENT_STEP_SUCCEEDED), 0);
        assert_int_equal(d.step, STEP_ROLLBACK_SWITCH);
        assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), 0);
        assert_int_equal(deployment_apply(&d, &full), 0);
        assert_int_equal(d.outcome, OUTCOME_ROLLBACK_FAILED);
        assert_string_equal(d.reason, "it broke");
        assert_int_equal(d.fault, FAULT_RELEASE);
        assert_string_equal(d.rollback_reason, "disk full");
        assert_int_equal(d.rollback_step, STEP_ROLLBACK_SWITCH);
        assert_int_equal(d.rollback_fault, FAULT_HOST);

        assert_int_equal(deployment_apply(&d, &again), 0);
        assert_true(deployment_is_running(&d));
        assert_null(d.rollback_reason);
        assert_int_equal(d.rollbacks, 1);
        assert_int_equal(d.step, STEP_ROLLBACK_SWITCH);
        while (deployment_is_running(&d)) {
                assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), 0);
                assert_int_equal(apply(&d, DEPLOYMENT_STEP_SUCCEEDED), 0);
        }
        assert_int_equal(d.outcome, OUTCOME_ROLLED_BACK);
        assert_string_equal(d.reason, "it broke");
}

static void test_log_is_bounded(_unused_ void **state) {
        _cleanup_(deployment_deinit) Deployment d = {};

        begin(&d, false);
        d.step = STEP_UNITS;
        for (int i = 0; i < 500; i++) {
                assert_int_equal(apply(&d, DEPLOYMENT_STEP_STARTED), 0);
                resume_with(&d, "boot-1");
                d.step = STEP_UNITS;
                d.attempt = 0;
        }
        assert_int_equal(d.n_steps, DEPLOYMENT_STEPS_MAX);
        assert_int_equal(d.n_events, DEPLOYMENT_EVENTS_MAX);
        assert_true(d.events_lost);
}

static void test_names(_unused_ void **state) {
        for (Step step = STEP_VERIFY; step < STEP_COUNT; step++) {
                Step back;

                assert_int_equal(step_from_string(step_to_string(step), &back), 0);
                assert_int_equal(back, step);
        }
        for (Outcome o = OUTCOME_RUNNING; o <= OUTCOME_ROLLBACK_FAILED; o++) {
                Outcome back;

                assert_int_equal(outcome_from_string(outcome_to_string(o), &back), 0);
                assert_int_equal(back, o);
        }
        for (DeploymentEventKind k = 0; k < DEPLOYMENT_EVENT_KINDS; k++) {
                DeploymentEventKind back;

                assert_int_equal(deployment_event_from_string(deployment_event_to_string(k), &back), 0);
                assert_int_equal(back, k);
        }
        assert_string_equal(step_lifecycle_event(STEP_ROLLBACK_STOP), "ApplicationStop");
        assert_null(step_lifecycle_event(STEP_HEALTH));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_orders),
                cmocka_unit_test(test_orders_with_traffic),
                cmocka_unit_test(test_cancel_with_traffic),
                cmocka_unit_test(test_every_order_with_traffic),
                cmocka_unit_test(test_reason_is_the_first),
                cmocka_unit_test(test_what_is_not_allowed),
                cmocka_unit_test(test_cancel),
                cmocka_unit_test(test_cancel_between_steps),
                cmocka_unit_test(test_resume_in_the_same_boot),
                cmocka_unit_test(test_resume_after_a_reboot),
                cmocka_unit_test(test_resume_while_out_after_a_reboot),
                cmocka_unit_test(test_resume_before_anything_was_changed),
                cmocka_unit_test(test_hooks),
                cmocka_unit_test(test_resume_has_a_breaker),
                cmocka_unit_test(test_reboots_have_a_breaker),
                cmocka_unit_test(test_failed_rollback_is_told_apart_and_tried_again),
                cmocka_unit_test(test_log_is_bounded),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
