#include <string.h>

#include "agent/cli/screen.h"
#include "tests/unit/test.h"

#define K "\033[K\n"

static void assert_page(const char *text, unsigned rows, unsigned columns, const char *expected) {
        _cleanup_buffer_ Buffer page = {};

        assert_int_equal(screen_compose(text, rows, columns, &page), 0);
        assert_string_equal(buffer_string(&page), expected);
}

static void test_fits(_unused_ void **state) {
        assert_page("a\nbc\n", 3, 2, "\033[Ha" K "bc" K "\033[J");
        assert_page("", 3, 2, "\033[H\033[J");
}

static void test_columns(_unused_ void **state) {
        assert_page("abc\n", 9, 2, "\033[Hab\033[0m" K "\033[J");
        assert_page("\033[1;31mab\033[0m\n", 9, 2, "\033[H\033[1;31mab\033[0m" K "\033[J");
        assert_page("äöü\n", 9, 3, "\033[Häöü" K "\033[J");
        assert_page("äöü\n", 9, 2, "\033[Häö\033[0m" K "\033[J");
        assert_page("\033[\nb\n", 9, 2, "\033[H\033[" K "b" K "\033[J");
}

/* The last line of a terminal stays empty: a line feed on it would have the page move up. */
static void test_rows(_unused_ void **state) {
        assert_page("a\nb\nc\nd\n", 4, 9, "\033[Ha" K "b" K "and 2 more" K "\033[J");
        assert_page("a\nb\nc\n", 4, 9, "\033[Ha" K "b" K "c" K "\033[J");
        assert_page("a\nb\n", 1, 9, "\033[Hand 2 more" K "\033[J");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fits),
                cmocka_unit_test(test_columns),
                cmocka_unit_test(test_rows),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
