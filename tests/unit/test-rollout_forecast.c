#include <string.h>

#include "agent/base/clock.h"
#include "agent/rollout_forecast.h"
#include "tests/unit/test.h"

#define MINUTE (60 * USEC_PER_SEC)
#define START (UINT64_C(1795255200) * USEC_PER_SEC)
#define DIGEST "3939fb7807f8cb1aa2bb54f87b61fee0b36f2987a676a6db647110add167c9ba"

static TargetStage stages[] = {
        { .share = { .count = 1 }, .bake = 10 * MINUTE },
        { .share = { .percent = 25 }, .bake = 10 * MINUTE },
        { .share = { .percent = 100 } },
};

static Target a_target(void) {
        return (Target){
                .serial = 1,
                .stable = { .version = (char *) "1" },
                .candidate = { .version = (char *) "2", .sha256 = DIGEST },
                .rollout = { .id = (char *) "r-1",
                             .not_before = START,
                             .stages = { stages, 3 },
                             .max_failures = 2 },
                .max_parallel = { .percent = 25 },
        };
}

static RolloutForecast forecast(const Target *target, uint64_t fleet, uint64_t now) {
        RolloutForecast result;
        RolloutPlan plan;
        Error error = {};

        rollout_plan_make(target, &plan);
        if (rollout_forecast(&plan, fleet, MINUTE, now, &result, &error) < 0)
                fail_msg("%s", error.message);
        return result;
}

/* 1 for a minute, bake; 24 more in one go, bake; 75 in three. */
static void test_hundred(_unused_ void **state) {
        const Target target = a_target();
        const RolloutForecast f = forecast(&target, 100, START - 5 * MINUTE);

        assert_int_equal(f.begins, START);
        assert_int_equal(f.n_stages, 3);
        assert_int_equal(f.parallel, 25);
        assert_int_equal(f.serving, 73);
        assert_int_equal(f.stages[0].instances, 1);
        assert_int_equal(f.stages[0].healthy, START + MINUTE);
        assert_int_equal(f.stages[0].ends, START + 11 * MINUTE);
        assert_int_equal(f.stages[1].opens, START + 11 * MINUTE);
        assert_int_equal(f.stages[1].entry, START + 10 * MINUTE);
        assert_int_equal(f.stages[1].instances, 25);
        assert_int_equal(f.stages[1].most_changing, 24);
        assert_int_equal(f.stages[1].healthy, START + 12 * MINUTE);
        assert_int_equal(f.stages[2].opens, START + 22 * MINUTE);
        assert_int_equal(f.stages[2].instances, 100);
        assert_int_equal(f.stages[2].most_changing, 25);
        assert_int_equal(f.ends, START + 25 * MINUTE);
}

static void test_late_start(_unused_ void **state) {
        const Target target = a_target();
        const RolloutForecast f = forecast(&target, 4, START + 60 * MINUTE);

        assert_int_equal(f.begins, START + 60 * MINUTE);
        assert_int_equal(f.stages[0].ends, START + 71 * MINUTE);
        assert_int_equal(f.parallel, 1);
        assert_int_equal(f.serving, 1);
}

static void test_one(_unused_ void **state) {
        const Target target = a_target();
        const RolloutForecast f = forecast(&target, 1, START);

        assert_int_equal(f.ends, START + 21 * MINUTE);
        assert_int_equal(f.serving, 0);
}

/* Nothing moves in it, and no bake ends in it. */
static void test_freeze(_unused_ void **state) {
        TargetFreeze freeze[] = { { START + 5 * MINUTE, START + 30 * MINUTE, NULL } };
        Target target = a_target();
        RolloutForecast f;

        target.freeze.items = freeze;
        target.freeze.n = 1;
        f = forecast(&target, 100, START);
        assert_int_equal(f.stages[0].ends, START + 30 * MINUTE);
        assert_int_equal(f.stages[1].healthy, START + 31 * MINUTE);
        freeze[0].from = START;
        f = forecast(&target, 100, START);
        assert_int_equal(f.stages[0].healthy, START + 31 * MINUTE);
        assert_int_equal(f.stages[0].ends, START + 41 * MINUTE);
}

static void test_by_hand(_unused_ void **state) {
        Target target = a_target();
        RolloutForecast f;

        target.rollout.promote = TARGET_PROMOTE_MANUAL;
        f = forecast(&target, 100, START);
        assert_true(f.stages[0].promoted && f.stages[1].promoted && !f.stages[2].promoted);
        assert_int_equal(f.ends, START + 25 * MINUTE);
        /* Of so few the second stage has none of its own: it is healthy as it opens, and waits to be promoted as well. */
        for (uint64_t fleet = 1; fleet <= 4; fleet++) {
                f = forecast(&target, fleet, START);
                assert_true(f.stages[0].promoted && f.stages[1].promoted && !f.stages[2].promoted);
                assert_true(f.ends > 0);
        }
}

static void test_min_healthy_time(_unused_ void **state) {
        Target target = a_target();
        RolloutForecast f;

        target.rollout.min_healthy_time = 2 * MINUTE;
        f = forecast(&target, 100, START);
        assert_int_equal(f.stages[0].healthy, START + 3 * MINUTE);
}

/* Who takes longer than its deadline is a failure: it is told before it happens. */
static void test_too_slow(_unused_ void **state) {
        Target target = a_target();
        RolloutForecast f;
        RolloutPlan plan;

        target.rollout.progress_deadline = MINUTE / 2;
        target.rollout.max_failures = 0;
        rollout_plan_make(&target, &plan);
        assert_int_equal(rollout_forecast(&plan, 10, 10 * MINUTE, START, &f, NULL), 0);
        assert_int_equal(f.ends, 0);
        assert_non_null(strstr(f.problem, "aborted in stage 1 of 3"));
}

static void test_plain_change(_unused_ void **state) {
        Target target = a_target();
        RolloutForecast f;

        target.rollout = (TargetRollout){};
        target.max_parallel = (TargetShare){ .count = 3 };
        f = forecast(&target, 10, START);
        assert_int_equal(f.n_stages, 1);
        assert_int_equal(f.ends, START + 4 * MINUTE);
        assert_int_equal(f.serving, 7);
}

static void test_large(_unused_ void **state) {
        const Target target = a_target();
        const RolloutForecast f = forecast(&target, 10000, START);

        assert_int_equal(f.ends, START + 25 * MINUTE);
        assert_int_equal(f.stages[2].most_changing, 2500);
}

static void test_no_fleet(_unused_ void **state) {
        const Target target = a_target();
        RolloutForecast f;
        RolloutPlan plan;

        rollout_plan_make(&target, &plan);
        assert_int_equal(rollout_forecast(&plan, 0, MINUTE, START, &f, NULL), -EINVAL);
        assert_int_equal(rollout_forecast(&plan, FORECAST_FLEET_MAX + 1, MINUTE, START, &f, NULL), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_hundred),  cmocka_unit_test(test_late_start),
                cmocka_unit_test(test_one),      cmocka_unit_test(test_freeze),
                cmocka_unit_test(test_by_hand),  cmocka_unit_test(test_min_healthy_time),
                cmocka_unit_test(test_too_slow), cmocka_unit_test(test_plain_change),
                cmocka_unit_test(test_large),    cmocka_unit_test(test_no_fleet),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
