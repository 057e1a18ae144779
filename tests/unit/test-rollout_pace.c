#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "agent/rollout_pace.h"
#include "tests/unit/test.h"

#define CHANCES 4096
#define CHANCE(i) ((uint64_t) (i) * (UINT64_MAX / CHANCES))

static void test_look(void **state) {
        static const struct {
                RolloutPart part;
                uint64_t fleet, longest;
        } cases[] = {
                { ROLLOUT_CHANGES, 10000, 15 * USEC_PER_SEC },
                { ROLLOUT_HAS_SAID, 10000, 10 * USEC_PER_SEC },
                { ROLLOUT_LOOKS_ON, 0, 15 * USEC_PER_SEC },
                { ROLLOUT_LOOKS_ON, 100, 16 * USEC_PER_SEC },
                { ROLLOUT_LOOKS_ON, 10000, 115 * USEC_PER_SEC },
                { ROLLOUT_LOOKS_ON, UINT64_MAX, 180 * USEC_PER_SEC },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(rollout_pace_look(cases[i].part, cases[i].fleet, 0), cases[i].longest);
                assert_in_range(rollout_pace_look(cases[i].part, cases[i].fleet, UINT64_MAX),
                                cases[i].longest * 3 / 4, cases[i].longest * 3 / 4 + 1);
        }
}

static void test_due(void **state) {
        (void) state;
        assert_int_equal(rollout_pace_due(100, 10, 0), 100);
        assert_true(rollout_pace_due(100, 10, UINT64_MAX) < 100 + 5 * USEC_PER_SEC);
        assert_true(rollout_pace_due(100, 10000, UINT64_MAX) > 100 + 20 * USEC_PER_SEC);
        assert_int_equal(rollout_pace_due(USEC_INFINITY, 10, UINT64_MAX), USEC_INFINITY);
}

static uint64_t looks_every = 10 * USEC_PER_SEC;

static unsigned count(uint64_t crowd, uint64_t fleet, uint64_t age) {
        unsigned n = 0;

        for (unsigned i = 0; i < CHANCES; i++)
                n += rollout_pace_writes(crowd, fleet, looks_every, age, CHANCE(i));
        return n;
}

/* Of a crowd that looks every ten seconds about one writes in the time that a write takes; who is alone does at once, who has
 * waited does soon. */
static void test_writes(void **state) {
        (void) state;
        assert_int_equal(count(0, 10, 0), CHANCES);
        assert_int_equal(count(9, 10, 0), CHANCES);
        assert_in_range(count(100, 100, 0), CHANCES * 95 / 1000 - 4, CHANCES * 95 / 1000 + 4);
        assert_in_range(count(1000, 1000, 0), CHANCES * 67 / 10000 - 2, CHANCES * 67 / 10000 + 2);
        assert_in_range(count(100, 10000, 0), CHANCES * 167 / 10000 - 2, CHANCES * 167 / 10000 + 2);
        assert_in_range(count(1000, 1000, ROLLOUT_CROWD_HALVED), CHANCES * 133 / 10000 - 2,
                        CHANCES * 133 / 10000 + 2);
        looks_every = USEC_PER_SEC; /* which a write takes longer than */
        assert_in_range(count(6, 6, 0), CHANCES / 6 - 20, CHANCES / 6 + 20);
        looks_every = 10 * USEC_PER_SEC;
        assert_int_equal(count(10000, 10000, 14 * ROLLOUT_CROWD_HALVED), CHANCES);
        assert_int_equal(count(UINT64_MAX, UINT64_MAX, 64 * ROLLOUT_CROWD_HALVED), CHANCES);
        assert_in_range(count(UINT64_MAX, 10, 0), 0, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_look),
                cmocka_unit_test(test_due),
                cmocka_unit_test(test_writes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
