#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "agent/net/http_date.h"
#include "tests/unit/test.h"

static void test_good(_unused_ void **state) {
        static const struct {
                const char *text;
                uint64_t seconds;
        } cases[] = {
                { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 }, /* RFC 9110's own */
                { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
                { "Thu, 29 Feb 2024 23:59:59 GMT", 1709251199 },
                { "Sat, 31 Dec 2016 23:59:60 GMT", 1483228800 }, /* a leap second */
                { "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t usec = 1;

                assert_int_equal(http_date_parse(cases[i].text, &usec), 0);
                assert_true(usec == cases[i].seconds * USEC_PER_SEC);
        }
}

static void test_bad(_unused_ void **state) {
        static const char *const bad[] = {
                "",
                "now",
                "Sun, 06 Nov 1994 08:49:37",
                "Sun, 06 Nov 1994 08:49:37 UTC",
                "Sun, 06 Nov 1994 08:49:37 GMT ",
                "Xun, 06 Nov 1994 08:49:37 GMT",
                "Sun, 06 Xov 1994 08:49:37 GMT",
                "Sun, 00 Nov 1994 08:49:37 GMT",
                "Sun, 31 Nov 1994 08:49:37 GMT",
                "Wed, 29 Feb 2023 08:49:37 GMT",
                "Sun, 06 Nov 1994 24:49:37 GMT",
                "Sun, 06 Nov 1994 08:60:37 GMT",
                "Sun, 06 Nov 1994 08:49:61 GMT",
                "Sun, 06 Nov 1969 08:49:37 GMT",
                "Sun,  6 Nov 1994 08:49:37 GMT",
                "Sun, -6 Nov 1994 08:49:37 GMT",
                "Sun  06 Nov 1994 08:49:37 GMT",
                "Sunday, 06-Nov-94 08:49:37 GMT",
                "Sun Nov  6 08:49:37 1994",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                uint64_t usec = 1;

                assert_int_equal(http_date_parse(bad[i], &usec), -EINVAL);
                assert_true(usec == 1);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),
                cmocka_unit_test(test_bad),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
