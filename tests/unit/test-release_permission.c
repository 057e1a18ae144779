#include "tests/unit/test.h"

#include "artifacts/release_permission.h"

static bool matches(const char *object, const char *pattern, const char *except, const char *path) {
        char *exceptions[] = { (char *) except };
        ReleasePermission permission = { .object = (char *) object, .pattern = (char *) pattern };

        permission.except.items = exceptions;
        permission.except.n = except ? 1 : 0;
        return release_permission_matches(&permission, path);
}

/* An entry is about what lies in its object, and not about the object. */
static void test_all(_unused_ void **state) {
        assert_true(matches("/srv", NULL, NULL, "/srv/a"));
        assert_true(matches("/srv", "**", NULL, "/srv/a/b/c"));
        assert_true(matches("/", NULL, NULL, "/srv"));
        assert_false(matches("/srv", NULL, NULL, "/srv"));
        assert_false(matches("/srv", NULL, NULL, "/srvx/a"));
        assert_false(matches("/srv/a", NULL, NULL, "/srv/b"));
}

/* Patterns are about names in the object itself; only "*" is special. */
static void test_patterns(_unused_ void **state) {
        assert_true(matches("/srv", "*.sh", NULL, "/srv/run.sh"));
        assert_true(matches("/srv", "*", NULL, "/srv/run.sh"));
        assert_true(matches("/srv", "r*n*h", NULL, "/srv/run.sh"));
        assert_true(matches("/srv", "a**b", NULL, "/srv/ab"));
        assert_true(matches("/", "s*", NULL, "/srv"));
        assert_false(matches("/srv", "*.sh", NULL, "/srv/sub/run.sh"));
        assert_false(matches("/srv", "*.sh", NULL, "/srv/run.sh.txt"));
        assert_false(matches("/srv", "run", NULL, "/srv/run.sh"));
        assert_false(matches("/srv", "r?n.sh", NULL, "/srv/run.sh"));
        assert_true(matches("/srv", "r?n.sh", NULL, "/srv/r?n.sh"));
        assert_false(matches("/srv", "[r]un.sh", NULL, "/srv/run.sh"));
}

static void test_exceptions(_unused_ void **state) {
        assert_false(matches("/srv", NULL, "keep*", "/srv/keep.sh"));
        assert_true(matches("/srv", NULL, "keep*", "/srv/other"));
        assert_true(matches("/srv", NULL, "keep*", "/srv/sub/keep.sh"));
        assert_false(matches("/srv", "*.sh", "keep*", "/srv/keep.sh"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all),
                cmocka_unit_test(test_patterns),
                cmocka_unit_test(test_exceptions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
