#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/strv.h"

static DIR *open_folder(const TestFolder *folder) {
        DIR *dir = NULL;

        assert_int_equal(folder_take(openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), &dir), 0);
        return dir;
}

static void test_empty(void **state) {
        _cleanup_closedir_ DIR *dir = open_folder(*state), *again = open_folder(*state);
        const char *name = "none";
        char **names = NULL;

        assert_int_equal(folder_next(dir, &name), 0);
        assert_string_equal(name, "none");
        assert_int_equal(folder_names(again, &names), 0);
        assert_null(names);
}

static void test_names(void **state) {
        static const char *const made[] = { "b", "a", "...", "a b", ".hidden", "\xc3\xa4", "Z" };
        static const char *const sorted[] = { "...", ".hidden", "Z", "a", "a b", "b", "\xc3\xa4" };
        const TestFolder *folder = *state;
        _cleanup_closedir_ DIR *dir = NULL, *again = NULL;
        _cleanup_strv_ char **names = NULL;
        const char *name;
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(made); i++)
                assert_int_equal(mkdirat(folder->fd, made[i], 0755), 0);
        dir = open_folder(folder);
        while (folder_next(dir, &name) > 0)
                n++;
        assert_int_equal(n, ELEMENTSOF(made));
        again = open_folder(folder);
        assert_int_equal(folder_names(again, &names), 0);
        assert_int_equal(strv_length(names), ELEMENTSOF(sorted));
        for (size_t i = 0; i < ELEMENTSOF(sorted); i++)
                assert_string_equal(names[i], sorted[i]);
}

/* What is no folder is closed all the same. */
static void test_no_folder(void **state) {
        const TestFolder *folder = *state;
        DIR *dir = NULL;
        int fd;

        assert_int_equal(file_replace_at(folder->fd, "file", "x", 1, 0644), 0);
        fd = openat(folder->fd, "file", O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(folder_take(fd, &dir), -ENOTDIR);
        assert_null(dir);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        assert_int_equal(folder_take(-1, &dir), -EBADF);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_empty, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_names, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_no_folder, test_folder_setup, test_folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
