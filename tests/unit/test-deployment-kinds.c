/* deployment.h and record.h: deployments that only fetch, and those that only stop. */

#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/buffer.h"
#include "agent/record.h"

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void begin(Record *record, DeploymentKind kind) {
        Deployment *d = &record->deployment;

        *record = (Record){ .good = { strdup("1.0"), SHA_A }, .good_boot_id = strdup("boot-1") };
        *d = (Deployment){
                .id = strdup("d-1"), .kind = kind, .step = deployment_first_step(kind, false), .started = 1
        };
        d->from = (ReleaseRef){ strdup("1.0"), SHA_A };
        d->to = kind == KIND_DRAIN ? (ReleaseRef){ strdup("1.0"), SHA_A }
                                   : (ReleaseRef){ strdup("2.0"), SHA_B };
}

static int apply_in(Deployment *d, DeploymentEventKind kind, const char *boot_id) {
        DeploymentEvent event = { .kind = kind, .at = 7, .boot_id = boot_id, .fault = FAULT_HOST };

        if (kind != DEPLOYMENT_STEP_STARTED && kind != DEPLOYMENT_STEP_SUCCEEDED)
                event.reason = "because";
        return deployment_apply(d, &event);
}

static int apply(Deployment *d, DeploymentEventKind kind) {
        return apply_in(d, kind, "boot-1");
}

/* Runs to the end; FAIL_AT (or every step: STEP_COUNT) fails. */
static void run(Record *record, Step fail_at, const char *order) {
        Deployment *d = &record->deployment;
        _cleanup_buffer_ Buffer steps = {};

        while (deployment_is_running(d)) {
                bool fails = fail_at == STEP_COUNT || fail_at == d->step;

                assert_int_equal(buffer_printf(&steps, "%s ", step_to_string(d->step)), 0);
                assert_int_equal(apply(d, DEPLOYMENT_STEP_STARTED), 0);
                assert_int_equal(apply(d, fails ? DEPLOYMENT_STEP_FAILED : DEPLOYMENT_STEP_SUCCEEDED), 0);
        }
        assert_string_equal(buffer_string(&steps), order);
        assert_int_equal(record_end(record, "boot-1"), 0);
}

static void test_prefetch(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};

        begin(&record, KIND_PREFETCH);
        run(&record, STEP_END, "VERIFY FETCH ");
        assert_int_equal(record.deployment.outcome, OUTCOME_SUCCEEDED);
        assert_string_equal(record.good.version, "1.0");
        assert_true(record_good_is_up(&record));
        assert_string_equal(record.prefetched.version, "2.0");
}

static void test_prefetch_that_fails(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};

        begin(&record, KIND_PREFETCH);
        run(&record, STEP_FETCH, "VERIFY FETCH ");
        assert_int_equal(record.deployment.outcome, OUTCOME_FAILED);
        assert_null(record.prefetched.version);
        assert_true(record_good_is_up(&record));
        assert_non_null(record_find_failure(&record, SHA_B, 0, NULL));
}

/* What another deployer has installed: nothing is run, and the release is the good one. */
static void test_adopt(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};

        begin(&record, KIND_ADOPT);
        release_ref_deinit(&record.good);
        release_ref_deinit(&record.deployment.from);
        run(&record, STEP_END, "VERIFY FETCH ADOPT COMMIT ");
        assert_int_equal(record.deployment.outcome, OUTCOME_SUCCEEDED);
        assert_string_equal(record.good.version, "2.0");
        assert_true(record_good_is_up(&record));
}

/* It never goes back: there is nothing that it changed. */
static void test_adopt_that_fails(_unused_ void **state) {
        static const struct {
                Step step;
                const char *order;
        } cases[] = {
                { STEP_VERIFY, "VERIFY " },
                { STEP_FETCH, "VERIFY FETCH " },
                { STEP_ADOPT, "VERIFY FETCH ADOPT " },
                { STEP_COMMIT, "VERIFY FETCH ADOPT COMMIT " },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(record_deinit) Record record = {};

                begin(&record, KIND_ADOPT);
                release_ref_deinit(&record.good);
                release_ref_deinit(&record.deployment.from);
                run(&record, cases[i].step, cases[i].order);
                assert_int_equal(record.deployment.outcome, OUTCOME_FAILED);
                assert_null(record.good.version);
                assert_false(deployment_has_changed_anything(&record.deployment));
        }
}

/* In the same boot the step is done again; a reboot ends it. */
static void test_adopt_that_is_interrupted(_unused_ void **state) {
        for (unsigned rebooted = 0; rebooted < 2; rebooted++) {
                _cleanup_(record_deinit) Record record = {};
                Deployment *d = &record.deployment;

                begin(&record, KIND_ADOPT);
                release_ref_deinit(&d->from);
                for (unsigned i = 0; i < 2; i++) {
                        assert_int_equal(apply(d, DEPLOYMENT_STEP_STARTED), 0);
                        assert_int_equal(apply(d, DEPLOYMENT_STEP_SUCCEEDED), 0);
                }
                assert_int_equal(apply(d, DEPLOYMENT_STEP_STARTED), 0);
                assert_int_equal(apply_in(d, DEPLOYMENT_RESUMED, rebooted ? "boot-2" : "boot-1"), 0);
                assert_int_equal(d->step, rebooted ? STEP_END : STEP_ADOPT);
                assert_int_equal(d->outcome, rebooted ? OUTCOME_FAILED : OUTCOME_RUNNING);
        }
}

static void test_drain(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};

        begin(&record, KIND_DRAIN);
        run(&record, STEP_END, "APPLICATION_STOP STOP_UNITS ");
        assert_int_equal(record.deployment.outcome, OUTCOME_SUCCEEDED);
        assert_true(record.good_is_stopped);
        assert_false(record_good_is_up(&record));
        assert_string_equal(record.good.version, "1.0");
}

/* Each step of it is tried, and nothing is gone back to. */
static void test_drain_that_fails(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};

        begin(&record, KIND_DRAIN);
        run(&record, STEP_COUNT, "APPLICATION_STOP STOP_UNITS ");
        assert_int_equal(record.deployment.outcome, OUTCOME_FAILED);
        assert_int_equal(record.deployment.failed_step, STEP_STOP_UNITS);
        assert_true(record.good_is_stopped);
        assert_int_equal(record.n_failures, 0);
}

static void test_drain_goes_on_after_a_restart(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};
        Deployment *d = &record.deployment;

        begin(&record, KIND_DRAIN);
        assert_int_equal(apply(d, DEPLOYMENT_STEP_STARTED), 0);
        for (unsigned i = 1; i < STEP_RESUMES_MAX; i++) {
                assert_int_equal(apply(d, DEPLOYMENT_RESUMED), 0);
                assert_int_equal(d->step, STEP_APPLICATION_STOP);
                assert_int_equal(apply(d, DEPLOYMENT_STEP_STARTED), 0);
        }
        assert_int_equal(apply(d, DEPLOYMENT_RESUMED),
                         0); /* what ends the agent again and again is left out */
        run(&record, STEP_END, "STOP_UNITS ");
        assert_true(record.good_is_stopped);
}

/* Also before its first step, units that are enabled for boot run again. */
static void test_drain_goes_on_after_a_reboot(_unused_ void **state) {
        for (int started = 0; started < 2; started++) {
                _cleanup_(record_deinit) Record record = {};
                Deployment *d = &record.deployment;

                begin(&record, KIND_DRAIN);
                d->boot_id = strdup("boot-1");
                if (started)
                        assert_int_equal(apply(d, DEPLOYMENT_STEP_STARTED), 0);
                assert_int_equal(apply_in(d, DEPLOYMENT_RESUMED, "boot-2"), 0);
                run(&record, STEP_END, "STOP_UNITS ");
                assert_true(record.good_is_stopped);
        }
}

/* The instance stays after all: what was stopped of it is not known, so that all of it is brought up again. */
static void test_drain_is_cut(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};

        begin(&record, KIND_DRAIN);
        assert_int_equal(apply(&record.deployment, DEPLOYMENT_STEP_STARTED), 0);
        assert_int_equal(apply(&record.deployment, DEPLOYMENT_CUT), 0);
        assert_int_equal(record_end(&record, "boot-1"), 0);
        assert_int_equal(record.deployment.outcome, OUTCOME_FAILED);
        assert_true(record.good_is_stopped);
}

static void test_deploy_is_cut(_unused_ void **state) {
        for (Step step = STEP_VERIFY; step < STEP_END; step++) {
                _cleanup_(record_deinit) Record record = {};
                Deployment *d = &record.deployment;

                begin(&record, KIND_DEPLOY);
                d->step = step;
                assert_int_equal(apply(d, DEPLOYMENT_STEP_STARTED), 0);
                if (step == STEP_COMMIT) { /* its units may be enabled for boot already */
                        assert_int_equal(apply(d, DEPLOYMENT_CUT), -EINVAL);
                        continue;
                }
                assert_int_equal(apply(d, DEPLOYMENT_CUT), 0);
                assert_int_equal(d->outcome, OUTCOME_FAILED);
                assert_true(d->cut);
                assert_int_equal(d->failed_step, step);
                assert_int_equal(record_end(&record, "boot-1"), 0);
                assert_int_equal(record.n_failures, 0);
                assert_string_equal(record.good.version, "1.0");
        }
}

/* Where what runs is neither stopped nor changed, and no hook is under way. */
static void test_only_waits(_unused_ void **state) {
        for (Step step = STEP_VERIFY; step < STEP_END; step++) {
                Deployment deployment = { .kind = KIND_DEPLOY, .step = step };

                assert_int_equal(deployment_only_waits(&deployment),
                                 step == STEP_HEALTH || step == STEP_ALLOW_TRAFFIC);
                deployment.kind = KIND_DRAIN;
                assert_false(deployment_only_waits(&deployment));
        }
}

/* Whatever serves again is not stopped any more. */
static void test_deploy_after_a_drain(_unused_ void **state) {
        for (int fails = 0; fails < 2; fails++) {
                _cleanup_(record_deinit) Record record = {};

                begin(&record, KIND_DEPLOY);
                record.good_is_stopped = true;
                record.deployment.outcome = fails ? OUTCOME_ROLLED_BACK : OUTCOME_SUCCEEDED;
                assert_int_equal(record_end(&record, "boot-1"), 0);
                assert_true(record_good_is_up(&record));
        }
}

static void test_names(_unused_ void **state) {
        for (DeploymentKind kind = 0; kind < KIND_COUNT; kind++) {
                DeploymentKind back;

                assert_int_equal(deployment_kind_from_string(deployment_kind_to_string(kind), &back), 0);
                assert_int_equal(back, kind);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_prefetch),
                cmocka_unit_test(test_prefetch_that_fails),
                cmocka_unit_test(test_adopt),
                cmocka_unit_test(test_adopt_that_fails),
                cmocka_unit_test(test_adopt_that_is_interrupted),
                cmocka_unit_test(test_drain),
                cmocka_unit_test(test_drain_that_fails),
                cmocka_unit_test(test_drain_goes_on_after_a_restart),
                cmocka_unit_test(test_drain_goes_on_after_a_reboot),
                cmocka_unit_test(test_drain_is_cut),
                cmocka_unit_test(test_deploy_is_cut),
                cmocka_unit_test(test_only_waits),
                cmocka_unit_test(test_deploy_after_a_drain),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
