#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/cleanup.h"
#include "artifacts/retention.h"

/* One letter an item: U in use, k free. What is removed becomes "-". */
static void check(const char *items, uint64_t releases, uint64_t bytes, const char *expected) {
        RetentionItem list[16] = {};
        size_t n = strlen(items);
        char result[17] = {};

        for (size_t i = 0; i < n; i++)
                list[i] = (RetentionItem){ .in_use = items[i] == 'U', .bytes = 10, .remove = true };
        retention_choose(list, n, releases, bytes);
        for (size_t i = 0; i < n; i++)
                result[i] = list[i].remove ? '-' : items[i];
        assert_string_equal(result, expected);
}

static void test_count(_unused_ void **state) {
        check("", 3, UINT64_MAX, "");
        check("kk", 3, UINT64_MAX, "kk");
        check("kkkkk", 3, UINT64_MAX, "kkk--");
        check("UkkkU", 3, UINT64_MAX, "Uk--U"); /* one in use far down takes its place first */
        check("UUUU", 2, UINT64_MAX, "UUUU");
        check("UkUU", 2, UINT64_MAX, "U-UU");
        check("kk", 0, UINT64_MAX, "--");
}

static void test_bytes(_unused_ void **state) {
        check("kkkk", 10, 25, "kk--");
        check("kkkk", 10, 9, "----");
        check("UkkU", 10, 30, "Uk-U");
        check("UUU", 10, 5, "UUU");
}

static void test_order(_unused_ void **state) {
        RetentionItem list[] = { { .bytes = 5 }, { .bytes = 100 }, { .bytes = 1 } };

        retention_choose(list, 3, 10, 50);
        assert_false(list[0].remove);
        assert_true(list[1].remove);
        assert_true(list[2].remove); /* older than one that goes */
        list[0].bytes = UINT64_MAX;
        retention_choose(list, 3, 10, UINT64_MAX - 1);
        assert_true(list[0].remove);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_count),
                cmocka_unit_test(test_bytes),
                cmocka_unit_test(test_order),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
