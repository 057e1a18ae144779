#include "agent/net/sqs.h"
#include "agent/base/strv.h"
#include "agent/net/aws_json.h"

#define WAIT_MARGIN (10 * USEC_PER_SEC) /* for the answer, when the wait is over */

struct SqsRequest {
        AwsCall *call;
        const char *operation;
        int (*take)(SqsRequest *request, Error *error);
        json_t *answer; /* what the rest points into */
        SqsMessages messages;
        const char *queue_url;
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

static void on_answer(AwsCall *call, int result, const Error *call_error, void *userdata) {
        SqsRequest *request = userdata;
        Error error = *call_error;

        if (result == 0) {
                result = aws_json_answer(call, &request->answer, &error);
                if (result == 0)
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
