#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/cli/doctor_environment.h"
#include "tests/unit/test.h"

static void test_notation(_unused_ void **state) {
        static const char text[] =
                "# a comment\n; another = one\nA=1\n  B = two words  \r\n"
                "C=\"in \\\"quotes\\\" # no comment\"\nD='$A \\n'\nE=\n1F=no name\nnothing\n"
                "URL=http://user:p=w@proxy:3128";
        static const char *const expected[] = { "A=1",      "B=two words", "C=in \"quotes\" # no comment",
                                                "D=$A \\n", "E=",          "URL=http://user:p=w@proxy:3128" };
        _cleanup_strv_ char **found = NULL;

        assert_int_equal(doctor_environment_parse(text, &found), 0);
        assert_int_equal(strv_length(found), ELEMENTSOF(expected));
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                assert_string_equal(found[i], expected[i]);
}

/* What the caller's shell has is not musterd's. */
static void test_enter(void **state) {
        const TestFolder *folder = *state;
        _cleanup_free_ char *path = NULL;
        Error error = {};
        FILE *stream;

        assert_int_equal(setenv("AWS_ACCESS_KEY_ID", "of the shell", true), 0);
        assert_int_equal(setenv("HTTPS_PROXY", "http://of.the.shell", true), 0);
        assert_int_equal(doctor_environment_enter("/nowhere/environment", &error), -ENOENT);
        assert_string_equal(getenv("HTTPS_PROXY"), "http://of.the.shell");
        assert_true(asprintf(&path, "%s/environment", folder->path) > 0);
        stream = fopen(path, "we");
        assert_non_null(stream);
        fputs("AWS_ACCESS_KEY_ID=AKID\n", stream);
        assert_int_equal(fclose(stream), 0);
        assert_int_equal(doctor_environment_enter(path, &error), 0);
        assert_string_equal(getenv("AWS_ACCESS_KEY_ID"), "AKID");
        assert_null(getenv("HTTPS_PROXY"));
        assert_non_null(getenv("PATH"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_notation),
                cmocka_unit_test_setup_teardown(test_enter, test_folder_setup, test_folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
