#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/launch_record.h"

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
        for (LaunchState s = LAUNCH_NONE; s <= LAUNCH_OVER; s++) {
                if (!launch_is_open(s))
                        assert_int_equal(launch_decide(s, failed, 2, LAUNCH_FAILURE_ABANDON), s);
                assert_int_equal(launch_must_complete(s), s == LAUNCH_CONTINUE || s == LAUNCH_ABANDON);
        }
}

/* One that holds stays so while it has failed, and goes on with a better release. */
static void test_holding(_unused_ void **state) {
        static const AppReadiness failed[] = { APP_FAILED }, on_way[] = { APP_ON_ITS_WAY },
                                  ready[] = { APP_READY };

        assert_int_equal(launch_decide(LAUNCH_HOLDING, failed, 1, LAUNCH_FAILURE_ABANDON), LAUNCH_HOLDING);
        assert_int_equal(launch_decide(LAUNCH_HOLDING, on_way, 1, LAUNCH_FAILURE_ABANDON), LAUNCH_WAITING);
        assert_int_equal(launch_decide(LAUNCH_HOLDING, ready, 1, LAUNCH_FAILURE_ABANDON), LAUNCH_CONTINUE);
        assert_int_equal(launch_decide(LAUNCH_HOLDING, failed, 1, LAUNCH_FAILURE_WAIT), LAUNCH_WAITING);
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
                                         .group = strdup("g"),
                                         .n_heard = 1,
                                         .held_at = 7,
                                         .state = s,
                                         .boot_id = strdup("b"),
                                         .since = 5000000 };
                assert_int_equal(strv_append(&record.hooks, "h"), 0);
                assert_int_equal(strv_append(&record.hooks, "h-2"), 0);
                assert_int_equal(launch_record_save(fd, &record, &error), 0);
                assert_int_equal(launch_record_load(fd, "i-1", &back, &error), 0);
                assert_int_equal(back.state, s);
                assert_true(strv_equal(back.hooks, record.hooks));
                assert_string_equal(back.group, "g");
                assert_int_equal(back.n_heard, 1);
                assert_int_equal(back.held_at, 7);
                assert_string_equal(back.boot_id, "b");
                assert_int_equal(back.since, 5000000);
                assert_int_equal(launch_record_load(fd, "i-2", &other, &error), 0);
                assert_int_equal(other.state, LAUNCH_NONE);
                assert_string_equal(other.instance, "i-2");
                assert_null(other.hooks);
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

/* No record at all is in the way of nothing. */
static void test_what_is_no_record(_unused_ void **state) {
        char folder[] = "/tmp/test-launch-XXXXXX", big[32768];
        _cleanup_close_ int fd = -1;

        memset(big, ' ', sizeof(big));
        assert_non_null(mkdtemp(folder));
        fd = file_open_at(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
        for (unsigned i = 0; i < 3; i++) {
                _cleanup_(launch_record_deinit) LaunchRecord record = {}, back = {};

                if (i == 0)
                        assert_int_equal(file_replace_at(fd, "launch.json", big, sizeof(big), 0600), 0);
                else if (i == 1)
                        assert_int_equal(mkdirat(fd, "launch.json", 0700), 0);
                else
                        assert_int_equal(symlinkat("/etc/passwd", fd, "launch.json"), 0);
                assert_int_equal(launch_record_load(fd, "i-1", &record, NULL), 0);
                assert_int_equal(record.state, LAUNCH_NONE);
                record.group = strdup("g");
                assert_int_equal(launch_record_save(fd, &record, NULL), 0);
                assert_int_equal(launch_record_load(fd, "i-1", &back, NULL), 0);
                assert_string_equal(back.group, "g");
                assert_int_equal(file_remove_at(fd, "launch.json"), 0);
        }
        assert_int_equal(file_remove_tree_at(AT_FDCWD, folder), 0);
}

static void load_text(int fd, const char *text, LaunchRecord *ret) {
        assert_int_equal(file_replace_at(fd, "launch.json", text, strlen(text), 0600), 0);
        assert_int_equal(launch_record_load(fd, "i-1", ret, NULL), 0);
}

/* What musterd 0.1 wrote counts; what makes no sense does not. */
static void test_other_records(_unused_ void **state) {
        static const char *const bad[] = {
                "{\"instance\": \"i-1\", \"state\": \"waiting\", \"hooks\": [\"h\"], \"heard\": 2, \"since\": null}",
                "{\"instance\": \"i-1\", \"state\": \"waiting\", \"hooks\": [1], \"since\": null}",
                "{\"instance\": \"i-1\", \"state\": \"flying\", \"hooks\": [], \"since\": null}",
        };
        _cleanup_(launch_record_deinit) LaunchRecord old = {};
        char folder[] = "/tmp/test-launch-XXXXXX";
        _cleanup_close_ int fd = -1;

        assert_non_null(mkdtemp(folder));
        fd = file_open_at(AT_FDCWD, folder, O_DIRECTORY | O_RDONLY, 0);
        load_text(fd, "{\"instance\": \"i-1\", \"hook\": \"h\", \"state\": \"waiting\", \"since\": null}",
                  &old);
        assert_int_equal(old.state, LAUNCH_WAITING);
        assert_string_equal(old.hooks[0], "h");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(launch_record_deinit) LaunchRecord record = {};

                load_text(fd, bad[i], &record);
                assert_int_equal(record.state, LAUNCH_NONE);
                assert_null(record.hooks);
        }
        assert_int_equal(file_remove_tree_at(AT_FDCWD, folder), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_decide),
                cmocka_unit_test(test_holding),
                cmocka_unit_test(test_must_look),
                cmocka_unit_test(test_record),
                cmocka_unit_test(test_what_is_no_record),
                cmocka_unit_test(test_other_records),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
