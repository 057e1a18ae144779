#include <string.h>
#include <sys/stat.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "agent/files_place.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, test_folder_setup, test_folder_teardown)

static int find(const TestFolder *folder, const char *name, const FilesPlaceRules *rules, FilesPlace *ret,
                Error *error) {
        char path[TEST_PATH_MAX * 2];

        snprintf(path, sizeof(path), "%s/%s", folder->path, name);
        return files_place_find(path, rules, ret, error);
}

/* What a name in the folder leads to: a path in the folder, and what is not there. */
static void check(const TestFolder *folder, const char *name, const char *path, const char *rest) {
        const FilesPlaceRules rules = { .state_dir = "/nowhere" };
        _cleanup_files_place_ FilesPlace place = { .fd = -1 };
        char expected[TEST_PATH_MAX * 2];
        struct stat a, b;
        Error error = {};

        if (find(folder, name, &rules, &place, &error) < 0)
                fail_msg("%s", error.message);
        snprintf(expected, sizeof(expected), "%s%s%s", folder->path, *path ? "/" : "", path);
        assert_string_equal(place.path, expected);
        assert_string_equal(place.rest, rest);
        assert_int_equal(fstat(place.fd, &a), 0);
        assert_int_equal(stat(place.path, &b), 0);
        assert_int_equal(a.st_ino, b.st_ino);
}

static void check_refused(const TestFolder *folder, const char *name, int expected, const char *words) {
        _cleanup_files_place_ FilesPlace place = { .fd = -1 };
        char state[TEST_PATH_MAX * 2];
        FilesPlaceRules rules = { .state_dir = state };
        Error error = {};

        snprintf(state, sizeof(state), "%s/state", folder->path);
        assert_int_equal(find(folder, name, &rules, &place, &error), expected);
        if (!strstr(error.message, words))
                fail_msg("\"%s\" is not in: %s", words, error.message);
}

static void test_plain(void **state) {
        const TestFolder *folder = *state;

        assert_int_equal(mkdirat(folder->fd, "a", 0755), 0);
        assert_int_equal(mkdirat(folder->fd, "a/b", 0755), 0);
        assert_int_equal(file_replace_at(folder->fd, "a/file", "x", 1, 0644), 0);
        check(folder, "a/b", "a/b", "");
        check(folder, "a//./b/", "a/b", "");
        check(folder, "a/b/c/d", "a/b", "c/d");
        check(folder, "a/file/x", "a", "file/x");
}

/* Links that only root (here: who runs the test) can have made are followed. */
static void test_links(void **state) {
        const TestFolder *folder = *state;

        assert_int_equal(mkdirat(folder->fd, "a", 0755), 0);
        assert_int_equal(mkdirat(folder->fd, "a/b", 0755), 0);
        assert_int_equal(symlinkat("a", folder->fd, "link"), 0);
        assert_int_equal(symlinkat("../link/b", folder->fd, "a/up"), 0);
        assert_int_equal(symlinkat("a/missing/deep", folder->fd, "hanging"), 0);
        assert_int_equal(symlinkat("a/missing/../../x", folder->fd, "leads-out"), 0);
        assert_int_equal(symlinkat("loop", folder->fd, "loop"), 0);
        assert_int_equal(symlinkat("/proc/self", folder->fd, "proc"), 0);
        check(folder, "link/b/c", "a/b", "c");
        check(folder, "link/up", "a/b", "");
        check(folder, "hanging/x", "a", "missing/deep/x");
        check_refused(folder, "leads-out", -EINVAL, "is not there");
        check_refused(folder, "loop", -ELOOP, "too many symbolic links");
        check_refused(folder, "proc/fd", -EPERM, "where nothing can be installed");
}

static void test_links_of_others(void **state) {
        const TestFolder *folder = *state;

        assert_int_equal(mkdirat(folder->fd, "shared", 0755), 0);
        assert_int_equal(symlinkat("/etc", folder->fd, "shared/link"), 0);
        assert_int_equal(fchmodat(folder->fd, "shared", 0775, 0), 0);
        check_refused(folder, "shared/link/x", -EPERM, "others than root can change");
        assert_int_equal(fchmodat(folder->fd, "shared", 01777, 0), 0);
        check_refused(folder, "shared/link/x", -EPERM, "others than root can change");
        if (geteuid() != 0)
                return;
        assert_int_equal(fchmodat(folder->fd, "shared", 0755, 0), 0);
        assert_int_equal(fchownat(folder->fd, "shared/link", 12345, 12345, AT_SYMLINK_NOFOLLOW), 0);
        check_refused(folder, "shared/link/x", -EPERM, "others than root can change");
}

static void test_state(void **state) {
        const TestFolder *folder = *state;

        assert_int_equal(mkdirat(folder->fd, "state", 0755), 0);
        assert_int_equal(mkdirat(folder->fd, "state-not", 0755), 0);
        assert_int_equal(symlinkat("state", folder->fd, "link"), 0);
        check_refused(folder, "state/apps", -EPERM, "where muster keeps its state");
        check_refused(folder, "link", -EPERM, "where muster keeps its state");
        check(folder, "state-not/x", "state-not", "x");
}

/* Between the look and the change nobody leads it astray. */
static void test_open(void **state) {
        const TestFolder *folder = *state;
        char path[TEST_PATH_MAX * 2];
        int fd;

        assert_int_equal(mkdirat(folder->fd, "a", 0755), 0);
        assert_int_equal(symlinkat("a", folder->fd, "link"), 0);
        snprintf(path, sizeof(path), "%s/link", folder->path);
        assert_int_equal(files_place_open(path), -ELOOP);
        snprintf(path, sizeof(path), "%s/a", folder->path);
        fd = files_place_open(path);
        assert_true(fd >= 0);
        close_fd(fd);
        snprintf(path, sizeof(path), "%s/b", folder->path);
        assert_int_equal(files_place_open(path), -ENOENT);
        fd = files_place_open("");
        assert_true(fd >= 0);
        close_fd(fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_plain), TEST(test_links), TEST(test_links_of_others),
                TEST(test_state), TEST(test_open),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
