#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/boot_id.h"
#include "tests/unit/test.h"

static void test_same_until_it_is_gone(_unused_ void **state) {
        char folder[] = "/tmp/test-boot_id-XXXXXX", path[64];
        char first[SD_ID128_STRING_MAX], again[SD_ID128_STRING_MAX];
        Error error = {};

        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/run", folder);
        assert_int_equal(boot_id_get(path, first, &error), 0);
        assert_int_equal(strlen(first), SD_ID128_STRING_MAX - 1);
        assert_int_equal(boot_id_get(path, again, &error), 0);
        assert_string_equal(first, again);
        assert_int_equal(file_remove_tree_at(AT_FDCWD, path), 0);
        assert_int_equal(boot_id_get(path, again, &error), 0);
        assert_string_not_equal(first, again);
        assert_int_equal(file_remove_tree_at(AT_FDCWD, folder), 0);
}

/* What is no id is none: a new one takes its place, for good. */
static void test_malformed(_unused_ void **state) {
        char folder[] = "/tmp/test-boot_id-XXXXXX", path[64];
        char first[SD_ID128_STRING_MAX], again[SD_ID128_STRING_MAX];
        Error error = {};

        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/boot-id", folder);
        assert_int_equal(file_replace_at(AT_FDCWD, path, "half", 4, 0644), 0);
        assert_int_equal(boot_id_get(folder, first, &error), 0);
        assert_int_equal(strlen(first), SD_ID128_STRING_MAX - 1);
        assert_int_equal(boot_id_get(folder, again, &error), 0);
        assert_string_equal(first, again);
        assert_int_equal(file_remove_tree_at(AT_FDCWD, folder), 0);
}

static void test_no_folder(_unused_ void **state) {
        char id[SD_ID128_STRING_MAX];
        Error error = {};

        assert_int_equal(boot_id_get("/dev/null/run", id, &error), -ENOTDIR);
        assert_non_null(strstr(error.message, "/dev/null/run"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_same_until_it_is_gone),
                cmocka_unit_test(test_malformed),
                cmocka_unit_test(test_no_folder),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
