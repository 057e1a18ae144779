#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/base/file.h"
#include "agent/hook_logs.h"
#include "hooks/output.h"

#define FILE_NAME "logs/d-1/AfterInstall-0-1.log"

/* On tmpfs, where nothing can be collapsed, a file that was cut keeps its length and gets a hole. */
static off_t room_taken(int fd) {
        struct stat st;

        assert_int_equal(fstatat(fd, FILE_NAME, &st, 0), 0);
        return MIN(st.st_size, (off_t) st.st_blocks * 512);
}

/* A file that a daemon writes on is cut down, however often it grows; a folder that is not there yet is no trouble. */
static void test_trims_again_and_again(_unused_ void **state) {
        static char megabyte[1024 * 1024];
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(hook_logs_freep) HookLogs *logs = NULL;
        char folder[] = "/tmp/test-hook_logs-XXXXXX";
        _cleanup_close_ int fd = -1, output = -1;
        Error error = {};

        memset(megabyte, '\n', sizeof(megabyte));
        assert_non_null(mkdtemp(folder));
        fd = file_open_at(AT_FDCWD, folder, O_DIRECTORY | O_RDONLY, 0);
        assert_int_equal(sd_event_new(&event), 0);
        assert_int_equal(hook_logs_new(event, fd, USEC_PER_MSEC, &logs, &error), 0);
        assert_true(sd_event_run(event, USEC_PER_SEC) > 0);
        close_fd(file_open_folder_at(fd, "logs/d-1", 0700));
        output = file_open_at(fd, FILE_NAME, O_WRONLY | O_CREAT | O_APPEND, 0600);
        assert_true(output >= 0);
        for (int i = 0; i < 3; i++) {
                for (int j = 0; j < 3; j++)
                        assert_int_equal(file_write_fd(output, megabyte, sizeof(megabyte)), 0);
                for (int j = 0; j < 100 && room_taken(fd) > (off_t) OUTPUT_MAX; j++)
                        assert_true(sd_event_run(event, USEC_PER_SEC) > 0);
                assert_true(room_taken(fd) <= (off_t) OUTPUT_MAX);
        }
        assert_int_equal(file_remove_tree_at(AT_FDCWD, folder), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_trims_again_and_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
