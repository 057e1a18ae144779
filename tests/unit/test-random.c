#include "agent/base/cleanup.h"
#include "agent/base/random.h"
#include "tests/unit/test.h"

static void test_differs(_unused_ void **state) {
        assert_true(random_u64() != random_u64() || random_u64() != random_u64());
}

static void test_below(_unused_ void **state) {
        unsigned seen[4] = {};

        for (int i = 0; i < 1000; i++) {
                uint64_t n = random_below(4);

                assert_true(n < 4);
                seen[n]++;
        }
        for (size_t i = 0; i < ELEMENTSOF(seen); i++)
                assert_true(seen[i] > 100);
        assert_int_equal(random_below(1), 0);
        assert_int_equal(random_below(0), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_differs),
                cmocka_unit_test(test_below),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
