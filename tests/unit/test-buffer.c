#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/buffer.h"

static void test_empty(_unused_ void **state) {
        _cleanup_buffer_ Buffer buffer = {};
        _cleanup_free_ char *data = NULL;
        size_t size = 77;

        assert_string_equal(buffer_string(&buffer), "");
        assert_int_equal(buffer_append(&buffer, NULL, 0, 0), 0);
        buffer_clear(&buffer);
        assert_int_equal(buffer_steal(&buffer, &data, &size), 0);
        assert_non_null(data);
        assert_string_equal(data, "");
        assert_int_equal(size, 0);
        buffer_deinit(NULL);
}

static void test_grows(_unused_ void **state) {
        _cleanup_buffer_ Buffer buffer = {};

        for (size_t i = 0; i < 10000; i++) {
                char c = (char) ('a' + i % 26);

                assert_int_equal(buffer_append(&buffer, &c, 1, SIZE_MAX), 0);
                assert_int_equal(buffer.data[buffer.size], 0);
        }
        assert_int_equal(buffer.size, 10000);
        for (size_t i = 0; i < buffer.size; i++)
                assert_int_equal(buffer.data[i], 'a' + i % 26);
}

static void test_limit(_unused_ void **state) {
        _cleanup_buffer_ Buffer buffer = {};

        assert_int_equal(buffer_append(&buffer, "12345", 5, 5), 0);
        assert_int_equal(buffer_append(&buffer, "6", 1, 5), -E2BIG);
        assert_int_equal(buffer_append(&buffer, "", 0, 5), 0);
        assert_int_equal(buffer_append(&buffer, "", 0, 4), -E2BIG);
        assert_int_equal(buffer_append(&buffer, "67", SIZE_MAX, SIZE_MAX), -E2BIG);
        assert_string_equal(buffer_string(&buffer), "12345");
}

static void test_reserve(_unused_ void **state) {
        _cleanup_buffer_ Buffer buffer = {};
        uint8_t *data;

        assert_int_equal(buffer_append(&buffer, "ab", 2, 2), 0);
        assert_int_equal(buffer_reserve(&buffer, 100000), 0);
        assert_true(buffer.allocated > 100000);
        data = buffer.data;
        assert_int_equal(buffer_reserve(&buffer, 99999), 0);
        assert_ptr_equal(buffer.data, data);
        assert_string_equal(buffer_string(&buffer), "ab");
        assert_int_equal(buffer_reserve(&buffer, SIZE_MAX), -ENOMEM);
        assert_int_equal(buffer_reserve(&buffer, SIZE_MAX / 2), -ENOMEM);
        assert_string_equal(buffer_string(&buffer), "ab");
}

static void test_printf(_unused_ void **state) {
        _cleanup_buffer_ Buffer buffer = {};

        assert_int_equal(buffer_printf(&buffer, "%s-%d", "a", 7), 0);
        assert_int_equal(buffer_printf(&buffer, "%s", ""), 0);
        assert_int_equal(buffer_printf(&buffer, "%1000d", 1), 0);
        assert_int_equal(buffer.size, 1003);
        assert_memory_equal(buffer.data, "a-7 ", 4);
        buffer_clear(&buffer);
        assert_string_equal(buffer_string(&buffer), "");
        assert_true(buffer.allocated > 1003);
}

static void test_steal(_unused_ void **state) {
        _cleanup_buffer_ Buffer buffer = {};
        _cleanup_free_ char *data = NULL;

        assert_int_equal(buffer_append(&buffer, "a\0b", 3, 3), 0);
        assert_int_equal(buffer_steal(&buffer, &data, NULL), 0);
        assert_memory_equal(data, "a\0b", 4);
        assert_null(buffer.data);
        assert_int_equal(buffer.size, 0);
        assert_int_equal(buffer.allocated, 0);
}

static void check_end(const char *text, size_t size, const char *expected) {
        _cleanup_buffer_ Buffer buffer = {};

        assert_int_equal(buffer_append(&buffer, text, strlen(text), SIZE_MAX), 0);
        buffer_keep_end(&buffer, size);
        assert_string_equal(buffer_string(&buffer), expected);
}

static void test_keep_end(_unused_ void **state) {
        check_end("", 4, "");
        check_end("one\ntwo\n", 8, "one\ntwo\n");
        check_end("one\ntwo\n", 7, "two\n");
        check_end("one\ntwo\n", 4, "two\n");
        check_end("one\ntwo\n", 3, "wo\n");
        check_end("one\ntwo", 5, "two");
        check_end("a long line", 4, "line");
        check_end("gr\xc3\xbc\xc3\x9f", 3, "\xc3\x9f");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_keep_end), cmocka_unit_test(test_empty),
                cmocka_unit_test(test_grows),    cmocka_unit_test(test_limit),
                cmocka_unit_test(test_reserve),  cmocka_unit_test(test_printf),
                cmocka_unit_test(test_steal),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
