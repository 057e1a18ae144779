#include "tests/unit/test.h"

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/life_metadata.h"

static uint64_t at(const char *text) {
        uint64_t usec;

        assert_int_equal(parse_time(text, &usec), 0);
        return usec;
}

static void test_spot(_unused_ void **state) {
        static const char *const bad[] = {
                "",
                "[]",
                "no JSON",
                "{}",
                "{\"action\": \"terminate\"}",
                "{\"action\": \"terminate\", \"time\": \"soon\"}",
                "{\"action\": \"\", \"time\": \"2026-11-21T09:00:00Z\"}",
                "{\"action\": \"a b\", \"time\": \"2026-11-21T09:00:00Z\"}",
                "{\"action\": \"stop\", \"action\": \"stop\", \"time\": \"2026-11-21T09:00:00Z\"}",
        };
        SpotAction spot = { .at = 7 };
        Error error = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(life_metadata_spot(bad[i], &spot, &error), -EBADMSG);
                assert_int_equal(spot.at, 7);
        }
        assert_int_equal(error.fault, FAULT_HOST);
        assert_int_equal(life_metadata_spot("{\"action\": \"hibernate\", \"time\": \"2026-11-21T09:00:00Z\"}",
                                            &spot, &error),
                         0);
        assert_string_equal(spot.action, "hibernate");
        assert_int_equal(spot.at, at("2026-11-21T09:00:00Z"));
}

static void test_rebalance(_unused_ void **state) {
        uint64_t usec = 0;
        Error error = {};

        assert_int_equal(life_metadata_rebalance("{\"noticeTime\": \"2026-11-21T09:00:00Z\"}", &usec, &error),
                         0);
        assert_int_equal(usec, at("2026-11-21T09:00:00Z"));
        assert_int_equal(life_metadata_rebalance("{\"noticeTime\": 1}", &usec, &error), -EBADMSG);
        assert_int_equal(life_metadata_rebalance("x", &usec, &error), -EBADMSG);
}

/* The User Guide's own example. */
#define EVENT(before, state)                                                                                 \
        "{\"NotBefore\": \"" before                                                                          \
        "\", \"Code\": \"system-reboot\", \"Description\": \"scheduled reboot\", "                           \
        "\"EventId\": \"instance-event-0d59937288b749b32\", \"NotAfter\": \"21 Jan 2019 09:17:23 GMT\", "    \
        "\"State\": \"" state "\"}"

static void test_maintenance(_unused_ void **state) {
        static const struct {
                const char *text, *not_before;
        } cases[] = {
                { "[]", NULL },
                { "[" EVENT("21 Jan 2019 09:00:43 GMT", "active") "]", "2019-01-21T09:00:43Z" },
                { "[" EVENT("2019-01-21T09:00:43Z", "active") "]", "2019-01-21T09:00:43Z" },
                { "[" EVENT("21 Jan 2019 09:00:43 GMT", "completed") "]", NULL },
                { "[" EVENT("21 Jan 2019 09:00:43 GMT", "canceled") "]", NULL },
                { "[" EVENT("23 Jan 2019 09:00:43 GMT", "active") "," EVENT(
                          "22 Jan 2019 09:00:43 GMT", "active") "," EVENT("1 Jan 2019 09:00:43 GMT",
                                                                          "completed") "]",
                  "2019-01-22T09:00:43Z" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Maintenance next = { .code = "before" };
                Error error = {};

                assert_int_equal(life_metadata_maintenance(cases[i].text, &next, &error),
                                 cases[i].not_before ? 1 : 0);
                assert_string_equal(next.code, cases[i].not_before ? "system-reboot" : "");
                if (cases[i].not_before)
                        assert_int_equal(next.not_before, at(cases[i].not_before));
        }
}

static void test_bad_maintenance(_unused_ void **state) {
        static const char *const bad[] = {
                "",
                "{}",
                "[1]",
                "[{}]",
                "[{\"Code\": \"x\", \"NotBefore\": \"tomorrow\"}]",
                "[{\"Code\": \"x\", \"NotBefore\": \"21 Jan 2019 09:00:43 CET\"}]",
                "[{\"Code\": \"x\", \"NotBefore\": \"21 Jan 1901 09:00:43 GMT\"}]",
                "[{\"Code\": \"x y\", \"NotBefore\": \"21 Jan 2019 09:00:43 GMT\"}]",
        };
        Maintenance next = { .code = "before" };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(life_metadata_maintenance(bad[i], &next, NULL), -EBADMSG);
        assert_string_equal(next.code, "before");
}

static void test_words(_unused_ void **state) {
        char longest[LIFE_WORD_SIZE + 1] = {};

        assert_true(life_metadata_is_word("Warmed:Stopped"));
        assert_false(life_metadata_is_word(""));
        assert_false(life_metadata_is_word("<html> no"));
        for (size_t i = 0; i < LIFE_WORD_SIZE; i++)
                longest[i] = 'a';
        assert_false(life_metadata_is_word(longest));
        longest[LIFE_WORD_SIZE - 1] = '\0';
        assert_true(life_metadata_is_word(longest));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_spot),        cmocka_unit_test(test_rebalance),
                cmocka_unit_test(test_maintenance), cmocka_unit_test(test_bad_maintenance),
                cmocka_unit_test(test_words),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
