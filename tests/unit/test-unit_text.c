#include <string.h>

#include "agent/base/cleanup.h"
#include "tests/unit/test.h"
#include "units/unit_text.h"

/* From memory that ends where the text ends. */
static void check(const char *text, const char *key, const char *expected) {
        size_t size = strlen(text);
        _cleanup_free_ char *copy = malloc(size + 1), *value = NULL;

        assert_non_null(copy);
        memcpy(copy + 1, text, size);
        assert_int_equal(unit_text_value(copy + 1, size, "Service", key, &value), 0);
        if (expected)
                assert_string_equal(value, expected);
        else
                assert_null(value);
}

static void test_values(void **state) {
        static const char text[] =
                "[Unit]\nType=not this\n\n[Service]\n  Type = notify \r\nExecStart=/bin/a=b\n"
                "#ExecReload=/bin/true\n; ExecReload=/bin/true\nUser\n[Install]\nExecReload=/bin/x\n"
                "[Service]\nRestart=no\nRestart=always";

        (void) state;
        check(text, "Type", "notify");
        check(text, "ExecStart", "/bin/a=b");
        check(text, "ExecReload", NULL);
        check(text, "User", NULL);
        check(text, "Restart", "always");
        check("", "Type", NULL);
        check("Type=simple\n", "Type", NULL);
        check("[Service]\nExecReload=/bin/true\nExecReload=\n", "ExecReload", "");
}

static void test_continuations(void **state) {
        (void) state;
        check("[Service]\nExecReload=\\\n  /bin/a \\\n# why\n  -x\nType=exec\n", "ExecReload", "/bin/a  -x");
        check("[Service]\nExecReload=\\\n  /bin/a \\\n# why\n  -x\nType=exec\n", "Type", "exec");
        check("[Service]\nExecStart=/bin/a \\\nExecReload=/bin/b\n", "ExecReload", NULL);
        check("[Service]\nExecStart=/bin/a \\\\\nExecReload=/bin/b\n", "ExecReload", "/bin/b");
        check("[Service]\nExecReload=/bin/a\\", "ExecReload", "/bin/a");
}

static void test_nonsense(void **state) {
        static const char zeros[] = "[Service]\n\0Type=a\0b\n\0\\\n";
        _cleanup_free_ char *value = NULL;

        (void) state;
        check("[Service\nType=a\n[]\n=\n]\n[\n\\", "Type", NULL);
        check("\n\n \\\n\\\n#\n", "Type", NULL);
        assert_int_equal(unit_text_value(zeros, sizeof(zeros) - 1, "Service", "Type", &value), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_continuations),
                cmocka_unit_test(test_nonsense),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
