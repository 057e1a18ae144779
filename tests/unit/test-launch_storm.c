#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "agent/launch_storm.h"
#include "tests/unit/test.h"

#define NOW (1000000 * USEC_PER_SEC)
#define HOUR (3600 * USEC_PER_SEC)

static void test_rank(_unused_ void **state) {
        const LaunchFailureSeen seen[] = {
                { "i-old", NOW - 2 * HOUR }, { "i-1", NOW - HOUR }, { "i-2", NOW - 10 },
                { "i-4", NOW - 5 },          { "i-3", NOW - 5 },    { "i-late", NOW + 5 },
        };
        size_t n = ELEMENTSOF(seen);

        assert_int_equal(launch_storm_rank(seen, n, "i-1", NOW, HOUR), 0);
        assert_int_equal(launch_storm_rank(seen, n, "i-2", NOW, HOUR), 1);
        assert_int_equal(launch_storm_rank(seen, n, "i-3", NOW, HOUR), 2);
        assert_int_equal(launch_storm_rank(seen, n, "i-4", NOW, HOUR), 3);
        assert_int_equal(launch_storm_rank(seen, n, "i-late", NOW, HOUR), 4);
        assert_int_equal(launch_storm_rank(seen, n, "i-unseen", NOW, HOUR), 5);
        assert_int_equal(launch_storm_rank(seen, n, "i-4", NOW, 3 * HOUR), 4);
        assert_int_equal(launch_storm_rank(NULL, 0, "i-1", NOW, HOUR), 0);
}

/* Of any number that fail at the same time exactly LIMIT go, whatever the order in which they count. */
static void test_herd(_unused_ void **state) {
        char names[50][16];
        LaunchFailureSeen seen[50];
        size_t gone = 0;

        for (size_t i = 0; i < ELEMENTSOF(seen); i++) {
                (void) snprintf(names[i], sizeof(names[i]), "i-%zu", i);
                seen[i] = (LaunchFailureSeen){ names[i], NOW - (i * 7919) % 3 };
        }
        for (size_t i = 0; i < ELEMENTSOF(seen); i++)
                gone += !launch_storm_holds(launch_storm_rank(seen, ELEMENTSOF(seen), names[i], NOW, HOUR),
                                            3);
        assert_int_equal(gone, 3);
}

static void test_limit(_unused_ void **state) {
        assert_false(launch_storm_holds(0, 1));
        assert_true(launch_storm_holds(1, 1));
        assert_false(launch_storm_holds(2, 3));
        assert_true(launch_storm_holds(3, 3));
        assert_true(launch_storm_holds(0, 0));
        assert_false(launch_storm_holds(1000, UINT64_MAX));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rank),
                cmocka_unit_test(test_herd),
                cmocka_unit_test(test_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
