#include <time.h>

#include "tests/unit/test.h"

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"

static void test_system(_unused_ void **state) {
        uint64_t before = (uint64_t) time(NULL) * USEC_PER_SEC;
        uint64_t now = clock_realtime(&clock_system);
        uint64_t boot = clock_boottime(&clock_system);

        assert_true(now >= before && now < before + 3600 * USEC_PER_SEC);
        assert_true(boot > 0 && boot <= clock_boottime(&clock_system));
}

static uint64_t give_userdata(void *userdata) {
        return *(uint64_t *) userdata;
}

static uint64_t give_one(_unused_ void *userdata) {
        return 1;
}

static void test_injected(_unused_ void **state) {
        uint64_t value = 42;
        const Clock clock = { .boottime = give_userdata, .realtime = give_one, .userdata = &value };

        assert_int_equal(clock_boottime(&clock), 42);
        assert_int_equal(clock_realtime(&clock), 1);
        value = 43;
        assert_int_equal(clock_boottime(&clock), 43);
}

static void test_add(_unused_ void **state) {
        assert_int_equal(usec_add(1, 2), 3);
        assert_true(usec_add(0, USEC_INFINITY) == USEC_INFINITY);
        assert_true(usec_add(USEC_INFINITY, USEC_INFINITY) == USEC_INFINITY);
        assert_true(usec_add(USEC_INFINITY, 0) == USEC_INFINITY);
        assert_true(usec_add(USEC_INFINITY - 1, 1) == USEC_INFINITY);
        assert_true(usec_add(USEC_INFINITY - 2, 1) == USEC_INFINITY - 1);
        assert_true(usec_add(1, USEC_INFINITY - 1) == USEC_INFINITY);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_system),
                cmocka_unit_test(test_injected),
                cmocka_unit_test(test_add),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
