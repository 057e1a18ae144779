#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/utf8.h"
#include "tests/unit/test.h"

static void test_sequences(void **state) {
        static const struct {
                const char *bytes;
                size_t length;
        } cases[] = {
                { "a", 1 },
                { "\xc3\xa4", 2 },
                { "\xe2\x82\xac", 3 },
                { "\xf0\x9f\x9a\x80", 4 },
                { "\xf4\x8f\xbf\xbf", 4 },
                { "\x80", 0 },             /* a continuation */
                { "\xc0\xaf", 0 },         /* overlong */
                { "\xc1\x81", 0 },         /* overlong */
                { "\xe0\x80\xaf", 0 },     /* overlong */
                { "\xed\xa0\x80", 0 },     /* a surrogate */
                { "\xf0\x80\x80\x80", 0 }, /* overlong */
                { "\xf4\x90\x80\x80", 0 }, /* above U+10FFFF */
                { "\xf5\x80\x80\x80", 0 },
                { "\xc3", 0 },
                { "\xe2\x82", 0 },
                { "\xe2\x82z", 0 },
                { "\xc3z", 0 },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(utf8_sequence(cases[i].bytes, strlen(cases[i].bytes)), cases[i].length);
        assert_int_equal(utf8_sequence("\0", 1), 1);
        assert_int_equal(utf8_sequence("", 0), 0);
}

static void test_valid(void **state) {
        (void) state;
        assert_true(utf8_is_valid(""));
        assert_true(utf8_is_valid("gr\xc3\xbc\xc3\x9f dich"));
        assert_false(utf8_is_valid("gr\xfc"));
        assert_false(utf8_is_valid("cut \xe2\x82"));
}

static void check_printable(const char *text, const char *expected) {
        char copy[64];

        snprintf(copy, sizeof(copy), "%s", text);
        utf8_make_printable(copy, strlen(copy));
        assert_string_equal(copy, expected);
}

static void test_printable(void **state) {
        char zero[] = { 'a', '\0', 'b' };

        (void) state;
        check_printable("one\ttwo\nthree \xe2\x82\xac", "one\ttwo\nthree \xe2\x82\xac");
        check_printable("\x1b[31mred\x1b[0m\r\n", "?[31mred?[0m?\n");
        check_printable("\xff\xfe\x7f", "???");
        check_printable("\xc2\x9b"
                        "31m",
                        "??31m"); /* CSI in one character */
        check_printable("cut \xe2\x82", "cut ??");
        utf8_make_printable(zero, sizeof(zero));
        assert_int_equal(zero[1], '?');
}

static void check_format(size_t size, const char *text, const char *expected) {
        char ret[16];

        assert_true(size <= sizeof(ret));
        utf8_format(ret, size, "a%s", text);
        assert_string_equal(ret, expected);
}

static void test_format(void **state) {
        (void) state;
        check_format(16, "\xe2\x82\xac", "a\xe2\x82\xac");
        check_format(5, "\xe2\x82\xac", "a\xe2\x82\xac");
        check_format(4, "\xe2\x82\xac", "a");
        check_format(3, "\xe2\x82\xac", "a");
        check_format(2, "\xe2\x82\xac", "a");
        check_format(1, "\xe2\x82\xac", "");
        check_format(4, "bcde", "abc");
        check_format(7, "\xc3\xa4\xf0\x9f\x9a\x80", "a\xc3\xa4");
        check_format(16, "\xff\x1b[m", "a??[m");
        check_format(4, "\x80\x80\x80\x80", "a??"); /* no beginning of a character */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sequences),
                cmocka_unit_test(test_valid),
                cmocka_unit_test(test_printable),
                cmocka_unit_test(test_format),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
