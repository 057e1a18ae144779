#include <string.h>

#include "agent/base/strv.h"
#include "agent/registration_find.h"
#include "agent/target_group.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/test.h"

#define ARN(name) "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/" name "/0123"
#define ELSEWHERE "i-2"

/* One load balancer, as far as this instance, i-1, is in its target groups. */
typedef struct Place {
        const char *group;
        unsigned port;
        const char *state; /* NULL: not registered */
        const char *reason;
} Place;

typedef struct Setup {
        TestClient client;
        Place places[4];
        const char *after_join, *after_leave; /* states */
        unsigned looks_until;                 /* so many looks later it is healthy, or gone */
        unsigned refusals;                    /* so many changes are refused first */
        const char *refusing;                 /* a group that refuses all of them */
        bool gone;                            /* the target groups were deleted */
        char *log;                            /* of the actions */
        char *draining;                       /* what the last look found */
} Setup;

static void note(Setup *setup, const char *action, const char *group) {
        char *log = NULL;

        assert_true(asprintf(&log, "%s%s%s%s", setup->log ? setup->log : "", setup->log ? " " : "", action,
                             group) >= 0);
        free(setup->log);
        setup->log = log;
}

static bool is_asked(const Place *place, const char *body) {
        char port[32], group[64];

        snprintf(port, sizeof(port), ".Port=%u", place->port);
        snprintf(group, sizeof(group), "targetgroup%%2F%s%%2F", place->group);
        return strstr(body, group) && (!strstr(body, "Targets.member") || strstr(body, port));
}

static void move(Setup *setup, const char *body, const char *state) {
        for (size_t i = 0; i < ELEMENTSOF(setup->places) && setup->places[i].group; i++)
                if (is_asked(&setup->places[i], body))
                        setup->places[i].state = state;
}

static void settle(Setup *setup) {
        if (setup->looks_until > 0 && --setup->looks_until > 0)
                return;
        for (size_t i = 0; i < ELEMENTSOF(setup->places) && setup->places[i].group; i++) {
                Place *place = &setup->places[i];

                if (string_equal(place->state, "initial"))
                        place->state = "healthy";
                if (string_equal(place->state, "draining"))
                        place->state = NULL;
        }
}

static void add_target(Buffer *text, const char *id, unsigned port, const char *state, const char *reason) {
        assert_int_equal(
                buffer_printf(text,
                              "<member><Target><Id>%s</Id><Port>%u</Port></Target><TargetHealth><State>%s"
                              "</State><Reason>%s</Reason></TargetHealth></member>",
                              id, port, state, reason),
                0);
}

static void answer_health(Setup *setup, const char *body, Buffer *text) {
        bool all = !strstr(body, "Targets.member");

        settle(setup);
        (void) buffer_printf(text, "<R><DescribeTargetHealthResult><TargetHealthDescriptions>");
        for (size_t i = 0; i < ELEMENTSOF(setup->places) && setup->places[i].group; i++) {
                const Place *place = &setup->places[i];

                if (!is_asked(place, body))
                        continue;
                if (place->state)
                        add_target(text, "i-1", place->port, place->state,
                                   place->reason ? place->reason : "");
                else if (!all)
                        add_target(text, "i-1", place->port, "unused", "Target.NotRegistered");
        }
        if (all)
                add_target(text, ELSEWHERE, 8080, "healthy", "");
        (void) buffer_printf(text, "</TargetHealthDescriptions></DescribeTargetHealthResult></R>");
}

static void answer_scaling(const char *body, Buffer *text) {
        if (strstr(body, "Action=DescribeAutoScalingInstances"))
                (void) buffer_printf(
                        text,
                        "<R><DescribeAutoScalingInstancesResult><AutoScalingInstances><member><InstanceId>i-1"
                        "</InstanceId><AutoScalingGroupName>prod</AutoScalingGroupName><LifecycleState>InService"
                        "</LifecycleState></member></AutoScalingInstances></DescribeAutoScalingInstancesResult></R>");
        else
                (void) buffer_printf(
                        text,
                        "<R><DescribeAutoScalingGroupsResult><AutoScalingGroups><member><AutoScalingGroupName>prod"
                        "</AutoScalingGroupName><DesiredCapacity>1</DesiredCapacity><TargetGroupARNs><member>" ARN(
                                "a") "</member><member>" ARN("b") "</member></TargetGroupARNs></member>"
                                                                  "</AutoScalingGroups></DescribeAutoScalingGroupsResult></R>");
}

#define REFUSAL(code)                                                                                        \
        "<ErrorResponse><Error><Code>" code "</Code><Message>no</Message></Error></ErrorResponse>"

static void change(Setup *setup, const TestRequest *request, const char *action, const char *state,
                   TestReply *reply) {
        const char *group = strstr(request->body, "targetgroup%2Fa") ? "a" : "b";

        if (setup->refusals > 0 || string_equal(group, setup->refusing)) {
                setup->refusals -= setup->refusals > 0;
                note(setup, "refuse:", group);
                test_reply(reply, 403, "", REFUSAL("AccessDenied"));
                return;
        }
        note(setup, action, group);
        move(setup, request->body, state);
        test_reply(reply, 200, "",
                   strstr(request->body, "Action=RegisterTargets") ? "<RegisterTargetsResponse/>"
                                                                   : "<DeregisterTargetsResponse/>");
}

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        Setup *setup = userdata;
        _cleanup_buffer_ Buffer text = {};

        if (strstr(request->headers, "/autoscaling/")) {
                answer_scaling(request->body, &text);
        } else if (setup->gone) {
                test_reply(reply, 400, "", REFUSAL("TargetGroupNotFound"));
                return;
        } else if (string_starts_with(request->body, "Action=DescribeTargetGroups")) {
                (void) buffer_printf(&text,
                                     "<R><DescribeTargetGroupsResult><TargetGroups><member><TargetGroupName>b"
                                     "</TargetGroupName><TargetGroupArn>" ARN(
                                             "b") "</TargetGroupArn></member>"
                                                  "</TargetGroups></DescribeTargetGroupsResult></R>");
        } else if (string_starts_with(request->body, "Action=DescribeTargetHealth")) {
                answer_health(setup, request->body, &text);
        } else if (string_starts_with(request->body, "Action=RegisterTargets")) {
                change(setup, request, "in:", setup->after_join, reply);
                return;
        } else {
                change(setup, request, "out:", setup->after_leave, reply);
                return;
        }
        test_reply(reply, 200, "", buffer_string(&text));
}

static int set_up(void **state) {
        Setup *setup = calloc(1, sizeof(*setup));
        const AwsOptions options = { .region = "eu-central-1" };

        assert_non_null(setup);
        test_client_init(&setup->client, &options, handle, setup);
        setup->after_join = "initial";
        setup->after_leave = "draining";
        setup->places[0] = (Place){ "a", 8080, "healthy", NULL };
        setup->places[1] = (Place){ "b", 80, "healthy", NULL };
        setup->places[2] = (Place){ "b", 8080, "unhealthy", NULL };
        *state = setup;
        return 0;
}

static int tear_down(void **state) {
        Setup *setup = *state;

        test_client_deinit(&setup->client);
        free(setup->log);
        free(setup->draining);
        free(setup);
        return 0;
}

DEFINE_TEST_DONE(on_found, RegistrationFind)

static TestOutcome look(Setup *setup, const char *configured, const char *group, TargetRegistrations *ret) {
        const RegistrationFindContext context = { .aws = setup->client.aws,
                                                  .target_groups = configured,
                                                  .scaling_group = group,
                                                  .instance = "i-1" };
        _cleanup_(registration_find_freep) RegistrationFind *find = NULL;
        TestOutcome outcome = {};

        assert_int_equal(registration_find_start(&context, on_found, &outcome, &find, NULL), 0);
        test_wait(setup->client.event, &outcome.done);
        *ret = (TargetRegistrations){};
        assert_int_equal(target_registrations_merge(ret, registration_find_found(find)), 0);
        free(setup->draining);
        assert_int_equal(target_registrations_to_text(registration_find_draining(find), &setup->draining), 0);
        return outcome;
}

static void assert_found(Setup *setup, const char *configured, const char *group, const char *expected) {
        _cleanup_free_ char *text = NULL;
        TargetRegistrations found;

        assert_int_equal(look(setup, configured, group, &found).result, 0);
        assert_int_equal(target_registrations_to_text(&found, &text), 0);
        assert_string_equal(text, expected);
        target_registrations_deinit(&found);
}

static void test_find(void **state) {
        Setup *setup = *state;

        assert_found(setup, NULL, "prod", "a:8080, b:80, b:8080");
        assert_found(setup, NULL, NULL, "a:8080, b:80, b:8080");
        assert_found(setup, "b", NULL, "b:80, b:8080");
        assert_found(setup, ARN("a") " b", "prod", "a:8080, b:80, b:8080");
        assert_string_equal(setup->draining, "");
        setup->places[0].state = NULL;
        setup->places[1].state = "draining";
        setup->looks_until = 100;
        assert_found(setup, NULL, "prod", "b:8080");
        assert_string_equal(setup->draining, "b:80");
        setup->places[2].state = "unused"; /* of a group that no load balancer uses, yet registered there */
        setup->places[2].reason = "Target.NotInUse";
        assert_found(setup, NULL, "prod", "b:8080");
}

static void test_find_nothing(void **state) {
        Setup *setup = *state;
        TargetRegistrations found;
        TestOutcome outcome;

        setup->gone = true;
        assert_found(setup, NULL, "prod", "");
        outcome = look(setup, "nosuch", "prod", &found);
        assert_int_equal(outcome.result, -ENOENT);
        assert_int_equal(outcome.error.fault, FAULT_INPUT);
}

DEFINE_TEST_DONE(on_moved, TargetGroup)

static TestOutcome go(Setup *setup, bool join, uint64_t patience, bool *ret_registered) {
        const TargetGroupContext context = { .event = setup->client.event,
                                             .clock = &clock_system,
                                             .aws = setup->client.aws,
                                             .instance = "i-1",
                                             .patience = patience };
        _cleanup_(target_group_freep) TargetGroup *operation = NULL;
        TargetRegistrations all = {};
        TestOutcome outcome = {};

        assert_int_equal(target_registrations_add(&all, ARN("a"), 8080), 0);
        assert_int_equal(target_registrations_add(&all, ARN("b"), 80), 0);
        assert_int_equal(target_registrations_add(&all, ARN("b"), 8080), 0);
        assert_int_equal((join ? target_group_join_start : target_group_leave_start)(
                                 &context, &all, on_moved, &outcome, &operation, NULL),
                         0);
        target_registrations_deinit(&all);
        assert_false(outcome.done);
        test_wait(setup->client.event, &outcome.done);
        if (ret_registered)
                *ret_registered = target_group_is_registered(operation);
        return outcome;
}

static void test_leave_and_join(void **state) {
        Setup *setup = *state;
        bool registered = false;

        setup->looks_until = 2;
        assert_int_equal(go(setup, false, USEC_INFINITY, NULL).result, 0);
        assert_string_equal(setup->log, "out:a out:b");
        for (size_t i = 0; i < 3; i++)
                assert_null(setup->places[i].state);
        setup->looks_until = 2;
        assert_int_equal(go(setup, true, USEC_INFINITY, &registered).result, 0);
        assert_string_equal(setup->log, "out:a out:b in:a in:b");
        assert_true(registered);
        for (size_t i = 0; i < 3; i++)
                assert_string_equal(setup->places[i].state, "healthy");
}

static void test_late(void **state) {
        Setup *setup = *state;
        bool registered = false;
        TestOutcome outcome;

        setup->looks_until = 100;
        outcome = go(setup, false, 0, NULL);
        assert_int_equal(outcome.result, TARGET_GROUP_LATE);
        assert_string_equal(outcome.error.message,
                            "target group a has port 8080 of this instance as draining");
        assert_int_equal(outcome.error.fault, FAULT_HOST);
        setup->after_join = "unhealthy";
        setup->places[0].reason = "Target.Timeout";
        outcome = go(setup, true, 0, &registered);
        assert_int_equal(outcome.result, TARGET_GROUP_LATE);
        assert_string_equal(outcome.error.message,
                            "target group a has port 8080 of this instance as unhealthy, Target.Timeout");
        assert_int_equal(outcome.error.fault, FAULT_RELEASE);
        assert_true(registered);
}

/* To leave is refused at once; to come back is tried again and again, and the other target groups do not wait for it. */
static void test_refused(void **state) {
        Setup *setup = *state;
        bool registered = true;
        TestOutcome outcome;

        setup->refusals = 1;
        outcome = go(setup, false, USEC_INFINITY, NULL);
        assert_int_equal(outcome.result, -EACCES);
        assert_string_equal(setup->log, "refuse:a");
        setup->refusals = 1;
        assert_int_equal(go(setup, true, USEC_INFINITY, NULL).result, 0);
        assert_string_equal(setup->log, "refuse:a refuse:a in:b in:a in:b");
        setup->refusals = 1000;
        outcome = go(setup, true, 0, &registered);
        assert_int_equal(outcome.result, TARGET_GROUP_LATE);
        assert_non_null(strstr(outcome.error.message, "AccessDenied"));
        assert_false(registered);
}

/* For a single try, too: who puts an instance back begins a new one each time. */
static void test_one_group_refuses_for_good(void **state) {
        Setup *setup = *state;
        bool registered = true;
        TestOutcome outcome;

        setup->refusing = "a";
        outcome = go(setup, true, 0, &registered);
        assert_int_equal(outcome.result, TARGET_GROUP_LATE);
        assert_non_null(strstr(outcome.error.message, "AccessDenied"));
        assert_string_equal(setup->log, "refuse:a in:b");
        assert_false(registered);
}

static void test_deleted_groups(void **state) {
        Setup *setup = *state;

        setup->gone = true;
        assert_int_equal(go(setup, false, 0, NULL).result, 0);
        assert_int_equal(go(setup, true, 0, NULL).result, 0);
}

static void test_judgement(_unused_ void **state) {
        static const struct {
                ElbTargetState state;
                const char *reason;
                bool out, in;
        } cases[] = {
                { ELB_TARGET_INITIAL, "Elb.RegistrationInProgress", false, false },
                { ELB_TARGET_HEALTHY, "", false, true },
                { ELB_TARGET_UNHEALTHY, "Target.Timeout", false, false },
                { ELB_TARGET_UNHEALTHY_DRAINING, "", false, false },
                { ELB_TARGET_UNUSED, "Target.NotRegistered", true, false },
                { ELB_TARGET_UNUSED, "Target.NotInUse", true, true },
                { ELB_TARGET_UNUSED, "Target.InvalidState", true, false },
                { ELB_TARGET_DRAINING, "Target.DeregistrationInProgress", false, false },
                { ELB_TARGET_UNAVAILABLE, "Target.HealthCheckDisabled", false, true },
                { ELB_TARGET_UNKNOWN, "", false, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const ElbTargetHealth target = { .state = cases[i].state, .reason = cases[i].reason };

                assert_int_equal(target_group_is_out(&target), cases[i].out);
                assert_int_equal(target_group_is_in(&target), cases[i].in);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_find),           TEST(test_find_nothing),
                TEST(test_leave_and_join), TEST(test_late),
                TEST(test_refused),        TEST(test_one_group_refuses_for_good),
                TEST(test_deleted_groups), cmocka_unit_test(test_judgement),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
