#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "agent/base/file_users.h"

typedef void (*Prepare)(int folder);

static void open_file(int folder) {
        if (openat(folder, "data", O_RDONLY) < 0)
                _exit(1);
}

static void map_file(int folder) {
        int fd = openat(folder, "data", O_RDONLY);

        if (fd < 0 || mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED)
                _exit(1);
        close(fd);
}

static void work_there(int folder) {
        if (fchdir(folder) < 0)
                _exit(1);
}

static void run_from(int folder) {
        char *const argv[] = { (char[]){ "program" }, (char[]){ "60" }, NULL }, *const envp[] = { NULL };
        int fd = openat(folder, "program", O_RDONLY | O_CLOEXEC);

        /* Says that it is ready by ending the pipe, which is closed by exec. */
        (void) fexecve(fd, argv, envp);
        _exit(1);
}

static void do_nothing(_unused_ int folder) {
}

/* A process that has done that, and then waits. */
static pid_t start(int folder, Prepare prepare) {
        int fds[2];
        char byte;
        pid_t pid;

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(fds[0]);
                int copy = fcntl(folder, F_DUPFD_CLOEXEC, 100);
                close(folder);
                prepare(copy);
                close(copy);
                close(fds[1]);
                pause();
                _exit(0);
        }
        close(fds[1]);
        assert_int_equal(read(fds[0], &byte, 1), 0);
        close(fds[0]);
        return pid;
}

static void stop(pid_t pid) {
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void copy_program(int folder) {
        _cleanup_close_ int from = open("/bin/sleep", O_RDONLY | O_CLOEXEC),
                            to = openat(folder, "program", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
        char data[65536];
        ssize_t n;

        while ((n = read(from, data, sizeof(data))) > 0)
                assert_int_equal(file_write_fd(to, data, (size_t) n), 0);
        assert_int_equal(n, 0);
}

static void test_users(void **state) {
        static const struct {
                Prepare prepare;
                bool uses;
        } cases[] = {
                { open_file, true }, { map_file, true },    { work_there, true },
                { run_from, true },  { do_nothing, false },
        };
        TestFolder *f = *state;
        _cleanup_free_ char *one = NULL, *two = NULL;

        assert_true(asprintf(&one, "%s/one", f->path) > 0 && asprintf(&two, "%s/two", f->path) > 0);
        assert_int_equal(mkdirat(f->fd, "one", 0755), 0);
        assert_int_equal(mkdirat(f->fd, "two", 0755), 0);
        assert_int_equal(file_replace_at(f->fd, "one/data", "data", 4, 0644), 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                FileUsersFolder folders[] = { { .path = one }, { .path = two }, { .path = "/nowhere" } };
                int folder = openat(f->fd, "one", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                Error error = {};
                pid_t pid;

                if (cases[i].prepare == run_from)
                        copy_program(folder);
                pid = start(folder, cases[i].prepare);
                if (file_users_find(folders, ELEMENTSOF(folders), 0, &error) < 0)
                        fail_msg("%s", error.message);
                assert_int_equal(folders[0].user, cases[i].uses ? pid : 0);
                assert_int_equal(folders[1].user, 0);
                assert_int_equal(folders[2].user, 0);
                assert_int_equal(file_users_find(folders, ELEMENTSOF(folders), pid, &error), 0);
                assert_int_equal(folders[0].user, 0);
                stop(pid);
                close(folder);
        }
}

/* A file with another name elsewhere, as a bind mount shows it, is the same file. */
static void test_inode(void **state) {
        TestFolder *f = *state;
        _cleanup_free_ char *one = NULL;
        FileUsersFolder folder;
        int two;
        pid_t pid;

        assert_true(asprintf(&one, "%s/one", f->path) > 0);
        folder.path = one;
        assert_int_equal(mkdirat(f->fd, "one", 0755), 0);
        assert_int_equal(mkdirat(f->fd, "two", 0755), 0);
        assert_int_equal(file_replace_at(f->fd, "one/data", "data", 4, 0644), 0);
        assert_int_equal(linkat(f->fd, "one/data", f->fd, "two/data", 0), 0);
        two = openat(f->fd, "two", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        pid = start(two, map_file);
        assert_int_equal(file_users_find(&folder, 1, 0, NULL), 0);
        assert_int_equal(folder.user, pid);
        stop(pid);
        close(two);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_users, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_inode, test_folder_setup, test_folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
