#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "artifacts/file_walk.h"
#include "tests/unit/test.h"

static void make(const TestFolder *folder, const char *path) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *parent = slash ? strndup(path, (size_t) (slash - path)) : NULL;
        _cleanup_close_ int fd = -1;

        if (parent) {
                fd = file_open_folder_at(folder->fd, parent, 0700);
                assert_true(fd >= 0);
        }
        assert_int_equal(file_replace_at(folder->fd, path, "x", 1, 0600), 0);
}

static int collect(const char *path, void *userdata, _unused_ Error *error) {
        return strv_append(userdata, path);
}

static void test_walk(void **state) {
        const TestFolder *folder = *state;
        _cleanup_strv_ char **all = NULL, **some = NULL, **none = NULL;

        make(folder, "a/b/c");
        make(folder, "a/b/.hidden");
        make(folder, "a/.hidden/c");
        make(folder, "a/d");
        make(folder, "e");
        assert_int_equal(symlinkat("e", folder->fd, "a/link"), 0);
        assert_int_equal(symlinkat("a", folder->fd, "folder-link"), 0);
        assert_int_equal(mkfifoat(folder->fd, "a/fifo", 0600), 0);
        assert_int_equal(mkdirat(folder->fd, "a/empty", 0700), 0);

        assert_int_equal(file_walk(folder->fd, "", collect, &all, NULL), 0);
        assert_int_equal(strv_length(all), 3);
        assert_true(strv_contains(all, "a/b/c") && strv_contains(all, "a/d") && strv_contains(all, "e"));
        assert_int_equal(file_walk(folder->fd, "a/b/", collect, &some, NULL), 0);
        assert_int_equal(strv_length(some), 1);
        assert_string_equal(some[0], "a/b/c");
        assert_int_equal(file_walk(folder->fd, "missing/", collect, &none, NULL), 0);
        assert_int_equal(file_walk(folder->fd, "e/", collect, &none, NULL), 0);
        assert_null(none);
}

static int stop(_unused_ const char *path, void *userdata, Error *error) {
        (*(unsigned *) userdata)++;
        return error_set(error, -EXFULL, "enough");
}

static void test_visit_ends_it(void **state) {
        const TestFolder *folder = *state;
        unsigned calls = 0;
        Error error = {};

        make(folder, "a");
        make(folder, "b");
        assert_int_equal(file_walk(folder->fd, "", stop, &calls, &error), -EXFULL);
        assert_int_equal(calls, 1);
        assert_string_equal(error.message, "enough");
}

static void test_depth(void **state) {
        const TestFolder *folder = *state;
        char path[4 * FILE_WALK_DEPTH_MAX] = "";
        _cleanup_strv_ char **found = NULL;
        Error error = {};

        for (unsigned i = 0; i < FILE_WALK_DEPTH_MAX; i++)
                strcat(path, "d/");
        strcat(path, "x");
        make(folder, path);
        assert_int_equal(file_walk(folder->fd, "", collect, &found, NULL), 0);
        assert_int_equal(strv_length(found), 1);
        strcpy(path + strlen(path) - 1, "d/x");
        make(folder, path);
        assert_int_equal(file_walk(folder->fd, "", collect, &found, &error), -ELOOP);
        assert_non_null(strstr(error.message, "64 folders within folders"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_folder_setup, test_folder_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_walk),
                TEST(test_visit_ends_it),
                TEST(test_depth),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
