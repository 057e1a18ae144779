#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/cleanup.h"
#include "agent/base/suggest.h"

static const char *const verbs[] = { "publish", "status", "history", "deploy", "poll", "key", "show" };

static void test_distance(_unused_ void **state) {
        assert_int_equal(suggest_distance("", ""), 0);
        assert_int_equal(suggest_distance("publish", "publish"), 0);
        assert_int_equal(suggest_distance("", "abc"), 3);
        assert_int_equal(suggest_distance("abc", ""), 3);
        assert_int_equal(suggest_distance("pubish", "publish"), 1);
        assert_int_equal(suggest_distance("pubilsh", "publish"), 1);
        assert_int_equal(suggest_distance("kitten", "sitting"), 3);
        assert_int_equal(suggest_distance("ca", "abc"), 3);
}

static void test_long_words(_unused_ void **state) {
        char a[200], b[200];

        for (size_t i = 0; i < sizeof(a) - 1; i++)
                a[i] = b[i] = 'x';
        a[sizeof(a) - 1] = b[sizeof(b) - 1] = '\0';
        b[150] = 'y';
        assert_int_equal(suggest_distance(a, b), 0);
        b[5] = 'y';
        assert_int_equal(suggest_distance(a, b), 1);
}

static void test_nearest(_unused_ void **state) {
        assert_string_equal(suggest_nearest("pubish", verbs, ELEMENTSOF(verbs)), "publish");
        assert_string_equal(suggest_nearest("stauts", verbs, ELEMENTSOF(verbs)), "status");
        assert_string_equal(suggest_nearest("pub", verbs, ELEMENTSOF(verbs)), "publish");
        assert_string_equal(suggest_nearest("kye", verbs, ELEMENTSOF(verbs)), "key");
        assert_null(suggest_nearest("rollback", verbs, ELEMENTSOF(verbs)));
        assert_null(suggest_nearest("p", verbs, ELEMENTSOF(verbs)));
        assert_null(suggest_nearest("publish", verbs, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_distance),
                cmocka_unit_test(test_long_words),
                cmocka_unit_test(test_nearest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
