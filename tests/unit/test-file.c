#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"

/* The system calls that make a file durable go through here (see base.mk), are written down, and the one that
 * a test chooses fails, is cut short, or is never reached because the machine stopped. */

ssize_t __real_write(int fd, const void *data, size_t size);
int __real_fsync(int fd);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
ssize_t __wrap_write(int fd, const void *data, size_t size);
int __wrap_fsync(int fd);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);

#define STOPPED 99
#define NOBODY 65534

static struct {
        char calls[256]; /* "write fsync rename fsync-folder " */
        int count;
        int stop_at;       /* the process ends instead of the call of this number */
        int fail_at, with; /* that call fails with this errno */
        bool cut_short;    /* write() takes one byte, and is interrupted before each */
        bool interrupted;
} injected;

static bool refuses(const char *call) {
        strncat(injected.calls, call, sizeof(injected.calls) - strlen(injected.calls) - 1);
        injected.count++;
        if (injected.count == injected.stop_at)
                _exit(STOPPED);
        if (injected.count != injected.fail_at)
                return false;
        errno = injected.with;
        return true;
}

ssize_t __wrap_write(int fd, const void *data, size_t size) {
        if (injected.cut_short) {
                injected.interrupted = !injected.interrupted;
                if (injected.interrupted) {
                        errno = EINTR;
                        return -1;
                }
                return __real_write(fd, data, MIN(size, (size_t) 1));
        }
        return refuses("write ") ? -1 : __real_write(fd, data, size);
}

int __wrap_fsync(int fd) {
        struct stat st = {};

        (void) fstat(fd, &st);
        return refuses(S_ISDIR(st.st_mode) ? "fsync-folder " : "fsync ") ? -1 : __real_fsync(fd);
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to) {
        return refuses("rename ") ? -1 : __real_renameat(from_dir, from, to_dir, to);
}

static int setup(void **state) {
        memset(&injected, 0, sizeof(injected));
        return test_folder_setup(state);
}

static int fd_of(void **state) {
        return ((TestFolder *) *state)->fd;
}

static void put(int dirfd, const char *name, const char *text) {
        assert_int_equal(file_replace_at(dirfd, name, text, strlen(text), 0644), 0);
        memset(&injected, 0, sizeof(injected));
}

static void test_open_beneath(void **state) {
        _cleanup_close_ int fd = -1;
        int dirfd = fd_of(state);

        assert_int_equal(mkdirat(dirfd, "sub", 0755), 0);
        put(dirfd, "sub/file", "x");
        assert_int_equal(symlinkat("sub", dirfd, "link"), 0);
        assert_int_equal(symlinkat("file", dirfd, "sub/link"), 0);
        fd = file_open_at(dirfd, "sub/file", O_RDONLY, 0);
        assert_true(fd >= 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(file_open_at(dirfd, "link/file", O_RDONLY, 0), -ELOOP);
        assert_int_equal(file_open_at(dirfd, "sub/link", O_RDONLY, 0), -ELOOP);
        assert_int_equal(file_open_at(dirfd, "../etc/passwd", O_RDONLY, 0), -EXDEV);
        assert_int_equal(file_open_at(dirfd, "sub/../../x", O_RDONLY, 0), -EXDEV);
        assert_int_equal(file_open_at(dirfd, "/etc/passwd", O_RDONLY, 0), -EXDEV);
        assert_int_equal(file_open_at(dirfd, "none", O_RDONLY, 0), -ENOENT);
}

/* Renames one file to and fro until it is killed. */
static pid_t start_renaming(int dirfd) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid > 0)
                return pid;
        for (bool there = false;; there = !there)
                (void) syscall(SYS_renameat2, dirfd, there ? "b" : "a", dirfd, there ? "a" : "b", 0);
}

/* Whatever is renamed meanwhile, by anybody: for a path with ".." the kernel then says EAGAIN. */
static void test_open_while_others_rename(void **state) {
        int dirfd = fd_of(state), r = 0;
        pid_t pid;

        assert_int_equal(mkdirat(dirfd, "sub", 0755), 0);
        put(dirfd, "sub/file", "x");
        put(dirfd, "a", "x");
        assert_int_equal(symlinkat("../sub/file", dirfd, "sub/link"), 0);
        assert_int_equal(symlinkat("../../file", dirfd, "sub/out"), 0);
        pid = start_renaming(dirfd);
        for (unsigned i = 0; i < 20000 && r >= 0; i++) {
                r = file_open_beneath(dirfd, "sub/link", O_RDONLY);
                close_fd(r);
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_true(r >= 0);
        assert_int_equal(file_open_beneath(dirfd, "sub/out", O_RDONLY), -EXDEV);
        assert_int_equal(file_open_beneath(dirfd, "sub/none", O_RDONLY), -ENOENT);
}

/* An operator's own path is followed as usual. */
static void test_open_operators_path(void **state) {
        const TestFolder *folder = *state;
        char path[2 * TEST_PATH_MAX];
        _cleanup_close_ int fd = -1;

        put(folder->fd, "file", "x");
        assert_int_equal(symlinkat("file", folder->fd, "link"), 0);
        snprintf(path, sizeof(path), "%s/link", folder->path);
        fd = file_open_at(AT_FDCWD, path, O_RDONLY, 0);
        assert_true(fd >= 0);
}

static void test_open_creates_with_mode(void **state) {
        _cleanup_close_ int fd = -1;
        struct stat st;

        fd = file_open_at(fd_of(state), "new", O_WRONLY | O_CREAT | O_EXCL, 0640);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_int_equal(file_open_at(fd_of(state), "new", O_WRONLY | O_CREAT | O_EXCL, 0640), -EEXIST);
}

static void test_open_unmarked(void **state) {
        const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_nsec = UTIME_OMIT } };
        _cleanup_close_ int fd = -1;
        int dirfd = fd_of(state);
        struct stat st;
        char byte;

        put(dirfd, "file", "x");
        assert_int_equal(utimensat(dirfd, "file", old, 0), 0);
        fd = file_open_unmarked_at(dirfd, "file", 0);
        assert_true(fd >= 0);
        assert_int_equal(read(fd, &byte, 1), 1);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_atim.tv_sec, 1);
        assert_int_equal(symlinkat("file", dirfd, "link"), 0);
        assert_int_equal(file_open_unmarked_at(dirfd, "link", 0), -ELOOP);
        assert_int_equal(file_open_unmarked_at(dirfd, "file", O_DIRECTORY), -ENOTDIR);
}

/* Who may not choose reads all the same. */
static void test_open_unmarked_others(_unused_ void **state) {
        _cleanup_close_ int fd = -1;
        char byte;

        if (getuid() == 0)
                assert_int_equal(setfsuid(NOBODY), 0);
        fd = file_open_unmarked_at(AT_FDCWD, "/etc/passwd", 0);
        (void) setfsuid(getuid());
        assert_true(fd >= 0);
        assert_int_equal(read(fd, &byte, 1), 1);
}

static void test_open_folder(void **state) {
        static const char *const paths[] = { "a", "a/b", "a//b/c/", "d/e/f", "d/e/f" };
        int dirfd = fd_of(state);
        struct stat st;

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                _cleanup_close_ int fd = file_open_folder_at(dirfd, paths[i], 0750);

                assert_true(fd >= 0);
                assert_int_equal(fstat(fd, &st), 0);
                assert_int_equal(st.st_mode & 07777, 0750);
        }
        put(dirfd, "file", "x");
        assert_int_equal(file_open_folder_at(dirfd, "file", 0750), -ENOTDIR);
        assert_int_equal(file_open_folder_at(dirfd, "file/sub", 0750), -ENOTDIR);
        assert_int_equal(symlinkat("/tmp", dirfd, "link"), 0);
        assert_int_equal(file_open_folder_at(dirfd, "link/muster-test-outside", 0750), -ELOOP);
        assert_int_equal(file_open_folder_at(dirfd, "../muster-test-outside", 0750), -EXDEV);
}

static void test_open_folder_absolute(void **state) {
        const TestFolder *folder = *state;
        char path[2 * TEST_PATH_MAX];
        _cleanup_close_ int fd = -1;

        snprintf(path, sizeof(path), "%s/x/y/z", folder->path);
        fd = file_open_folder_at(AT_FDCWD, path, 0700);
        assert_true(fd >= 0);
        assert_int_equal(faccessat(folder->fd, "x/y/z", F_OK, 0), 0);
}

static void test_read_limit(void **state) {
        _cleanup_buffer_ Buffer buffer = {};
        int dirfd = fd_of(state);

        put(dirfd, "file", "0123456789");
        assert_int_equal(buffer_append(&buffer, "before:", 7, 7), 0);
        assert_int_equal(file_read_at(dirfd, "file", 9, &buffer), -E2BIG);
        assert_string_equal(buffer_string(&buffer), "before:");
        assert_int_equal(file_read_at(dirfd, "file", 10, &buffer), 0);
        assert_string_equal(buffer_string(&buffer), "before:0123456789");
        assert_int_equal(file_read_at(dirfd, ".", 10, &buffer), -EISDIR);
        assert_int_equal(file_read_at(dirfd, "none", 10, &buffer), -ENOENT);
}

static void test_read_large(void **state) {
        _cleanup_free_ char *data = malloc(1000000);
        _cleanup_buffer_ Buffer buffer = {};
        int dirfd = fd_of(state);

        assert_non_null(data);
        for (size_t i = 0; i < 1000000; i++)
                data[i] = (char) (i * 7);
        assert_int_equal(file_replace_at(dirfd, "file", data, 1000000, 0644), 0);
        assert_int_equal(file_read_at(dirfd, "file", 999999, &buffer), -E2BIG);
        assert_int_equal(file_read_at(dirfd, "file", 1000000, &buffer), 0);
        assert_int_equal(buffer.size, 1000000);
        assert_memory_equal(buffer.data, data, 1000000);
}

static void test_write_cut_short(void **state) {
        injected.cut_short = true;
        assert_int_equal(file_replace_at(fd_of(state), "file", "in pieces", 9, 0644), 0);
        test_assert_content(fd_of(state), "file", "in pieces");
}

static void test_replace(void **state) {
        int dirfd = fd_of(state);
        struct stat st;

        assert_int_equal(file_replace_at(dirfd, "file", "one", 3, 0600), 0);
        assert_string_equal(injected.calls, "write fsync rename fsync-folder ");
        test_assert_content(dirfd, "file", "one");
        assert_int_equal(fstatat(dirfd, "file", &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(file_replace_at(dirfd, "file", "", 0, 0644), 0);
        test_assert_content(dirfd, "file", "");
        assert_int_equal(fstatat(dirfd, "file", &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
        assert_int_equal(test_count_entries(dirfd), 1);
}

/* The mode is what was asked for, whatever the umask. */
static void test_replace_mode(void **state) {
        mode_t was = umask(077);
        struct stat st;

        assert_int_equal(file_replace_at(fd_of(state), "file", "x", 1, 0644), 0);
        umask(was);
        assert_int_equal(fstatat(fd_of(state), "file", &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
}

static void test_replace_refuses(void **state) {
        static const char *const bad[] = { "", ".", "..", "sub/", "sub/.", "sub/.." };
        int dirfd = fd_of(state);

        assert_int_equal(mkdirat(dirfd, "sub", 0755), 0);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(file_replace_at(dirfd, bad[i], "x", 1, 0644), -EINVAL);
                assert_int_equal(file_replace_symlink_at(dirfd, bad[i], "x"), -EINVAL);
        }
        assert_int_equal(file_replace_at(dirfd, "sub", "x", 1, 0644), -EISDIR);
        assert_int_equal(file_replace_at(dirfd, "none/file", "x", 1, 0644), -ENOENT);
        assert_int_equal(symlinkat("/tmp", dirfd, "link"), 0);
        assert_int_equal(file_replace_at(dirfd, "link/muster-test-outside", "x", 1, 0644), -ELOOP);
        assert_int_equal(test_count_entries(dirfd), 2);
}

/* A link in the way is replaced, not written through. */
static void test_replace_does_not_follow(void **state) {
        int dirfd = fd_of(state);

        put(dirfd, "victim", "untouched");
        assert_int_equal(symlinkat("victim", dirfd, "file"), 0);
        put(dirfd, "file", "new");
        test_assert_content(dirfd, "victim", "untouched");
        test_assert_content(dirfd, "file", "new");
}

/* What an earlier process left under the temporary name: a file is overwritten, a link is not written through. */
static void test_replace_over_leftovers(void **state) {
        int dirfd = fd_of(state);
        const char *name = ".file.tmp";

        put(dirfd, "victim", "untouched");
        assert_int_equal(symlinkat("victim", dirfd, name), 0);
        put(dirfd, "file", "new");
        test_assert_content(dirfd, "victim", "untouched");
        test_assert_content(dirfd, "file", "new");
        put(dirfd, name, "an old and longer text");
        put(dirfd, "file", "newer");
        test_assert_content(dirfd, "file", "newer");
        assert_int_equal(symlinkat("nowhere", dirfd, ".link.tmp"), 0);
        assert_int_equal(file_replace_symlink_at(dirfd, "link", "victim"), 0);
        assert_int_equal(unlinkat(dirfd, "link", 0), 0);
        assert_int_equal(test_count_entries(dirfd), 2);
}

static void test_replace_fails_cleanly(void **state) {
        static const int errors[] = { ENOSPC, EIO, EXDEV };
        int dirfd = fd_of(state);

        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                put(dirfd, "file", "old");
                injected.fail_at = (int) i + 1;
                injected.with = errors[i];
                assert_int_equal(file_replace_at(dirfd, "file", "new", 3, 0644), -errors[i]);
                test_assert_content(dirfd, "file", "old");
                assert_int_equal(test_count_entries(dirfd), 1);
        }
        put(dirfd, "file", "old");
        injected.fail_at = 4;
        injected.with = EIO;
        assert_int_equal(file_replace_at(dirfd, "file", "new", 3, 0644), -EIO);
        assert_int_equal(test_count_entries(dirfd), 1);
}

/* Runs REPLACE in a process that stops before its N-th call; whether it stopped. */
static bool stops_at(int n, void (*replace)(int dirfd), int dirfd) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                memset(&injected, 0, sizeof(injected));
                injected.stop_at = n;
                replace(dirfd);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status) == STOPPED;
}

static void replace_file(int dirfd) {
        (void) file_replace_at(dirfd, "file", "new", 3, 0644);
}

static void replace_link(int dirfd) {
        (void) file_replace_symlink_at(dirfd, "link", "new");
}

static void test_replace_stopped_anywhere(void **state) {
        int dirfd = fd_of(state), n = 1;

        put(dirfd, "file", "old");
        for (; stops_at(n, replace_file, dirfd); n++)
                test_assert_content(dirfd, "file", n < 4 ? "old" : "new");
        assert_int_equal(n, 5);
        test_assert_content(dirfd, "file", "new");
}

static void assert_link(int dirfd, const char *target) {
        _cleanup_free_ char *is = NULL;

        assert_int_equal(file_read_link_at(dirfd, "link", &is), 0);
        assert_string_equal(is, target);
}

static void test_replace_symlink(void **state) {
        int dirfd = fd_of(state), n = 1;

        assert_int_equal(file_replace_symlink_at(dirfd, "link", "first"), 0);
        assert_string_equal(injected.calls, "rename fsync-folder ");
        assert_int_equal(file_replace_symlink_at(dirfd, "link", "old"), 0);
        assert_int_equal(test_count_entries(dirfd), 1);
        for (; stops_at(n, replace_link, dirfd); n++)
                assert_link(dirfd, n < 2 ? "old" : "new");
        assert_int_equal(n, 3);
        injected.fail_at = injected.count + 1;
        injected.with = EIO;
        assert_int_equal(file_replace_symlink_at(dirfd, "link", "never"), -EIO);
        assert_link(dirfd, "new");
}

static void test_read_link(void **state) {
        int dirfd = fd_of(state);
        char *target = NULL;

        put(dirfd, "file", "x");
        assert_int_equal(mkdirat(dirfd, "sub", 0755), 0);
        assert_int_equal(symlinkat("../anything", dirfd, "sub/link"), 0);
        assert_int_equal(symlinkat("sub", dirfd, "to-sub"), 0);
        assert_int_equal(file_read_link_at(dirfd, "sub/link", &target), 0);
        assert_string_equal(target, "../anything");
        free(TAKE_PTR(target));
        assert_int_equal(file_read_link_at(dirfd, "to-sub/link", &target), -ELOOP);
        assert_int_equal(file_read_link_at(dirfd, "file", &target), -EINVAL);
        assert_int_equal(file_read_link_at(dirfd, "none", &target), -ENOENT);
        assert_int_equal(file_read_link_at(dirfd, "../x", &target), -EXDEV);
        assert_null(target);
}

static void test_remove(void **state) {
        int dirfd = fd_of(state);

        put(dirfd, "file", "x");
        assert_int_equal(file_remove_at(dirfd, "file"), 0);
        assert_string_equal(injected.calls, "fsync-folder ");
        assert_int_equal(file_remove_at(dirfd, "file"), 0);
        assert_int_equal(file_remove_at(dirfd, "none/file"), 0);
        assert_int_equal(mkdirat(dirfd, "sub", 0755), 0);
        assert_int_equal(file_remove_at(dirfd, "sub"), -EISDIR);
        assert_int_equal(file_remove_at(dirfd, ".."), -EINVAL);
        assert_int_equal(test_count_entries(dirfd), 1);
}

static void test_remove_tree(void **state) {
        int dirfd = fd_of(state);

        assert_int_equal(close_fd(file_open_folder_at(dirfd, "tree/a/b/c", 0755)), -1);
        put(dirfd, "tree/a/b/c/file", "x");
        put(dirfd, "kept", "y");
        assert_int_equal(symlinkat("../kept", dirfd, "tree/link"), 0);
        assert_int_equal(symlinkat("/", dirfd, "tree/a/root"), 0);
        assert_int_equal(mkfifoat(dirfd, "tree/fifo", 0600), 0);
        assert_int_equal(file_remove_tree_at(dirfd, "tree"), 0);
        assert_int_equal(test_count_entries(dirfd), 1);
        test_assert_content(dirfd, "kept", "y");
        assert_int_equal(file_remove_tree_at(dirfd, "tree"), 0);
        assert_int_equal(file_remove_tree_at(dirfd, "none/tree"), 0);
        assert_int_equal(file_remove_tree_at(dirfd, "kept"), 0);
        assert_int_equal(test_count_entries(dirfd), 0);
}

static void test_remove_tree_stays_inside(void **state) {
        static const char *const bad[] = { "", ".", "..", "sub/..", "sub/." };
        int dirfd = fd_of(state);
        _cleanup_close_ int sub = -1;

        put(dirfd, "kept", "y");
        sub = file_open_folder_at(dirfd, "sub", 0755);
        assert_true(sub >= 0);
        put(sub, "file", "x");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(file_remove_tree_at(sub, bad[i]), -EINVAL);
        assert_int_equal(symlinkat("sub", dirfd, "link"), 0);
        assert_int_equal(file_remove_tree_at(dirfd, "link/file"), -ELOOP);
        assert_int_equal(file_remove_tree_at(dirfd, "link"), 0);
        test_assert_content(dirfd, "sub/file", "x");
        test_assert_content(dirfd, "kept", "y");
}

static void test_remove_tree_many(void **state) {
        int dirfd = fd_of(state);
        _cleanup_close_ int tree = file_open_folder_at(dirfd, "tree", 0755);

        for (int i = 0; i < 5000; i++) {
                char name[32];

                snprintf(name, sizeof(name), "entry-%d", i);
                assert_int_equal(mkdirat(tree, name, 0755), 0);
        }
        assert_int_equal(file_remove_tree_at(dirfd, "tree"), 0);
        assert_int_equal(test_count_entries(dirfd), 0);
}

static void test_sync_parent(void **state) {
        int dirfd = fd_of(state);

        assert_int_equal(mkdirat(dirfd, "sub", 0755), 0);
        assert_int_equal(file_sync_parent_at(dirfd, "sub/file"), 0);
        assert_string_equal(injected.calls, "fsync-folder ");
        injected.fail_at = injected.count + 1;
        injected.with = EIO;
        assert_int_equal(file_sync_parent_at(dirfd, "sub/file"), -EIO);
        assert_int_equal(file_sync_parent_at(dirfd, "none/file"), -ENOENT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, test_folder_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_open_beneath),
                TEST(test_open_while_others_rename),
                TEST(test_open_operators_path),
                TEST(test_open_creates_with_mode),
                TEST(test_open_unmarked),
                TEST(test_open_unmarked_others),
                TEST(test_open_folder),
                TEST(test_open_folder_absolute),
                TEST(test_read_limit),
                TEST(test_read_large),
                TEST(test_write_cut_short),
                TEST(test_replace),
                TEST(test_replace_mode),
                TEST(test_replace_refuses),
                TEST(test_replace_does_not_follow),
                TEST(test_replace_over_leftovers),
                TEST(test_replace_fails_cleanly),
                TEST(test_replace_stopped_anywhere),
                TEST(test_replace_symlink),
                TEST(test_read_link),
                TEST(test_remove),
                TEST(test_remove_tree),
                TEST(test_remove_tree_stays_inside),
                TEST(test_remove_tree_many),
                TEST(test_sync_parent),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
