#include <string.h>

#include "agent/base/clock.h"
#include "agent/net/credentials.h"
#include "tests/unit/test.h"

#define GOOD                                                                                                             \
        "{\"Code\":\"Success\",\"LastUpdated\":\"2026-11-21T09:00:00Z\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"ASIA\"," \
        "\"SecretAccessKey\":\"se/cret+\",\"Token\":\"to/ken==\",\"Expiration\":\"2026-11-21T15:00:00Z\"}"

static void test_good(_unused_ void **state) {
        _cleanup_credentials_ Credentials credentials = {};

        assert_int_equal(credentials_parse_json(GOOD, strlen(GOOD), &credentials, NULL), 0);
        assert_string_equal(credentials.access_key_id, "ASIA");
        assert_string_equal(credentials.secret_access_key, "se/cret+");
        assert_string_equal(credentials.session_token, "to/ken==");
        assert_true(credentials.expiration == UINT64_C(1795273200) * USEC_PER_SEC);
}

static void test_without_expiration(_unused_ void **state) {
        static const char text[] = "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\",\"Token\":\"C\"}";
        _cleanup_credentials_ Credentials credentials = {};

        assert_int_equal(credentials_parse_json(text, strlen(text), &credentials, NULL), 0);
        assert_true(credentials.expiration == USEC_INFINITY);
}

static void test_bad(_unused_ void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "", "credentials that are no JSON object" },
                { "[]", "credentials that are no JSON object" },
                { "{\"AccessKeyId\":\"A\"", "credentials that are no JSON object" },
                { "{\"AccessKeyId\":\"A\",\"AccessKeyId\":\"B\"}", "credentials that are no JSON object" },
                { "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"EC2 cannot assume the role x.\"}",
                  "credentials refused: AssumeRoleUnauthorizedAccess: EC2 cannot assume the role x." },
                { "{\"Code\":\"Failed\"}", "credentials refused: Failed: no reason given" },
                { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\"}",
                  "credentials without AccessKeyId, SecretAccessKey or Token" },
                { "{\"AccessKeyId\":\"\",\"SecretAccessKey\":\"B\",\"Token\":\"C\"}",
                  "credentials without AccessKeyId, SecretAccessKey or Token" },
                { "{\"AccessKeyId\":1,\"SecretAccessKey\":\"B\",\"Token\":\"C\"}",
                  "credentials without AccessKeyId, SecretAccessKey or Token" },
                { "{\"AccessKeyId\":\"A\\r\\nX: y\",\"SecretAccessKey\":\"B\",\"Token\":\"C\"}",
                  "credentials without AccessKeyId, SecretAccessKey or Token" },
                { "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\",\"Token\":\"C\",\"Expiration\":\"soon\"}",
                  "credentials with a bad Expiration" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_credentials_ Credentials credentials = {};
                Error error = {};

                assert_int_equal(
                        credentials_parse_json(cases[i].text, strlen(cases[i].text), &credentials, &error),
                        -EBADMSG);
                assert_string_equal(error.message, cases[i].message);
                assert_null(credentials.access_key_id);
        }
}

static void test_copy(_unused_ void **state) {
        Credentials original = { (char *) "a", (char *) "b", NULL, 7 };
        _cleanup_credentials_ Credentials copy = {};

        assert_int_equal(credentials_copy(&original, &copy), 0);
        assert_string_equal(copy.access_key_id, "a");
        assert_string_equal(copy.secret_access_key, "b");
        assert_null(copy.session_token);
        assert_int_equal(copy.expiration, 7);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),
                cmocka_unit_test(test_without_expiration),
                cmocka_unit_test(test_bad),
                cmocka_unit_test(test_copy),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
