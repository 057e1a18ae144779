#include <string.h>

#include "agent/base/strv.h"
#include "agent/life_watch.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/test.h"

#define INTERVAL (20 * USEC_PER_MSEC)

/* The instance metadata and Auto Scaling in one server, and a clock of the test's own that does not go by itself. */
typedef struct Setup {
        TestClient client;
        LifeWatch *watch;
        LifeWatchContext context;
        uint64_t now;
        Clock clock;
        const char *target, *market, *spot, *rebalance, *maintenance; /* NULL: 404 */
        const char *in_group; /* NULL: in none; "": Auto Scaling refuses */
        bool down;            /* the metadata answer with an error */
        unsigned tokens, described, looks, spot_looks, rebalance_looks, maintenance_looks;
        unsigned changes;
        bool changed;
} Setup;

static uint64_t read_clock(void *userdata) {
        return ((Setup *) userdata)->now;
}

static void reply_item(TestReply *reply, const char *value) {
        test_reply(reply, value ? 200 : 404, "", value ? value : "");
}

static void reply_group(const Setup *setup, TestReply *reply) {
        char text[1024];

        if (string_equal(setup->in_group, "")) {
                test_reply(
                        reply, 403, "",
                        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>");
                return;
        }
        snprintf(
                text, sizeof(text),
                "<DescribeAutoScalingInstancesResponse><DescribeAutoScalingInstancesResult><AutoScalingInstances>"
                "%s%s%s</AutoScalingInstances></DescribeAutoScalingInstancesResult></DescribeAutoScalingInstancesResponse>",
                setup->in_group
                        ? "<member><InstanceId>i-1</InstanceId><AutoScalingGroupName>g</AutoScalingGroupName>"
                          "<LifecycleState>"
                        : "",
                setup->in_group ? setup->in_group : "", setup->in_group ? "</LifecycleState></member>" : "");
        test_reply(reply, 200, "", text);
}

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        Setup *setup = userdata;
        const char *item = request->target;

        if (strcmp(request->method, "POST") == 0) {
                setup->described++;
                reply_group(setup, reply);
        } else if (setup->down) {
                test_reply(reply, 400, "", "");
        } else if (strcmp(request->method, "PUT") == 0) {
                setup->tokens++;
                test_reply(reply, 200, "", "token");
        } else if (string_ends_with(item, "target-lifecycle-state")) {
                setup->looks++;
                reply_item(reply, setup->target);
        } else if (string_ends_with(item, "instance-life-cycle")) {
                reply_item(reply, setup->market);
        } else if (string_ends_with(item, "spot/instance-action")) {
                setup->spot_looks++;
                reply_item(reply, setup->spot);
        } else if (string_ends_with(item, "rebalance")) {
                setup->rebalance_looks++;
                reply_item(reply, setup->rebalance);
        } else if (string_ends_with(item, "maintenance/scheduled")) {
                setup->maintenance_looks++;
                reply_item(reply, setup->maintenance);
        } else {
                test_reply(reply, 404, "", "");
        }
}

static void on_changed(void *userdata) {
        Setup *setup = userdata;

        setup->changes++;
        setup->changed = true;
}

static int set_up(void **state) {
        Setup *setup = calloc(1, sizeof(*setup));
        AwsOptions options = { .region = "eu-central-1", .clock = &setup->clock, .attempts_max = 1 };

        assert_non_null(setup);
        *setup = (Setup){ .now = 1000 * USEC_PER_SEC, .market = "on-demand" };
        setup->clock = (Clock){ read_clock, read_clock, setup };
        test_client_init(&setup->client, &options, handle, setup);
        setup->context = (LifeWatchContext){
                .event = setup->client.event,
                .clock = &setup->clock,
                .aws = setup->client.aws,
                .instance = "i-1",
                .interval = INTERVAL,
                .drain_on_rebalance = true,
                .drain_for_maintenance = true,
                .maintenance_ahead = 300 * USEC_PER_SEC,
        };
        *state = setup;
        return 0;
}

static int tear_down(void **state) {
        Setup *setup = *state;

        life_watch_free(setup->watch);
        test_client_deinit(&setup->client);
        free(setup);
        return 0;
}

static void begin(Setup *setup) {
        assert_int_equal(life_watch_new(&setup->context, on_changed, setup, &setup->watch, NULL), 0);
        assert_int_equal(life_watch_view(setup->watch)->life, LIFE_UNKNOWN);
}

/* Until the view is of that life. */
static void wait_life(Setup *setup, InstanceLife life) {
        while (life_watch_view(setup->watch)->life != life) {
                setup->changed = false;
                test_wait(setup->client.event, &setup->changed);
        }
}

/* Lets N more looks pass. */
static void wait_looks(const Setup *setup, unsigned n) {
        unsigned before = setup->looks;

        while (setup->looks < before + n)
                assert_true(sd_event_run(setup->client.event, 10 * USEC_PER_SEC) >= 0);
}

static void test_alone(void **state) {
        Setup *setup = *state;

        begin(setup);
        wait_life(setup, LIFE_ALONE);
        wait_looks(setup, 3);
        assert_int_equal(setup->described, 0);
        assert_int_equal(setup->spot_looks + setup->rebalance_looks, 0);
        assert_int_equal(setup->maintenance_looks, 1); /* the clock stands still */
        assert_int_equal(setup->changes, 1);
}

/* Asked of Auto Scaling until it has come to rest, and not again before it moves. */
static void test_follows_the_group(void **state) {
        Setup *setup = *state;
        unsigned described;

        setup->target = "InService";
        setup->in_group = "Pending:Wait";
        begin(setup);
        wait_life(setup, LIFE_LAUNCHING);
        assert_string_equal(life_watch_view(setup->watch)->reason, "");
        setup->in_group = "InService";
        setup->now += 60 * USEC_PER_SEC;
        wait_life(setup, LIFE_IN_SERVICE);
        assert_string_equal(life_watch_group(setup->watch), "g");
        described = setup->described;
        setup->now += 600 * USEC_PER_SEC;
        wait_looks(setup, 3);
        assert_true(setup->described <= described + 1); /* for the time that it slept, as it seems to it */
        setup->target = "Terminated";
        setup->in_group = "Terminating:Wait";
        wait_life(setup, LIFE_LEAVING);
        assert_int_equal(life_watch_view(setup->watch)->cause, LEAVE_TERMINATION);
}

static void test_auto_scaling_is_out_of_reach(void **state) {
        Setup *setup = *state;

        setup->target = "InService";
        setup->in_group = "";
        begin(setup);
        wait_life(setup, LIFE_IN_SERVICE);
        setup->target = "Warmed:Stopped";
        wait_life(setup, LIFE_WARMING);
        setup->target = "Standby";
        wait_life(setup, LIFE_ENTERING_STANDBY);
}

static void test_spot(void **state) {
        Setup *setup = *state;

        setup->market = "spot";
        setup->rebalance = "{\"noticeTime\": \"2026-11-21T09:00:00Z\"}";
        begin(setup);
        wait_life(setup, LIFE_LEAVING);
        assert_int_equal(life_watch_view(setup->watch)->cause, LEAVE_REBALANCE);
        setup->rebalance = NULL;
        wait_life(setup, LIFE_ALONE);
        setup->spot = "{\"action\": \"terminate\", \"time\": \"2026-11-21T09:00:00Z\"}";
        wait_life(setup, LIFE_LEAVING);
        assert_int_equal(life_watch_view(setup->watch)->cause, LEAVE_SPOT);
        assert_true(setup->spot_looks > 0 && setup->rebalance_looks > 0);
}

/* Time alone brings it nearer; a malformed list is a fault, and no event. */
static void test_maintenance(void **state) {
        Setup *setup = *state;

        setup->maintenance = "[{\"Code\": \"system-reboot\", \"NotBefore\": \"1970-01-01T00:30:00Z\"}]";
        begin(setup);
        wait_life(setup, LIFE_ALONE);
        setup->now = 1500 * USEC_PER_SEC;
        wait_life(setup, LIFE_LEAVING);
        assert_int_equal(life_watch_view(setup->watch)->cause, LEAVE_MAINTENANCE);
        assert_int_equal(life_watch_view(setup->watch)->deadline, 1800 * USEC_PER_SEC);
        setup->maintenance = "[]";
        setup->now += LIFE_WATCH_MAINTENANCE;
        wait_life(setup, LIFE_ALONE);
}

/* An error page, or nothing at all, in place of what was there before: it leaves all the same. */
static void test_metadata_talk_nonsense(void **state) {
        Setup *setup = *state;
        json_auto_t *status = NULL;

        setup->market = "spot";
        setup->spot = "{\"action\": \"terminate\", \"time\": \"2026-11-21T09:00:00Z\"}";
        setup->rebalance = "{\"noticeTime\": \"2026-11-21T09:00:00Z\"}";
        setup->maintenance = "[{\"Code\": \"system-reboot\", \"NotBefore\": \"1970-01-01T00:30:00Z\"}]";
        setup->target = "Warmed:Stopped";
        setup->in_group = "";
        begin(setup);
        wait_life(setup, LIFE_LEAVING);
        wait_looks(setup, 2);
        setup->spot = setup->rebalance = setup->maintenance = "<html>Sorry, no</html>";
        setup->target = NULL;
        setup->now += LIFE_WATCH_MAINTENANCE;
        wait_looks(setup, 3);
        assert_int_equal(life_watch_view(setup->watch)->cause, LEAVE_SPOT);
        assert_int_equal(life_watch_status(setup->watch, &status), 0);
        assert_non_null(strstr(json_string_value(json_object_get(status, "problem")), "expected"));
        setup->spot = NULL;
        wait_life(setup, LIFE_WARMING); /* as before the interruption, and not an instance of no group */
        setup->target = "<html>Sorry, no</html>";
        wait_looks(setup, 3);
        assert_int_equal(life_watch_view(setup->watch)->life, LIFE_WARMING);
}

/* In service and at rest, and the metadata would be the ones to say that it is terminated. */
static void test_group_is_asked_instead(void **state) {
        Setup *setup = *state;

        setup->target = "InService";
        setup->in_group = "InService";
        begin(setup);
        wait_life(setup, LIFE_IN_SERVICE);
        setup->down = true;
        setup->in_group = "Terminating:Wait";
        while (life_watch_view(setup->watch)->life == LIFE_IN_SERVICE) {
                setup->now += USEC_PER_SEC; /* not as if it had slept */
                assert_true(sd_event_run(setup->client.event, 10 * USEC_PER_SEC) >= 0);
        }
        assert_int_equal(life_watch_view(setup->watch)->cause, LEAVE_TERMINATION);
}

/* What was known stays, and is told with the problem, until they answer again. */
static void test_metadata_fail(void **state) {
        Setup *setup = *state;
        json_auto_t *status = NULL, *after = NULL;

        setup->target = "InService";
        setup->in_group = "InService";
        begin(setup);
        wait_life(setup, LIFE_IN_SERVICE);
        setup->down = true;
        for (unsigned i = 0; i < 200 && !status; i++) {
                json_t *now;

                assert_true(sd_event_run(setup->client.event, 10 * USEC_PER_SEC) >= 0);
                assert_int_equal(life_watch_status(setup->watch, &now), 0);
                if (*json_string_value(json_object_get(now, "problem")))
                        status = now;
                else
                        json_decref(now);
        }
        assert_string_equal(json_string_value(json_object_get(status, "state")), "in-service");
        setup->down = false;
        wait_looks(setup, 2);
        assert_int_equal(life_watch_status(setup->watch, &after), 0);
        assert_string_equal(json_string_value(json_object_get(after, "problem")), "");
}

/* Nobody says anything at all: a machine that is no EC2 instance. */
static void test_nobody_answers(void **state) {
        Setup *setup = *state;

        setup->down = true;
        setup->in_group = "";
        begin(setup);
        wait_life(setup, LIFE_ALONE);
}

/* But one that is known to be in a group begins nothing until somebody has said what it is. */
static void test_nobody_answers_in_a_group(void **state) {
        Setup *setup = *state;

        setup->down = true;
        setup->in_group = "Warmed:Pending:Wait";
        setup->context.in_group = true;
        begin(setup);
        wait_life(setup, LIFE_WARMING);
        assert_int_equal(setup->changes, 1);
}

/* What is older than that is looked at once, also where nobody answers. */
static void test_recent(void **state) {
        Setup *setup = *state;

        setup->target = "InService";
        setup->in_group = "InService";
        setup->context.interval = 3600 * USEC_PER_SEC;
        begin(setup);
        assert_false(life_watch_is_recent(setup->watch, USEC_PER_SEC));
        wait_life(setup, LIFE_IN_SERVICE);
        for (unsigned i = 0; i < 2; i++) {
                unsigned looks = setup->looks;

                assert_true(life_watch_is_recent(setup->watch, USEC_PER_SEC));
                setup->now += 2 * USEC_PER_SEC;
                setup->target = i == 0 ? "InService" : "Terminated";
                setup->down = i == 0;
                while (!life_watch_is_recent(setup->watch, USEC_PER_SEC))
                        assert_true(sd_event_run(setup->client.event, 10 * USEC_PER_SEC) >= 0);
                assert_int_equal(setup->looks, looks + i);
                assert_int_equal(life_watch_view(setup->watch)->life,
                                 i == 0 ? LIFE_IN_SERVICE : LIFE_LEAVING);
        }
}

/* The boot-time clock jumps while the machine is suspended. */
static void test_sleep(void **state) {
        Setup *setup = *state;
        unsigned tokens;

        setup->target = "Warmed:Hibernated";
        setup->in_group = "Warmed:Hibernated";
        begin(setup);
        wait_life(setup, LIFE_POOLED);
        tokens = setup->tokens;
        setup->target = "InService";
        setup->in_group = "Pending:Wait";
        setup->now += 3600 * USEC_PER_SEC; /* less than the token lives */
        wait_life(setup, LIFE_LAUNCHING);
        wait_looks(setup, 2); /* it may have slept in the middle of one */
        assert_int_equal(setup->tokens, tokens + 1);
        assert_false(life_watch_slept(100, 100 + LIFE_WATCH_SLEPT));
        assert_true(life_watch_slept(100, 101 + LIFE_WATCH_SLEPT));
        assert_false(life_watch_slept(100, 50));
}

/* Between the first answer of a look and the others. */
static void test_sleep_in_a_look(void **state) {
        Setup *setup = *state;

        setup->target = "InService";
        setup->in_group = "InService";
        begin(setup);
        wait_looks(setup, 1);
        assert_int_equal(setup->tokens, 1);
        setup->now += 3600 * USEC_PER_SEC;
        wait_looks(setup, 2);
        assert_int_equal(setup->tokens, 2);
}

/* A message is a reason to look, also in the middle of a look. */
static void test_message(void **state) {
        Setup *setup = *state;

        setup->context.interval = 3600 * USEC_PER_SEC;
        setup->target = "InService";
        setup->in_group = "InService";
        begin(setup);
        wait_life(setup, LIFE_IN_SERVICE);
        setup->target = "Terminated";
        life_watch_look(setup->watch);
        life_watch_look(setup->watch);
        wait_life(setup, LIFE_LEAVING);
}

/* Whoever sends them by the thousand has Auto Scaling asked once in a while. */
static void test_flood_of_messages(void **state) {
        Setup *setup = *state;
        unsigned described;

        setup->context.interval = 3600 * USEC_PER_SEC;
        setup->target = "InService";
        setup->in_group = "InService";
        begin(setup);
        wait_life(setup, LIFE_IN_SERVICE);
        described = setup->described;
        life_watch_look(setup->watch);
        while (setup->described == described)
                assert_true(sd_event_run(setup->client.event, 10 * USEC_PER_SEC) >= 0);
        for (unsigned i = 0; i < 50; i++) {
                life_watch_look(setup->watch);
                assert_true(sd_event_run(setup->client.event, 10 * USEC_PER_MSEC) >= 0);
        }
        assert_int_equal(setup->described, described + 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_metadata_talk_nonsense, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_group_is_asked_instead, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_flood_of_messages, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_alone, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_follows_the_group, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_auto_scaling_is_out_of_reach, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_spot, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_maintenance, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_metadata_fail, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_nobody_answers, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_nobody_answers_in_a_group, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_recent, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_sleep_in_a_look, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_sleep, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_message, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
