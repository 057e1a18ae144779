#include <string.h>

#include "agent/base/strv.h"
#include "agent/net/sqs.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/test.h"

#define QUEUE "https://sqs.eu-west-1.amazonaws.com/123456789012/prod"

typedef struct Setup {
        TestClient client;
        const char *expected_target, *expected_body, *expected_scope;
        const char *headers, *answer;
        int status;
} Setup;

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        Setup *setup = userdata;
        _cleanup_free_ char *target = test_request_header(request, "X-Amz-Target");
        _cleanup_free_ char *type = test_request_header(request, "Content-Type");
        _cleanup_free_ char *authorization = test_request_header(request, "Authorization");

        assert_string_equal(request->method, "POST");
        assert_string_equal(request->target, "/");
        assert_string_equal(type, "application/x-amz-json-1.0");
        assert_string_equal(target, setup->expected_target);
        assert_non_null(strstr(authorization, setup->expected_scope));
        assert_int_equal(request->body_size, strlen(setup->expected_body));
        assert_memory_equal(request->body, setup->expected_body, request->body_size);
        test_reply(reply, setup->status, setup->headers, setup->answer);
}

static int set_up(void **state) {
        const AwsOptions options = { .region = "us-east-1", .attempts_max = 1 };
        Setup *setup;

        test_client_setup(state, sizeof(Setup), &options, handle);
        setup = *state;
        setup->status = 200;
        setup->headers = "";
        setup->expected_scope = "/eu-west-1/sqs/aws4_request";
        return 0;
}

DEFINE_TEST_DONE(on_done, SqsRequest)

static SqsRequest *receive(Setup *setup, const char *answer, TestOutcome *outcome) {
        const SqsReceive order = { QUEUE, 10, 20, 60 };
        SqsRequest *request = NULL;

        setup->expected_target = "AmazonSQS.ReceiveMessage";
        setup->expected_body =
                "{\"QueueUrl\":\"" QUEUE "\",\"MaxNumberOfMessages\":10,\"WaitTimeSeconds\":20,"
                "\"VisibilityTimeout\":60}";
        setup->answer = answer;
        *outcome = (TestOutcome){};
        assert_int_equal(sqs_receive_start(setup->client.aws, &order, on_done, outcome, &request, NULL), 0);
        test_wait(setup->client.event, &outcome->done);
        return request;
}

static void test_receive(void **state) {
        _cleanup_(sqs_request_freep) SqsRequest *some = NULL, *none = NULL;
        TestOutcome outcome;

        some = receive(*state,
                       "{\"Messages\":[{\"MessageId\":\"m\",\"ReceiptHandle\":\"r\",\"Body\":\"b\"}]}",
                       &outcome);
        assert_int_equal(outcome.result, 0);
        assert_int_equal(sqs_request_messages(some)->n, 1);
        assert_string_equal(sqs_request_messages(some)->items[0].body, "b");
        none = receive(*state, "{}", &outcome);
        assert_int_equal(outcome.result, 0);
        assert_int_equal(sqs_request_messages(none)->n, 0);
}

static void test_bad_answers(void **state) {
        static const char *const answers[] = { "[]", "{", "<a/>", "{\"Messages\":[{}]}",
                                               "{\"__type\":\"com.amazonaws.sqs#InternalError\"}" };

        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                _cleanup_(sqs_request_freep) SqsRequest *request = NULL;
                TestOutcome outcome;

                request = receive(*state, answers[i], &outcome);
                assert_int_equal(outcome.result, -EBADMSG);
                assert_true(string_starts_with(outcome.error.message, "SQS ReceiveMessage: "));
        }
}

static void test_refusals(void **state) {
        static const struct {
                int status;
                const char *headers, *answer;
                int result;
                const char *message;
        } cases[] = {
                { 400, "x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender\r\n",
                  "{\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\",\"message\":\"no such queue\"}",
                  -ENOENT, "SQS ReceiveMessage: QueueDoesNotExist: no such queue (status 400)" },
                { 400, "x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender\r\n", "", -ENOENT,
                  "SQS ReceiveMessage: AWS.SimpleQueueService.NonExistentQueue: no reason given (status 400)" },
                { 403, "",
                  "{\"__type\":\"com.amazon.coral.service#AccessDeniedException\",\"Message\":\"no\"}",
                  -EACCES, "SQS ReceiveMessage: AccessDeniedException: no (status 403)" },
                { 403, "", "{\"__type\":\"com.amazonaws.sqs#RequestThrottled\",\"message\":\"slow\"}",
                  -EAGAIN, "SQS ReceiveMessage: RequestThrottled: slow (status 403)" },
                { 400, "", "{\"__type\":\"com.amazonaws.sqs#KmsThrottled\",\"message\":\"slow\"}", -EAGAIN,
                  "SQS ReceiveMessage: KmsThrottled: slow (status 400)" },
                { 400, "", "{\"__type\":\"com.amazonaws.sqs#OverLimit\",\"message\":\"many\"}", -EREMOTEIO,
                  "SQS ReceiveMessage: OverLimit: many (status 400)" },
        };
        Setup *setup = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(sqs_request_freep) SqsRequest *request = NULL;
                TestOutcome outcome;

                setup->status = cases[i].status;
                setup->headers = cases[i].headers;
                request = receive(setup, cases[i].answer, &outcome);
                assert_int_equal(outcome.result, cases[i].result);
                assert_string_equal(outcome.error.message, cases[i].message);
        }
}

static void test_too_large(void **state) {
        _cleanup_(sqs_request_freep) SqsRequest *request = NULL;
        _cleanup_free_ char *answer = malloc(SQS_RESPONSE_MAX + 2);
        TestOutcome outcome;

        assert_non_null(answer);
        memset(answer, ' ', SQS_RESPONSE_MAX + 1);
        answer[SQS_RESPONSE_MAX + 1] = '\0';
        request = receive(*state, answer, &outcome);
        assert_int_equal(outcome.result, -E2BIG);
}

static void test_queue_url(void **state) {
        _cleanup_(sqs_request_freep) SqsRequest *request = NULL;
        Setup *setup = *state;
        TestOutcome outcome = {};

        setup->expected_target = "AmazonSQS.GetQueueUrl";
        setup->expected_scope = "/us-east-1/sqs/aws4_request";
        setup->expected_body = "{\"QueueName\":\"prod\"}";
        setup->answer = "{\"QueueUrl\":\"" QUEUE "\"}";
        assert_int_equal(
                sqs_get_queue_url_start(setup->client.aws, "prod", on_done, &outcome, &request, NULL), 0);
        test_wait(setup->client.event, &outcome.done);
        assert_int_equal(outcome.result, 0);
        assert_string_equal(sqs_request_queue_url(request), QUEUE);
}

static void test_batches(void **state) {
        _cleanup_(sqs_request_freep) SqsRequest *deleted = NULL, *hidden = NULL;
        char *receipts[] = { (char *) "one", (char *) "two", NULL };
        TestOutcome outcomes[2] = {};
        Setup *setup = *state;

        setup->expected_target = "AmazonSQS.DeleteMessageBatch";
        setup->expected_body =
                "{\"QueueUrl\":\"" QUEUE "\",\"Entries\":[{\"Id\":\"0\",\"ReceiptHandle\":\"one\"},"
                "{\"Id\":\"1\",\"ReceiptHandle\":\"two\"}]}";
        setup->answer = "{\"Successful\":[{\"Id\":\"0\"},{\"Id\":\"1\"}],\"Failed\":[]}";
        assert_int_equal(
                sqs_delete_start(setup->client.aws, QUEUE, receipts, on_done, &outcomes[0], &deleted, NULL),
                0);
        test_wait(setup->client.event, &outcomes[0].done);
        assert_int_equal(outcomes[0].result, 0);

        receipts[1] = NULL;
        setup->expected_target = "AmazonSQS.ChangeMessageVisibilityBatch";
        setup->expected_body =
                "{\"QueueUrl\":\"" QUEUE "\",\"Entries\":[{\"Id\":\"0\",\"ReceiptHandle\":\"one\","
                "\"VisibilityTimeout\":0}]}";
        setup->answer =
                "{\"Failed\":[{\"Id\":\"0\",\"Code\":\"ReceiptHandleIsInvalid\",\"Message\":\"bad\"}]}";
        assert_int_equal(
                sqs_hide_start(setup->client.aws, QUEUE, receipts, 0, on_done, &outcomes[1], &hidden, NULL),
                0);
        test_wait(setup->client.event, &outcomes[1].done);
        assert_int_equal(outcomes[1].result, -EREMOTEIO);
        assert_string_equal(outcomes[1].error.message,
                            "SQS ChangeMessageVisibilityBatch: 1 refused, the first one "
                            "with ReceiptHandleIsInvalid: bad");
}

static json_t *values(const char *name, const char *value) {
        return json_pack("{s:s}", name, value);
}

static void test_create_queue(void **state) {
        static const struct {
                int status;
                const char *answer;
                int result;
        } cases[] = {
                { 200, "{\"QueueUrl\":\"" QUEUE "\"}", 0 },
                { 200, "{}", -EBADMSG },
                { 400, "{\"__type\":\"com.amazonaws.sqs#QueueNameExists\",\"message\":\"no\"}", -EEXIST },
                { 400, "{\"__type\":\"com.amazonaws.sqs#QueueAlreadyExists\",\"message\":\"no\"}", -EEXIST },
                { 400, "{\"__type\":\"com.amazonaws.sqs#QueueDeletedRecently\",\"message\":\"wait\"}",
                  -EBUSY },
                { 403, "{\"__type\":\"com.amazonaws.sqs#AccessDenied\",\"message\":\"no\"}", -EACCES },
        };
        json_auto_t *attributes = values("MessageRetentionPeriod", "3600"), *tags = values("a", "b");
        Setup *setup = *state;

        setup->expected_target = "AmazonSQS.CreateQueue";
        setup->expected_scope = "/us-east-1/sqs/aws4_request";
        setup->expected_body =
                "{\"QueueName\":\"prod\",\"Attributes\":{\"MessageRetentionPeriod\":\"3600\"},\"tags\":{\"a\":\"b\"}}";
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(sqs_request_freep) SqsRequest *request = NULL;
                TestOutcome outcome = {};

                setup->status = cases[i].status;
                setup->answer = cases[i].answer;
                assert_int_equal(sqs_create_queue_start(setup->client.aws, "prod", attributes, tags, on_done,
                                                        &outcome, &request, NULL),
                                 0);
                test_wait(setup->client.event, &outcome.done);
                assert_int_equal(outcome.result, cases[i].result);
                if (outcome.result == 0)
                        assert_string_equal(sqs_request_queue_url(request), QUEUE);
        }
}

static void test_attributes_and_tags(void **state) {
        _cleanup_(sqs_request_freep) SqsRequest *attributes = NULL, *tags = NULL, *bad = NULL, *set = NULL,
                                                *deleted = NULL;
        json_auto_t *policy = values("Policy", "{}");
        Setup *setup = *state;
        TestOutcome outcomes[5] = {};

        setup->expected_target = "AmazonSQS.GetQueueAttributes";
        setup->expected_body = "{\"QueueUrl\":\"" QUEUE "\",\"AttributeNames\":[\"All\"]}";
        setup->answer = "{\"Attributes\":{\"QueueArn\":\"arn\"}}";
        assert_int_equal(
                sqs_get_attributes_start(setup->client.aws, QUEUE, on_done, &outcomes[0], &attributes, NULL),
                0);
        test_wait(setup->client.event, &outcomes[0].done);
        assert_int_equal(outcomes[0].result, 0);
        assert_string_equal(json_string_value(json_object_get(sqs_request_values(attributes), "QueueArn")),
                            "arn");

        setup->answer = "{\"Attributes\":{\"QueueArn\":1}}";
        assert_int_equal(
                sqs_get_attributes_start(setup->client.aws, QUEUE, on_done, &outcomes[1], &bad, NULL), 0);
        test_wait(setup->client.event, &outcomes[1].done);
        assert_int_equal(outcomes[1].result, -EBADMSG);

        setup->expected_target = "AmazonSQS.ListQueueTags";
        setup->expected_body = "{\"QueueUrl\":\"" QUEUE "\"}";
        setup->answer = "{}";
        assert_int_equal(sqs_list_tags_start(setup->client.aws, QUEUE, on_done, &outcomes[2], &tags, NULL),
                         0);
        test_wait(setup->client.event, &outcomes[2].done);
        assert_int_equal(outcomes[2].result, 0);
        assert_int_equal(json_object_size(sqs_request_values(tags)), 0);

        setup->expected_target = "AmazonSQS.SetQueueAttributes";
        setup->expected_body = "{\"QueueUrl\":\"" QUEUE "\",\"Attributes\":{\"Policy\":\"{}\"}}";
        setup->answer = "";
        assert_int_equal(
                sqs_set_attributes_start(setup->client.aws, QUEUE, policy, on_done, &outcomes[3], &set, NULL),
                0);
        test_wait(setup->client.event, &outcomes[3].done);
        assert_int_equal(outcomes[3].result, 0);

        setup->expected_target = "AmazonSQS.DeleteQueue";
        setup->expected_body = "{\"QueueUrl\":\"" QUEUE "\"}";
        assert_int_equal(
                sqs_delete_queue_start(setup->client.aws, QUEUE, on_done, &outcomes[4], &deleted, NULL), 0);
        test_wait(setup->client.event, &outcomes[4].done);
        assert_int_equal(outcomes[4].result, 0);
}

static void test_list_queues(void **state) {
        _cleanup_(sqs_request_freep) SqsRequest *first = NULL, *last = NULL;
        TestOutcome outcomes[2] = {};
        Setup *setup = *state;

        setup->expected_target = "AmazonSQS.ListQueues";
        setup->expected_scope = "/us-east-1/sqs/aws4_request";
        setup->expected_body = "{\"QueueNamePrefix\":\"muster-\",\"MaxResults\":1000}";
        setup->answer = "{\"QueueUrls\":[\"" QUEUE "\"],\"NextToken\":\"t\"}";
        assert_int_equal(sqs_list_queues_start(setup->client.aws, "muster-", NULL, on_done, &outcomes[0],
                                               &first, NULL),
                         0);
        test_wait(setup->client.event, &outcomes[0].done);
        assert_int_equal(outcomes[0].result, 0);
        assert_int_equal(json_array_size(sqs_request_queues(first)), 1);
        assert_string_equal(sqs_request_token(first), "t");

        setup->expected_body = "{\"QueueNamePrefix\":\"muster-\",\"MaxResults\":1000,\"NextToken\":\"t\"}";
        setup->answer = "{}";
        assert_int_equal(
                sqs_list_queues_start(setup->client.aws, "muster-", "t", on_done, &outcomes[1], &last, NULL),
                0);
        test_wait(setup->client.event, &outcomes[1].done);
        assert_int_equal(json_array_size(sqs_request_queues(last)), 0);
        assert_null(sqs_request_token(last));
}

/* Freeing a request that still runs calls nobody. */
static void test_cancel(void **state) {
        const SqsReceive order = { QUEUE, 1, 0, 60 };
        Setup *setup = *state;
        SqsRequest *request;
        TestOutcome outcome = {};

        assert_int_equal(sqs_receive_start(setup->client.aws, &order, on_done, &outcome, &request, NULL), 0);
        sqs_request_free(request);
        assert_true(sd_event_run(setup->client.event, 10000) >= 0);
        assert_false(outcome.done);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, test_client_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_receive),     TEST(test_bad_answers),  TEST(test_refusals),
                TEST(test_too_large),   TEST(test_queue_url),    TEST(test_batches),
                TEST(test_cancel),      TEST(test_create_queue), TEST(test_attributes_and_tags),
                TEST(test_list_queues),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
