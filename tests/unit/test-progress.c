#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/cleanup.h"
#include "agent/cli/progress.h"

#define MIB (UINT64_C(1024) * 1024)

static void test_bar(_unused_ void **state) {
        char line[PROGRESS_LINE_MAX];

        progress_format("upload", 5 * MIB, 20 * MIB, 5 * USEC_PER_SEC, 80, line);
        assert_string_equal(line,
                            "upload  [=====>              ]   25%  5.0 MiB of 20.0 MiB  1.0 MiB/s  16s left");
        progress_format("upload", 20 * MIB, 20 * MIB, 5 * USEC_PER_SEC, 80, line);
        assert_string_equal(line, "upload  [====================]  100%  20.0 MiB of 20.0 MiB  4.0 MiB/s");
        progress_format("upload", 0, 20 * MIB, 0, 80, line);
        assert_string_equal(line, "upload  [>                   ]    0%  0 B of 20.0 MiB");
}

static void test_unknown_total(_unused_ void **state) {
        char line[PROGRESS_LINE_MAX];

        progress_format("pack", 3 * MIB, 0, 0, 80, line);
        assert_string_equal(line, "pack  3.0 MiB");
}

static void test_narrow(_unused_ void **state) {
        char line[PROGRESS_LINE_MAX];

        for (unsigned columns = 0; columns < 200; columns++) {
                progress_format("upload", 5 * MIB, 20 * MIB, 5 * USEC_PER_SEC, columns, line);
                assert_true(strlen(line) <= columns);
        }
        progress_format("upload", 5 * MIB, 20 * MIB, 5 * USEC_PER_SEC, 30, line);
        assert_string_equal(line, "upload  [==>       ]");
}

/* A clock that the test moves. */
static uint64_t now;

static uint64_t read_now(void *userdata) {
        (void) userdata;
        return now;
}

static char *shown(bool terminal, bool quiet, unsigned steps, uint64_t step) {
        const Clock clock = { .boottime = read_now, .realtime = read_now };
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);
        Cli cli = {
                .err = stream, .err_is_terminal = terminal, .columns = 80, .quiet = quiet, .clock = &clock
        };
        Progress progress;

        assert_non_null(stream);
        now = USEC_PER_SEC;
        progress_begin(&progress, &cli, "upload", steps * MIB);
        for (unsigned i = 1; i <= steps; i++) {
                now += step;
                progress_update(&progress, i * MIB);
        }
        progress_clear(&progress);
        fclose(stream);
        return text;
}

static unsigned count(const char *text, char c) {
        unsigned n = 0;

        for (; *text; text++)
                n += *text == c;
        return n;
}

static void test_not_too_often(_unused_ void **state) {
        _cleanup_free_ char *bar = shown(true, false, 100, 10 * USEC_PER_MSEC);
        _cleanup_free_ char *lines = shown(false, false, 100, 110 * USEC_PER_MSEC);
        _cleanup_free_ char *quick = shown(false, false, 100, 10 * USEC_PER_MSEC);
        _cleanup_free_ char *quiet = shown(true, true, 100, USEC_PER_SEC);

        assert_int_equal(count(bar, '\r'), 11); /* ten bars and the wipe */
        assert_int_equal(count(bar, '\n'), 0);
        assert_int_equal(count(lines, '\n'), 2);
        assert_int_equal(count(lines, '\r'), 0);
        assert_string_equal(quick, "");
        assert_string_equal(quiet, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bar),
                cmocka_unit_test(test_unknown_total),
                cmocka_unit_test(test_narrow),
                cmocka_unit_test(test_not_too_often),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
