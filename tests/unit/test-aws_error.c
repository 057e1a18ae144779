#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/utf8.h"
#include "agent/net/aws_error.h"
#include "tests/unit/test.h"

static void test_parse(_unused_ void **state) {
        static const struct {
                const char *body, *code, *message, *request_id, *region;
        } cases[] = {
                { "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Message>The key.</Message><Key>k</Key>"
                  "<RequestId>R</RequestId></Error>",
                  "NoSuchKey", "The key.", "R", "" },
                { "<ErrorResponse xmlns=\"http://x/\"><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate</Message>"
                  "</Error><RequestId>Q</RequestId></ErrorResponse>",
                  "Throttling", "Rate", "Q", "" },
                { "<Response><Errors><Error><Code>RequestExpired</Code><Message>m</Message></Error></Errors>"
                  "<RequestID>X</RequestID></Response>",
                  "RequestExpired", "m", "", "" },
                { "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>eu-west-1</Region></Error>",
                  "AuthorizationHeaderMalformed", "m", "", "eu-west-1" },
                { "<Error><Code>PermanentRedirect</Code><Region>evil.example/</Region></Error>",
                  "PermanentRedirect", "", "", "" },
                { " {\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\",\"message\":\"gone\"}",
                  "QueueDoesNotExist", "gone", "", "" },
                { "{\"__type\":\"ThrottlingException:http://x\",\"Message\":\"slow\"}", "ThrottlingException",
                  "slow", "", "" },
                { "<Error><Code>A</Code><Message>two\nlines\x1b[0m</Message></Error>", "", "", "",
                  "" }, /* no XML at all */
                { "<Error><Code>A</Code><Message>two\nlines</Message></Error>", "A", "two lines", "", "" },
                { "<html>Bad gateway</html>", "", "", "", "" },
                { "Bad gateway", "", "", "", "" },
                { "<Error>", "", "", "", "" },
                { "{", "", "", "", "" },
                { "[]", "", "", "", "" },
                { "", "", "", "", "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                AwsError error;

                aws_error_parse(cases[i].body, strlen(cases[i].body), &error);
                assert_string_equal(error.code, cases[i].code);
                assert_string_equal(error.message, cases[i].message);
                assert_string_equal(error.request_id, cases[i].request_id);
                assert_string_equal(error.region, cases[i].region);
        }
}

static void test_long_texts(_unused_ void **state) {
        char body[AWS_ERROR_MESSAGE_MAX * 2], text[AWS_ERROR_MESSAGE_MAX + 100];
        AwsError error;

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        snprintf(body, sizeof(body), "<Error><Code>C</Code><Message>%s</Message></Error>", text);
        aws_error_parse(body, strlen(body), &error);
        assert_int_equal(strlen(error.message), AWS_ERROR_MESSAGE_MAX - 1);
}

/* A cut goes through a character now and then. */
static void test_cut_character(_unused_ void **state) {
        char body[AWS_ERROR_CODE_MAX * 2 + 64], text[AWS_ERROR_CODE_MAX * 2] = "x";
        AwsError error;

        for (size_t i = 1; i + 2 < sizeof(text); i += 2)
                memcpy(text + i, "\xc3\xa9", 3);
        snprintf(body, sizeof(body), "<Error><Code>%s</Code></Error>", text + 1);
        aws_error_parse(body, strlen(body), &error);
        assert_int_equal(strlen(error.code), AWS_ERROR_CODE_MAX - 1);
        assert_true(utf8_is_valid(error.code));
}

static void test_in_body(_unused_ void **state) {
        static const char error[] = "<Error><Code>InternalError</Code></Error>",
                          list[] = "<ListBucketResult/>";

        assert_true(aws_error_in_body(error, strlen(error)));
        assert_false(aws_error_in_body(list, strlen(list)));
        assert_false(aws_error_in_body("", 0));
        assert_false(aws_error_in_body("hello", 5));
}

static void test_result(_unused_ void **state) {
        static const struct {
                int status;
                const char *code;
                int result;
        } cases[] = {
                { 403, "AccessDenied", -EACCES },
                { 400, "ExpiredToken", -EACCES },
                { 401, "", -EACCES },
                { 400, "AccessDenied", -EACCES },
                { 503, "SlowDown", -EAGAIN },
                { 500, "", -EAGAIN },
                { 400, "Throttling", -EAGAIN },
                { 404, "NoSuchBucket", -ENOENT },
                { 400, "ValidationError", -EREMOTEIO },
                { 301, "", -EREMOTEIO },
                { 200, "InternalError", -EAGAIN },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                AwsError error = { .status = cases[i].status };

                snprintf(error.code, sizeof(error.code), "%s", cases[i].code);
                assert_int_equal(aws_error_result(&error), cases[i].result);
        }
}

static void test_same(void **state) {
        static const char text[] = "S3 GetObject: AccessDenied: no (status 403, request AAA)";

        (void) state;
        assert_true(aws_error_is_same("", ""));
        assert_true(aws_error_is_same(text, text));
        assert_true(aws_error_is_same(text, "S3 GetObject: AccessDenied: no (status 403, request BBBB)"));
        assert_false(aws_error_is_same(text, "S3 GetObject: AccessDenied: no (status 404, request AAA)"));
        assert_false(aws_error_is_same(text, "S3 GetObject: AccessDenied: no (status 403)"));
        assert_false(
                aws_error_is_same(text, "S3 GetObject: AccessDenied: no (status 403, request AAA); again"));
        assert_false(aws_error_is_same("a, request X", ""));
        assert_true(aws_error_is_same("a, request X) b, request Y", "a, request Z) b, request "));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse),         cmocka_unit_test(test_long_texts),
                cmocka_unit_test(test_cut_character), cmocka_unit_test(test_in_body),
                cmocka_unit_test(test_result),        cmocka_unit_test(test_same),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
