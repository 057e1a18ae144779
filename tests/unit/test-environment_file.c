#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "hooks/environment_file.h"
#include "tests/unit/test.h"

static void check(const char *name, const char *value, const char *line) {
        _cleanup_buffer_ Buffer buffer = {};

        assert_int_equal(environment_file_add(&buffer, name, value, NULL), 0);
        assert_string_equal(buffer_string(&buffer), line);
}

static void test_quoting(void **state) {
        (void) state;
        check("A", "", "A=\"\"\n");
        check("PATH", "/bin:/usr/bin", "PATH=\"/bin:/usr/bin\"\n");
        check("_x1", "a b # ; = 'c'", "_x1=\"a b # ; = 'c'\"\n");
        check("Q", "\"\\`$HOME", "Q=\"\\\"\\\\\\`\\$HOME\"\n");
        check("LINES", "one\ntwo\tthree", "LINES=\"one\ntwo\tthree\"\n");
        check("UTF8", "gr\xc3\xbc\xc3\x9f", "UTF8=\"gr\xc3\xbc\xc3\x9f\"\n");
}

static void check_refused(const char *name, const char *value, const char *says) {
        _cleanup_buffer_ Buffer buffer = {};
        Error error = {};

        assert_int_equal(environment_file_add(&buffer, name, value, &error), -EINVAL);
        assert_int_equal(error.fault, FAULT_INPUT);
        assert_non_null(strstr(error.message, says));
        assert_int_equal(buffer.size, 0);
}

static void test_refused(void **state) {
        (void) state;
        check_refused("", "x", "'' is not the name");
        check_refused("1A", "x", "'1A' is not the name");
        check_refused("A-B", "x", "'A-B' is not the name");
        check_refused("A\nB", "x", "is not the name");
        check_refused("SECRET", "hidden\x01", "SECRET is not UTF-8 text");
        check_refused("SECRET", "hidden\xff", "SECRET is not UTF-8 text");
        check_refused("SECRET", "hidden\r", "control characters");
}

static void test_values_are_in_no_message(void **state) {
        char *const assignments[] = { (char *) "hunter2", NULL };
        _cleanup_buffer_ Buffer buffer = {};
        Error error = {};

        (void) state;
        assert_int_equal(environment_file_add(&buffer, "A", "hunter2\x7f", &error), -EINVAL);
        assert_null(strstr(error.message, "hunter2"));
        assert_int_equal(environment_file_add_all(&buffer, assignments, &error), -EINVAL);
        assert_null(strstr(error.message, "hunter2"));
}

static void test_limit(void **state) {
        _cleanup_free_ char *value = malloc(ENVIRONMENT_FILE_MAX + 1);
        _cleanup_buffer_ Buffer buffer = {};
        Error error = {};

        (void) state;
        memset(value, 'x', ENVIRONMENT_FILE_MAX);
        value[ENVIRONMENT_FILE_MAX] = '\0';
        assert_int_equal(environment_file_add(&buffer, "A", value, &error), -E2BIG);
        assert_non_null(strstr(error.message, "more than"));
}

static void test_file(void **state) {
        char *const assignments[] = { (char *) "A=1", (char *) "B=x=y", NULL };
        _cleanup_buffer_ Buffer buffer = {};
        _cleanup_free_ char *path = NULL;
        TestFolder *folder = *state;
        Error error = {};
        struct stat st;

        assert_int_equal(environment_file_add_all(&buffer, assignments, NULL), 0);
        assert_int_equal(environment_file_write(&buffer, folder->path, "api", "d-1", &path, NULL), 0);
        assert_true(strncmp(path, folder->path, strlen(folder->path)) == 0);
        assert_string_equal(path + strlen(folder->path), "/api/d-1.env");
        test_assert_content(folder->fd, "api/d-1.env", "A=\"1\"\nB=\"x=y\"\n");
        assert_int_equal(fstatat(folder->fd, "api/d-1.env", &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(buffer.data[0], 0); /* wiped */
        assert_int_equal(environment_file_write(&buffer, "/proc/none", "api", "d-1", &path, &error), -ENOENT);
        assert_non_null(strstr(error.message, "/proc/none"));
        assert_int_equal(error.fault, FAULT_HOST);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_quoting),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_values_are_in_no_message),
                cmocka_unit_test(test_limit),
                cmocka_unit_test_setup_teardown(test_file, test_folder_setup, test_folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
