#include <string.h>

#include "agent/base/strv.h"
#include "agent/codedeploy_cleanup.h"
#include "tests/unit/test.h"

#define CLEANUP "/srv/app\n/srv/app/bin\nsemanage\0/srv/app/bin/run\n/srv/app/bin/run\n/srv/app/unfin"

static void test_cleanup(_unused_ void **state) {
        static const char *const bad[] = { "\n",          "/\n",        "srv/app\n",   "/srv/../etc\n",
                                           "/srv//app\n", "/srv/./x\n", "/srv/app/\n", "semanage\n",
                                           "/srv/..\n" };
        char **paths;
        Error error;
        size_t n;

        assert_int_equal(codedeploy_cleanup_parse(CLEANUP, sizeof(CLEANUP) - 1, &paths, &n, &error), 0);
        assert_int_equal(n, 3);
        assert_string_equal(paths[0], "/srv/app");
        assert_string_equal(paths[2], "/srv/app/bin/run");
        strv_free(paths);

        assert_int_equal(codedeploy_cleanup_parse("", 0, &paths, &n, &error), 0);
        assert_int_equal(n, 0);
        strv_free(paths);
        assert_int_equal(codedeploy_cleanup_parse("/srv/..a/...\n", 13, &paths, &n, &error), 0);
        strv_free(paths);

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                if (codedeploy_cleanup_parse(bad[i], strlen(bad[i]), &paths, &n, &error) != -EBADMSG)
                        fail_msg("\"%s\" was taken", bad[i]);
                assert_string_equal(error.message, "line 1: expected an absolute path without \"..\"");
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cleanup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
