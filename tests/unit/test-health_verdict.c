#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/strv.h"
#include "agent/health_verdict.h"

#define MINUTE (UINT64_C(60) * 1000000)

static const HealthPolicy policy = { .failures = 2, .restarts = 2, .replace = true, .percent = 75 };

/* Rounds a minute apart, "+" good and "-" bad; what is done after each: "." nothing, "r" restart, "x" replace. */
static void run(const HealthPolicy *p, const char *rounds, const char *expected) {
        HealthState state = {};
        char actions[128] = "";
        uint64_t now = 1000 * MINUTE;

        for (size_t i = 0; rounds[i]; i++) {
                actions[i] = ".rx"[health_verdict(p, &state, rounds[i] == '+', now)];
                now += MINUTE;
        }
        assert_string_equal(actions, expected);
}

static void test_course(_unused_ void **state) {
        HealthPolicy report = policy, no_restart = policy, at_once = policy;

        report.replace = false;
        no_restart.restarts = 0;
        at_once.failures = 1;
        run(&policy, "++++", "....");
        run(&policy, "-+-+-+", "......");
        run(&policy, "--++--", ".r...r");
        run(&policy, "--------", ".r.r.xxx"); /* asked again after a minute, until it is told */
        run(&policy, "--+--+--+", ".r..r..x.");
        run(&report, "--------", ".r.r....");
        run(&no_restart, "---", ".xx");
        run(&at_once, "---", "rrx");
}

/* Restarts of long ago do not count, a recovery does not give them back. */
static void test_restarts_are_counted_in_a_window(_unused_ void **state) {
        HealthPolicy p = { .failures = 1, .restarts = 2, .replace = true };
        HealthState s = {};
        uint64_t now = MINUTE;

        assert_int_equal(health_verdict(&p, &s, false, now), HEALTH_RESTART);
        assert_int_equal(health_verdict(&p, &s, true, now), HEALTH_GO_ON);
        assert_int_equal(health_verdict(&p, &s, false, now + 30 * MINUTE), HEALTH_RESTART);
        assert_int_equal(s.n_restarts, 2);
        assert_int_equal(health_verdict(&p, &s, true, now + 31 * MINUTE), HEALTH_GO_ON);
        assert_int_equal(health_verdict(&p, &s, false, now + 59 * MINUTE), HEALTH_REPLACE);
        assert_true(s.unhealthy);
        assert_int_equal(health_verdict(&p, &s, true, now + 60 * MINUTE), HEALTH_GO_ON);
        assert_false(s.unhealthy);
        assert_int_equal(health_verdict(&p, &s, false, now + 60 * MINUTE), HEALTH_RESTART);
        assert_int_equal(s.n_restarts, 2);
}

/* What was told is not told again at once: the group needs its time. */
static void test_the_group_is_not_pestered(_unused_ void **state) {
        HealthPolicy p = { .failures = 1, .restarts = 0, .replace = true };
        HealthState s = {};
        uint64_t now = 100 * MINUTE;

        assert_int_equal(health_verdict(&p, &s, false, now), HEALTH_REPLACE);
        assert_int_equal(health_verdict(&p, &s, false, now + MINUTE / 2), HEALTH_GO_ON);
        assert_int_equal(health_verdict(&p, &s, false, now + MINUTE), HEALTH_REPLACE);
        s.told = now + MINUTE;
        assert_int_equal(health_verdict(&p, &s, false, now + 5 * MINUTE), HEALTH_GO_ON);
        assert_int_equal(health_verdict(&p, &s, false, now + 11 * MINUTE), HEALTH_REPLACE);
}

/* Every course of 14 rounds under every small policy: never more restarts in the window than allowed, never a word to the
 * group before they were used up, nor without leave, nothing at all after a good round. */
static void walk(const HealthPolicy *p, unsigned course) {
        HealthState s = {};
        unsigned restarts = 0, bad = 0;
        uint64_t now = MINUTE;

        for (unsigned i = 0; i < 14; i++, now += MINUTE) {
                bool good = course & (1U << i);
                HealthAction action = health_verdict(p, &s, good, now);

                bad = good ? 0 : bad + 1;
                restarts += action == HEALTH_RESTART;
                assert_true(restarts <= p->restarts);
                assert_true(s.n_restarts <= HEALTH_RESTARTS_MAX);
                if (action == HEALTH_REPLACE)
                        assert_true(p->replace && restarts == p->restarts && s.unhealthy);
                if (action != HEALTH_GO_ON)
                        assert_true(bad >= p->failures);
                if (good)
                        assert_false(s.unhealthy);
        }
}

static void test_every_course(_unused_ void **state) {
        for (unsigned failures = 1; failures <= 3; failures++)
                for (unsigned restarts = 0; restarts <= 3; restarts++)
                        for (unsigned replace = 0; replace <= 1; replace++)
                                for (unsigned course = 0; course < 1U << 14; course++) {
                                        const HealthPolicy p = { failures, restarts, replace, 0 };

                                        walk(&p, course);
                                }
}

/* Every group of up to 20 instances: with the limit kept by each of them, one after the other, the limit is kept by all. */
static void test_the_group_keeps_its_limit(_unused_ void **state) {
        static const unsigned percents[] = { 0, 50, 75, 100 };

        for (unsigned desired = 1; desired <= 20; desired++)
                for (size_t i = 0; i < ELEMENTSOF(percents); i++) {
                        HealthPolicy p = policy;
                        AutoScalingGroup group = { .desired = desired,
                                                   .instances = desired,
                                                   .in_service = desired,
                                                   .healthy = desired };

                        p.percent = percents[i];
                        for (unsigned n = 0; n < desired; n++)
                                group.healthy -= health_may_replace(&p, &group);
                        assert_true(group.healthy * 100 >= desired * p.percent);
                        assert_true(group.healthy == 0 || (group.healthy - 1) * 100 < desired * p.percent);
                }
}

/* All instances of a group fail at the same moment: each asks a while after the one before it has told, whenever that was. */
static void test_turns(_unused_ void **state) {
        for (unsigned n = 2; n <= HEALTH_TURNS_MAX; n++)
                for (uint64_t now = 0; now < 3 * n * HEALTH_TURN; now += HEALTH_TURN * 3 / 7) {
                        _cleanup_strv_ char **ids = NULL;
                        uint64_t at[HEALTH_TURNS_MAX];

                        for (unsigned i = 0; i < n; i++) {
                                char id[16];

                                snprintf(id, sizeof(id), "i-%04x", (i * 7919U) % 0x10000);
                                assert_int_equal(strv_append(&ids, id), 0);
                        }
                        for (unsigned i = 0; i < n; i++) {
                                at[i] = health_turn(ids, ids[i], now,
                                                    (uint64_t) i * UINT64_C(0x9e3779b97f4a7c15));
                                assert_true(at[i] < n * HEALTH_TURN);
                                for (unsigned j = 0; j < i; j++)
                                        assert_true(MAX(at[i], at[j]) - MIN(at[i], at[j]) >= HEALTH_TURN / 2);
                        }
                }
}

/* One alone has nobody to wait for, and nobody waits for long however many there are. */
static void test_turns_of_few_and_many(_unused_ void **state) {
        _cleanup_strv_ char **ids = NULL;

        assert_int_equal(health_turn(NULL, "i-1", 1, 1), 0);
        for (unsigned i = 0; i < 1000; i++) {
                char id[16];

                snprintf(id, sizeof(id), "i-%04u", i);
                assert_int_equal(strv_append(&ids, id), 0);
                if (i == 0)
                        assert_int_equal(health_turn(ids, "i-0000", 1, 1), 0);
        }
        for (unsigned i = 0; i < 1000; i++)
                assert_true(health_turn(ids, ids[i], 1234567, UINT64_MAX) < 120 * UINT64_C(1000000));
}

static void test_groups(_unused_ void **state) {
        const AutoScalingGroup launching = { .desired = 4, .instances = 4, .in_service = 2, .healthy = 2 },
                               shrinking = { .desired = 2, .instances = 8, .in_service = 8, .healthy = 6 },
                               empty = { .desired = 0 };
        HealthPolicy none = policy;

        none.percent = 0;
        assert_false(health_may_replace(&policy, NULL));
        assert_false(health_may_replace(&none, NULL));
        assert_false(health_may_replace(&none, &empty));
        assert_false(health_may_replace(&policy, &launching));
        assert_false(health_may_replace(&policy, &shrinking));
        assert_true(health_may_replace(&none, &launching));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_course),
                cmocka_unit_test(test_restarts_are_counted_in_a_window),
                cmocka_unit_test(test_the_group_is_not_pestered),
                cmocka_unit_test(test_every_course),
                cmocka_unit_test(test_the_group_keeps_its_limit),
                cmocka_unit_test(test_groups),
                cmocka_unit_test(test_turns),
                cmocka_unit_test(test_turns_of_few_and_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
