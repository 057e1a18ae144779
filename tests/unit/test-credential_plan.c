#include <string.h>

#include "agent/net/credential_plan.h"
#include "tests/unit/test.h"

static const char config[] =
        "[default]\n"
        "aws_access_key_id = AKID\naws_secret_access_key = secret\n"
        "[profile role]\n"
        "role_arn = arn:one\nsource_profile = default\nexternal_id = x\nrole_session_name = me\n"
        "duration_seconds = 900\n"
        "[profile chained]\nrole_arn = arn:two\nsource_profile = role\n"
        "[profile self]\nrole_arn = arn:self\nsource_profile = self\n"
        "aws_access_key_id = SELF\naws_secret_access_key = s\naws_session_token = t\n"
        "[profile process]\ncredential_process = /bin/keys --now\n"
        "[profile instance]\nrole_arn = arn:i\ncredential_source = Ec2InstanceMetadata\n"
        "[profile container]\nrole_arn = arn:c\ncredential_source = EcsContainer\n"
        "[profile environment]\nrole_arn = arn:e\ncredential_source = Environment\n"
        "[profile token]\nrole_arn = arn:w\nweb_identity_token_file = /token\n"
        "[profile after-token]\nrole_arn = arn:after\nsource_profile = token\n"
        "[profile empty]\nregion = r\n"
        "[profile half]\naws_access_key_id = AKID\n"
        "[profile bad-key]\naws_access_key_id = A B\naws_secret_access_key = s\n"
        "[profile sso]\nsso_session = corp\n"
        "[profile mfa]\nrole_arn = arn\nsource_profile = default\nmfa_serial = m\n"
        "[profile neither]\nrole_arn = arn\n"
        "[profile both]\nrole_arn = arn\nsource_profile = default\ncredential_source = Environment\n"
        "[profile source]\nrole_arn = arn\ncredential_source = Elsewhere\n"
        "[profile gone]\nrole_arn = arn\nsource_profile = nobody\n"
        "[profile of-empty]\nrole_arn = arn\nsource_profile = empty\n"
        "[profile loop]\nrole_arn = arn\nsource_profile = loop2\n"
        "[profile loop2]\nrole_arn = arn\nsource_profile = loop\n"
        "[profile self-less]\nrole_arn = arn\nsource_profile = self-less\n"
        "[profile duration]\nrole_arn = arn\nsource_profile = default\nduration_seconds = 899\n";

static int set_up(void **state) {
        AwsProfiles *profiles = NULL;

        assert_int_equal(aws_profiles_new(&profiles), 0);
        assert_int_equal(aws_profiles_add(profiles, AWS_PROFILE_CONFIG, "config", config, NULL), 0);
        *state = profiles;
        return 0;
}

static int tear_down(void **state) {
        aws_profiles_free(*state);
        return 0;
}

static CredentialPlan plan_of(void **state, const char *profile) {
        CredentialPlan plan;
        Error error = {};

        if (credential_plan_make(*state, profile, &plan, &error) < 0)
                fail_msg("%s: %s", profile, error.message);
        return plan;
}

static void test_keys(void **state) {
        CredentialPlan plan = plan_of(state, "default");

        assert_int_equal(plan.base, CREDENTIAL_BASE_KEYS);
        assert_string_equal(plan.keys.access_key_id, "AKID");
        assert_int_equal(plan.n_roles, 0);
}

static void test_role(void **state) {
        CredentialPlan plan = plan_of(state, "role");

        assert_int_equal(plan.base, CREDENTIAL_BASE_KEYS);
        assert_int_equal(plan.n_roles, 1);
        assert_string_equal(plan.roles[0].arn, "arn:one");
        assert_string_equal(plan.roles[0].external_id, "x");
        assert_string_equal(plan.roles[0].session_name, "me");
        assert_int_equal(plan.roles[0].duration, 900);
}

static void test_order_of_roles(void **state) {
        CredentialPlan plan = plan_of(state, "chained");

        assert_int_equal(plan.n_roles, 2);
        assert_string_equal(plan.roles[0].arn, "arn:one");
        assert_string_equal(plan.roles[1].arn, "arn:two");
        assert_null(plan.roles[1].session_name);
}

static void test_own_keys(void **state) {
        CredentialPlan plan = plan_of(state, "self");

        assert_int_equal(plan.n_roles, 1);
        assert_string_equal(plan.keys.access_key_id, "SELF");
        assert_string_equal(plan.keys.session_token, "t");
}

static void test_bases(void **state) {
        static const struct {
                const char *profile;
                CredentialBase base;
                size_t n_roles;
        } cases[] = {
                { "process", CREDENTIAL_BASE_PROCESS, 0 },
                { "instance", CREDENTIAL_BASE_INSTANCE, 1 },
                { "container", CREDENTIAL_BASE_CONTAINER, 1 },
                { "environment", CREDENTIAL_BASE_ENVIRONMENT, 1 },
                { "token", CREDENTIAL_BASE_WEB_IDENTITY, 1 },
                { "after-token", CREDENTIAL_BASE_WEB_IDENTITY, 2 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                CredentialPlan plan = plan_of(state, cases[i].profile);

                assert_int_equal(plan.base, cases[i].base);
                assert_int_equal(plan.n_roles, cases[i].n_roles);
        }
        assert_string_equal(plan_of(state, "process").command, "/bin/keys --now");
        assert_string_equal(plan_of(state, "after-token").token_file, "/token");
        assert_string_equal(plan_of(state, "after-token").roles[0].arn, "arn:w");
}

static void test_refused(void **state) {
        static const struct {
                const char *profile;
                int result;
                const char *message;
        } cases[] = {
                { "empty", -ENOKEY, "profile empty has none" },
                { "half", -EINVAL,
                  "profile half: expected both aws_access_key_id and aws_secret_access_key, or neither" },
                { "bad-key", -EINVAL, "profile bad-key: a key has a character that no key has" },
                { "sso", -EINVAL, "profile sso: single sign-on needs a person" },
                { "mfa", -EINVAL, "profile mfa: mfa_serial: a second factor needs a person" },
                { "neither", -EINVAL,
                  "profile neither: role_arn needs one of source_profile and credential_source" },
                { "both", -EINVAL,
                  "profile both: role_arn needs one of source_profile and credential_source" },
                { "source", -EINVAL, "profile source: credential_source: expected Environment, " },
                { "gone", -EINVAL, "profile gone: source_profile: there is no profile nobody" },
                { "of-empty", -EINVAL, "profile empty: it is a source_profile and has no credentials" },
                { "loop", -EINVAL, "profile loop: source_profile leads round in a circle" },
                { "self-less", -EINVAL, "profile self-less: it is a source_profile and has no credentials" },
                { "duration", -EINVAL, "profile duration: duration_seconds: expected 900 to 43200" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                CredentialPlan plan;
                Error error = {};

                assert_int_equal(credential_plan_make(*state, cases[i].profile, &plan, &error),
                                 cases[i].result);
                if (strncmp(error.message, cases[i].message, strlen(cases[i].message)) != 0)
                        fail_msg("'%s', expected '%s'", error.message, cases[i].message);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_keys),     TEST(test_role),  TEST(test_order_of_roles),
                TEST(test_own_keys), TEST(test_bases), TEST(test_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
