#include <string.h>

#include "agent/base/strv.h"
#include "agent/net/arn.h"
#include "agent/net/aws_query.h"
#include "agent/net/digest.h"
#include "agent/net/sns.h"
#include "agent/net/url.h"
#include "agent/net/xml.h"

#define VERSION "2010-03-31"

struct SnsRequest {
        AwsCall *call;
        const char *action;
        int (*take)(SnsRequest *request, Error *error); /* NULL: the answer says nothing */
        XmlElement *answer;                             /* what the rest points into */
        const char *subscription, *token;
        SnsSubscription *subscriptions;
        size_t n;
        bool may_be_absent; /* then it is done */
        SnsDone done;
        void *userdata;
};

SnsRequest *sns_request_free(SnsRequest *request) {
        if (!request)
                return NULL;
        aws_call_free(request->call);
        xml_free(request->answer);
        free(request->subscriptions);
        free(request);
        return NULL;
}

/* "Invalid parameter: Attributes Reason: Subscription already exists with different attributes" */
static bool is_other_subscription(const AwsError *refusal) {
        return refusal && string_equal(refusal->code, "InvalidParameter") &&
               strstr(refusal->message, "already exists");
}

static int take_answer(SnsRequest *request, Error *error) {
        const Buffer *body = aws_call_body(request->call);
        int r;

        r = xml_parse(buffer_string(body), body->size, &request->answer, error);
        if (r >= 0)
                r = request->take(request, error);
        if (r < 0)
                error_prefix(error, "SNS %s", request->action);
        return r;
}

static void on_answer(AwsCall *call, int result, const Error *call_error, void *userdata) {
        SnsRequest *request = userdata;
        Error error = *call_error;

        if (result < 0 && is_other_subscription(aws_call_error(call)))
                result = -EEXIST;
        else if (result == -ENOENT && request->may_be_absent)
                result = 0;
        else if (result == 0 && request->take)
                result = take_answer(request, &error);
        request->done(request, result, &error, request->userdata);
}

/* ARN says which region it is about: a topic's, or a subscription's. */
static int start(AwsContext *aws, const char *arn, const char *action, const Buffer *parameters,
                 int (*take)(SnsRequest *, Error *), SnsDone done, void *userdata, SnsRequest **ret,
                 Error *error) {
        _cleanup_(sns_request_freep) SnsRequest *request = NULL;
        Arn parsed;
        int r;

        if (strlen(arn) >= SNS_ARN_MAX || !arn_parse(arn, &parsed) || !parsed.region[0])
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "'%.128s' is no ARN of SNS", arn);
        request = malloc(sizeof(*request));
        if (!request)
                return error_oom(error);
        *request = (SnsRequest){ .action = action, .take = take, .done = done, .userdata = userdata };
        r = aws_query_start_in(aws, AWS_SNS, parsed.region, VERSION, action, parameters, on_answer, request,
                               &request->call, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(request);
        return 0;
}

static int take_subscription(SnsRequest *request, Error *error) {
        request->subscription = xml_text(request->answer, "SubscribeResult/SubscriptionArn");
        if (!request->subscription)
                return error_set_fault(error, -EBADMSG, FAULT_HOST, "an answer without SubscriptionArn");
        return 0;
}

static int add_all(Buffer *parameters, const char *const pairs[][2], size_t n) {
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++)
                if (pairs[i][1])
                        r = url_query_add(parameters, pairs[i][0], pairs[i][1]);
        return r;
}

int sns_subscribe_start(AwsContext *aws, const char *topic, const char *queue_arn, SnsDone done,
                        void *userdata, SnsRequest **ret, Error *error) {
        const char *const pairs[][2] = {
                { "TopicArn", topic },
                { "Protocol", "sqs" },
                { "Endpoint", queue_arn },
                { "ReturnSubscriptionArn", "true" },
                { "Attributes.entry.1.key", "RawMessageDelivery" },
                { "Attributes.entry.1.value", "true" },
        };
        _cleanup_buffer_ Buffer parameters = {};

        if (add_all(&parameters, pairs, ELEMENTSOF(pairs)) < 0)
                return error_oom(error);
        return start(aws, topic, "Subscribe", &parameters, take_subscription, done, userdata, ret, error);
}

const char *sns_request_subscription(const SnsRequest *request) {
        return request->subscription;
}

int sns_unsubscribe_start(AwsContext *aws, const char *subscription, SnsDone done, void *userdata,
                          SnsRequest **ret, Error *error) {
        const char *const pairs[][2] = { { "SubscriptionArn", subscription } };
        _cleanup_buffer_ Buffer parameters = {};
        int r;

        if (add_all(&parameters, pairs, ELEMENTSOF(pairs)) < 0)
                return error_oom(error);
        r = start(aws, subscription, "Unsubscribe", &parameters, NULL, done, userdata, ret, error);
        if (r >= 0)
                (*ret)->may_be_absent = true;
        return r;
}

#define LIST "ListSubscriptionsByTopicResult"

static int take_list(SnsRequest *request, Error *error) {
        const XmlElement *first = xml_find(request->answer, LIST "/Subscriptions/member"), *e;
        const char *token = xml_text(request->answer, LIST "/NextToken");
        size_t n = 0;

        for (e = first; e; e = xml_next(e))
                n++;
        request->subscriptions = calloc(MAX(n, (size_t) 1), sizeof(request->subscriptions[0]));
        if (!request->subscriptions)
                return error_oom(error);
        for (e = first; e; e = xml_next(e)) {
                SnsSubscription *to = &request->subscriptions[request->n++];

                *to = (SnsSubscription){ xml_text(e, "SubscriptionArn"), xml_text(e, "Protocol"),
                                         xml_text(e, "Endpoint") };
                if (!to->arn || !to->protocol || !to->endpoint)
                        return error_set_fault(
                                error, -EBADMSG, FAULT_HOST,
                                "a subscription without SubscriptionArn, Protocol or Endpoint");
        }
        request->token = token && *token ? token : NULL;
        return 0;
}

int sns_list_start(AwsContext *aws, const char *topic, const char *token, SnsDone done, void *userdata,
                   SnsRequest **ret, Error *error) {
        const char *const pairs[][2] = { { "TopicArn", topic }, { "NextToken", token } };
        _cleanup_buffer_ Buffer parameters = {};

        if (add_all(&parameters, pairs, ELEMENTSOF(pairs)) < 0)
                return error_oom(error);
        return start(aws, topic, "ListSubscriptionsByTopic", &parameters, take_list, done, userdata, ret,
                     error);
}

const SnsSubscription *sns_request_subscriptions(const SnsRequest *request, size_t *ret_n) {
        *ret_n = request->n;
        return request->subscriptions;
}

const char *sns_request_token(const SnsRequest *request) {
        return request->token;
}

/* "Publish" in the Amazon SNS API Reference: only a FIFO topic takes these two, of 128 characters at most. */
static int add_fifo(Buffer *parameters, const SnsMessage *message) {
        char order[DIGEST_HEX_SIZE], id[DIGEST_HEX_SIZE];
        const char *const pairs[][2] = { { "MessageGroupId", order }, { "MessageDeduplicationId", id } };

        if (digest_sha256_hex(message->order, strlen(message->order), order) < 0 ||
            digest_sha256_hex(message->id, strlen(message->id), id) < 0)
                return -ENOMEM;
        return add_all(parameters, pairs, ELEMENTSOF(pairs));
}

static int add_attributes(Buffer *parameters, const SnsMessage *message) {
        int r = 0;

        for (unsigned i = 0; i < SNS_ATTRIBUTES_MAX && message->attributes[i].name && r >= 0; i++) {
                char name[64], type[64], value[64];
                const char *const pairs[][2] = { { name, message->attributes[i].name },
                                                 { type, "String" },
                                                 { value, message->attributes[i].value } };

                snprintf(name, sizeof(name), "MessageAttributes.entry.%u.Name", i + 1);
                snprintf(type, sizeof(type), "MessageAttributes.entry.%u.Value.DataType", i + 1);
                snprintf(value, sizeof(value), "MessageAttributes.entry.%u.Value.StringValue", i + 1);
                r = add_all(parameters, pairs, ELEMENTSOF(pairs));
        }
        return r;
}

int sns_publish_start(AwsContext *aws, const char *topic, const SnsMessage *message, SnsDone done,
                      void *userdata, SnsRequest **ret, Error *error) {
        const char *const pairs[][2] = { { "TopicArn", topic },
                                         { "Message", message->text },
                                         { "Subject", message->subject } };
        _cleanup_buffer_ Buffer parameters = {};

        if (add_all(&parameters, pairs, ELEMENTSOF(pairs)) < 0 || add_attributes(&parameters, message) < 0 ||
            (string_ends_with(topic, ".fifo") && add_fifo(&parameters, message) < 0))
                return error_oom(error);
        return start(aws, topic, "Publish", &parameters, NULL, done, userdata, ret, error);
}
