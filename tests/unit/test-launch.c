#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/file.h"
#include "agent/launch_state.h"

static void test_decide(_unused_ void **state) {
        static const AppReadiness on_way[] = { APP_READY, APP_ON_ITS_WAY },
                                  ready[] = { APP_READY, APP_READY },
                                  failed[] = { APP_ON_ITS_WAY, APP_FAILED },
                                  partly[] = { APP_READY, APP_FAILED };

        assert_int_equal(launch_decide(LAUNCH_WAITING, on_way, 2, LAUNCH_FAILURE_ABANDON), LAUNCH_WAITING);
        assert_int_equal(launch_decide(LAUNCH_WAITING, ready, 2, LAUNCH_FAILURE_ABANDON), LAUNCH_CONTINUE);
        assert_int_equal(launch_decide(LAUNCH_WAITING, failed, 2, LAUNCH_FAILURE_ABANDON), LAUNCH_ABANDON);
        assert_int_equal(launch_decide(LAUNCH_WAITING, failed, 2, LAUNCH_FAILURE_WAIT), LAUNCH_WAITING);
        assert_int_equal(launch_decide(LAUNCH_WAITING, failed, 2, LAUNCH_FAILURE_CONTINUE), LAUNCH_WAITING);
        assert_int_equal(launch_decide(LAUNCH_WAITING, partly, 2, LAUNCH_FAILURE_CONTINUE), LAUNCH_CONTINUE);
        assert_int_equal(launch_decide(LAUNCH_WAITING, NULL, 0, LAUNCH_FAILURE_ABANDON), LAUNCH_CONTINUE);
        for (LaunchState s = LAUNCH_NONE; s <= LAUNCH_OVER; s++)
                if (s != LAUNCH_WAITING)
                        assert_int_equal(launch_decide(s, failed, 2, LAUNCH_FAILURE_ABANDON), s);
}

static void test_settle(_unused_ void **state) {
        static const struct {
                LaunchState before;
                LifecycleAnswer answer;
                InstanceState in_group;
                LaunchState after;
        } cases[] = {
                { LAUNCH_CONTINUE, LIFECYCLE_DONE, INSTANCE_UNKNOWN, LAUNCH_CONTINUED },
                { LAUNCH_ABANDON, LIFECYCLE_DONE, INSTANCE_UNKNOWN, LAUNCH_ABANDONED },
                { LAUNCH_CONTINUE, LIFECYCLE_UNCLEAR, INSTANCE_IN_SERVICE, LAUNCH_CONTINUE },
                { LAUNCH_CONTINUE, LIFECYCLE_NOT_ACTIVE, INSTANCE_UNKNOWN, LAUNCH_CONTINUE },
                { LAUNCH_CONTINUE, LIFECYCLE_NOT_ACTIVE, INSTANCE_PENDING, LAUNCH_CONTINUE },
                { LAUNCH_CONTINUE, LIFECYCLE_NOT_ACTIVE, INSTANCE_PENDING_WAIT, LAUNCH_CONTINUE },
                { LAUNCH_CONTINUE, LIFECYCLE_NOT_ACTIVE, INSTANCE_PENDING_PROCEED, LAUNCH_CONTINUED },
                { LAUNCH_CONTINUE, LIFECYCLE_NOT_ACTIVE, INSTANCE_IN_SERVICE, LAUNCH_CONTINUED },
                { LAUNCH_CONTINUE, LIFECYCLE_NOT_ACTIVE, INSTANCE_TERMINATING_WAIT, LAUNCH_OVER },
                { LAUNCH_CONTINUE, LIFECYCLE_NOT_ACTIVE, INSTANCE_WARMED_PENDING_WAIT, LAUNCH_CONTINUE },
                { LAUNCH_CONTINUE, LIFECYCLE_NOT_ACTIVE, INSTANCE_WARMED_PENDING_PROCEED, LAUNCH_CONTINUED },
                { LAUNCH_CONTINUE, LIFECYCLE_NOT_ACTIVE, INSTANCE_WARMED_STOPPED, LAUNCH_CONTINUED },
                { LAUNCH_ABANDON, LIFECYCLE_NOT_ACTIVE, INSTANCE_WARMED_TERMINATING_WAIT, LAUNCH_ABANDONED },
                { LAUNCH_CONTINUE, LIFECYCLE_NOT_ACTIVE, INSTANCE_DETACHED, LAUNCH_OVER },
                { LAUNCH_ABANDON, LIFECYCLE_NOT_ACTIVE, INSTANCE_TERMINATING, LAUNCH_ABANDONED },
                { LAUNCH_ABANDON, LIFECYCLE_NOT_ACTIVE, INSTANCE_IN_SERVICE, LAUNCH_OVER },
                { LAUNCH_WAITING, LIFECYCLE_DONE, INSTANCE_UNKNOWN, LAUNCH_WAITING },
                { LAUNCH_CONTINUED, LIFECYCLE_NOT_ACTIVE, INSTANCE_PENDING, LAUNCH_CONTINUED },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(launch_settle(cases[i].before, cases[i].answer, cases[i].in_group),
                                 cases[i].after);
}

/* Out of a warm pool comes an instance by being started again, and is held once more. */
static void test_must_look(_unused_ void **state) {
        char boot_1[] = "boot-1";

        for (LaunchState s = LAUNCH_NONE; s <= LAUNCH_OVER; s++) {
                const LaunchRecord record = { .state = s, .boot_id = boot_1 };
                bool settled = s == LAUNCH_CONTINUED || s == LAUNCH_ABANDONED || s == LAUNCH_OVER;

                assert_int_equal(launch_must_look(&record, "boot-1"), s == LAUNCH_NONE);
                assert_int_equal(launch_must_look(&record, "boot-2"), s == LAUNCH_NONE || settled);
        }
}

static void test_record(_unused_ void **state) {
        char folder[] = "/tmp/test-launch-XXXXXX";
        _cleanup_close_ int fd = -1;
        Error error = {};

        assert_non_null(mkdtemp(folder));
        fd = file_open_at(AT_FDCWD, folder, O_DIRECTORY | O_RDONLY, 0);
        for (LaunchState s = LAUNCH_NONE; s <= LAUNCH_OVER; s++) {
                _cleanup_(launch_record_deinit) LaunchRecord record = {}, back = {}, other = {};

                record = (LaunchRecord){ .instance = strdup("i-1"),
                                         .hook = strdup("h"),
                                         .state = s,
                                         .boot_id = strdup("b"),
                                         .since = 5000000 };
                assert_int_equal(launch_record_save(fd, &record, &error), 0);
                assert_int_equal(launch_record_load(fd, "i-1", &back, &error), 0);
                assert_int_equal(back.state, s);
                assert_string_equal(back.hook, "h");
                assert_string_equal(back.boot_id, "b");
                assert_int_equal(back.since, 5000000);
                assert_int_equal(launch_record_load(fd, "i-2", &other, &error), 0);
                assert_int_equal(other.state, LAUNCH_NONE);
                assert_string_equal(other.instance, "i-2");
                assert_null(other.hook);
        }
        assert_int_equal(file_replace_at(fd, "launch.json", "{ torn", 6, 0600), 0);
        for (int i = 0; i < 2; i++) {
                _cleanup_(launch_record_deinit) LaunchRecord back = {};

                assert_int_equal(launch_record_load(fd, "i-1", &back, &error), 0);
                assert_int_equal(back.state, LAUNCH_NONE);
                assert_int_equal(file_remove_at(fd, "launch.json"), 0);
        }
        assert_int_equal(file_remove_tree_at(AT_FDCWD, folder), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_decide),
                cmocka_unit_test(test_settle),
                cmocka_unit_test(test_must_look),
                cmocka_unit_test(test_record),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
