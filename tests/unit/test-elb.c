#include <string.h>

#include "agent/base/strv.h"
#include "agent/net/elb.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/test.h"

#define ARN "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/api/0123"

typedef struct Setup {
        TestClient client;
        int status;
        const char *answer;
        unsigned failures; /* so many requests are answered with 500 first */
        char *form;
} Setup;

#define REFUSAL(code, message)                                                                               \
        "<ErrorResponse><Error><Code>" code "</Code><Message>" message                                       \
        "</Message></Error><RequestId>R1</RequestId></ErrorResponse>"

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        Setup *setup = userdata;

        assert_string_equal(request->method, "POST");
        assert_string_equal(request->target, "/");
        assert_non_null(strstr(request->headers, "/eu-central-1/elasticloadbalancing/aws4_request"));
        free(setup->form);
        setup->form = strndup(request->body, request->body_size);
        if (setup->failures > 0) {
                setup->failures--;
                test_reply(reply, 500, "", REFUSAL("HealthUnavailable", "try later"));
        } else {
                test_reply(reply, setup->status, "Content-Type: text/xml\r\n", setup->answer);
        }
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

DEFINE_TEST_DONE(on_done, ElbRequest)

static const ElbTarget targets[] = { { "i-1", 8080 }, { "i-1", 0 } };

static void test_register_and_deregister(void **state) {
        Setup *setup = *state;
        _cleanup_(elb_request_freep) ElbRequest *in = NULL, *out = NULL;
        TestOutcome outcomes[2] = {};

        setup->answer = "<RegisterTargetsResponse><RegisterTargetsResult/></RegisterTargetsResponse>";
        assert_int_equal(
                elb_register_start(setup->client.aws, ARN, targets, 2, on_done, &outcomes[0], &in, NULL), 0);
        test_wait(setup->client.event, &outcomes[0].done);
        assert_int_equal(outcomes[0].result, 0);
        assert_string_equal(
                setup->form,
                "Action=RegisterTargets&Version=2015-12-01&TargetGroupArn=arn%3Aaws%3Aelasticloadbalancing"
                "%3Aeu-central-1%3A123456789012%3Atargetgroup%2Fapi%2F0123&Targets.member.1.Id=i-1"
                "&Targets.member.1.Port=8080&Targets.member.2.Id=i-1");
        assert_int_equal(
                elb_deregister_start(setup->client.aws, ARN, targets, 1, on_done, &outcomes[1], &out, NULL),
                0);
        test_wait(setup->client.event, &outcomes[1].done);
        assert_true(string_starts_with(setup->form, "Action=DeregisterTargets&"));
        assert_true(string_ends_with(setup->form, "&Targets.member.1.Id=i-1&Targets.member.1.Port=8080"));
}

static ElbRequest *describe(Setup *setup, TestOutcome *outcome) {
        ElbRequest *request = NULL;

        assert_int_equal(
                elb_describe_health_start(setup->client.aws, ARN, NULL, 0, on_done, outcome, &request, NULL),
                0);
        test_wait(setup->client.event, &outcome->done);
        return request;
}

/* Also after a service that is out of order for a moment. */
static void test_health(void **state) {
        Setup *setup = *state;
        _cleanup_(elb_request_freep) ElbRequest *request = NULL;
        TestOutcome outcome = {};

        setup->failures = 2;
        setup->answer =
                "<R><DescribeTargetHealthResult><TargetHealthDescriptions><member><Target><Id>i-1</Id>"
                "<Port>8080</Port></Target><TargetHealth><State>healthy</State></TargetHealth></member>"
                "</TargetHealthDescriptions></DescribeTargetHealthResult></R>";
        request = describe(setup, &outcome);
        assert_int_equal(outcome.result, 0);
        assert_int_equal(test_server_requests(setup->client.server), 3);
        assert_int_equal(elb_request_health(request)->n, 1);
        assert_int_equal(elb_request_health(request)->targets[0].state, ELB_TARGET_HEALTHY);
        assert_null(strstr(setup->form, "Targets"));
}

static void test_refusals(void **state) {
        static const struct {
                int status;
                const char *answer;
                int result;
                const char *message;
        } cases[] = {
                { 400, REFUSAL("TargetGroupNotFound", "One or more target groups not found"),
                  ELB_NO_TARGET_GROUP,
                  "Elastic Load Balancing DescribeTargetHealth: TargetGroupNotFound: One or more target groups not found "
                  "(status 400, request R1)" },
                { 403, REFUSAL("AccessDenied", "no"), -EACCES,
                  "Elastic Load Balancing DescribeTargetHealth: AccessDenied: no (status 403, request R1)" },
                { 200, "<R", -EBADMSG, NULL },
        };
        Setup *setup = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(elb_request_freep) ElbRequest *request = NULL;
                TestOutcome outcome = {};

                setup->status = cases[i].status;
                setup->answer = cases[i].answer;
                request = describe(setup, &outcome);
                assert_int_equal(outcome.result, cases[i].result);
                if (cases[i].message)
                        assert_string_equal(outcome.error.message, cases[i].message);
                assert_true(string_starts_with(outcome.error.message,
                                               "Elastic Load Balancing DescribeTargetHealth: "));
        }
}

static void test_groups(void **state) {
        char *names[] = { (char *) "api", (char *) "internal", NULL }, *none[] = { NULL };
        Setup *setup = *state;
        _cleanup_(elb_request_freep) ElbRequest *request = NULL;
        TestOutcome outcome = {};

        setup->answer =
                "<R><DescribeTargetGroupsResult><TargetGroups><member><TargetGroupName>api</TargetGroupName>"
                "<TargetGroupArn>" ARN
                "</TargetGroupArn></member></TargetGroups></DescribeTargetGroupsResult></R>";
        assert_int_equal(
                elb_describe_groups_start(setup->client.aws, none, on_done, &outcome, &request, NULL),
                -EINVAL);
        assert_int_equal(
                elb_describe_groups_start(setup->client.aws, names, on_done, &outcome, &request, NULL), 0);
        test_wait(setup->client.event, &outcome.done);
        assert_int_equal(outcome.result, 0);
        assert_true(string_ends_with(setup->form, "&Names.member.1=api&Names.member.2=internal"));
        assert_string_equal(elb_request_groups(request)->groups[0].arn, ARN);
}

static void test_limit(void **state) {
        Setup *setup = *state;
        ElbTarget many[ELB_TARGETS_MAX + 1] = {};
        ElbRequest *request = NULL;

        assert_int_equal(elb_register_start(setup->client.aws, ARN, many, ELB_TARGETS_MAX + 1, on_done, NULL,
                                            &request, NULL),
                         -EINVAL);
        assert_null(request);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_register_and_deregister),
                TEST(test_health),
                TEST(test_refusals),
                TEST(test_groups),
                TEST(test_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
