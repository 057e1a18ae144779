#include <string.h>

#include "agent/net/sts.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/test.h"

typedef struct Setup {
        TestClient client;
        const char *answer;
} Setup;

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        Setup *setup = userdata;

        assert_int_equal(request->body_size, strlen("Action=GetCallerIdentity&Version=2011-06-15"));
        assert_memory_equal(request->body, "Action=GetCallerIdentity&Version=2011-06-15", request->body_size);
        assert_non_null(strstr(request->headers, "/us-east-1/sts/aws4_request"));
        test_reply(reply, 200, "", setup->answer);
}

static int set_up(void **state) {
        const AwsOptions options = { .region = "us-east-1" };

        test_client_setup(state, sizeof(Setup), &options, handle);
        return 0;
}

DEFINE_TEST_DONE(on_done, StsRequest)

static StsRequest *ask(Setup *setup, const char *answer, TestOutcome *outcome) {
        StsRequest *request = NULL;

        setup->answer = answer;
        assert_int_equal(sts_get_caller_identity_start(setup->client.aws, on_done, outcome, &request, NULL),
                         0);
        test_wait(setup->client.event, &outcome->done);
        return request;
}

static void test_identity(void **state) {
        _cleanup_(sts_request_freep) StsRequest *request = NULL;
        const StsIdentity *identity;
        TestOutcome outcome = {};

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
        TestOutcome outcomes[2] = {};

        incomplete = ask(*state, "<GetCallerIdentityResponse/>", &outcomes[0]);
        assert_int_equal(outcomes[0].result, -EBADMSG);
        assert_string_equal(outcomes[0].error.message,
                            "STS GetCallerIdentity: an answer without Account, Arn or UserId");
        broken = ask(*state, "{}", &outcomes[1]);
        assert_int_equal(outcomes[1].result, -EBADMSG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, test_client_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_identity),
                TEST(test_bad_answer),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
