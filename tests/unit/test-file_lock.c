#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/base/file.h"
#include "artifacts/file_lock.h"
#include "tests/unit/test.h"

static void test_excludes(void **state) {
        const TestFolder *folder = *state;
        _cleanup_close_ int first = -1, second = -1;

        first = file_lock_try(folder->fd, ".lock");
        assert_true(first >= 0);
        assert_int_equal(file_lock_try(folder->fd, ".lock"), -EAGAIN);
        second = file_lock_try(folder->fd, ".other");
        assert_true(second >= 0);
        first = close_fd(first);
        first = file_lock_try(folder->fd, ".lock");
        assert_true(first >= 0);
        assert_int_equal(test_count_entries(folder->fd), 2); /* made once, never removed */
}

static void test_ends_with_its_holder(void **state) {
        const TestFolder *folder = *state;
        _cleanup_close_ int fd = -1;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                (void) file_lock_try(folder->fd, ".lock");
                _exit(0);
        }
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        fd = file_lock_try(folder->fd, ".lock");
        assert_true(fd >= 0);
}

static void test_follows_no_link(void **state) {
        const TestFolder *folder = *state;

        assert_int_equal(symlinkat("/tmp/elsewhere", folder->fd, ".lock"), 0);
        assert_int_equal(file_lock_try(folder->fd, ".lock"), -ELOOP);
        assert_int_equal(file_lock_try(folder->fd, "missing/.lock"), -ENOENT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_folder_setup, test_folder_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_excludes),
                TEST(test_ends_with_its_holder),
                TEST(test_follows_no_link),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
