#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "agent/files_attributes.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, test_folder_setup, test_folder_teardown)

static int make(char **acls, size_t n, mode_t mode, FilesAttributes *ret, Error *error) {
        ReleasePermission permission = { .object = (char *) "/srv" };

        permission.acls.items = acls;
        permission.acls.n = n;
        return files_attributes_make(&permission, mode, -1, ret, error);
}

/* Version 2; then tag, permissions and id of each entry: the owner, root, the group, the mask, others. */
#define WANTED                                                                                               \
        "02000000"                                                                                           \
        "01000600ffffffff"                                                                                   \
        "0200070000000000"                                                                                   \
        "04000400ffffffff"                                                                                   \
        "10000400ffffffff"                                                                                   \
        "20000000ffffffff"

static void test_list(_unused_ void **state) {
        _cleanup_files_attributes_ FilesAttributes named = {}, masked = {}, inherited = {};

        assert_int_equal(make((char *[]){ (char *) "u:root:rwx" }, 1, 0640, &named, NULL), 0);
        assert_string_equal(named.values[FILES_ATTRIBUTE_ACCESS], WANTED);
        assert_null(named.values[FILES_ATTRIBUTE_DEFAULT]);
        assert_int_equal(make((char *[]){ (char *) "m::rwx", (char *) "u:root:rwx" }, 2, 0640, &masked, NULL),
                         0);
        assert_non_null(strstr(masked.values[FILES_ATTRIBUTE_ACCESS], "10000700ffffffff"));
        assert_int_equal(make((char *[]){ (char *) "d:u:root:rwx" }, 1, 0640, &inherited, NULL), 0);
        assert_null(inherited.values[FILES_ATTRIBUTE_ACCESS]);
        assert_string_equal(inherited.values[FILES_ATTRIBUTE_DEFAULT], WANTED);
}

static void test_refused(_unused_ void **state) {
        FilesAttributes attributes;
        Error error = {};

        assert_int_equal(make((char *[]){ (char *) "u:nobody-of-that-name:r" }, 1, 0640, &attributes, &error),
                         -ENOENT);
        assert_int_equal(error.fault, FAULT_RELEASE);
        assert_int_equal(
                make((char *[]){ (char *) "u:root:r", (char *) "user:root:w" }, 2, 0640, &attributes, &error),
                -EINVAL);
}

/* Before anything is changed. */
static void test_no_selinux(_unused_ void **state) {
        ReleasePermission permission = { .object = (char *) "/srv", .context.type = (char *) "a_t" };
        const ReleasePermissions permissions = { .items = &permission, .n = 1 };
        Error error = {};

        if (access("/sys/fs/selinux/enforce", F_OK) == 0)
                skip();
        assert_int_equal(files_attributes_check(&permissions, &error), -EOPNOTSUPP);
        assert_int_equal(error.fault, FAULT_RELEASE);
        permission.context.type = NULL;
        assert_int_equal(files_attributes_check(&permissions, NULL), 0);
}

/* On the disk, and back. */
static void test_set(void **state) {
        const TestFolder *folder = *state;
        _cleanup_files_attributes_ FilesAttributes wanted = {}, before = {}, after = {};
        _cleanup_close_ int fd = -1;
        struct stat st;
        int r;

        assert_int_equal(mkdirat(folder->fd, "a", 0750), 0);
        fd = file_open_at(folder->fd, "a", O_RDONLY | O_DIRECTORY, 0);
        assert_int_equal(
                make((char *[]){ (char *) "u:root:rwx", (char *) "d:g:root:rx" }, 2, 0750, &wanted, NULL), 0);
        assert_int_equal(files_attributes_read(fd, &wanted, &before), 0);
        assert_string_equal(before.values[FILES_ATTRIBUTE_ACCESS], FILES_ATTRIBUTE_NONE);
        r = files_attributes_set(fd, &wanted);
        if (r == -EOPNOTSUPP) /* the file system has no lists */
                skip();
        assert_int_equal(r, 0);
        assert_int_equal(files_attributes_read(fd, &wanted, &after), 0);
        assert_true(files_attributes_equal(&wanted, &after));
        assert_int_equal(files_attributes_set(fd, &before), 0);
        files_attributes_deinit(&after);
        assert_int_equal(files_attributes_read(fd, &wanted, &after), 0);
        assert_true(files_attributes_equal(&before, &after));
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777U, 0750);
}

int main(void) {
        const struct CMUnitTest tests[] = { TEST(test_list), TEST(test_refused), TEST(test_no_selinux),
                                            TEST(test_set) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
