#include <string.h>

#include "agent/base/clock.h"
#include "agent/rollout_plan.h"
#include "tests/unit/test.h"

#define MINUTE (60 * USEC_PER_SEC)

static TargetStage stages[] = {
        { .share = { .count = 2 }, .bake = 10 * MINUTE },
        { .share = { .percent = 25 }, .bake = 5 * MINUTE },
        { .share = { .percent = 100 } },
};

static Target target_of(char **canaries, size_t n_canaries) {
        return (Target){
                .serial = 18,
                .stable = { .version = (char *) "1" },
                .candidate = { .version = (char *) "2" },
                .rollout = { .id = (char *) "r-1",
                             .not_before = 1000 * USEC_PER_SEC,
                             .stages = { stages, ELEMENTSOF(stages) },
                             .max_failures = 3,
                             .min_healthy_time = MINUTE,
                             .canaries = { canaries, n_canaries } },
        };
}

static void test_of_a_rollout(void **state) {
        Target target = target_of(NULL, 0);
        RolloutPlan plan;

        (void) state;
        rollout_plan_make(&target, &plan);
        assert_string_equal(plan.id, "r-1");
        assert_true(plan.staged);
        assert_string_equal(plan.to->version, "2");
        assert_int_equal(plan.n_stages, 3);
        assert_int_equal(plan.max_failures, 3);
        assert_int_equal(plan.progress_deadline, 16 * MINUTE);
        target.rollout.progress_deadline = MINUTE;
        rollout_plan_make(&target, &plan);
        assert_int_equal(plan.progress_deadline, 2 * MINUTE);
}

/* A register is consulted for stages and for a limit that counts. */
static void test_shared(void **state) {
        Target staged = target_of(NULL, 0), plain = { .serial = 18, .stable = { .version = (char *) "1" } };
        RolloutPlan plan;

        (void) state;
        rollout_plan_make(&staged, &plan);
        assert_true(rollout_plan_is_shared(&plan));
        rollout_plan_make(&plain, &plan);
        assert_false(rollout_plan_is_shared(&plan));
        plain.max_parallel.count = 1;
        assert_true(rollout_plan_is_shared(&plan));
        plain.urgent = true;
        assert_false(rollout_plan_is_shared(&plan));
}

/* A pin, or another stable release: everyone may, and nothing aborts it. */
static void test_of_a_plain_change(void **state) {
        Target target = { .serial = 18, .stable = { .version = (char *) "1" } };
        RolloutPlan plan;

        (void) state;
        rollout_plan_make(&target, &plan);
        assert_string_equal(plan.id, "serial-18");
        assert_false(plan.staged);
        assert_string_equal(plan.to->version, "1");
        assert_int_equal(rollout_plan_allowed(&plan, 0, 0), UINT64_MAX);
        assert_int_equal(rollout_plan_entry(&plan, 0), 0);
        assert_int_equal(plan.max_failures, UINT64_MAX);
}

static void test_allowed(void **state) {
        static const struct {
                uint64_t stage, fleet, allowed;
        } cases[] = {
                { 0, 0, 1 },
                { 0, 1, 1 },
                { 0, 9, 2 },
                { 1, 0, 1 },
                { 1, 7, 2 },
                { 1, 8, 2 },
                { 1, 12, 3 },
                { 1, 10000, 2500 },
                { 2, 0, UINT64_MAX },
                { 2, 10, UINT64_MAX },
                { 0, 2, 2 },
                { 1, 4, 2 },
                { 1, 1000000, 250000 },
        };
        Target target = target_of(NULL, 0);
        RolloutPlan plan;

        (void) state;
        rollout_plan_make(&target, &plan);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(rollout_plan_allowed(&plan, cases[i].stage, cases[i].fleet),
                                 cases[i].allowed);
}

static void test_parallel(void **state) {
        static const struct {
                TargetShare share;
                bool urgent;
                uint64_t fleet, parallel;
        } cases[] = {
                { { 0, 0 }, false, 10, 100 },   { { 3, 0 }, false, 10, 3 },      { { 3, 0 }, true, 10, 100 },
                { { 0, 25 }, false, 10, 2 },    { { 0, 25 }, false, 0, 1 },      { { 0, 1 }, false, 10, 1 },
                { { 0, 50 }, false, 999, 100 }, { { 500, 0 }, false, 999, 100 }, { { 5, 0 }, false, 0, 1 },
        };
        Target target = target_of(NULL, 0);
        RolloutPlan plan;

        (void) state;
        rollout_plan_make(&target, &plan);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                target.max_parallel = cases[i].share;
                target.urgent = cases[i].urgent;
                assert_int_equal(rollout_plan_parallel(&plan, cases[i].fleet, 100), cases[i].parallel);
        }
}

/* not_before and the bakes of the stages before. */
static void test_entry(void **state) {
        Target target = target_of(NULL, 0);
        RolloutPlan plan;

        (void) state;
        rollout_plan_make(&target, &plan);
        assert_int_equal(rollout_plan_entry(&plan, 0), 1000 * USEC_PER_SEC);
        assert_int_equal(rollout_plan_entry(&plan, 1), 1000 * USEC_PER_SEC + 10 * MINUTE);
        assert_int_equal(rollout_plan_entry(&plan, 2), 1000 * USEC_PER_SEC + 15 * MINUTE);
        assert_int_equal(rollout_plan_entry(&plan, 3), USEC_INFINITY);
        target.rollout.not_before = USEC_INFINITY - 1;
        assert_int_equal(rollout_plan_entry(&plan, 2), USEC_INFINITY);
}

/* Another rollout has another order: over many of them each instance is first about as often as any other. */
static void test_order(void **state) {
        enum { INSTANCES = 8, ROLLOUTS = 4000 };
        unsigned first[INSTANCES] = {};
        char id[32], name[32];
        Target target = target_of(NULL, 0);
        RolloutPlan plan;

        (void) state;
        target.rollout.id = id;
        for (unsigned r = 0; r < ROLLOUTS; r++) {
                unsigned best = 0;
                uint64_t least = UINT64_MAX;

                snprintf(id, sizeof(id), "r-%u", r);
                rollout_plan_make(&target, &plan);
                for (unsigned i = 0; i < INSTANCES; i++) {
                        snprintf(name, sizeof(name), "i-%u", i);
                        if (rollout_plan_order(&plan, name) < least) {
                                least = rollout_plan_order(&plan, name);
                                best = i;
                        }
                }
                first[best]++;
        }
        for (unsigned i = 0; i < INSTANCES; i++)
                assert_in_range(first[i], ROLLOUTS / INSTANCES * 3 / 4, ROLLOUTS / INSTANCES * 5 / 4);
}

static void test_canaries(void **state) {
        char *canaries[] = { (char *) "i-0abc", (char *) "host.example", NULL };
        Target target = target_of(canaries, 2);
        RolloutPlan plan;

        (void) state;
        rollout_plan_make(&target, &plan);
        assert_true(rollout_plan_is_canary(&plan, "i-0abc"));
        assert_true(rollout_plan_is_canary(&plan, "AROAEXAMPLE:i-0abc"));
        assert_true(rollout_plan_is_canary(&plan, "host.example"));
        assert_false(rollout_plan_is_canary(&plan, "i-0abcd"));
        assert_false(rollout_plan_is_canary(&plan, "AROAEXAMPLE:xi-0abc"));
        assert_false(rollout_plan_is_canary(&plan, "i-0abc:other"));
}

/* Of ten thousand with a hundred places: twice as many and four ask at once, each after them two seconds later. */
static uint64_t patience_of(const RolloutPlan *plan, const char *instance) {
        uint64_t position = ((rollout_plan_order(plan, instance) >> 32) * 10000) >> 32;

        return position < 204 ? 0 : MIN((position - 203) * 2 * USEC_PER_SEC, ROLLOUT_PATIENCE_MAX);
}

/* Of ten thousand a few more ask at once than there are places, the others later, none too late. */
static void test_patience(void **state) {
        char *canaries[] = { (char *) "i-7", NULL };
        Target target = target_of(canaries, 1);
        unsigned at_once = 0;
        RolloutPlan plan;
        char name[32];

        (void) state;
        rollout_plan_make(&target, &plan);
        for (unsigned i = 0; i < 10000; i++) {
                uint64_t wait;

                snprintf(name, sizeof(name), "i-%u", i);
                wait = rollout_plan_patience(&plan, name, 100, 10000);
                assert_true(wait <= ROLLOUT_PATIENCE_MAX);
                if (!rollout_plan_is_canary(&plan, name))
                        assert_int_equal(wait, patience_of(&plan, name));
                at_once += wait == 0;
                assert_int_equal(rollout_plan_patience(&plan, name, 10000, 10000), 0);
                assert_int_equal(rollout_plan_patience(&plan, name, UINT64_MAX, 10000), 0);
        }
        assert_in_range(at_once, 150, 260);
        assert_int_equal(rollout_plan_patience(&plan, "i-7", 1, 1000000), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_of_a_rollout), cmocka_unit_test(test_of_a_plain_change),
                cmocka_unit_test(test_allowed),      cmocka_unit_test(test_parallel),
                cmocka_unit_test(test_entry),        cmocka_unit_test(test_order),
                cmocka_unit_test(test_canaries),     cmocka_unit_test(test_patience),
                cmocka_unit_test(test_shared),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
