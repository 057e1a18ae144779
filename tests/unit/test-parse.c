#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "agent/base/parse.h"

#define UNTOUCHED UINT64_C(0xdeadbeef)

typedef struct Case {
        const char *text;
        int r;
        uint64_t value;
} Case;

/* Each text gives its result and its value, and no value where it fails. */
static void check(int (*parse)(const char *, uint64_t *), const Case *cases, size_t n) {
        for (size_t i = 0; i < n; i++) {
                uint64_t value = UNTOUCHED, wanted = cases[i].r < 0 ? UNTOUCHED : cases[i].value;
                int r = parse(cases[i].text, &value);

                if (r != cases[i].r || value != wanted)
                        fail_msg("\"%s\" gives %d, %llu; expected %d, %llu", cases[i].text, r,
                                 (unsigned long long) value, cases[i].r, (unsigned long long) wanted);
        }
}

static void test_u64(_unused_ void **state) {
        static const Case cases[] = {
                { "0", 0, 0 },
                { "007", 0, 7 },
                { "18446744073709551615", 0, UINT64_MAX },
                { "18446744073709551616", -ERANGE, 0 },
                { "99999999999999999999999", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { " 1", -EINVAL, 0 },
                { "1 ", -EINVAL, 0 },
                { "+1", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "0x10", -EINVAL, 0 },
                { "1.0", -EINVAL, 0 },
                { "\xd9\xa1", -EINVAL, 0 }, /* ARABIC-INDIC DIGIT ONE */
        };

        check(parse_u64, cases, ELEMENTSOF(cases));
}

static void test_duration(_unused_ void **state) {
        static const Case cases[] = {
                { "0", 0, 0 },
                { "0s", 0, 0 },
                { "90s", 0, 90 * USEC_PER_SEC },
                { "5m", 0, 300 * USEC_PER_SEC },
                { "1h30m", 0, 5400 * USEC_PER_SEC },
                { "250ms", 0, 250 * USEC_PER_MSEC },
                { "2d", 0, 172800 * USEC_PER_SEC },
                { "1d1h1m1s1ms", 0, (86400 + 3600 + 60 + 1) * USEC_PER_SEC + USEC_PER_MSEC },
                { "1m500ms", 0, 60500 * USEC_PER_MSEC },
                { "213503982d", 0, UINT64_C(213503982) * 86400 * USEC_PER_SEC },
                { "213503983d", -ERANGE, 0 },
                { "213503982d99h", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { "5", -EINVAL, 0 },
                { "00", -EINVAL, 0 },
                { "5 m", -EINVAL, 0 },
                { "5m ", -EINVAL, 0 },
                { "m", -EINVAL, 0 },
                { "-5m", -EINVAL, 0 },
                { "1m1h", -EINVAL, 0 },
                { "1m1m", -EINVAL, 0 },
                { "1ms1s", -EINVAL, 0 },
                { "1h30", -EINVAL, 0 },
                { "1sm", -EINVAL, 0 },
                { "1mss", -EINVAL, 0 },
                { "1M", -EINVAL, 0 },
                { "1.5h", -EINVAL, 0 },
                { "1us", -EINVAL, 0 },
                { "infinity", -EINVAL, 0 },
        };

        check(parse_duration, cases, ELEMENTSOF(cases));
}

static void test_size(_unused_ void **state) {
        static const Case cases[] = {
                { "0", 0, 0 },
                { "1048576", 0, 1048576 },
                { "64K", 0, 65536 },
                { "2M", 0, 2097152 },
                { "1G", 0, UINT64_C(1) << 30 },
                { "3T", 0, UINT64_C(3) << 40 },
                { "16777215T", 0, UINT64_C(16777215) << 40 },
                { "16777216T", -ERANGE, 0 },
                { "18446744073709551615", 0, UINT64_MAX },
                { "18446744073709551615K", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { "K", -EINVAL, 0 },
                { "1k", -EINVAL, 0 },
                { "1KB", -EINVAL, 0 },
                { "1 K", -EINVAL, 0 },
                { "1P", -EINVAL, 0 },
                { "-1K", -EINVAL, 0 },
        };

        check(parse_size, cases, ELEMENTSOF(cases));
}

static void test_boolean(_unused_ void **state) {
        static const char *const yes[] = { "yes", "true", "on", "1" };
        static const char *const no[] = { "no", "false", "off", "0" };
        static const char *const bad[] = { "", "Yes", "y", "t", "2", "yes ", "truee", "01" };
        bool value;

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                value = false;
                assert_int_equal(parse_boolean(yes[i], &value), 0);
                assert_true(value);
                assert_int_equal(parse_boolean(no[i], &value), 0);
                assert_false(value);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(parse_boolean(bad[i], &value), -EINVAL);
}

static void test_time(_unused_ void **state) {
        static const Case cases[] = {
                { "1970-01-01T00:00:00Z", 0, 0 },
                { "2026-11-21T09:00:00Z", 0, UINT64_C(1795251600) * USEC_PER_SEC },
                { "2026-11-21t09:00:00z", 0, UINT64_C(1795251600) * USEC_PER_SEC },
                { "2026-11-21T10:30:00+01:30", 0, UINT64_C(1795251600) * USEC_PER_SEC },
                { "2026-11-21T01:00:00-08:00", 0, UINT64_C(1795251600) * USEC_PER_SEC },
                { "2026-11-21T09:00:00.5Z", 0, UINT64_C(1795251600500000) },
                { "2026-11-21T09:00:00.000001Z", 0, UINT64_C(1795251600000001) },
                { "2026-11-21T09:00:00.1234567891234Z", 0, UINT64_C(1795251600123456) },
                { "2024-02-29T00:00:00Z", 0, UINT64_C(1709164800) * USEC_PER_SEC },
                { "9999-12-31T23:59:59Z", 0, UINT64_C(253402300799) * USEC_PER_SEC },
                { "1970-01-01T00:00:00+00:01", -ERANGE, 0 },
                { "1969-12-31T23:59:59Z", -ERANGE, 0 },
                { "0000-01-01T00:00:00Z", -ERANGE, 0 },
                { "2026-02-29T00:00:00Z", -EINVAL, 0 },
                { "2026-04-31T00:00:00Z", -EINVAL, 0 },
                { "2026-00-01T00:00:00Z", -EINVAL, 0 },
                { "2026-13-01T00:00:00Z", -EINVAL, 0 },
                { "2026-01-00T00:00:00Z", -EINVAL, 0 },
                { "2026-01-01T24:00:00Z", -EINVAL, 0 },
                { "2026-01-01T00:60:00Z", -EINVAL, 0 },
                { "2026-12-31T23:59:60Z", -EINVAL, 0 },
                { "2026-01-01T00:00:00", -EINVAL, 0 },
                { "2026-01-01T00:00:00.Z", -EINVAL, 0 },
                { "2026-01-01T00:00:00Z ", -EINVAL, 0 },
                { "2026-01-01T00:00:00+24:00", -EINVAL, 0 },
                { "2026-01-01T00:00:00+0100", -EINVAL, 0 },
                { "2026-01-01T00:00:00+01", -EINVAL, 0 },
                { "2026-01-01 00:00:00Z", -EINVAL, 0 },
                { "2026-1-1T00:00:00Z", -EINVAL, 0 },
                { "+026-01-01T00:00:00Z", -EINVAL, 0 },
                { "2026-01-01", -EINVAL, 0 },
                { "", -EINVAL, 0 },
        };

        check(parse_time, cases, ELEMENTSOF(cases));
}

static void test_format_time(_unused_ void **state) {
        char text[TIME_TEXT_MAX];

        format_time(0, text);
        assert_string_equal(text, "1970-01-01T00:00:00Z");
        format_time(UINT64_C(1795251600999999), text);
        assert_string_equal(text, "2026-11-21T09:00:00Z");
        format_time(UINT64_MAX, text);
        assert_true(strlen(text) < TIME_TEXT_MAX);
        format_time_exact(UINT64_C(1795251600000250), text);
        assert_string_equal(text + 19, ".000250Z");
}

static void test_format_duration(_unused_ void **state) {
        static const struct {
                uint64_t usec;
                const char *text;
        } cases[] = {
                { 0, "0s" },
                { 999, "0s" },
                { 250 * USEC_PER_MSEC, "250ms" },
                { 90 * USEC_PER_SEC, "1m30s" },
                { 300 * USEC_PER_SEC, "5m" },
                { 5400 * USEC_PER_SEC, "1h30m" },
                { 86400 * USEC_PER_SEC + USEC_PER_MSEC, "1d1ms" },
                { USEC_INFINITY, "infinity" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[DURATION_TEXT_MAX];

                format_duration(cases[i].usec, text);
                assert_string_equal(text, cases[i].text);
        }
}

static void test_durations_round_trip(_unused_ void **state) {
        for (uint64_t ms = 1; ms < UINT64_C(1) << 50; ms = ms * 3 + 1) {
                char text[DURATION_TEXT_MAX];
                uint64_t back;

                format_duration(ms * USEC_PER_MSEC, text);
                assert_int_equal(parse_duration(text, &back), 0);
                assert_true(back == ms * USEC_PER_MSEC);
        }
}

static void test_format_size(_unused_ void **state) {
        static const struct {
                uint64_t bytes;
                const char *text;
        } cases[] = {
                { 0, "0 B" },
                { 1023, "1023 B" },
                { 1024, "1.0 KiB" },
                { 1536, "1.5 KiB" },
                { 1024 * 1024 - 1, "1.0 MiB" },
                { 20 * 1024 * 1024, "20.0 MiB" },
                { UINT64_C(5) << 30, "5.0 GiB" },
                { UINT64_C(5) << 40, "5.0 TiB" },
                { UINT64_MAX, "16777216.0 TiB" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[SIZE_TEXT_MAX];

                format_size(cases[i].bytes, text);
                assert_string_equal(text, cases[i].text);
        }
}

static void test_names(_unused_ void **state) {
        static const char *const good[] = { "a", "api", "web-1", "i-0abc.x_y", "9" };
        static const char *const bad[] = { "",    ".",   "..",  "-a",  "_a",       ".a",
                                           "a/b", "a b", "a+b", "a~b", "\xc3\xa4", "a\n" };
        char longest[66];

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                assert_true(name_is_valid(good[i]));
                assert_true(version_is_valid(good[i]));
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(name_is_valid(bad[i]));
        memset(longest, 'a', sizeof(longest));
        longest[65] = '\0';
        assert_false(name_is_valid(longest));
        assert_false(version_is_valid(longest));
        longest[64] = '\0';
        assert_true(name_is_valid(longest));
        assert_true(version_is_valid(longest));
        assert_true(version_is_valid("1.4.2+git~rc1"));
        assert_false(version_is_valid("+1"));
        assert_false(version_is_valid("1/2"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_u64),
                cmocka_unit_test(test_duration),
                cmocka_unit_test(test_size),
                cmocka_unit_test(test_boolean),
                cmocka_unit_test(test_time),
                cmocka_unit_test(test_format_time),
                cmocka_unit_test(test_format_duration),
                cmocka_unit_test(test_durations_round_trip),
                cmocka_unit_test(test_format_size),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
