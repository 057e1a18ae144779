#include <string.h>

#include "agent/net/sqs_message.h"
#include "tests/unit/test.h"

static int read_text(const char *text, json_t **ret_json, SqsMessages *ret, Error *error) {
        *ret_json = json_loads(text, 0, NULL);
        assert_non_null(*ret_json);
        return sqs_messages_read(*ret_json, ret, error);
}

static void test_messages(_unused_ void **state) {
        json_auto_t *json = NULL;
        SqsMessages messages;

        assert_int_equal(
                read_text("{\"Messages\":[{\"MessageId\":\"m\",\"ReceiptHandle\":\"r\",\"Body\":\"hello\","
                          "\"MD5OfBody\":\"5d41402abc4b2a76b9719d911017c592\",\"Attributes\":{}},"
                          "{\"MessageId\":\"n\",\"ReceiptHandle\":\"s\",\"Body\":\"\"}]}",
                          &json, &messages, NULL),
                0);
        assert_int_equal(messages.n, 2);
        assert_int_equal(messages.n_damaged, 0);
        assert_string_equal(messages.items[0].id, "m");
        assert_string_equal(messages.items[0].receipt, "r");
        assert_string_equal(messages.items[0].body, "hello");
        assert_int_equal(messages.items[0].body_size, 5);
        assert_int_equal(messages.items[1].body_size, 0);
}

static void test_none(_unused_ void **state) {
        static const char *const texts[] = { "{}", "{\"Messages\":[]}", "{\"Messages\":null}" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                json_auto_t *json = NULL;
                SqsMessages messages = { .n = 7 };

                assert_int_equal(read_text(texts[i], &json, &messages, NULL), 0);
                assert_int_equal(messages.n, 0);
        }
}

static void test_damaged(_unused_ void **state) {
        json_auto_t *json = NULL;
        SqsMessages messages;

        assert_int_equal(
                read_text("{\"Messages\":[{\"MessageId\":\"m\",\"ReceiptHandle\":\"r\",\"Body\":\"hallo\","
                          "\"MD5OfBody\":\"5d41402abc4b2a76b9719d911017c592\"},"
                          "{\"MessageId\":\"n\",\"ReceiptHandle\":\"s\",\"Body\":\"x\"}]}",
                          &json, &messages, NULL),
                0);
        assert_int_equal(messages.n_damaged, 1);
        assert_int_equal(messages.n, 1);
        assert_string_equal(messages.items[0].id, "n");
}

static void test_refused(_unused_ void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "{\"Messages\":{}}", "Messages is no array" },
                { "{\"Messages\":[1]}", "a message without MessageId, ReceiptHandle or Body" },
                { "{\"Messages\":[{\"MessageId\":\"m\",\"ReceiptHandle\":\"r\"}]}",
                  "a message without MessageId, ReceiptHandle or Body" },
                { "{\"Messages\":[1,2,3,4,5,6,7,8,9,10,11]}", "more than 10 messages" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                json_auto_t *json = NULL;
                SqsMessages messages;
                Error error = {};

                assert_int_equal(read_text(cases[i].text, &json, &messages, &error), -EBADMSG);
                assert_string_equal(error.message, cases[i].message);
        }
}

static void test_region(_unused_ void **state) {
        static const struct {
                const char *url, *region; /* NULL: none */
        } cases[] = {
                { "https://sqs.eu-central-1.amazonaws.com/123456789012/prod", "eu-central-1" },
                { "https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/prod", "us-gov-west-1" },
                { "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/prod", "cn-north-1" },
                { "https://sqs.eu-west-1.api.aws/123456789012/prod", "eu-west-1" },
                { "https://eu-west-1.queue.amazonaws.com/123456789012/prod", "eu-west-1" },
                { "https://queue.amazonaws.com/123456789012/prod", NULL },
                { "https://vpce-1-x.sqs.eu-west-1.vpce.amazonaws.com/123456789012/prod", NULL },
                { "http://192.0.2.1:5000/123456789012/prod", NULL },
                { "http://localhost/123456789012/prod", NULL },
                { "http://sqs.localhost/1/q", NULL },
                { "https://sqs./1/q", NULL },
                { "https://sqs.-x.amazonaws.com/1/q", NULL },
                { "prod", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char region[SQS_REGION_MAX] = "";

                assert_int_equal(sqs_url_region(cases[i].url, region), cases[i].region != NULL);
                if (cases[i].region)
                        assert_string_equal(region, cases[i].region);
        }
}

static void test_names(_unused_ void **state) {
        char longest[82];

        assert_true(sqs_queue_name_is_valid("muster-prod_1"));
        assert_true(sqs_queue_name_is_valid("prod.fifo"));
        assert_false(sqs_queue_name_is_valid(""));
        assert_false(sqs_queue_name_is_valid(".fifo"));
        assert_false(sqs_queue_name_is_valid("a.b"));
        assert_false(sqs_queue_name_is_valid("a/b"));
        memset(longest, 'q', sizeof(longest));
        longest[81] = '\0';
        assert_false(sqs_queue_name_is_valid(longest));
        longest[80] = '\0';
        assert_true(sqs_queue_name_is_valid(longest));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_messages), cmocka_unit_test(test_none),
                cmocka_unit_test(test_damaged),  cmocka_unit_test(test_refused),
                cmocka_unit_test(test_region),   cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
