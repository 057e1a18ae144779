#include <string.h>

#include <jansson.h>

#include "agent/net/cloudwatch.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/test.h"

#define INPUT                                                                                                \
        "{\"AlarmNames\":[\"api-5xx\",\"api is slow\"],\"AlarmTypes\":[\"MetricAlarm\",\"CompositeAlarm\"]," \
        "\"MaxRecords\":100}"

typedef struct Setup {
        TestClient client;
        int status;
        const char *answer;
} Setup;

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        const Setup *setup = userdata;
        _cleanup_free_ char *target = test_request_header(request, "X-Amz-Target");

        assert_string_equal(target, "GraniteServiceVersion20100801.DescribeAlarms");
        assert_non_null(strstr(request->headers, "/us-east-1/monitoring/aws4_request"));
        assert_int_equal(request->body_size, strlen(INPUT));
        assert_memory_equal(request->body, INPUT, request->body_size);
        test_reply(reply, setup->status, "", setup->answer);
}

static int set_up(void **state) {
        const AwsOptions options = { .region = "us-east-1", .attempts_max = 1 };

        test_client_setup(state, sizeof(Setup), &options, handle);
        return 0;
}

DEFINE_TEST_DONE(on_done, CloudWatchRequest)

static CloudWatchRequest *ask(Setup *setup, int status, const char *answer, TestOutcome *outcome) {
        char *names[] = { (char *) "api-5xx", (char *) "api is slow", NULL };
        CloudWatchRequest *request = NULL;

        setup->status = status;
        setup->answer = answer;
        *outcome = (TestOutcome){};
        assert_int_equal(
                cloudwatch_alarms_start(setup->client.aws, names, NULL, on_done, outcome, &request, NULL), 0);
        test_wait(setup->client.event, &outcome->done);
        return request;
}

static void test_alarms(void **state) {
        _cleanup_(cloudwatch_request_freep) CloudWatchRequest *request = NULL;
        const CloudWatchAlarm *alarms;
        TestOutcome outcome;
        size_t n;

        request = ask(
                *state, 200,
                "{\"MetricAlarms\":[{\"AlarmName\":\"api-5xx\",\"StateValue\":\"OK\",\"StateReason\":\"none\","
                "\"StateUpdatedTimestamp\":1.7E9}],"
                "\"CompositeAlarms\":[{\"AlarmName\":\"api is slow\",\"StateValue\":\"ALARM\"}],\"NextToken\":null}",
                &outcome);
        assert_int_equal(outcome.result, 0);
        alarms = cloudwatch_request_alarms(request, &n);
        assert_int_equal(n, 2);
        assert_string_equal(alarms[0].name, "api-5xx");
        assert_string_equal(alarms[0].state, "OK");
        assert_string_equal(alarms[0].reason, "none");
        assert_string_equal(alarms[1].name, "api is slow");
        assert_string_equal(alarms[1].state, "ALARM");
        assert_string_equal(alarms[1].reason, "");
}

/* Alarms that there are not are left out. */
static void test_none(void **state) {
        static const char *const answers[] = { "{}", "{\"MetricAlarms\":[],\"CompositeAlarms\":null}", "" };

        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                _cleanup_(cloudwatch_request_freep) CloudWatchRequest *request = NULL;
                TestOutcome outcome;
                size_t n = 7;

                request = ask(*state, 200, answers[i], &outcome);
                assert_int_equal(outcome.result, 0);
                (void) cloudwatch_request_alarms(request, &n);
                assert_int_equal(n, 0);
        }
}

static void test_bad_answers(void **state) {
        static const struct {
                const char *answer, *message;
        } cases[] = {
                { "<html>", "CloudWatch DescribeAlarms: an answer that is no JSON object" },
                { "{\"MetricAlarms\":5}",
                  "CloudWatch DescribeAlarms: an answer with something else than a list of alarms" },
                { "{\"CompositeAlarms\":[{\"AlarmName\":\"a\"}]}",
                  "CloudWatch DescribeAlarms: an answer with an alarm without AlarmName or StateValue" },
                { "{\"MetricAlarms\":[7]}",
                  "CloudWatch DescribeAlarms: an answer with an alarm without AlarmName or StateValue" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(cloudwatch_request_freep) CloudWatchRequest *request = NULL;
                TestOutcome outcome;

                request = ask(*state, 200, cases[i].answer, &outcome);
                assert_int_equal(outcome.result, -EBADMSG);
                assert_string_equal(outcome.error.message, cases[i].message);
        }
}

static void test_too_many(void **state) {
        _cleanup_(cloudwatch_request_freep) CloudWatchRequest *request = NULL;
        json_auto_t *list = json_array(), *answer = json_object();
        _cleanup_free_ char *text = NULL;
        TestOutcome outcome;

        for (unsigned i = 0; i <= CLOUDWATCH_ALARMS_MAX; i++)
                json_array_append_new(list, json_pack("{s:s, s:s}", "AlarmName", "a", "StateValue", "OK"));
        json_object_set(answer, "MetricAlarms", list);
        text = json_dumps(answer, 0);
        request = ask(*state, 200, text, &outcome);
        assert_int_equal(outcome.result, -EBADMSG);
        assert_string_equal(outcome.error.message,
                            "CloudWatch DescribeAlarms: an answer with more alarms than were asked for");
}

static void test_refused(void **state) {
        _cleanup_(cloudwatch_request_freep) CloudWatchRequest *request = NULL;
        TestOutcome outcome;

        request = ask(
                *state, 400,
                "{\"__type\":\"com.amazon.coral.service#AccessDeniedException\",\"Message\":\"not authorized\"}",
                &outcome);
        assert_int_equal(outcome.result, -EACCES);
        assert_non_null(strstr(outcome.error.message, "CloudWatch"));
        assert_non_null(strstr(outcome.error.message, "DescribeAlarms"));
}

static void test_cancel(void **state) {
        char *names[] = { (char *) "a", NULL };
        Setup *setup = *state;
        CloudWatchRequest *request;
        TestOutcome outcome = {};

        assert_int_equal(
                cloudwatch_alarms_start(setup->client.aws, names, NULL, on_done, &outcome, &request, NULL),
                0);
        cloudwatch_request_free(request);
        assert_true(sd_event_run(setup->client.event, 10000) >= 0);
        assert_false(outcome.done);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, test_client_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_alarms),   TEST(test_none),    TEST(test_bad_answers),
                TEST(test_too_many), TEST(test_refused), TEST(test_cancel),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
