#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "hooks/output.h"
#include "tests/unit/test.h"

#define LINE "0123456789012345678901234567890123456789012345678901234567890\n"

static int open_output(TestFolder *folder, const char *name) {
        int fd = output_open(folder->fd, name, geteuid(), NULL);

        assert_true(fd >= 0);
        return fd;
}

static void write_lines(int fd, size_t size) {
        for (size_t n = 0; n < size; n += strlen(LINE))
                assert_int_equal(file_write_fd(fd, LINE, strlen(LINE)), 0);
}

static off_t used(TestFolder *folder, const char *name) {
        struct stat st;

        assert_int_equal(fstatat(folder->fd, name, &st, 0), 0);
        return st.st_blocks * 512;
}

static void test_open(void **state) {
        TestFolder *folder = *state;
        Error error = {};
        struct stat st;
        int fd;

        fd = open_output(folder, "log");
        assert_int_equal(file_write_fd(fd, "a\n", 2), 0);
        close(fd);
        fd = open_output(folder, "log");
        assert_int_equal(file_write_fd(fd, "b\n", 2), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        close(fd);
        test_assert_content(folder->fd, "log", "a\nb\n");
        assert_int_equal(symlinkat("log", folder->fd, "link"), 0);
        assert_int_equal(output_open(folder->fd, "link", geteuid(), &error), -ELOOP);
        assert_non_null(strstr(error.message, "link"));
}

/* The writer holds the file open all the time, as the program does. */
static void test_trim(void **state) {
        TestFolder *folder = *state;
        _cleanup_buffer_ Buffer content = {};
        _cleanup_free_ char *tail = NULL;
        bool trimmed = true;
        int fd;

        fd = open_output(folder, "log");
        assert_int_equal(file_write_fd(fd, "first\n", 6), 0);
        write_lines(fd, OUTPUT_MAX / 2);
        assert_int_equal(output_trim(folder->fd, "log", &trimmed), 0);
        assert_false(trimmed);
        for (unsigned i = 0; i < 3; i++) {
                write_lines(fd, 4 * OUTPUT_MAX);
                assert_int_equal(output_trim(folder->fd, "log", &trimmed), 0);
                assert_true(trimmed);
                assert_true(used(folder, "log") <= OUTPUT_MAX);
        }
        assert_int_equal(file_write_fd(fd, "last\n", 5), 0);
        close(fd);
        assert_int_equal(output_tail(folder->fd, "log", 20, &tail), 0);
        assert_string_equal(tail, "last\n");
        assert_int_equal(file_read_at(folder->fd, "log", 64 * OUTPUT_MAX, &content), 0);
        if (used(folder, "log") >= OUTPUT_HEAD) { /* unless the filesystem can neither collapse nor punch */
                assert_memory_equal(content.data, "first\n", 6);
                assert_non_null(memmem(content.data, content.size, "[muster: too much output", 24));
        }
}

static void test_trim_folder(void **state) {
        TestFolder *folder = *state;
        int fd;

        fd = open_output(folder, "big");
        write_lines(fd, 2 * OUTPUT_MAX);
        close(fd);
        fd = open_output(folder, "small");
        write_lines(fd, 1024);
        close(fd);
        assert_int_equal(mkdirat(folder->fd, "folder", 0700), 0);
        assert_int_equal(symlinkat("/etc/passwd", folder->fd, "link"), 0);
        assert_int_equal(output_trim_folder(folder->fd), 0);
        assert_true(used(folder, "big") <= OUTPUT_MAX);
        assert_true(used(folder, "small") >= 1024);
}

static void check_tail(TestFolder *folder, const char *content, size_t size, const char *expected) {
        _cleanup_free_ char *tail = NULL;

        assert_int_equal(file_replace_at(folder->fd, "log", content, strlen(content), 0600), 0);
        assert_int_equal(output_tail(folder->fd, "log", size, &tail), 0);
        assert_string_equal(tail, expected);
}

static void test_tail(void **state) {
        TestFolder *folder = *state;
        char *tail;

        check_tail(folder, "", 10, "");
        check_tail(folder, "one\ntwo\n", 100, "one\ntwo\n");
        check_tail(folder, "one\ntwo\n", 8, "one\ntwo\n");
        check_tail(folder, "one\ntwo\n", 7, "two\n");
        check_tail(folder, "one\ntwo\n", 4, "two\n");
        check_tail(folder, "one\ntwo", 4, "two");
        check_tail(folder, "one\ntwo\n", 3, "wo\n"); /* a line that is too long: its end */
        check_tail(folder, "0123456789", 4, "6789");
        check_tail(folder,
                   "ab\xe2\x82\xac"
                   "cd",
                   4, "cd"); /* not in the middle of a character */
        check_tail(folder, "\x1b[31mred\r\n\xff\n", 100, "?[31mred?\n?\n");
        assert_int_equal(output_tail(folder->fd, "none", 10, &tail), -ENOENT);
}

static void check_digest(const char *tail, unsigned n, size_t size, const char *expected) {
        char digest[64];

        assert_true(size <= sizeof(digest));
        output_digest(tail, n, digest, size);
        assert_string_equal(digest, expected);
}

static void test_digest(void **state) {
        (void) state;
        check_digest("", 3, 64, "");
        check_digest("\n\n", 3, 64, "");
        check_digest("one\n", 3, 64, "one");
        check_digest("one", 3, 64, "one");
        check_digest("one\n\ntwo \t\n  \nthree\nfour\n", 3, 64, "two | three | four");
        check_digest("one\ntwo\n", 1, 64, "two");
        check_digest("0123456789\n", 3, 5, "6789");
        check_digest("one\ntwo\n", 3, 6, "two"); /* no room for the other */
        check_digest("one\ntwo\n", 3, 9, "ne | two");
        check_digest("\xc3\xa4\n", 3, 2, "?");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_open, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_trim, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_trim_folder, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_tail, test_folder_setup, test_folder_teardown),
                cmocka_unit_test(test_digest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
