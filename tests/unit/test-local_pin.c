#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/cleanup.h"
#include "agent/deployment_json.h"
#include "agent/local_pin.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TIME (UINT64_C(1767225600) * 1000000) /* 2026-01-01T00:00:00Z */

static void test_round_trip(_unused_ void **state) {
        const ReleaseRef release = { (char[]){ "1.4.1" }, SHA };
        LocalPin pin, back = {};
        json_auto_t *json = NULL;

        assert_int_equal(local_pin_make(&release, "heap dump, see \xc3\xa4", TIME, &pin), 0);
        json = local_pin_to_json(&pin);
        assert_int_equal(local_pin_from_json(json, &back), 0);
        assert_true(release_ref_equal(&back.release, &release));
        assert_string_equal(back.reason, "heap dump, see \xc3\xa4");
        assert_true(back.since == TIME);
        local_pin_deinit(&pin);
        local_pin_deinit(&back);
        assert_null(pin.release.version);
}

static void test_none(_unused_ void **state) {
        const LocalPin none = {};
        json_auto_t *json = local_pin_to_json(&none);
        LocalPin back = {};

        assert_true(json_is_null(json));
        assert_int_equal(local_pin_from_json(json, &back), 0);
        assert_int_equal(local_pin_from_json(NULL, &back), 0);
        assert_null(back.release.version);
}

static void test_malformed(_unused_ void **state) {
        static const char *const texts[] = {
                "1",
                "{}",
                "{\"release\":null,\"reason\":\"x\",\"since\":null}",
                "{\"release\":{\"version\":\"../1\",\"sha256\":\"" SHA "\"},\"reason\":\"x\",\"since\":null}",
                "{\"release\":{\"version\":\"1\",\"sha256\":\"abc\"},\"reason\":\"x\",\"since\":null}",
                "{\"release\":{\"version\":\"1\",\"sha256\":\"" SHA "\"},\"reason\":1,\"since\":null}",
                "{\"release\":{\"version\":\"1\",\"sha256\":\"" SHA
                "\"},\"reason\":\"x\",\"since\":\"soon\"}",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                json_auto_t *json = json_loads(texts[i], JSON_DECODE_ANY, NULL);
                LocalPin pin = {};

                assert_non_null(json);
                assert_int_equal(local_pin_from_json(json, &pin), -EINVAL);
                assert_null(pin.release.version);
                assert_null(pin.reason);
        }
}

static void test_reason(_unused_ void **state) {
        static const char *const bad[] = { "", "two\nlines", "tab\t", "\x7f", "\xff", "\x1b[2J" };
        char text[LOCAL_PIN_REASON_MAX + 2];
        Error error = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(local_pin_check_reason(bad[i], &error), -EINVAL);
        assert_non_null(strstr(error.message, "one line of text"));
        memset(text, 'x', sizeof(text));
        text[LOCAL_PIN_REASON_MAX + 1] = '\0';
        assert_int_equal(local_pin_check_reason(text, NULL), -EINVAL);
        text[LOCAL_PIN_REASON_MAX] = '\0';
        assert_int_equal(local_pin_check_reason(text, NULL), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_none),
                cmocka_unit_test(test_malformed),
                cmocka_unit_test(test_reason),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
