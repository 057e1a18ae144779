#include <string.h>

#include "agent/base/cleanup.h"
#include "hooks/hook_name.h"
#include "tests/unit/test.h"
#include "units/unit_name.h"

static void check(const char *app, const char *deployment, const char *expected) {
        _cleanup_free_ char *name = NULL;

        assert_int_equal(hook_unit_name(app, deployment, LIFECYCLE_AFTER_INSTALL, 3, 2, &name), 0);
        assert_string_equal(name, expected);
        assert_true(unit_name_is_valid(name));
        assert_true(unit_name_is_reserved(name)); /* no release can bring a unit of that name */
}

static void test_names(void **state) {
        (void) state;
        check("api", "d17", "muster-hook-api-d17-AfterInstall-3-2.service");
        check("api-x", "d-1.7", "muster-hook-api\\x2dx-d\\x2d1.7-AfterInstall-3-2.service");
}

static void check_prefix(const char *app, const char *deployment, const char *expected) {
        _cleanup_free_ char *prefix = NULL;

        assert_int_equal(hook_unit_prefix(app, deployment, &prefix), 0);
        assert_string_equal(prefix, expected);
}

/* The units of "api" are not those of "api-x". */
static void test_prefixes(void **state) {
        _cleanup_free_ char *health = NULL;

        (void) state;
        check_prefix("api", NULL, "muster-hook-api-");
        check_prefix("api-x", NULL, "muster-hook-api\\x2dx-");
        check_prefix("api", "d-1", "muster-hook-api-d\\x2d1-");
        assert_int_equal(health_unit_prefix("a-b", &health), 0);
        assert_string_equal(health, "muster-health-a\\x2db-");
}

static void test_too_long(void **state) {
        char app[65] = "", deployment[65] = "", *name = NULL;

        (void) state;
        memset(app, '-', sizeof(app) - 1);
        memset(deployment, 'd', sizeof(deployment) - 1);
        assert_int_equal(hook_unit_name(app, deployment, LIFECYCLE_AFTER_INSTALL, 0, 1, &name),
                         -ENAMETOOLONG);
        memset(app, 'a', sizeof(app) - 1);
        assert_int_equal(
                hook_unit_name(app, deployment, LIFECYCLE_BEFORE_ALLOW_TRAFFIC, 64, 4294967295U, &name), 0);
        free(name);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_prefixes),
                cmocka_unit_test(test_too_long),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
