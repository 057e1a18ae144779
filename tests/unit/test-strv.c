#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/strv.h"

static void test_append(_unused_ void **state) {
        _cleanup_strv_ char **strv = NULL;

        assert_int_equal(strv_length(strv), 0);
        assert_false(strv_contains(strv, "a"));
        assert_int_equal(strv_append(&strv, "a"), 0);
        assert_int_equal(strv_appendf(&strv, "%d-%s", 7, "b"), 0);
        assert_int_equal(strv_append(&strv, ""), 0);
        assert_int_equal(strv_length(strv), 3);
        assert_string_equal(strv[1], "7-b");
        assert_null(strv[3]);
        assert_true(strv_contains(strv, ""));
        assert_true(strv_contains(strv, "7-b"));
        assert_false(strv_contains(strv, "7"));
}

static void test_foreach(_unused_ void **state) {
        _cleanup_strv_ char **strv = NULL;
        char **none = NULL;
        size_t n = 0;

        STRV_FOREACH(s, none)
                n++;
        assert_int_equal(n, 0);
        assert_int_equal(strv_split("a b c", " ", &strv), 0);
        STRV_FOREACH(s, strv)
                n += strlen(*s);
        assert_int_equal(n, 3);
        assert_null(strv_free(NULL));
}

static void test_extend(_unused_ void **state) {
        _cleanup_strv_ char **some = NULL, **all = NULL;

        assert_int_equal(strv_extend(&some, NULL), 0);
        assert_null(some);
        assert_int_equal(strv_append(&some, "a"), 0);
        assert_int_equal(strv_append(&some, "b"), 0);
        assert_int_equal(strv_append(&all, "first"), 0);
        assert_int_equal(strv_extend(&all, some), 0);
        assert_int_equal(strv_length(all), 3);
        assert_string_equal(all[2], "b");
        assert_ptr_not_equal(all[2], some[1]);
}

static void test_split(_unused_ void **state) {
        static const struct {
                const char *text;
                size_t n;
                const char *last;
        } cases[] = {
                { "", 0, NULL },      { " ,  , ", 0, NULL },      { "one", 1, "one" },
                { " one", 1, "one" }, { "one, two", 2, "two" },   { "one,two,", 2, "two" },
                { ",a,,b", 2, "b" },  { "tab\tstays x", 2, "x" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_strv_ char **strv = NULL;

                assert_int_equal(strv_split(cases[i].text, " ,", &strv), 0);
                assert_int_equal(strv_length(strv), cases[i].n);
                if (cases[i].n > 0)
                        assert_string_equal(strv[cases[i].n - 1], cases[i].last);
        }
}

static void test_starts_and_ends(_unused_ void **state) {
        assert_true(string_starts_with("s3://bucket", "s3://"));
        assert_true(string_starts_with("a", ""));
        assert_false(string_starts_with("s3:/", "s3://"));
        assert_false(string_starts_with("", "a"));
        assert_true(string_ends_with("a.json", ".json"));
        assert_true(string_ends_with(".json", ".json"));
        assert_true(string_ends_with("a", ""));
        assert_false(string_ends_with("json", ".json"));
        assert_false(string_ends_with("a.json~", ".json"));
}

static void test_equal(_unused_ void **state) {
        assert_true(string_equal(NULL, NULL));
        assert_true(string_equal("a", "a"));
        assert_false(string_equal("a", NULL));
        assert_false(string_equal(NULL, "a"));
        assert_false(string_equal("a", "b"));
}

static void test_getenv(_unused_ void **state) {
        char *environment[] = { (char *) "AB=x", (char *) "A=1=2", (char *) "EMPTY=", NULL };

        assert_string_equal(strv_getenv(environment, "A"), "1=2");
        assert_string_equal(strv_getenv(environment, "AB"), "x");
        assert_null(strv_getenv(environment, "EMPTY"));
        assert_null(strv_getenv(environment, "B"));
        assert_null(strv_getenv(NULL, "A"));
}

static void test_string_set(_unused_ void **state) {
        _cleanup_free_ char *s = NULL;

        assert_int_equal(string_set(&s, "one"), 0);
        assert_string_equal(s, "one");
        assert_int_equal(string_set(&s, s), 0);
        assert_string_equal(s, "one");
        assert_int_equal(string_set(&s, s + 1), 0);
        assert_string_equal(s, "ne");
        assert_int_equal(string_set(&s, NULL), 0);
        assert_null(s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_append),          cmocka_unit_test(test_foreach),
                cmocka_unit_test(test_extend),          cmocka_unit_test(test_split),
                cmocka_unit_test(test_starts_and_ends), cmocka_unit_test(test_equal),
                cmocka_unit_test(test_string_set),      cmocka_unit_test(test_getenv),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
