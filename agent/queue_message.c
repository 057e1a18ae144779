#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/url.h"
#include "agent/queue_message.h"
#include "artifacts/json.h"
#include "artifacts/target.h"

#define NAME "message"

struct QueueMessage {
        json_t *outer; /* what was received */
        json_t *inner; /* what SNS had wrapped, or the same */
        const char *text;
        size_t size; /* of the inner one */
        QueueNotice *notices;
        size_t n;
};

QueueMessage *queue_message_free(QueueMessage *message) {
        if (!message)
                return NULL;
        for (size_t i = 0; i < message->n; i++)
                free(message->notices[i].key);
        free(message->notices);
        json_decref(message->inner);
        json_decref(message->outer);
        free(message);
        return NULL;
}

static const char *text_of(const json_t *object, const char *key) {
        return json_string_value(json_object_get(object, key));
}

static int refuse(Error *error, const char *what) {
        return error_set_fault(error, -EBADMSG, FAULT_INPUT, NAME ": %s", what);
}

static int add(QueueMessage *message, const QueueNotice *notice) {
        QueueNotice *grown = reallocarray(message->notices, message->n + 1, sizeof(*grown));

        if (!grown)
                return -ENOMEM;
        message->notices = grown;
        grown[message->n++] = *notice;
        return 0;
}

static int add_one(QueueMessage *message, const QueueNotice *notice, Error *error) {
        return add(message, notice) < 0 ? error_oom(error) : 0;
}

/* Ours. */

static int read_name(const json_t *object, const char *key, const char **ret, Error *error) {
        const json_t *value = json_object_get(object, key);
        const char *text = json_string_value(value);

        if (value && (!text || !name_is_valid(text)))
                return error_set_fault(error, -EBADMSG, FAULT_INPUT, NAME ": %s: expected a name", key);
        *ret = text;
        return 0;
}

static int read_changed(QueueMessage *message, Error *error) {
        QueueNotice notice = { .kind = QUEUE_NOTICE_CHANGED };
        int r;

        if (!string_equal(text_of(message->inner, "muster"), "changed"))
                return refuse(error, "muster: expected \"changed\"");
        r = read_name(message->inner, "app", &notice.app, error);
        if (r >= 0)
                r = read_name(message->inner, "group", &notice.group, error);
        if (r >= 0)
                r = read_name(message->inner, "instance", &notice.instance, error);
        return r < 0 ? r : add_one(message, &notice, error);
}

static int read_envelope(QueueMessage *message, Error *error) {
        if (!string_equal(text_of(message->inner, "payloadType"), TARGET_TYPE))
                return refuse(error, "payloadType: expected " TARGET_TYPE);
        return add_one(message, &(QueueNotice){ .kind = QUEUE_NOTICE_TARGET }, error);
}

/* S3. */

static int add_object(QueueMessage *message, const char *bucket, const char *key, bool encoded,
                      Error *error) {
        QueueNotice notice = { .kind = QUEUE_NOTICE_OBJECT, .bucket = bucket };
        _cleanup_buffer_ Buffer decoded = {};
        int r;

        if (!bucket || !key)
                return refuse(error, "an event of S3 without bucket or key");
        r = encoded ? url_decode(&decoded, key, strlen(key), true)
                    : buffer_append(&decoded, key, strlen(key), QUEUE_MESSAGE_SIZE_MAX);
        if (r == -ENOMEM)
                return error_oom(error);
        if (r < 0 || memchr(buffer_string(&decoded), '\0', decoded.size))
                return refuse(error, "an event of S3 whose key is not percent-encoded");
        notice.key = strdup(buffer_string(&decoded));
        if (!notice.key || add(message, &notice) < 0) {
                free(notice.key);
                return error_oom(error);
        }
        return 0;
}

static int read_s3_record(QueueMessage *message, const json_t *record, Error *error) {
        const json_t *s3 = json_object_get(record, "s3");
        const char *version = text_of(record, "eventVersion");

        if (!string_equal(text_of(record, "eventSource"), "aws:s3"))
                return refuse(error, "eventSource: expected \"aws:s3\"");
        if (!version || !string_starts_with(version, "2."))
                return refuse(error, "eventVersion: expected 2.x");
        return add_object(message, text_of(json_object_get(s3, "bucket"), "name"),
                          text_of(json_object_get(s3, "object"), "key"), true, error);
}

static int read_s3_records(QueueMessage *message, Error *error) {
        const json_t *records = json_object_get(message->inner, "Records");

        if (json_array_size(records) == 0 || json_array_size(records) > QUEUE_NOTICES_MAX)
                return refuse(error, "Records: expected 1 to 100 records");
        for (size_t i = 0; i < json_array_size(records); i++) {
                int r = read_s3_record(message, json_array_get(records, i), error);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* Auto Scaling and EC2. */

static int add_lifecycle(QueueMessage *message, const json_t *detail, Error *error) {
        const char *transition = text_of(detail, "LifecycleTransition");
        const QueueNotice notice = {
                .kind = QUEUE_NOTICE_LIFECYCLE,
                .group = text_of(detail, "AutoScalingGroupName"),
                .instance = text_of(detail, "EC2InstanceId"),
                .hook = text_of(detail, "LifecycleHookName"),
                .token = text_of(detail, "LifecycleActionToken"),
                .launches = string_equal(transition, "autoscaling:EC2_INSTANCE_LAUNCHING"),
                .warm_pool = string_equal(text_of(detail, "Destination"), "WarmPool"),
                .event = transition,
        };

        if (!notice.launches && !string_equal(transition, "autoscaling:EC2_INSTANCE_TERMINATING"))
                return refuse(error, "LifecycleTransition: expected a launch or a termination");
        if (!notice.group || !notice.instance || !notice.hook)
                return refuse(error, "a lifecycle action without group, hook or instance");
        return add_one(message, &notice, error);
}

static int read_lifecycle(QueueMessage *message, Error *error) {
        return add_lifecycle(message, message->inner, error);
}

static int read_nothing(QueueMessage *message, Error *error) {
        return add_one(message, &(QueueNotice){ .kind = QUEUE_NOTICE_NONE }, error);
}

/* S3's and Auto Scaling's test messages, and Auto Scaling's older notifications of what has happened. */
static int read_service_event(QueueMessage *message, Error *error) {
        const char *event = text_of(message->inner, "Event");

        if (string_equal(event, "s3:TestEvent") || (event && string_starts_with(event, "autoscaling:")))
                return read_nothing(message, error);
        return refuse(error, "Event: expected that of a test message");
}

/* EventBridge. */

static int read_eventbridge_s3(QueueMessage *message, Error *error) {
        const json_t *detail = json_object_get(message->inner, "detail");

        return add_object(message, text_of(json_object_get(detail, "bucket"), "name"),
                          text_of(json_object_get(detail, "object"), "key"), false, error);
}

static int read_eventbridge_lifecycle(QueueMessage *message, Error *error) {
        return add_lifecycle(message, json_object_get(message->inner, "detail"), error);
}

static int read_eventbridge_interruption(QueueMessage *message, Error *error) {
        const QueueNotice notice = {
                .kind = QUEUE_NOTICE_INTERRUPTION,
                .instance = text_of(json_object_get(message->inner, "detail"), "instance-id"),
                .event = text_of(message->inner, "detail-type"),
        };

        if (!notice.instance)
                return refuse(error, "an event of EC2 without instance-id");
        return add_one(message, &notice, error);
}

static const struct {
        const char *source;
        const char *type; /* NULL: every other */
        int (*read)(QueueMessage *message, Error *error);
} events[] = {
        { "aws.s3", NULL, read_eventbridge_s3 },
        { "aws.autoscaling", "EC2 Instance-launch Lifecycle Action", read_eventbridge_lifecycle },
        { "aws.autoscaling", "EC2 Instance-terminate Lifecycle Action", read_eventbridge_lifecycle },
        { "aws.autoscaling", NULL, read_nothing },
        { "aws.ec2", "EC2 Spot Instance Interruption Warning", read_eventbridge_interruption },
        { "aws.ec2", "EC2 Instance Rebalance Recommendation", read_eventbridge_interruption },
        { "aws.ec2", NULL, read_nothing },
};

static int read_eventbridge(QueueMessage *message, Error *error) {
        const char *source = text_of(message->inner, "source"),
                   *type = text_of(message->inner, "detail-type");

        for (size_t i = 0; i < ELEMENTSOF(events); i++)
                if (string_equal(source, events[i].source) &&
                    (!events[i].type || string_equal(type, events[i].type)))
                        return events[i].read(message, error);
        return refuse(error, "source: expected that of S3, Auto Scaling or EC2");
}

/* What a message is recognised by, the most telling member first. */
static const struct {
        const char *member;
        int (*read)(QueueMessage *message, Error *error);
} shapes[] = {
        { "muster", read_changed },
        { "payloadType", read_envelope },
        { "Records", read_s3_records },
        { "detail-type", read_eventbridge },
        { "LifecycleTransition", read_lifecycle },
        { "Event", read_service_event },
};

static int read_inner(QueueMessage *message, Error *error) {
        for (size_t i = 0; i < ELEMENTSOF(shapes); i++)
                if (json_object_get(message->inner, shapes[i].member))
                        return shapes[i].read(message, error);
        return refuse(error, "of no kind that is known here");
}

static int read_object(const char *text, size_t size, json_t **ret, Error *error) {
        json_auto_t *value = NULL;
        int r;

        r = json_read(NAME, text, size, QUEUE_MESSAGE_SIZE_MAX, &value, error);
        if (r < 0)
                return r;
        if (!json_is_object(value))
                return refuse(error, "expected an object");
        *ret = TAKE_PTR(value);
        return 0;
}

/* SNS's envelope, unless the subscription delivers raw. There is one at most. */
static int unwrap(QueueMessage *message, Error *error) {
        const json_t *wrapped = json_object_get(message->outer, "Message");

        if (!string_equal(text_of(message->outer, "Type"), "Notification") || !json_is_string(wrapped)) {
                message->inner = json_incref(message->outer);
                return 0;
        }
        message->text = json_string_value(wrapped);
        message->size = json_string_length(wrapped);
        return read_object(message->text, message->size, &message->inner, error);
}

int queue_message_parse(const char *body, size_t size, QueueMessage **ret, Error *error) {
        _cleanup_(queue_message_freep) QueueMessage *message = calloc(1, sizeof(*message));
        int r;

        if (!message)
                return error_oom(error);
        message->text = body;
        message->size = size;
        r = read_object(body, size, &message->outer, error);
        if (r >= 0)
                r = unwrap(message, error);
        if (r >= 0)
                r = read_inner(message, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(message);
        return 0;
}

const QueueNotice *queue_message_notices(const QueueMessage *message, size_t *ret_n) {
        *ret_n = message->n;
        return message->notices;
}

const char *queue_message_envelope(const QueueMessage *message, size_t *ret_size) {
        *ret_size = message->size;
        return message->text;
}
