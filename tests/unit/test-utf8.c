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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sequences),
                cmocka_unit_test(test_valid),
                cmocka_unit_test(test_printable),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
