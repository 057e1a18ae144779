#include <string.h>

#include "agent/alarms.h"
#include "agent/base/utf8.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/test.h"

static void test_judge(_unused_ void **state) {
        static const struct {
                const char *states[2]; /* of "a" and "b"; NULL: there is none */
                RegisterAlarms expected;
                const char *reason;
        } cases[] = {
                { { "OK", "OK" }, REGISTER_ALARMS_QUIET, "" },
                { { "OK", "ALARM" }, REGISTER_ALARMS_RING, "alarm b is in ALARM: why" },
                { { "INSUFFICIENT_DATA", "OK" },
                  REGISTER_ALARMS_UNKNOWN,
                  "alarm a is in INSUFFICIENT_DATA: why" },
                { { "INSUFFICIENT_DATA", "ALARM" }, REGISTER_ALARMS_RING, "alarm b is in ALARM: why" },
                { { "ALARM", "INSUFFICIENT_DATA" }, REGISTER_ALARMS_RING, "alarm a is in ALARM: why" },
                { { "OK", NULL }, REGISTER_ALARMS_UNKNOWN, "there is no alarm b" },
                { { NULL, "INSUFFICIENT_DATA" }, REGISTER_ALARMS_UNKNOWN, "there is no alarm a" },
                { { "OK", "ok" }, REGISTER_ALARMS_UNKNOWN, "alarm b is in ok: why" },
        };
        char *names[] = { (char *) "a", (char *) "b", NULL };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                CloudWatchAlarm alarms[2];
                AlarmsSight sight;
                size_t n = 0;

                for (size_t k = 2; k-- > 0;) /* in any order */
                        if (cases[i].states[k])
                                alarms[n++] = (CloudWatchAlarm){ names[k], cases[i].states[k], "why" };
                alarms_judge(names, alarms, n, &sight);
                assert_int_equal(sight.state, cases[i].expected);
                assert_string_equal(sight.reason, cases[i].reason);
        }
}

/* What comes from CloudWatch becomes one line of the register, whatever it is. */
static void test_reason_is_a_line(_unused_ void **state) {
        char *names[] = { (char *) "a", NULL };
        CloudWatchAlarm alarm = { "a", "ALARM", "two\nlines\t\x1b[31m and \xc3\xbc" };
        char longer[2 * ALARMS_REASON_MAX];
        AlarmsSight sight;

        alarms_judge(names, &alarm, 1, &sight);
        assert_string_equal(sight.reason, "alarm a is in ALARM: two lines ?[31m and \xc3\xbc");
        for (size_t i = 0; i < sizeof(longer); i += 2)
                memcpy(longer + i, "\xc3\xbc", 2);
        longer[sizeof(longer) - 1] = '\0';
        for (unsigned shift = 0; shift < 2; shift++) {
                alarm.reason = longer + 2 * (size_t) shift;
                alarm.state = shift ? "ALARM" : "ALARMS";
                alarms_judge(names, &alarm, 1, &sight);
                assert_true(strlen(sight.reason) < ALARMS_REASON_MAX);
                assert_true(utf8_is_valid(sight.reason));
        }
}

typedef struct Answer {
        bool done;
        AlarmsSight sight;
} Answer;

static void on_alarms(_unused_ AlarmsLook *look, const AlarmsSight *sight, void *userdata) {
        Answer *answer = userdata;

        assert_false(answer->done);
        *answer = (Answer){ true, *sight };
}

static void test_nobody_to_ask(_unused_ void **state) {
        _cleanup_(alarms_look_freep) AlarmsLook *look = NULL;
        char *names[] = { (char *) "a", NULL };
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        Answer answer = {};

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(alarms_look_start(event, NULL, names, on_alarms, &answer, &look, NULL), 0);
        assert_false(answer.done);
        test_wait(event, &answer.done);
        assert_int_equal(answer.sight.state, REGISTER_ALARMS_UNKNOWN);
        assert_string_equal(answer.sight.reason, "nobody knows of its alarms: the depot is not on AWS");
}

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        const int *status = userdata;

        assert_string_equal(request->method, "POST");
        test_reply(
                reply, *status, "",
                *status == 200
                        ? "{\"MetricAlarms\":[{\"AlarmName\":\"a\",\"StateValue\":\"ALARM\",\"StateReason\":\"5 > 4\"}]}"
                        : "{\"__type\":\"AccessDenied\",\"message\":\"no\"}");
}

static void test_look(_unused_ void **state) {
        static const struct {
                int status;
                RegisterAlarms expected;
                const char *reason;
        } cases[] = {
                { 200, REGISTER_ALARMS_RING, "alarm a is in ALARM: 5 > 4" },
                { 403, REGISTER_ALARMS_UNKNOWN, "nobody knows of its alarms: CloudWatch" },
        };
        const AwsOptions options = { .region = "us-east-1", .attempts_max = 1 };
        char *names[] = { (char *) "a", NULL };
        TestClient client;
        int status = 0;

        test_client_init(&client, &options, handle, &status);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                AlarmsLook *look = NULL;
                Answer answer = {};

                status = cases[i].status;
                assert_int_equal(
                        alarms_look_start(client.event, client.aws, names, on_alarms, &answer, &look, NULL),
                        0);
                test_wait(client.event, &answer.done);
                assert_int_equal(answer.sight.state, cases[i].expected);
                assert_ptr_equal(strstr(answer.sight.reason, cases[i].reason), answer.sight.reason);
                alarms_look_free(look);
        }
        test_client_deinit(&client);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_judge),
                cmocka_unit_test(test_reason_is_a_line),
                cmocka_unit_test(test_nobody_to_ask),
                cmocka_unit_test(test_look),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
