#include "agent/base/cleanup.h"
#include "agent/net/arn.h"
#include "tests/unit/test.h"

static void test_parts(void **state) {
        Arn arn;

        assert_true(arn_parse("arn:aws-cn:sns:cn-north-1:123456789012:api-prod:0b1c", &arn));
        assert_string_equal(arn.partition, "aws-cn");
        assert_string_equal(arn.service, "sns");
        assert_string_equal(arn.region, "cn-north-1");
        assert_string_equal(arn.account, "123456789012");
        assert_string_equal(arn.resource, "api-prod:0b1c");
        assert_true(arn_parse("arn:aws:s3:::bucket/key", &arn));
        assert_string_equal(arn.region, "");
        assert_string_equal(arn.account, "");
        (void) state;
}

static void test_refused(void **state) {
        static const char *const texts[] = {
                "",
                "arn",
                "arn:aws:sns:eu-west-1:1",
                "arn:aws:sns:eu-west-1:1:",
                "arn::sns:eu-west-1:1:t",
                "arn:aws::eu-west-1:1:t",
                "urn:aws:sns:eu-west-1:1:t",
                "arn:aws:sns:eu-west-1.evil.example/:1:t",
                "arn:aws:sns:eu-west-1:1:a topic",
                "arn:aws:sns:eu-west-1:1:t\n",
                "arn:aws:sns:eu-west-1:1:t\xc3\xa9",
                "arn:aws:0123456789012345678901234567890123456789012345678901234567890123:eu-west-1:1:t",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                Arn arn = { .account = "untouched" };

                assert_false(arn_parse(texts[i], &arn));
                assert_string_equal(arn.account, "untouched");
        }
        (void) state;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parts),
                cmocka_unit_test(test_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
