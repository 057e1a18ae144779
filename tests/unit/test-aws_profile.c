#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/net/aws_profile.h"
#include "tests/unit/test.h"

static AwsProfiles *parse(const char *config, const char *credentials) {
        AwsProfiles *profiles = NULL;
        Error error = {};

        assert_int_equal(aws_profiles_new(&profiles), 0);
        if (aws_profiles_add(profiles, AWS_PROFILE_CONFIG, "config", config, &error) < 0 ||
            aws_profiles_add(profiles, AWS_PROFILE_CREDENTIALS, "credentials", credentials, &error) < 0)
                fail_msg("%s", error.message);
        return profiles;
}

static void assert_get(const AwsProfiles *profiles, const char *profile, const char *key,
                       const char *expected) {
        const char *found = aws_profiles_get(profiles, profile, key);

        if (!string_equal(found, expected))
                fail_msg("%s of %s is '%s', expected '%s'", key, profile, found ?: "(none)",
                         expected ?: "(none)");
}

static void test_config(_unused_ void **state) {
        _cleanup_(aws_profiles_freep) AwsProfiles *profiles =
                parse("# a comment\r\n"
                      "[default]\r\n"
                      "region = eu-central-1\r\n"
                      "s3 =\r\n"
                      "  addressing_style = path\r\n"
                      "  no setting\r\n"
                      "\r\n"
                      "; another\n"
                      "[profile  prod ]\n"
                      "Role_ARN=arn:aws:iam::1:role/a=b # not a comment\n"
                      "source_profile: default\n"
                      "[sso-session corp]\n"
                      "sso_region = us-east-1\n"
                      "[services local]\n"
                      "s3 =\n"
                      "  endpoint_url = http://s3:1\n"
                      "sqs = x\n"
                      "  endpoint_url = http://sqs:1\n"
                      "[profile \"two words\"]\n"
                      "region =\n"
                      "[prod]\n"
                      "region = of-no-profile\n",
                      "");

        assert_get(profiles, "default", "region", "eu-central-1");
        assert_get(profiles, "default", "s3", NULL);
        assert_get(profiles, "default", "addressing_style", NULL);
        assert_get(profiles, "default", "s3.addressing_style", "path");
        assert_string_equal(aws_profiles_get_of_services(profiles, "local", "s3.endpoint_url"),
                            "http://s3:1");
        assert_null(aws_profiles_get_of_services(profiles, "local", "sqs.endpoint_url"));
        assert_null(aws_profiles_get_of_services(profiles, "other", "s3.endpoint_url"));
        assert_false(aws_profiles_has(profiles, "local"));
        assert_get(profiles, "prod", "role_arn", "arn:aws:iam::1:role/a=b # not a comment");
        assert_get(profiles, "prod", "source_profile", "default");
        assert_get(profiles, "prod", "region", NULL);
        assert_true(aws_profiles_has(profiles, "two words"));
        assert_get(profiles, "two words", "region", NULL);
        assert_false(aws_profiles_has(profiles, "corp"));
        assert_false(aws_profiles_has(profiles, "profile prod"));
}

static void test_credentials_win(_unused_ void **state) {
        _cleanup_(aws_profiles_freep) AwsProfiles *profiles = parse(
                "[default]\naws_access_key_id = OLD\naws_secret_access_key = old\naws_session_token = t\n"
                "region = r\n[profile a]\naws_access_key_id = KEPT\naws_secret_access_key = kept\n",
                "[default]\naws_secret_access_key = new\naws_access_key_id = NEW\n[a]\nregion = x\n");

        assert_get(profiles, "default", "aws_access_key_id", "NEW");
        assert_get(profiles, "default", "aws_secret_access_key", "new");
        assert_get(profiles, "default", "aws_session_token", NULL);
        assert_get(profiles, "default", "region", "r");
        assert_get(profiles, "a", "aws_access_key_id", "KEPT");
        assert_get(profiles, "a", "region", "x");
}

static void test_refused(_unused_ void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "[default\n", "config:1: expected ']' after the section's name" },
                { "region = r\n", "config:1: expected [SECTION] or KEY = VALUE" },
                { "[default]\n\nAKIASECRET\n", "config:3: expected [SECTION] or KEY = VALUE" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(aws_profiles_freep) AwsProfiles *profiles = NULL;
                Error error = {};

                assert_int_equal(aws_profiles_new(&profiles), 0);
                assert_int_equal(
                        aws_profiles_add(profiles, AWS_PROFILE_CONFIG, "config", cases[i].text, &error),
                        -EINVAL);
                assert_string_equal(error.message, cases[i].message);
        }
}

static void test_too_many(_unused_ void **state) {
        _cleanup_(aws_profiles_freep) AwsProfiles *profiles = NULL;
        _cleanup_free_ char *text = malloc(4 * (AWS_PROFILE_ENTRIES_MAX + 1) + 1);
        size_t n = 0;

        assert_non_null(text);
        for (size_t i = 0; i <= AWS_PROFILE_ENTRIES_MAX; i++, n += 4)
                memcpy(text + n, "[a]\n", 4);
        text[n] = '\0';
        assert_int_equal(aws_profiles_new(&profiles), 0);
        assert_int_equal(aws_profiles_add(profiles, AWS_PROFILE_CREDENTIALS, "f", text, NULL), -E2BIG);
}

static void test_load(void **state) {
        TestFolder *folder = *state;
        _cleanup_strv_ char **environment = NULL;
        AwsProfiles *profiles = NULL;
        Error error = {};

        assert_int_equal(strv_appendf(&environment, "HOME=%s", folder->path), 0);
        assert_int_equal(aws_profiles_load(environment, &profiles, NULL), 0);
        assert_false(aws_profiles_has(profiles, "default"));
        profiles = aws_profiles_free(profiles);

        assert_int_equal(close_fd(file_open_folder_at(folder->fd, ".aws", 0700)), -1);
        assert_int_equal(file_replace_at(folder->fd, ".aws/config", "[default]\nregion=r\n", 19, 0600), 0);
        assert_int_equal(
                file_replace_at(folder->fd, ".aws/credentials", "[p]\naws_session_token=t\n", 24, 0600), 0);
        assert_int_equal(aws_profiles_load(environment, &profiles, NULL), 0);
        assert_get(profiles, "default", "region", "r");
        assert_get(profiles, "p", "aws_session_token", "t");
        profiles = aws_profiles_free(profiles);

        assert_int_equal(strv_append(&environment, "AWS_CONFIG_FILE=/nonexistent/config"), 0);
        assert_int_equal(aws_profiles_load(environment, &profiles, &error), 0);
        assert_false(aws_profiles_has(profiles, "default"));
        assert_true(aws_profiles_has(profiles, "p"));
        profiles = aws_profiles_free(profiles);

        assert_int_equal(strv_append(&environment, "AWS_SHARED_CREDENTIALS_FILE=/"), 0);
        assert_true(aws_profiles_load(environment, &profiles, &error) < 0);
        assert_string_equal(error.message, "cannot read /: Is a directory");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_config),
                cmocka_unit_test(test_credentials_win),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_too_many),
                cmocka_unit_test_setup_teardown(test_load, test_folder_setup, test_folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
