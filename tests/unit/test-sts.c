#include <string.h>

#include "agent/net/sts.h"
#include "tests/unit/http-server.h"
#include "tests/unit/test.h"

typedef struct Setup {
        sd_event *event;
        AwsContext *aws;
        TestServer *server;
        const char *answer;
} Setup;

typedef struct Outcome {
        bool done;
        int result;
        Error error;
} Outcome;

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        Setup *setup = userdata;

        assert_int_equal(request->body_size, strlen("Action=GetCallerIdentity&Version=2011-06-15"));
        assert_memory_equal(request->body, "Action=GetCallerIdentity&Version=2011-06-15", request->body_size);
        assert_non_null(strstr(request->headers, "/us-east-1/sts/aws4_request"));
        test_reply(reply, 200, "", setup->answer);
}

static int set_up(void **state) {
        Setup *setup = calloc(1, sizeof(*setup));
        char *environment[] = { (char *) "AWS_ACCESS_KEY_ID=AKID", (char *) "AWS_SECRET_ACCESS_KEY=secret",
                                (char *) "AWS_DEFAULT_REGION=us-east-1", NULL };
        AwsOptions options = { .environment = environment };

        assert_non_null(setup);
        assert_true(sd_event_new(&setup->event) >= 0);
        setup->server = test_server_new(setup->event, handle, setup);
        options.endpoints.url = test_server_url(setup->server);
        assert_int_equal(aws_context_new(setup->event, &options, &setup->aws, NULL), 0);
        *state = setup;
        return 0;
}

static int tear_down(void **state) {
        Setup *setup = *state;

        aws_context_free(setup->aws);
        test_server_free(setup->server);
        sd_event_unref(setup->event);
        free(setup);
        return 0;
}

static void on_done(_unused_ StsRequest *request, int result, const Error *error, void *userdata) {
        Outcome *outcome = userdata;

        assert_false(outcome->done);
        *outcome = (Outcome){ true, result, *error };
}

static StsRequest *ask(Setup *setup, const char *answer, Outcome *outcome) {
        StsRequest *request = NULL;

        setup->answer = answer;
        assert_int_equal(sts_get_caller_identity_start(setup->aws, on_done, outcome, &request, NULL), 0);
        test_wait(setup->event, &outcome->done);
        return request;
}

static void test_identity(void **state) {
        _cleanup_(sts_request_freep) StsRequest *request = NULL;
        const StsIdentity *identity;
        Outcome outcome = {};

        request = ask(*state,
                      "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
                      "<GetCallerIdentityResult><Arn>arn:aws:sts::123456789012:assumed-role/r/i-1</Arn>"
                      "<UserId>AROA:i-1</UserId><Account>123456789012</Account></GetCallerIdentityResult>"
                      "</GetCallerIdentityResponse>",
                      &outcome);
        assert_int_equal(outcome.result, 0);
        identity = sts_request_identity(request);
        assert_string_equal(identity->account, "123456789012");
        assert_string_equal(identity->arn, "arn:aws:sts::123456789012:assumed-role/r/i-1");
        assert_string_equal(identity->user_id, "AROA:i-1");
}

static void test_bad_answer(void **state) {
        _cleanup_(sts_request_freep) StsRequest *incomplete = NULL, *broken = NULL;
        Outcome outcomes[2] = {};

        incomplete = ask(*state, "<GetCallerIdentityResponse/>", &outcomes[0]);
        assert_int_equal(outcomes[0].result, -EBADMSG);
        assert_string_equal(outcomes[0].error.message,
                            "STS GetCallerIdentity: an answer without Account, Arn or UserId");
        broken = ask(*state, "{}", &outcomes[1]);
        assert_int_equal(outcomes[1].result, -EBADMSG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_identity),
                TEST(test_bad_answer),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
