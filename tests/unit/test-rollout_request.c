#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/clock.h"
#include "agent/cli/rollout_request.h"

#define NOW (UINT64_C(1767225600) * USEC_PER_SEC) /* 2026-01-01T00:00:00Z */

static void make(const RolloutRequest *request, const char *expected) {
        _cleanup_free_ char *text = NULL;
        json_auto_t *rollout = NULL;
        Error error = {};

        if (rollout_request_to_json(request, "r-1", NOW, &rollout, &error) < 0)
                fail_msg("%s", error.message);
        text = json_dumps(rollout, JSON_COMPACT | JSON_SORT_KEYS);
        assert_string_equal(text, expected);
}

static void refuse(const RolloutRequest *request, const char *message) {
        json_t *rollout = NULL;
        Error error = {};

        assert_int_equal(rollout_request_to_json(request, "r-1", NOW, &rollout, &error), -EDESTADDRREQ);
        assert_null(rollout);
        if (!strstr(error.message, message))
                fail_msg("%s, expected %s", error.message, message);
}

static void test_default(_unused_ void **state) {
        const RolloutRequest request = { .stages = ROLLOUT_STAGES_DEFAULT, .promote = "auto" };

        make(&request,
             "{\"id\":\"r-1\",\"max_failures\":0,\"not_before\":\"2026-01-01T00:00:00Z\",\"promote\":\"auto\","
             "\"stages\":[{\"bake\":\"10m\",\"count\":1},{\"bake\":\"10m\",\"percent\":25},{\"percent\":100}]}");
}

static void test_everything(_unused_ void **state) {
        const RolloutRequest request = {
                .stages = "2, 50%:1h30m,100%:5s",
                .not_before = "2026-01-01T12:00:00+02:00",
                .promote = "manual",
                .canaries = (char *[]){ "i-1", "i-2", NULL },
                .alarms = (char *[]){ "api-5xx", "api is slow", NULL },
                .max_failures = { true, 3 },
                .min_healthy_time = { true, 30 * USEC_PER_SEC },
                .progress_deadline = { true, 600 * USEC_PER_SEC },
        };

        make(&request,
             "{\"alarms\":[\"api-5xx\",\"api is slow\"],\"canaries\":[\"i-1\",\"i-2\"],\"id\":\"r-1\",\"max_failures\":3,\"min_healthy_time\":\"30s\","
             "\"not_before\":\"2026-01-01T10:00:00Z\",\"progress_deadline\":\"10m\",\"promote\":\"manual\",\"stages\":["
             "{\"count\":2},{\"bake\":\"1h30m\",\"percent\":50},{\"bake\":\"5s\",\"percent\":100}]}");
}

static void test_stages_refused(_unused_ void **state) {
        static const struct {
                const char *stages, *message;
        } cases[] = {
                { "", "expected the last stage to be 100%" },
                { ",", "expected the last stage to be 100%" },
                { "1", "expected the last stage to be 100%" },
                { "1,50%", "expected the last stage to be 100%" },
                { "one,100%", "stage 1 is \"one\", expected a number of instances or a share" },
                { "1:soon,100%", "stage 1 is \"1:soon\", expected" },
                { "1:,100%", "stage 1 is \"1:\", expected" },
                { ":10m,100%", "stage 1 is \":10m\", expected" },
                { "-1,100%", "stage 1 is \"-1\", expected" },
                { "%,100%", "stage 1 is \"%\", expected" },
                { "12.5%,100%", "stage 1 is \"12.5%\", expected" },
                { "1,150%", "stage 2 is 150%, expected at most 100%" },
                { "1,0%,100%", "stage 2 is nothing, expected 1 or more" },
                { "0,100%", "stage 1 is nothing" },
                { "1000001,100%", "stage 1 is 1000001 instances, expected at most 1000000" },
                { "25%,10%,100%", "stage 2 (10%) is not more than a stage before it" },
                { "5,5,100%", "stage 2 (5) is not more than a stage before it" },
                { "100%,200,100%", "stage 2 (200) is not more" },
                { "1:31d,100%", "stage 1 bakes for 31d, expected at most 30d" },
                { "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,100%",
                  "expected at most 32 stages" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                refuse(&(RolloutRequest){ .stages = cases[i].stages }, cases[i].message);
}

static void test_rest_refused(_unused_ void **state) {
        refuse(&(RolloutRequest){ .stages = "100%", .promote = "yes" },
               "--promote is \"yes\", expected auto or manual");
        refuse(&(RolloutRequest){ .stages = "100%", .not_before = "2026-01-01T12:00:00" },
               "--not-before is \"2026-01-01T12:00:00\", without a time zone: expected 2026-11-21T20:00:00Z or");
        refuse(&(RolloutRequest){ .stages = "100%", .not_before = "tomorrow" },
               "--not-before is \"tomorrow\", expected a time such as 2026-11-21T20:00:00Z");
}

static void test_share(_unused_ void **state) {
        TargetShare share = {};
        Error error = {};

        assert_int_equal(rollout_request_share("max-parallel", "25%", &share, NULL), 0);
        assert_int_equal(share.percent, 25);
        assert_int_equal(rollout_request_share("max-parallel", "7", &share, NULL), 0);
        assert_int_equal(share.count, 7);
        assert_int_equal(share.percent, 0);
        assert_int_equal(rollout_request_share("max-parallel", "most", &share, &error), -EDESTADDRREQ);
        assert_string_equal(
                error.message,
                "--max-parallel is \"most\", expected a number of instances, or a share such as 25%");
        assert_int_equal(rollout_request_share("max-parallel", "101%", &share, &error), -EDESTADDRREQ);
        assert_string_equal(error.message, "--max-parallel is 101%, expected at most 100%");
        assert_int_equal(share.count, 7);
}

static void test_id(_unused_ void **state) {
        char id[ROLLOUT_REQUEST_ID_MAX];

        rollout_request_id(NOW, 3, id);
        assert_string_equal(id, "r-20260101-3");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_default),        cmocka_unit_test(test_everything),
                cmocka_unit_test(test_stages_refused), cmocka_unit_test(test_rest_refused),
                cmocka_unit_test(test_share),          cmocka_unit_test(test_id),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
