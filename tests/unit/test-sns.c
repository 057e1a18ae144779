#include <string.h>

#include "agent/net/sns.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/test.h"

#define TOPIC "arn:aws:sns:eu-west-1:123456789012:api-prod"
#define SUBSCRIPTION TOPIC ":8a21d249-4329-4871-acc6-7be709c6ea7f"
#define QUEUE "arn:aws:sqs:us-east-1:123456789012:muster-prod-i-1"

typedef struct Setup {
        TestClient client;
        const char *expected;
        int status;
        const char *answer;
} Setup;

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        const Setup *setup = userdata;

        assert_non_null(strstr(request->headers, "/eu-west-1/sns/aws4_request")); /* the topic's region */
        assert_int_equal(request->body_size, strlen(setup->expected));
        assert_memory_equal(request->body, setup->expected, request->body_size);
        test_reply(reply, setup->status, "Content-Type: text/xml\r\n", setup->answer);
}

static int set_up(void **state) {
        const AwsOptions options = { .region = "us-east-1", .attempts_max = 1 };
        Setup *setup;

        test_client_setup(state, sizeof(Setup), &options, handle);
        setup = *state;
        setup->status = 200;
        return 0;
}

DEFINE_TEST_DONE(on_done, SnsRequest)

static SnsRequest *subscribe(Setup *setup, int status, const char *answer, TestOutcome *outcome) {
        SnsRequest *request = NULL;

        setup->expected =
                "Action=Subscribe&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3Aapi-prod"
                "&Protocol=sqs&Endpoint=arn%3Aaws%3Asqs%3Aus-east-1%3A123456789012%3Amuster-prod-i-1"
                "&ReturnSubscriptionArn=true&Attributes.entry.1.key=RawMessageDelivery&Attributes.entry.1.value=true";
        setup->status = status;
        setup->answer = answer;
        *outcome = (TestOutcome){};
        assert_int_equal(
                sns_subscribe_start(setup->client.aws, TOPIC, QUEUE, on_done, outcome, &request, NULL), 0);
        test_wait(setup->client.event, &outcome->done);
        return request;
}

static void test_subscribe(void **state) {
        _cleanup_(sns_request_freep) SnsRequest *request = NULL;
        TestOutcome outcome;

        request = subscribe(
                *state, 200,
                "<SubscribeResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><SubscribeResult>"
                "<SubscriptionArn>" SUBSCRIPTION "</SubscriptionArn></SubscribeResult></SubscribeResponse>",
                &outcome);
        assert_int_equal(outcome.result, 0);
        assert_string_equal(sns_request_subscription(request), SUBSCRIPTION);
}

#define REFUSAL(code, message)                                                                               \
        "<ErrorResponse><Error><Type>Sender</Type><Code>" code "</Code><Message>" message                    \
        "</Message></Error></ErrorResponse>"

static void test_refusals(void **state) {
        static const struct {
                int status;
                const char *answer;
                int result;
        } cases[] = {
                { 404, REFUSAL("NotFound", "Topic does not exist"), -ENOENT },
                { 403, REFUSAL("AuthorizationError", "not authorized to perform SNS:Subscribe"), -EACCES },
                { 429, REFUSAL("Throttled", "slower"), -EAGAIN },
                { 400,
                  REFUSAL("InvalidParameter",
                          "Invalid parameter: Attributes Reason: Subscription already exists with different attributes"),
                  -EEXIST },
                { 400, REFUSAL("InvalidParameter", "Invalid parameter: TopicArn"), -EREMOTEIO },
                { 200, "<SubscribeResponse/>", -EBADMSG },
                { 200, "no XML", -EBADMSG },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(sns_request_freep) SnsRequest *request = NULL;
                TestOutcome outcome;

                request = subscribe(*state, cases[i].status, cases[i].answer, &outcome);
                assert_int_equal(outcome.result, cases[i].result);
                assert_non_null(strstr(outcome.error.message, "SNS Subscribe: "));
        }
}

static int publish(Setup *setup, const char *topic, const char *expected) {
        const SnsMessage message = { .text = "{\"a\":1}",
                                     .subject = "api in prod",
                                     .order = "api/prod",
                                     .id = "api/prod/r-1/started",
                                     .attributes = { { "app", "api" }, { "event", "started" } } };
        _cleanup_(sns_request_freep) SnsRequest *request = NULL;
        TestOutcome outcome = {};

        setup->expected = expected;
        assert_int_equal(
                sns_publish_start(setup->client.aws, topic, &message, on_done, &outcome, &request, NULL), 0);
        test_wait(setup->client.event, &outcome.done);
        return outcome.result;
}

#define PUBLISH(topic)                                                                                       \
        "Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3A" topic     \
        "&Message=%7B%22a%22%3A1%7D&Subject=api%20in%20prod&MessageAttributes.entry.1.Name=app"              \
        "&MessageAttributes.entry.1.Value.DataType=String&MessageAttributes.entry.1.Value.StringValue=api"   \
        "&MessageAttributes.entry.2.Name=event&MessageAttributes.entry.2.Value.DataType=String"              \
        "&MessageAttributes.entry.2.Value.StringValue=started"

static void test_publish(void **state) {
        Setup *setup = *state;

        setup->status = 200;
        setup->answer =
                "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
        assert_int_equal(publish(setup, TOPIC, PUBLISH("api-prod")), 0);
        assert_int_equal(
                publish(setup, TOPIC ".fifo",
                        PUBLISH("api-prod.fifo") "&MessageGroupId=d3ac72db0d096d82e93a042b787e909e70715c16fb2f8ccd1315fb911b185af3"
                                                 "&MessageDeduplicationId=e82e4ffc1b1a42df39533f95980bd9c9dc99289895332f1f36a675c788192ccb"),
                0);
        setup->status = 403;
        setup->answer = REFUSAL("AuthorizationError", "not authorized to perform SNS:Publish");
        assert_int_equal(publish(setup, TOPIC, PUBLISH("api-prod")), -EACCES);
}

static void test_unsubscribe(void **state) {
        static const struct {
                int status;
                const char *answer;
                int result;
        } cases[] = {
                { 200, "<UnsubscribeResponse/>", 0 },
                { 404, REFUSAL("NotFound", "Subscription does not exist"), 0 },
                { 403, REFUSAL("AuthorizationError", "no"), -EACCES },
        };
        Setup *setup = *state;

        setup->expected =
                "Action=Unsubscribe&Version=2010-03-31&SubscriptionArn=arn%3Aaws%3Asns%3Aeu-west-1%3A"
                "123456789012%3Aapi-prod%3A8a21d249-4329-4871-acc6-7be709c6ea7f";
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(sns_request_freep) SnsRequest *request = NULL;
                TestOutcome outcome = {};

                setup->status = cases[i].status;
                setup->answer = cases[i].answer;
                assert_int_equal(sns_unsubscribe_start(setup->client.aws, SUBSCRIPTION, on_done, &outcome,
                                                       &request, NULL),
                                 0);
                test_wait(setup->client.event, &outcome.done);
                assert_int_equal(outcome.result, cases[i].result);
        }
}

#define MEMBER(arn)                                                                                          \
        "<member><SubscriptionArn>" arn "</SubscriptionArn><Protocol>sqs</Protocol><Endpoint>" QUEUE         \
        "</Endpoint><TopicArn>" TOPIC "</TopicArn></member>"
#define LIST(members, token)                                                                                 \
        "<ListSubscriptionsByTopicResponse><ListSubscriptionsByTopicResult><Subscriptions>" members          \
        "</Subscriptions>" token "</ListSubscriptionsByTopicResult></ListSubscriptionsByTopicResponse>"

static SnsRequest *list(Setup *setup, const char *token, const char *expected, const char *answer,
                        int result) {
        SnsRequest *request = NULL;
        TestOutcome outcome = {};

        setup->expected = expected;
        setup->answer = answer;
        assert_int_equal(sns_list_start(setup->client.aws, TOPIC, token, on_done, &outcome, &request, NULL),
                         0);
        test_wait(setup->client.event, &outcome.done);
        assert_int_equal(outcome.result, result);
        return request;
}

#define LIST_FORM                                                                                            \
        "Action=ListSubscriptionsByTopic&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A"         \
        "123456789012%3Aapi-prod"

static void test_list(void **state) {
        _cleanup_(sns_request_freep) SnsRequest *first = NULL, *last = NULL, *bad = NULL;
        const SnsSubscription *subscriptions;
        size_t n;

        first = list(*state, NULL, LIST_FORM,
                     LIST(MEMBER(SUBSCRIPTION) MEMBER("PendingConfirmation"), "<NextToken>a b</NextToken>"),
                     0);
        subscriptions = sns_request_subscriptions(first, &n);
        assert_int_equal(n, 2);
        assert_string_equal(subscriptions[0].arn, SUBSCRIPTION);
        assert_string_equal(subscriptions[0].protocol, "sqs");
        assert_string_equal(subscriptions[1].endpoint, QUEUE);
        assert_string_equal(sns_request_token(first), "a b");
        last = list(*state, "a b", LIST_FORM "&NextToken=a%20b", LIST("", ""), 0);
        (void) sns_request_subscriptions(last, &n);
        assert_int_equal(n, 0);
        assert_null(sns_request_token(last));
        bad = list(*state, NULL, LIST_FORM, LIST("<member/>", ""), -EBADMSG);
}

static void test_no_arn(void **state) {
        static const char *const topics[] = { "api-prod", "arn:aws:sns::1:api-prod" };
        Setup *setup = *state;

        for (size_t i = 0; i < ELEMENTSOF(topics); i++) {
                SnsRequest *request = NULL;
                Error error = {};

                assert_int_equal(
                        sns_list_start(setup->client.aws, topics[i], NULL, on_done, NULL, &request, &error),
                        -EINVAL);
                assert_non_null(strstr(error.message, topics[i]));
                assert_null(request);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, test_client_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_subscribe), TEST(test_refusals), TEST(test_unsubscribe),
                TEST(test_publish),   TEST(test_list),     TEST(test_no_arn),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
