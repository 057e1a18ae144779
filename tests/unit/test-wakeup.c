#include "agent/base/clock.h"
#include "agent/wakeup.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/depot-promises.h"
#include "tests/unit/test.h"

#define INTERVAL (30 * USEC_PER_SEC)

/* Seldom only where somebody is known to send messages, and to go on doing so. */
static void test_poll_interval(_unused_ void **state) {
        static const struct {
                WakeupTrust trust;
                unsigned times;
        } cases[] = {
                { { .reliable = false },
                  1 }, /* none, or it does not answer, or each message is another one's */
                { { .reliable = true }, WAKEUP_POLL_FACTOR },
                { { .reliable = true, .own = true, .subscribed = true }, WAKEUP_POLL_FACTOR },
                { { .reliable = true, .own = true }, 1 }, /* its topic, or its subscription, is gone */
                { { .own = true, .subscribed = true }, 1 },
                { { .own = true }, 1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(wakeup_poll_interval(INTERVAL, &cases[i].trust), cases[i].times * INTERVAL);
}

static void refuse(_unused_ const TestRequest *request, TestReply *reply, _unused_ void *userdata) {
        test_reply(reply, 403, "", "{\"__type\":\"x#AccessDenied\"}");
}

static void on_changed(_unused_ void *userdata) {
}

static void on_left(int result, _unused_ const Error *error, void *userdata) {
        bool *left = userdata;

        assert_int_equal(result, 0);
        *left = true;
}

static void assert_status(const Wakeup *wakeup, const char *state, const char *reason) {
        json_t *status;

        assert_int_equal(wakeup_status(wakeup, &status), 0);
        assert_string_equal(json_string_value(json_object_get(status, "queue")), "prod");
        assert_true(json_is_true(json_object_get(status, "shared")));
        assert_string_equal(json_string_value(json_object_get(status, "state")), state);
        assert_string_equal(json_string_value(json_object_get(status, "reason")), reason);
        json_decref(status);
}

/* Nobody waits for a queue that the instance has left. */
static void test_left(_unused_ void **state) {
        static char name[] = "prod", instance[] = "i-1";
        const AwsOptions options = { .region = "eu-west-1", .attempts_max = 1 };
        const Config config = { .queue = name, .queue_shared = true, .poll_interval = INTERVAL };
        const Identity identity = { .instance = instance, .group = name, .report_id = instance };
        WakeupContext context = { .clock = &clock_system, .config = &config, .identity = &identity };
        TestClient client = {};
        TestFolder *folder;
        Wakeup *wakeup;
        bool left = false;

        test_client_init(&client, &options, refuse, NULL);
        assert_int_equal(test_depot_folder_setup(&folder), 0);
        context.event = client.event;
        context.aws = client.aws;
        context.state_fd = folder->fd;
        context.depot = test_depot_open(folder, client.event);
        assert_int_equal(wakeup_new(&context, on_changed, NULL, &wakeup, NULL), 0);
        assert_status(wakeup, "connecting", "");
        wakeup_leave(wakeup, on_left, &left);
        assert_false(left);
        test_wait(client.event, &left);
        assert_status(wakeup, "left", "the instance leaves");
        wakeup_free(wakeup);
        depot_free(context.depot);
        test_folder_teardown((void **) &folder);
        test_client_deinit(&client);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_poll_interval),
                cmocka_unit_test(test_left),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
