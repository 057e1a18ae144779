#include "agent/net/sqs.h"
#include "agent/base/strv.h"
#include "agent/net/aws_json.h"

#define WAIT_MARGIN (10 * USEC_PER_SEC) /* for the answer, when the wait is over */

struct SqsRequest {
        AwsCall *call;
        const char *operation;
        int (*take)(SqsRequest *request, Error *error); /* NULL: the answer says nothing */
        json_t *answer;                                 /* what the rest points into */
        SqsMessages messages;
        const char *queue_url;
        const json_t *values;
        SqsDone done;
        void *userdata;
};

SqsRequest *sqs_request_free(SqsRequest *request) {
        if (!request)
                return NULL;
        aws_call_free(request->call);
        json_decref(request->answer);
        free(request);
        return NULL;
}

/* Refusals that ask for something else to be done, by their names in either protocol. */
static int result_of(const AwsError *refusal, int result) {
        static const struct {
                const char *code;
                int result;
        } rows[] = {
                { "QueueNameExists", -EEXIST },
                { "QueueAlreadyExists", -EEXIST },
                { "QueueDeletedRecently", -EBUSY },
                { "AWS.SimpleQueueService.QueueDeletedRecently", -EBUSY },
        };

        for (size_t i = 0; refusal && i < ELEMENTSOF(rows); i++)
                if (string_equal(refusal->code, rows[i].code))
                        return rows[i].result;
        return result;
}

static void on_answer(AwsCall *call, int result, const Error *call_error, void *userdata) {
        SqsRequest *request = userdata;
        Error error = *call_error;

        if (result < 0) {
                result = result_of(aws_call_error(call), result);
        } else {
                result = aws_json_answer(call, &request->answer, &error);
                if (result == 0 && request->take)
                        result = request->take(request, &error);
                if (result < 0)
                        error_prefix(&error, "SQS %s", request->operation);
        }
        request->done(request, result, &error, request->userdata);
}

/* What is the same for all operations; INPUT is consumed, NULL where there was no memory for it. */
static int start(AwsContext *aws, AwsJson json, json_t *input, int (*take)(SqsRequest *, Error *),
                 SqsDone done, void *userdata, SqsRequest **ret, Error *error) {
        _cleanup_(sqs_request_freep) SqsRequest *request = malloc(sizeof(*request));
        json_auto_t *owned = input;
        char region[SQS_REGION_MAX];
        const char *queue_url = json_string_value(json_object_get(input, "QueueUrl"));
        int r;

        if (!request || !input) {
                free(TAKE_PTR(request));
                return error_oom(error);
        }
        *request =
                (SqsRequest){ .operation = json.operation, .take = take, .done = done, .userdata = userdata };
        json.service = AWS_SQS;
        json.version = "1.0";
        json.target = "AmazonSQS";
        if (queue_url && sqs_url_region(queue_url, region))
                json.region = region;
        r = aws_json_start(aws, &json, owned, on_answer, request, &request->call, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(request);
        return 0;
}

static int take_queue_url(SqsRequest *request, Error *error) {
        request->queue_url = json_string_value(json_object_get(request->answer, "QueueUrl"));
        if (!request->queue_url)
                return error_set_fault(error, -EBADMSG, FAULT_HOST, "an answer without QueueUrl");
        return 0;
}

int sqs_get_queue_url_start(AwsContext *aws, const char *name, SqsDone done, void *userdata, SqsRequest **ret,
                            Error *error) {
        return start(aws, (AwsJson){ .operation = "GetQueueUrl" }, json_pack("{s:s}", "QueueName", name),
                     take_queue_url, done, userdata, ret, error);
}

const char *sqs_request_queue_url(const SqsRequest *request) {
        return request->queue_url;
}

static int take_messages(SqsRequest *request, Error *error) {
        return sqs_messages_read(request->answer, &request->messages, error);
}

int sqs_receive_start(AwsContext *aws, const SqsReceive *receive, SqsDone done, void *userdata,
                      SqsRequest **ret, Error *error) {
        const AwsJson json = {
                .operation = "ReceiveMessage",
                /* Nothing comes while the queue is empty, which is no stall. */
                .timeouts = { .stall = USEC_INFINITY, .total = receive->wait * USEC_PER_SEC + WAIT_MARGIN },
                .response_limit = SQS_RESPONSE_MAX,
        };
        json_t *input = json_pack("{s:s, s:i, s:i, s:i}", "QueueUrl", receive->queue_url,
                                  "MaxNumberOfMessages", (int) receive->messages_max, "WaitTimeSeconds",
                                  (int) receive->wait, "VisibilityTimeout", (int) receive->visibility);

        return start(aws, json, input, take_messages, done, userdata, ret, error);
}

const SqsMessages *sqs_request_messages(const SqsRequest *request) {
        return &request->messages;
}

/* A batch is answered with 200 even where every entry was refused. */
static int take_batch(SqsRequest *request, Error *error) {
        const json_t *failed = json_object_get(request->answer, "Failed"), *first = json_array_get(failed, 0);
        const char *code = json_string_value(json_object_get(first, "Code"));
        const char *message = json_string_value(json_object_get(first, "Message"));

        if (json_array_size(failed) == 0)
                return 0;
        return error_set_fault(error, -EREMOTEIO, FAULT_HOST, "%zu refused, the first one with %.64s: %.256s",
                               json_array_size(failed), code ? code : "no code",
                               message ? message : "no reason given");
}

/* SECONDS below 0: none are given. */
static json_t *make_batch(const char *queue_url, char *const *receipts, int seconds) {
        json_auto_t *entries = json_array(), *input = NULL;
        int i = 0;

        STRV_FOREACH(receipt, receipts) {
                char id[16];
                json_t *entry;

                snprintf(id, sizeof(id), "%d", i++);
                entry = json_pack("{s:s, s:s}", "Id", id, "ReceiptHandle", *receipt);
                if (entry && seconds >= 0)
                        (void) json_object_set_new(entry, "VisibilityTimeout", json_integer(seconds));
                if (json_array_append_new(entries, entry) < 0)
                        return NULL;
        }
        input = json_pack("{s:s, s:O}", "QueueUrl", queue_url, "Entries", entries);
        return TAKE_PTR(input);
}

int sqs_delete_start(AwsContext *aws, const char *queue_url, char *const *receipts, SqsDone done,
                     void *userdata, SqsRequest **ret, Error *error) {
        return start(aws, (AwsJson){ .operation = "DeleteMessageBatch" }, make_batch(queue_url, receipts, -1),
                     take_batch, done, userdata, ret, error);
}

int sqs_hide_start(AwsContext *aws, const char *queue_url, char *const *receipts, unsigned seconds,
                   SqsDone done, void *userdata, SqsRequest **ret, Error *error) {
        return start(aws, (AwsJson){ .operation = "ChangeMessageVisibilityBatch" },
                     make_batch(queue_url, receipts, (int) seconds), take_batch, done, userdata, ret, error);
}

int sqs_create_queue_start(AwsContext *aws, const char *name, json_t *attributes, json_t *tags, SqsDone done,
                           void *userdata, SqsRequest **ret, Error *error) {
        return start(aws, (AwsJson){ .operation = "CreateQueue" },
                     json_pack("{s:s, s:O, s:O}", "QueueName", name, "Attributes", attributes, "tags", tags),
                     take_queue_url, done, userdata, ret, error);
}

int sqs_delete_queue_start(AwsContext *aws, const char *queue_url, SqsDone done, void *userdata,
                           SqsRequest **ret, Error *error) {
        return start(aws, (AwsJson){ .operation = "DeleteQueue" }, json_pack("{s:s}", "QueueUrl", queue_url),
                     NULL, done, userdata, ret, error);
}

static int take_values(SqsRequest *request, const char *member, Error *error) {
        json_t *values = json_object_get(request->answer, member);
        const char *name;
        json_t *value;

        if (!values && json_object_set_new(request->answer, member, values = json_object()) < 0)
                return error_oom(error);
        json_object_foreach(values, name, value)
                if (!json_is_string(value))
                        return error_set_fault(error, -EBADMSG, FAULT_HOST, "%s.%.64s is no text", member,
                                               name);
        request->values = values;
        return 0;
}

static int take_attributes(SqsRequest *request, Error *error) {
        return take_values(request, "Attributes", error);
}

static int take_tags(SqsRequest *request, Error *error) {
        return take_values(request, "Tags", error);
}

int sqs_get_attributes_start(AwsContext *aws, const char *queue_url, SqsDone done, void *userdata,
                             SqsRequest **ret, Error *error) {
        return start(aws, (AwsJson){ .operation = "GetQueueAttributes" },
                     json_pack("{s:s, s:[s]}", "QueueUrl", queue_url, "AttributeNames", "All"),
                     take_attributes, done, userdata, ret, error);
}

int sqs_set_attributes_start(AwsContext *aws, const char *queue_url, json_t *attributes, SqsDone done,
                             void *userdata, SqsRequest **ret, Error *error) {
        return start(aws, (AwsJson){ .operation = "SetQueueAttributes" },
                     json_pack("{s:s, s:O}", "QueueUrl", queue_url, "Attributes", attributes), NULL, done,
                     userdata, ret, error);
}

int sqs_list_tags_start(AwsContext *aws, const char *queue_url, SqsDone done, void *userdata,
                        SqsRequest **ret, Error *error) {
        return start(aws, (AwsJson){ .operation = "ListQueueTags" },
                     json_pack("{s:s}", "QueueUrl", queue_url), take_tags, done, userdata, ret, error);
}

const json_t *sqs_request_values(const SqsRequest *request) {
        return request->values;
}

#define LIST_MAX 1000 /* queues of one page */

static int take_queues(SqsRequest *request, Error *error) {
        const json_t *queues = json_object_get(request->answer, "QueueUrls"), *url;
        size_t i;

        json_array_foreach(queues, i, url)
                if (!json_is_string(url))
                        return error_set_fault(error, -EBADMSG, FAULT_HOST, "QueueUrls[%zu] is no text", i);
        return 0;
}

int sqs_list_queues_start(AwsContext *aws, const char *prefix, const char *token, SqsDone done,
                          void *userdata, SqsRequest **ret, Error *error) {
        return start(aws, (AwsJson){ .operation = "ListQueues" },
                     json_pack("{s:s, s:i, s:s*}", "QueueNamePrefix", prefix, "MaxResults", LIST_MAX,
                               "NextToken", token),
                     take_queues, done, userdata, ret, error);
}

const json_t *sqs_request_queues(const SqsRequest *request) {
        return json_object_get(request->answer, "QueueUrls");
}

const char *sqs_request_token(const SqsRequest *request) {
        return json_string_value(json_object_get(request->answer, "NextToken"));
}
