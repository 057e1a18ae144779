#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/strv.h"
#include "agent/queue_message.h"
#include "artifacts/target.h"
#include "tests/unit/documents.h"
#include "tests/unit/test.h"

#define LIFECYCLE(transition)                                                                                \
        "\"LifecycleTransition\":\"autoscaling:EC2_INSTANCE_" transition                                     \
        "\",\"AutoScalingGroupName\":\"asg\","                                                               \
        "\"LifecycleHookName\":\"hook\",\"EC2InstanceId\":\"i-1\",\"LifecycleActionToken\":\"t\""

#define S3_RECORD(version, key)                                                                              \
        "{\"eventVersion\":\"" version "\",\"eventSource\":\"aws:s3\",\"eventName\":\"ObjectCreated:Put\","  \
        "\"s3\":{\"s3SchemaVersion\":\"1.0\",\"bucket\":{\"name\":\"depot\"},\"object\":{\"key\":\"" key     \
        "\","                                                                                                \
        "\"sequencer\":\"0A\"}}}"

#define EVENT(source, type, detail)                                                                          \
        "{\"version\":\"0\",\"id\":\"x\",\"detail-type\":\"" type "\",\"source\":\"" source                  \
        "\",\"detail\":{" detail "}}"

static QueueMessage *parse(const char *text) {
        QueueMessage *message = NULL;
        Error error = {};

        if (queue_message_parse(text, strlen(text), &message, &error) < 0)
                fail_msg("%s: %s", text, error.message);
        return message;
}

static const QueueNotice *only(const QueueMessage *message) {
        const QueueNotice *notices;
        size_t n;

        notices = queue_message_notices(message, &n);
        assert_int_equal(n, 1);
        return notices;
}

static void assert_text(const char *found, const char *expected) {
        if (!string_equal(found, expected))
                fail_msg("'%s' where '%s' was expected", found ?: "(none)", expected ?: "(none)");
}

static void test_changed(_unused_ void **state) {
        static const struct {
                const char *text, *app, *group, *instance;
        } cases[] = {
                { "{\"muster\":\"changed\"}", NULL, NULL, NULL },
                { "{\"muster\":\"changed\",\"app\":\"api\",\"group\":\"prod\",\"later\":1}", "api", "prod",
                  NULL },
                { " {\"muster\":\"changed\",\"instance\":\"i-1\"}\n", NULL, NULL, "i-1" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(queue_message_freep) QueueMessage *message = parse(cases[i].text);
                const QueueNotice *notice = only(message);

                assert_int_equal(notice->kind, QUEUE_NOTICE_CHANGED);
                assert_text(notice->app, cases[i].app);
                assert_text(notice->group, cases[i].group);
                assert_text(notice->instance, cases[i].instance);
        }
}

/* What SNS makes of a message where it does not deliver raw. */
static char *wrap(const char *text) {
        json_auto_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "Type", "Notification", "MessageId",
                                      "m", "TopicArn", "arn:aws:sns:eu-central-1:123456789012:prod",
                                      "Message", text, "SignatureVersion", "1", "Signature", "c2ln");

        return json_dumps(json, 0);
}

static void test_target(_unused_ void **state) {
        _cleanup_buffer_ Buffer envelope = {};
        _cleanup_free_ char *wrapped = NULL;

        documents_read("target.envelope.json", &envelope);
        wrapped = wrap(buffer_string(&envelope));
        for (int i = 0; i < 2; i++) {
                _cleanup_(queue_message_freep) QueueMessage *message =
                        parse(i == 0 ? buffer_string(&envelope) : wrapped);
                size_t size;

                assert_int_equal(only(message)->kind, QUEUE_NOTICE_TARGET);
                assert_memory_equal(queue_message_envelope(message, &size), envelope.data, envelope.size);
                assert_int_equal(size, envelope.size);
        }
}

static void test_s3(_unused_ void **state) {
        static const struct {
                const char *text, *key;
        } cases[] = {
                { "{\"Records\":[" S3_RECORD("2.1", "apps/api/groups/prod/target.json") "]}",
                  "apps/api/groups/prod/target.json" },
                { "{\"Records\":[" S3_RECORD("2.5", "apps%2Fapi/a+b%2Bc%C3%BC") "]}",
                  "apps/api/a b+c\xc3\xbc" },
                { EVENT("aws.s3", "Object Created",
                        "\"bucket\":{\"name\":\"depot\"},\"object\":{\"key\":\"a+b%20c\",\"etag\":\"e\"}"),
                  "a+b%20c" },
                { EVENT("aws.s3", "Object Deleted",
                        "\"bucket\":{\"name\":\"depot\"},\"object\":{\"key\":\"k\"},\"reason\":\"DeleteObject\""),
                  "k" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *wrapped = wrap(cases[i].text);
                _cleanup_(queue_message_freep) QueueMessage *raw = parse(cases[i].text),
                                                            *sns = parse(wrapped);

                assert_int_equal(only(raw)->kind, QUEUE_NOTICE_OBJECT);
                assert_text(only(raw)->bucket, "depot");
                assert_text(only(raw)->key, cases[i].key);
                assert_text(only(sns)->key, cases[i].key);
        }
}

static void test_several_records(_unused_ void **state) {
        _cleanup_(queue_message_freep) QueueMessage *message =
                parse("{\"Records\":[" S3_RECORD("2.1", "one") "," S3_RECORD("2.3", "two") "]}");
        const QueueNotice *notices;
        size_t n;

        notices = queue_message_notices(message, &n);
        assert_int_equal(n, 2);
        assert_text(notices[0].key, "one");
        assert_text(notices[1].key, "two");
}

static void test_lifecycle(_unused_ void **state) {
        static const struct {
                const char *text;
                bool launches, warm_pool;
        } cases[] = {
                { "{\"Service\":\"AWS Auto Scaling\",\"AccountId\":\"1\"," LIFECYCLE("LAUNCHING") "}", true,
                  false },
                { "{" LIFECYCLE(
                          "TERMINATING") ",\"Origin\":\"AutoScalingGroup\",\"Destination\":\"WarmPool\"}",
                  false, true },
                { EVENT("aws.autoscaling", "EC2 Instance-launch Lifecycle Action", LIFECYCLE("LAUNCHING")),
                  true, false },
                { EVENT("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action",
                        LIFECYCLE("TERMINATING")),
                  false, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(queue_message_freep) QueueMessage *message = parse(cases[i].text);
                const QueueNotice *notice = only(message);

                assert_int_equal(notice->kind, QUEUE_NOTICE_LIFECYCLE);
                assert_int_equal(notice->launches, cases[i].launches);
                assert_int_equal(notice->warm_pool, cases[i].warm_pool);
                assert_text(notice->group, "asg");
                assert_text(notice->hook, "hook");
                assert_text(notice->instance, "i-1");
                assert_text(notice->token, "t");
        }
}

static void test_interruption(_unused_ void **state) {
        _cleanup_(queue_message_freep) QueueMessage *message =
                parse(EVENT("aws.ec2", "EC2 Spot Instance Interruption Warning",
                            "\"instance-id\":\"i-1\",\"instance-action\":\"terminate\""));

        assert_int_equal(only(message)->kind, QUEUE_NOTICE_INTERRUPTION);
        assert_text(only(message)->instance, "i-1");
        assert_text(only(message)->event, "EC2 Spot Instance Interruption Warning");
}

static void test_nothing(_unused_ void **state) {
        static const char *const texts[] = {
                "{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\",\"Bucket\":\"depot\",\"RequestId\":\"r\"}",
                "{\"AutoScalingGroupName\":\"asg\",\"Event\":\"autoscaling:TEST_NOTIFICATION\",\"Time\":\"t\"}",
                "{\"AutoScalingGroupName\":\"asg\",\"Event\":\"autoscaling:EC2_INSTANCE_LAUNCH\",\"EC2InstanceId\":\"i\"}",
                EVENT("aws.autoscaling", "EC2 Instance Launch Successful", "\"EC2InstanceId\":\"i-1\""),
                EVENT("aws.ec2", "EC2 Instance State-change Notification", "\"instance-id\":\"i-1\""),
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(queue_message_freep) QueueMessage *message = parse(texts[i]);

                assert_int_equal(only(message)->kind, QUEUE_NOTICE_NONE);
        }
}

static void assert_refused(const char *text, size_t size, const char *why) {
        QueueMessage *message = NULL;
        Error error = {};

        assert_int_equal(queue_message_parse(text, size, &message, &error), -EBADMSG);
        assert_null(message);
        if (!strstr(error.message, why))
                fail_msg("expected \"%s\" in \"%s\"", why, error.message);
}

static void test_refused(_unused_ void **state) {
        static const struct {
                const char *text, *why;
        } cases[] = {
                { "", "message" },
                { "hello", "message" },
                { "[]", "expected an object" },
                { "{}", "of no kind that is known here" },
                { "{\"muster\":\"changed\",\"muster\":\"changed\"}", "muster" },
                { "{\"muster\":\"deploy\"}", "muster: expected \"changed\"" },
                { "{\"muster\":\"changed\",\"app\":\"../x\"}", "app: expected a name" },
                { "{\"muster\":\"changed\",\"group\":7}", "group: expected a name" },
                { "{\"muster\":\"changed\",\"instance\":\"\"}", "instance: expected a name" },
                { "{\"payloadType\":\"application/vnd.muster.release.v1+json\"}", "payloadType: expected" },
                { "{\"Records\":[]}", "Records: expected 1 to 100 records" },
                { "{\"Records\":{}}", "Records: expected 1 to 100 records" },
                { "{\"Records\":[1]}", "eventSource" },
                { "{\"Records\":[{\"eventSource\":\"aws:ses\"}]}", "eventSource" },
                { "{\"Records\":[" S3_RECORD("3.0", "k") "]}", "eventVersion: expected 2.x" },
                { "{\"Records\":[" S3_RECORD("2.1", "a%2") "]}", "not percent-encoded" },
                { "{\"Records\":[" S3_RECORD("2.1", "a%00b") "]}", "not percent-encoded" },
                { "{\"Records\":[{\"eventSource\":\"aws:s3\",\"eventVersion\":\"2.1\"}]}",
                  "without bucket or key" },
                { "{\"Records\":[" S3_RECORD("2.1", "k") ",1]}", "eventSource" },
                { EVENT("aws.health", "x", ""), "source: expected" },
                { EVENT("aws.s3", "Object Created", ""), "without bucket or key" },
                { EVENT("aws.ec2", "EC2 Instance Rebalance Recommendation", ""), "without instance-id" },
                { "{\"detail-type\":1}", "source: expected" },
                { "{\"LifecycleTransition\":\"autoscaling:OTHER\"}", "LifecycleTransition: expected" },
                { "{\"LifecycleTransition\":\"autoscaling:EC2_INSTANCE_LAUNCHING\"}",
                  "without group, hook or instance" },
                { "{\"Event\":\"s3:Other\"}", "Event: expected" },
                { "{\"Type\":\"Notification\",\"Message\":\"hello\"}", "message" },
                { "{\"Type\":\"Notification\",\"Message\":7}", "of no kind" },
                { "{\"Type\":\"Notification\",\"Message\":\"{\\\"Type\\\":\\\"Notification\\\",\\\"Message\\\":\\\"{}\\\"}\"}",
                  "of no kind" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_refused(cases[i].text, strlen(cases[i].text), cases[i].why);
}

static void test_limits(_unused_ void **state) {
        size_t size = QUEUE_MESSAGE_SIZE_MAX + 1;
        _cleanup_free_ char *text = malloc(size), *deep = malloc(size);

        assert_non_null(text);
        assert_non_null(deep);
        memset(text, ' ', size);
        memcpy(text, "{\"muster\":\"changed\"}", strlen("{\"muster\":\"changed\"}"));
        assert_refused(text, size, "message");
        memset(deep, '[', size);
        assert_refused(deep, size - 1, "message");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_changed),   cmocka_unit_test(test_target),
                cmocka_unit_test(test_s3),        cmocka_unit_test(test_several_records),
                cmocka_unit_test(test_lifecycle), cmocka_unit_test(test_interruption),
                cmocka_unit_test(test_nothing),   cmocka_unit_test(test_refused),
                cmocka_unit_test(test_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
