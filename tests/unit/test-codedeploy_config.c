#include <string.h>

#include "agent/codedeploy_config.h"
#include "tests/unit/test.h"

static int parse(const char *text, CodedeployFile file, CodedeployConfig *ret, Error *error) {
        return codedeploy_config_parse("agent.yml", file, text, strlen(text), ret, error);
}

/* As the package installs it. */
static const char shipped[] =
        "---\n:log_aws_wire: false\n:log_dir: '/var/log/aws/codedeploy-agent/'\n"
        ":pid_dir: '/opt/codedeploy-agent/state/.pid/'\n:program_name: codedeploy-agent\n"
        ":root_dir: '/opt/codedeploy-agent/deployment-root'\n:verbose: false\n"
        ":wait_between_runs: 1\n:proxy_uri:\n:max_revisions: 5\n:disable_imds_v1: false\n";

static void test_shipped(_unused_ void **state) {
        _cleanup_(codedeploy_config_deinit) CodedeployConfig config = {};
        Error error = {};

        assert_int_equal(parse(shipped, CODEDEPLOY_AGENT_FILE, &config, &error), 0);
        assert_int_equal(config.n, 10);
        assert_string_equal(codedeploy_config_get(&config, "root_dir"), CODEDEPLOY_ROOT_DIR);
        assert_null(codedeploy_config_get(&config, "proxy_uri"));
        assert_null(codedeploy_config_get(&config, "user"));
        for (size_t i = 0; i < config.n; i++) {
                const CodedeploySetting *setting = &config.settings[i];

                assert_non_null(setting->key);
                if (setting->value[0])
                        assert_string_equal(setting->value, setting->key->initial);
        }
}

/* Ruby makes symbols of texts, so the colon is no must. */
static void test_notations(_unused_ void **state) {
        _cleanup_(codedeploy_config_deinit) CodedeployConfig config = {};
        Error error = {};

        assert_int_equal(parse("max_revisions: 3 # few\n\":verbose\": true\n':nonsense': 1\n",
                               CODEDEPLOY_AGENT_FILE, &config, &error),
                         0);
        assert_string_equal(codedeploy_config_get(&config, "max_revisions"), "3");
        assert_string_equal(codedeploy_config_get(&config, "verbose"), "true");
        assert_string_equal(config.settings[1].name, "nonsense");
        assert_null(config.settings[1].key);
}

static void test_secrets(_unused_ void **state) {
        static const char text[] =
                "---\nregion: eu-central-1\naws_access_key_id: AKIAIOSFODNN7EXAMPLE\n"
                "aws_secret_access_key: wJalrXUtnFEMI\niam_user_arn: arn:aws:iam::1:user/x\n";
        _cleanup_(codedeploy_config_deinit) CodedeployConfig config = {}, agent = {};
        Error error = {};

        assert_int_equal(parse(text, CODEDEPLOY_ON_PREMISES_FILE, &config, &error), 0);
        for (size_t i = 0; i < config.n; i++) {
                _cleanup_free_ char *shown = codedeploy_setting_show(&config.settings[i]);

                assert_non_null(config.settings[i].key);
                assert_null(strstr(shown, "wJalr"));
                assert_null(strstr(shown, "AKIA"));
        }
        assert_int_equal(
                parse(":proxy_uri: http://me:hush@proxy:3128\n", CODEDEPLOY_AGENT_FILE, &agent, &error), 0);
        {
                _cleanup_free_ char *shown = codedeploy_setting_show(&agent.settings[0]);

                assert_non_null(strstr(shown, "proxy:3128"));
                assert_null(strstr(shown, "hush"));
        }
}

/* Ruby takes the last one, and so does what is said of it. */
static void test_twice(_unused_ void **state) {
        _cleanup_(codedeploy_config_deinit) CodedeployConfig agent = {};

        assert_int_equal(parse(":verbose: true\n:verbose: false\n", CODEDEPLOY_AGENT_FILE, &agent, NULL), 0);
        assert_int_equal(agent.n, 1);
        assert_string_equal(codedeploy_config_get(&agent, "verbose"), "false");
}

static void test_bad_input(_unused_ void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "", "agent.yml: there is nothing in it" },
                { "--- []\n", "agent.yml: expected lines of \":key: value\"" },
                { "just words\n", "agent.yml: expected lines of \":key: value\"" },
                { ":root_dir: [a, b]\n", "agent.yml:1: :root_dir: expected one value" },
                { ":root_dir: '/opt\n", "agent.yml:" },
                { ":a:\n\t:b: 1\n", "agent.yml:2: " },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                CodedeployConfig config = {};
                Error error = {};

                if (parse(cases[i].text, CODEDEPLOY_AGENT_FILE, &config, &error) != -EBADMSG)
                        fail_msg("\"%s\" was taken", cases[i].text);
                if (strncmp(error.message, cases[i].message, strlen(cases[i].message)) != 0)
                        fail_msg("\"%s\": %s", cases[i].text, error.message);
                assert_int_equal(error.fault, FAULT_INPUT);
                assert_int_equal(config.n, 0);
        }
}

/* One row for each key, with words. */
static void test_table(_unused_ void **state) {
        for (size_t i = 0; i < codedeploy_n_keys; i++) {
                const CodedeployKey *key = &codedeploy_keys[i];

                assert_ptr_equal(codedeploy_key_find(key->file, key->name), key);
                assert_true(key->counterpart[strlen(key->counterpart) - 1] != '.');
        }
        assert_null(codedeploy_key_find(CODEDEPLOY_AGENT_FILE, "aws_access_key_id"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_shipped), cmocka_unit_test(test_notations),
                cmocka_unit_test(test_secrets), cmocka_unit_test(test_bad_input),
                cmocka_unit_test(test_table),   cmocka_unit_test(test_twice),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
