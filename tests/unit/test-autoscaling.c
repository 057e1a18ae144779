#include <string.h>

#include "agent/base/strv.h"
#include "agent/net/autoscaling.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/test.h"

typedef struct Setup {
        TestClient client;
        int status;
        const char *answer;
        char *form;
} Setup;

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        Setup *setup = userdata;
        _cleanup_free_ char *type = test_request_header(request, "Content-Type");

        assert_string_equal(request->method, "POST");
        assert_string_equal(request->target, "/");
        assert_string_equal(type, "application/x-www-form-urlencoded; charset=utf-8");
        assert_non_null(strstr(request->headers, "/eu-central-1/autoscaling/aws4_request"));
        free(setup->form);
        setup->form = strndup(request->body, request->body_size);
        test_reply(reply, setup->status, "Content-Type: text/xml\r\n", setup->answer);
}

static int set_up(void **state) {
        const AwsOptions options = { .region = "eu-central-1" };
        Setup *setup;

        test_client_setup(state, sizeof(Setup), &options, handle);
        setup = *state;
        setup->status = 200;
        return 0;
}

static int tear_down(void **state) {
        Setup *setup = *state;

        free(setup->form);
        return test_client_teardown(state);
}

DEFINE_TEST_DONE(on_done, AutoScalingRequest)

static const AutoScalingAction action = { .group = "my group", .hook = "launch", .instance_id = "i-1" };

static void test_complete(void **state) {
        Setup *setup = *state;
        _cleanup_(autoscaling_request_freep) AutoScalingRequest *request = NULL, *abandon = NULL;
        TestOutcome outcomes[2] = {};

        setup->answer =
                "<CompleteLifecycleActionResponse><CompleteLifecycleActionResult/></CompleteLifecycleActionResponse>";
        assert_int_equal(autoscaling_complete_start(setup->client.aws, &action, AUTOSCALING_CONTINUE, on_done,
                                                    &outcomes[0], &request, NULL),
                         0);
        test_wait(setup->client.event, &outcomes[0].done);
        assert_int_equal(outcomes[0].result, 0);
        assert_string_equal(
                setup->form,
                "Action=CompleteLifecycleAction&Version=2011-01-01&AutoScalingGroupName=my%20group"
                "&LifecycleHookName=launch&InstanceId=i-1&LifecycleActionResult=CONTINUE");
        assert_int_equal(autoscaling_complete_start(setup->client.aws, &action, AUTOSCALING_ABANDON, on_done,
                                                    &outcomes[1], &abandon, NULL),
                         0);
        test_wait(setup->client.event, &outcomes[1].done);
        assert_true(string_ends_with(setup->form, "LifecycleActionResult=ABANDON"));
}

static void heartbeat(Setup *setup, const AutoScalingAction *a, TestOutcome *outcome) {
        _cleanup_(autoscaling_request_freep) AutoScalingRequest *request = NULL;

        assert_int_equal(autoscaling_heartbeat_start(setup->client.aws, a, on_done, outcome, &request, NULL),
                         0);
        test_wait(setup->client.event, &outcome->done);
}

static void test_heartbeat(void **state) {
        AutoScalingAction with_token = { .group = "g",
                                         .hook = "h",
                                         .token = "bcd2f1b8-9a78-44d3-8a7a-4dd07d7cf635" };
        Setup *setup = *state;
        TestOutcome outcome = {};

        setup->answer = "<RecordLifecycleActionHeartbeatResponse/>";
        heartbeat(setup, &with_token, &outcome);
        assert_int_equal(outcome.result, 0);
        assert_string_equal(setup->form,
                            "Action=RecordLifecycleActionHeartbeat&Version=2011-01-01&AutoScalingGroupName=g"
                            "&LifecycleHookName=h&LifecycleActionToken=bcd2f1b8-9a78-44d3-8a7a-4dd07d7cf635");
}

#define REFUSAL(code, message)                                                                                            \
        "<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><Error><Type>Sender</Type><Code>" code \
        "</Code><Message>" message "</Message></Error><RequestId>R7</RequestId></ErrorResponse>"

static void test_refusals(void **state) {
        static const struct {
                const char *answer;
                int result;
                const char *message;
        } cases[] = {
                { REFUSAL("ValidationError", "No active Lifecycle Action found with instance ID i-1"),
                  AUTOSCALING_NO_ACTION, NULL },
                { REFUSAL("ValidationError", "No active Lifecycle Action found with token bcd2f1b8"),
                  AUTOSCALING_NO_ACTION, NULL },
                { REFUSAL("Strange", "No active Lifecycle Action found with token x"), -EREMOTEIO,
                  "Auto Scaling RecordLifecycleActionHeartbeat: Strange: No active Lifecycle Action found with token x "
                  "(status 400, request R7)" },
                { REFUSAL("ValidationError", "Group g not found"), -EREMOTEIO,
                  "Auto Scaling RecordLifecycleActionHeartbeat: ValidationError: Group g not found (status 400, request R7)" },
                { REFUSAL("AccessDenied", "User: x is not authorized"), -EACCES,
                  "Auto Scaling RecordLifecycleActionHeartbeat: AccessDenied: User: x is not authorized (status 400, request "
                  "R7)" },
        };
        Setup *setup = *state;

        setup->status = 400;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                TestOutcome outcome = {};

                setup->answer = cases[i].answer;
                heartbeat(setup, &action, &outcome);
                assert_int_equal(outcome.result, cases[i].result);
                if (cases[i].message)
                        assert_string_equal(outcome.error.message, cases[i].message);
        }
}

static AutoScalingRequest *describe(Setup *setup, char *const *ids, TestOutcome *outcome) {
        AutoScalingRequest *request = NULL;

        assert_int_equal(autoscaling_describe_instances_start(setup->client.aws, ids, on_done, outcome,
                                                              &request, NULL),
                         0);
        test_wait(setup->client.event, &outcome->done);
        return request;
}

static void test_instances(void **state) {
        char *ids[] = { (char *) "i-1", (char *) "i-2", NULL };
        Setup *setup = *state;
        _cleanup_(autoscaling_request_freep) AutoScalingRequest *request = NULL;
        const AutoScalingInstance *instances;
        TestOutcome outcome = {};
        size_t n;

        setup->answer =
                "<DescribeAutoScalingInstancesResponse><DescribeAutoScalingInstancesResult><AutoScalingInstances>"
                "<member><InstanceId>i-1</InstanceId><AutoScalingGroupName>g</AutoScalingGroupName>"
                "<AvailabilityZone>eu-central-1a</AvailabilityZone><LifecycleState>Pending:Wait</LifecycleState>"
                "<HealthStatus>HEALTHY</HealthStatus><ProtectedFromScaleIn>true</ProtectedFromScaleIn></member>"
                "<member><InstanceId>i-2</InstanceId><AutoScalingGroupName>g</AutoScalingGroupName>"
                "<LifecycleState>Levitating</LifecycleState><HealthStatus>UNHEALTHY</HealthStatus></member>"
                "</AutoScalingInstances></DescribeAutoScalingInstancesResult></DescribeAutoScalingInstancesResponse>";
        request = describe(setup, ids, &outcome);
        assert_int_equal(outcome.result, 0);
        assert_string_equal(setup->form,
                            "Action=DescribeAutoScalingInstances&Version=2011-01-01&InstanceIds.member.1=i-1"
                            "&InstanceIds.member.2=i-2");
        instances = autoscaling_request_instances(request, &n);
        assert_int_equal(n, 2);
        assert_int_equal(instances[0].state, INSTANCE_PENDING_WAIT);
        assert_string_equal(instances[0].availability_zone, "eu-central-1a");
        assert_true(instances[0].healthy && instances[0].protected_from_scale_in);
        assert_int_equal(instances[1].state, INSTANCE_UNKNOWN);
        assert_string_equal(instances[1].state_text, "Levitating");
        assert_false(instances[1].healthy || instances[1].protected_from_scale_in);
        assert_null(autoscaling_request_hooks(request, &n));
}

static void test_bad_descriptions(void **state) {
        static const char *const answers[] = {
                "",
                "<a",
                "<!DOCTYPE x []><x/>",
                "<R><DescribeAutoScalingInstancesResult><AutoScalingInstances><member/></AutoScalingInstances>"
                "</DescribeAutoScalingInstancesResult></R>",
        };
        char *ids[] = { (char *) "i-1", NULL };
        Setup *setup = *state;

        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                _cleanup_(autoscaling_request_freep) AutoScalingRequest *request = NULL;
                TestOutcome outcome = {};

                setup->answer = answers[i];
                request = describe(setup, ids, &outcome);
                assert_int_equal(outcome.result, -EBADMSG);
                assert_true(string_starts_with(outcome.error.message,
                                               "Auto Scaling DescribeAutoScalingInstances: "));
        }
}

static void test_instance_count(void **state) {
        Setup *setup = *state;
        AutoScalingRequest *request = NULL;
        char *none[] = { NULL };

        assert_int_equal(
                autoscaling_describe_instances_start(setup->client.aws, none, on_done, NULL, &request, NULL),
                -EINVAL);
        assert_null(request);
}

static void test_hooks(void **state) {
        Setup *setup = *state;
        _cleanup_(autoscaling_request_freep) AutoScalingRequest *request = NULL;
        const AutoScalingHook *hooks;
        TestOutcome outcome = {};
        size_t n;

        setup->answer = "<DescribeLifecycleHooksResponse><DescribeLifecycleHooksResult><LifecycleHooks>"
                        "<member><LifecycleHookName>up</LifecycleHookName>"
                        "<LifecycleTransition>autoscaling:EC2_INSTANCE_LAUNCHING</LifecycleTransition>"
                        "<HeartbeatTimeout>300</HeartbeatTimeout><GlobalTimeout>30000</GlobalTimeout>"
                        "<DefaultResult>CONTINUE</DefaultResult></member>"
                        "<member><LifecycleHookName>down</LifecycleHookName>"
                        "<LifecycleTransition>autoscaling:EC2_INSTANCE_TERMINATING</LifecycleTransition>"
                        "<HeartbeatTimeout>30</HeartbeatTimeout></member>"
                        "</LifecycleHooks></DescribeLifecycleHooksResult></DescribeLifecycleHooksResponse>";
        assert_int_equal(
                autoscaling_describe_hooks_start(setup->client.aws, "g", on_done, &outcome, &request, NULL),
                0);
        test_wait(setup->client.event, &outcome.done);
        assert_int_equal(outcome.result, 0);
        hooks = autoscaling_request_hooks(request, &n);
        assert_int_equal(n, 2);
        assert_string_equal(hooks[0].name, "up");
        assert_true(hooks[0].is_launch && hooks[0].heartbeat_timeout == 300 * USEC_PER_SEC);
        assert_true(hooks[0].global_timeout == 30000 * USEC_PER_SEC &&
                    hooks[0].default_result == AUTOSCALING_CONTINUE);
        assert_false(hooks[1].is_launch);
        assert_true(hooks[1].default_result == AUTOSCALING_ABANDON &&
                    hooks[1].global_timeout == USEC_INFINITY);
}

static void test_group(void **state) {
        Setup *setup = *state;
        _cleanup_(autoscaling_request_freep) AutoScalingRequest *request = NULL;
        TestOutcome outcome = {};

        setup->answer =
                "<R><DescribeAutoScalingGroupsResult><AutoScalingGroups><member><AutoScalingGroupName>g"
                "</AutoScalingGroupName><DesiredCapacity>2</DesiredCapacity></member></AutoScalingGroups>"
                "</DescribeAutoScalingGroupsResult></R>";
        assert_int_equal(
                autoscaling_describe_group_start(setup->client.aws, "g", on_done, &outcome, &request, NULL),
                0);
        test_wait(setup->client.event, &outcome.done);
        assert_int_equal(outcome.result, 0);
        assert_string_equal(
                setup->form,
                "Action=DescribeAutoScalingGroups&Version=2011-01-01&AutoScalingGroupNames.member.1=g");
        assert_int_equal(autoscaling_request_group(request)->desired, 2);
}

static void test_set_unhealthy(void **state) {
        Setup *setup = *state;
        _cleanup_(autoscaling_request_freep) AutoScalingRequest *request = NULL;
        TestOutcome outcome = {};

        setup->answer = "<SetInstanceHealthResponse/>";
        assert_int_equal(
                autoscaling_set_unhealthy_start(setup->client.aws, "i-1", on_done, &outcome, &request, NULL),
                0);
        test_wait(setup->client.event, &outcome.done);
        assert_int_equal(outcome.result, 0);
        assert_string_equal(setup->form, "Action=SetInstanceHealth&Version=2011-01-01&InstanceId=i-1"
                                         "&HealthStatus=Unhealthy&ShouldRespectGracePeriod=true");
}

static void test_states(_unused_ void **state) {
        assert_int_equal(instance_state_from_string("InService"), INSTANCE_IN_SERVICE);
        assert_int_equal(instance_state_from_string("Warmed:Pending:Wait"), INSTANCE_WARMED_PENDING_WAIT);
        assert_int_equal(instance_state_from_string("inservice"), INSTANCE_UNKNOWN);
        assert_int_equal(instance_state_from_string(""), INSTANCE_UNKNOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_complete),
                TEST(test_heartbeat),
                TEST(test_refusals),
                TEST(test_instances),
                TEST(test_bad_descriptions),
                TEST(test_instance_count),
                TEST(test_group),
                TEST(test_set_unhealthy),
                TEST(test_hooks),
                cmocka_unit_test(test_states),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
