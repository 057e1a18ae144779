#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/base/file.h"
#include "tests/unit/test.h"
#include "units/unit_process.h"

typedef struct Child {
        pid_t pid;
        int hold; /* the child ends when this is closed */
} Child;

/* Runs PROGRAM (cat, or a copy of it), which waits for input, in FOLDER. */
static Child start(const char *program, const char *folder) {
        char exe[64], text[TEST_PATH_MAX];
        Child child;
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        child.hold = fds[1];
        child.pid = fork();
        assert_true(child.pid >= 0);
        if (child.pid == 0) {
                dup2(fds[0], STDIN_FILENO);
                if (chdir(folder) == 0)
                        execl(program, program, (char *) NULL);
                _exit(127);
        }
        close(fds[0]);
        snprintf(exe, sizeof(exe), "/proc/%d/exe", child.pid);
        for (unsigned i = 0; i < 1000; i++) { /* until it is executed */
                ssize_t n = readlink(exe, text, sizeof(text) - 1);

                if (n > 0 && memmem(text, (size_t) n, "cat", 3))
                        break;
                usleep(5000);
        }
        return child;
}

static void end(Child child) {
        close(child.hold);
        assert_int_equal(waitpid(child.pid, NULL, 0), child.pid);
}

static bool runs_from(Child child, const char *folder) {
        _cleanup_free_ char *where = NULL;
        bool runs;

        assert_int_equal(process_runs_from(child.pid, folder, &runs, &where, NULL), 0);
        assert_non_null(where);
        return runs;
}

static void copy_program(int dirfd, const char *path) {
        _cleanup_close_ int from = open("/bin/cat", O_RDONLY | O_CLOEXEC), to = -1;
        char buffer[65536];
        ssize_t n;

        to = file_open_at(dirfd, path, O_WRONLY | O_CREAT, 0755);
        assert_true(from >= 0 && to >= 0);
        while ((n = read(from, buffer, sizeof(buffer))) > 0)
                assert_int_equal(file_write_fd(to, buffer, (size_t) n), 0);
}

static void test_by_executable_and_folder(void **state) {
        char v1[TEST_PATH_MAX + 16], v2[TEST_PATH_MAX + 16], current[TEST_PATH_MAX + 16],
                program[TEST_PATH_MAX + 16];
        TestFolder *folder = *state;
        Child by_exe, by_folder;

        snprintf(v1, sizeof(v1), "%s/v1", folder->path);
        snprintf(v2, sizeof(v2), "%s/v10", folder->path); /* "v1" is a beginning of it */
        snprintf(current, sizeof(current), "%s/current", folder->path);
        snprintf(program, sizeof(program), "%s/v1/cat", folder->path);
        assert_int_equal(mkdir(v1, 0755), 0);
        assert_int_equal(mkdir(v2, 0755), 0);
        assert_int_equal(symlink("v1", current), 0);
        copy_program(folder->fd, "v1/cat");
        by_exe = start(program, "/");
        by_folder = start("/bin/cat", current);
        assert_true(runs_from(by_exe, v1));
        assert_true(runs_from(by_exe, current));
        assert_false(runs_from(by_exe, v2));
        assert_true(runs_from(by_folder, v1));
        assert_false(runs_from(by_folder, v2));
        assert_int_equal(unlinkat(folder->fd, "v1/cat", 0), 0);
        assert_false(runs_from(by_exe, v1));
        copy_program(folder->fd, "v1/cat"); /* another file by the same name */
        assert_false(runs_from(by_exe, v1));
        end(by_exe);
        end(by_folder);
}

static void test_no_process(void **state) {
        TestFolder *folder = *state;
        Child child = start("/bin/cat", "/");
        Error error = {};
        bool runs;

        end(child);
        assert_int_equal(process_runs_from(child.pid, folder->path, &runs, NULL, &error), -ESRCH);
        assert_non_null(strstr(error.message, "cannot see what process"));
        assert_int_equal(process_runs_from(getpid(), "/no/such/folder", &runs, NULL, &error), -ENOENT);
        assert_non_null(strstr(error.message, "/no/such/folder"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_by_executable_and_folder, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_no_process, test_folder_setup, test_folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
