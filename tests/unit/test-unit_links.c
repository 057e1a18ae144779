#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "tests/unit/test.h"
#include "units/unit_links.h"

static void make_link(int fd, const char *folder, const char *name) {
        _cleanup_close_ int inside = file_open_folder_at(fd, folder, 0755);

        assert_true(inside >= 0);
        assert_int_equal(symlinkat("../unit", inside, name), 0);
}

static bool is_there(int fd, const char *path) {
        return faccessat(fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_only_its_own_links(_unused_ void **state) {
        char folder[] = "/tmp/test-unit_links-XXXXXX";
        _cleanup_close_ int fd = -1;
        Error error = {};

        assert_non_null(mkdtemp(folder));
        fd = file_open_at(AT_FDCWD, folder, O_DIRECTORY | O_RDONLY, 0);
        assert_int_equal(unit_links_remove(fd, "api.service", &error), 0);
        make_link(fd, "multi-user.target.wants", "api.service");
        make_link(fd, "multi-user.target.wants", "other.service");
        make_link(fd, "web.target.requires", "api.service");
        make_link(fd, "folder", "api.service");
        assert_int_equal(file_replace_at(fd, "web.target.requires/api.socket", "a file", 6, 0644), 0);
        assert_int_equal(unit_links_remove(fd, "api.service", &error), 0);
        assert_int_equal(unit_links_remove(fd, "api.socket", &error), 0);
        assert_false(is_there(fd, "multi-user.target.wants/api.service"));
        assert_false(is_there(fd, "web.target.requires/api.service"));
        assert_true(is_there(fd, "multi-user.target.wants/other.service"));
        assert_true(is_there(fd, "folder/api.service"));
        assert_true(is_there(fd, "web.target.requires/api.socket"));
        assert_int_equal(file_remove_tree_at(AT_FDCWD, folder), 0);
}

static void test_no_folder(_unused_ void **state) {
        Error error = {};

        assert_true(unit_links_remove(-1, "api.service", &error) < 0);
        assert_non_null(strstr(error.message, "folder of units"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_only_its_own_links),
                cmocka_unit_test(test_no_folder),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
