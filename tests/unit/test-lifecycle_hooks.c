#include <string.h>

#include "agent/base/clock.h"
#include "agent/lifecycle_hooks.h"
#include "tests/unit/test.h"

static AutoScalingHook hook(const char *name, bool is_launch, uint64_t seconds) {
        return (AutoScalingHook){
                .name = name,
                .is_launch = is_launch,
                .heartbeat_timeout = seconds * USEC_PER_SEC,
                .global_timeout = 100 * seconds * USEC_PER_SEC,
                .default_result = AUTOSCALING_CONTINUE,
        };
}

/* The names chosen, in order, with blanks between. */
static const char *chosen(const AutoScalingHook *all, size_t n, LifecycleTransition transition,
                          const char *configured, Error *remark) {
        _cleanup_lifecycle_hooks_ LifecycleHooks hooks = {};
        static char names[256];

        *remark = (Error){};
        names[0] = '\0';
        assert_int_equal(lifecycle_hooks_choose(all, n, transition, configured, &hooks, remark), 0);
        for (size_t i = 0; i < hooks.n; i++) {
                strcat(names, i > 0 ? " " : "");
                strcat(names, hooks.items[i].name);
        }
        return names;
}

static void test_choose(_unused_ void **state) {
        const AutoScalingHook all[] = { hook("warm-cache", true, 60),    hook("muster", true, 300),
                                        hook("muster-second", true, 60), hook("mustered", true, 60),
                                        hook("muster-drain", false, 60), hook("drain", false, 60) };
        size_t n = ELEMENTSOF(all);
        Error remark;

        assert_string_equal(chosen(all, n, LIFECYCLE_LAUNCHING, NULL, &remark), "muster muster-second");
        assert_string_equal(chosen(all, n, LIFECYCLE_LAUNCHING, "auto", &remark), "muster muster-second");
        assert_string_equal(remark.message, "");
        assert_string_equal(chosen(all, n, LIFECYCLE_TERMINATING, "auto", &remark), "muster-drain");
        assert_string_equal(chosen(all, n, LIFECYCLE_LAUNCHING, "warm-cache", &remark), "warm-cache");
        assert_string_equal(chosen(all, n, LIFECYCLE_TERMINATING, "drain", &remark), "drain");
        assert_string_equal(chosen(all, n, LIFECYCLE_LAUNCHING, "none", &remark), "");
}

/* Somebody else's hooks are left alone, and named. */
static void test_none(_unused_ void **state) {
        const AutoScalingHook all[] = { hook("warm-cache", true, 60), hook("drain", false, 60) };
        Error remark;

        assert_string_equal(chosen(all, 2, LIFECYCLE_LAUNCHING, NULL, &remark), "");
        assert_non_null(strstr(remark.message, "warm-cache"));
        assert_null(strstr(remark.message, "drain"));
        assert_string_equal(chosen(all, 2, LIFECYCLE_LAUNCHING, "drain", &remark), "");
        assert_string_equal(remark.message, "the group has no launch hook drain, only: warm-cache");
        assert_string_equal(chosen(NULL, 0, LIFECYCLE_LAUNCHING, NULL, &remark), "");
        assert_string_equal(remark.message, "the group has no launch hook");
}

static void test_too_many(_unused_ void **state) {
        AutoScalingHook all[LIFECYCLE_HOOKS_MAX + 1];
        LifecycleHooks hooks = {};
        Error remark = {};

        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                all[i] = hook("muster-x", false, 60);
        assert_int_equal(
                lifecycle_hooks_choose(all, ELEMENTSOF(all), LIFECYCLE_TERMINATING, NULL, &hooks, &remark),
                -E2BIG);
        assert_string_equal(remark.message, "the group has more than 8 termination hooks of ours");
}

static void test_timeouts(_unused_ void **state) {
        const AutoScalingHook all[] = { hook("muster", true, 300), hook("muster-b", true, 60),
                                        hook("muster-c", true, 120) };
        _cleanup_lifecycle_hooks_ LifecycleHooks hooks = {}, unknown = {};

        assert_int_equal(lifecycle_hooks_choose(all, 3, LIFECYCLE_LAUNCHING, NULL, &hooks, NULL), 0);
        assert_int_equal(lifecycle_hooks_heartbeat_timeout(&hooks), 60 * USEC_PER_SEC);
        assert_string_equal(lifecycle_hooks_first_to_end(&hooks)->name, "muster-b");
        assert_int_equal(lifecycle_hooks_first_to_end(&hooks)->default_result, AUTOSCALING_CONTINUE);
        assert_int_equal(lifecycle_hooks_add(&unknown, "muster"), 0);
        assert_int_equal(lifecycle_hooks_heartbeat_timeout(&unknown), 0);
        assert_null(lifecycle_hooks_first_to_end(&unknown));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_choose),
                cmocka_unit_test(test_none),
                cmocka_unit_test(test_too_many),
                cmocka_unit_test(test_timeouts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
