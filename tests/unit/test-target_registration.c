#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/target_registration.h"

#define ARN(name) "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/" name "/0123"

static void test_set(_unused_ void **state) {
        TargetRegistrations registrations = {}, more = {};
        _cleanup_free_ char *text = NULL, *none = NULL;

        assert_int_equal(target_registrations_to_text(&registrations, &none), 0);
        assert_string_equal(none, "");
        assert_int_equal(target_registrations_add(&registrations, ARN("b"), 8080), 0);
        assert_int_equal(target_registrations_add(&registrations, ARN("a"), 9090), 0);
        assert_int_equal(target_registrations_add(&registrations, ARN("b"), 80), 0);
        assert_int_equal(target_registrations_add(&registrations, ARN("b"), 8080), 0);
        assert_int_equal(registrations.n, 3);
        assert_int_equal(target_registrations_run(&registrations, 0), 1);
        assert_int_equal(target_registrations_run(&registrations, 1), 2);
        assert_int_equal(target_registrations_run(&registrations, 3), 0);
        assert_int_equal(target_registrations_add(&more, ARN("c"), 1), 0);
        assert_int_equal(target_registrations_add(&more, ARN("a"), 9090), 0);
        assert_int_equal(target_registrations_merge(&registrations, &more), 0);
        assert_int_equal(target_registrations_to_text(&registrations, &text), 0);
        assert_string_equal(text, "a:9090, b:80, b:8080, c:1");
        target_registrations_deinit(&registrations);
        target_registrations_deinit(&more);
}

static void test_limit(_unused_ void **state) {
        TargetRegistrations registrations = {};

        for (uint16_t i = 0; i < TARGET_REGISTRATIONS_MAX; i++)
                assert_int_equal(target_registrations_add(&registrations, ARN("a"), i), 0);
        assert_int_equal(target_registrations_add(&registrations, ARN("a"), 5000), -E2BIG);
        assert_int_equal(target_registrations_add(&registrations, ARN("a"), 7), 0);
        target_registrations_deinit(&registrations);
}

/* Of a record that somebody has written in: no list of ours is as long. */
static void test_too_many(_unused_ void **state) {
        json_auto_t *json = json_array();
        TargetRegistrations back = {};

        for (int i = 0; i <= (int) TARGET_REGISTRATIONS_MAX; i++)
                assert_int_equal(json_array_append_new(
                                         json, json_pack("{s:s, s:i}", "target_group", ARN("a"), "port", i)),
                                 0);
        assert_int_equal(target_registrations_from_json(json, &back), -EINVAL);
        assert_int_equal(back.n, 0);
        assert_int_equal(json_array_remove(json, 0), 0);
        assert_int_equal(target_registrations_from_json(json, &back), 0);
        assert_int_equal(back.n, TARGET_REGISTRATIONS_MAX);
        target_registrations_deinit(&back);
}

static void test_round_trip(_unused_ void **state) {
        TargetRegistrations registrations = {}, back = {};
        json_auto_t *json = NULL, *null = json_null();

        assert_int_equal(target_registrations_add(&registrations, ARN("b"), 8080), 0);
        assert_int_equal(target_registrations_add(&registrations, ARN("a"), 0), 0);
        assert_int_equal(target_registrations_to_json(&registrations, &json), 0);
        assert_int_equal(target_registrations_from_json(json, &back), 0);
        assert_int_equal(back.n, 2);
        assert_string_equal(back.items[1].arn, ARN("b"));
        assert_int_equal(back.items[1].port, 8080);
        target_registrations_deinit(&registrations);
        target_registrations_deinit(&back);
        assert_int_equal(target_registrations_from_json(NULL, &back), 0);
        assert_int_equal(target_registrations_from_json(null, &back), 0);
        assert_int_equal(back.n, 0);
}

static void test_what_is_none(_unused_ void **state) {
        static const char *const bad[] = {
                "{}",
                "[1]",
                "[{\"target_group\": \"" ARN("a") "\"}]",
                "[{\"target_group\": \"a\", \"port\": 1}]",
                "[{\"target_group\": \"" ARN("a") "\", \"port\": -1}]",
                "[{\"target_group\": \"" ARN("a") "\", \"port\": 65536}]",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                json_auto_t *json = json_loads(bad[i], 0, NULL);
                TargetRegistrations back = {};

                assert_non_null(json);
                assert_int_equal(target_registrations_from_json(json, &back), -EINVAL);
                assert_int_equal(back.n, 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_set),          cmocka_unit_test(test_limit),
                cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_too_many),
                cmocka_unit_test(test_what_is_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
