#include <jansson.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/codedeploy_config.h"
#include "agent/redact.h"
#include "artifacts/yaml_tree.h"

#define AGENT(name, fate, initial, counterpart)                                                              \
        { #name, CODEDEPLOY_AGENT_FILE, fate, false, initial, counterpart }
#define ON_PREMISES(name, is_secret, fate, counterpart)                                                      \
        { #name, CODEDEPLOY_ON_PREMISES_FILE, fate, is_secret, NULL, counterpart }

#define ONE_PROCESS "musterd is one process, and systemd starts it again"
#define NO_SERVICE "there is no service in between: the depot is what is asked"

const CodedeployKey codedeploy_keys[] = {
        AGENT(root_dir, CODEDEPLOY_ELSEWHERE, CODEDEPLOY_ROOT_DIR,
              "[agent] state_dir, by default /var/lib/muster"),
        AGENT(max_revisions, CODEDEPLOY_CARRIED, "5", "[agent] keep_releases, by default 5 as well"),
        AGENT(wait_between_runs, CODEDEPLOY_CARRIED, "1",
              "[agent] poll_interval, by default 30s; a queue wakes musterd at once"),
        AGENT(proxy_uri, CODEDEPLOY_CARRIED, NULL, "HTTPS_PROXY in /etc/muster/environment"),
        AGENT(use_fips_mode, CODEDEPLOY_CARRIED, "false", "[aws] use_fips, in every region"),
        AGENT(s3_endpoint_override, CODEDEPLOY_CARRIED, NULL, "[aws] s3_endpoint_url"),
        AGENT(instance_service_region, CODEDEPLOY_CARRIED, NULL, "[aws] region"),
        AGENT(log_dir, CODEDEPLOY_ELSEWHERE, "/var/log/aws/codedeploy-agent/",
              "the journal of musterd.service, and muster history --steps for what scripts printed"),
        AGENT(verbose, CODEDEPLOY_ELSEWHERE, "false", "musterd --debug"),
        AGENT(on_premises_config_file, CODEDEPLOY_ELSEWHERE, CODEDEPLOY_ON_PREMISES_PATH,
              "[agent] instance_id and AWS's usual credentials"),
        AGENT(disable_imds_v1, CODEDEPLOY_NEEDLESS, "false",
              "the instance metadata are asked by version 2 alone"),
        AGENT(enable_auth_policy, CODEDEPLOY_NEEDLESS, "false", NO_SERVICE),
        AGENT(deploy_control_endpoint, CODEDEPLOY_NEEDLESS, NULL, NO_SERVICE),
        AGENT(instance_service_endpoint, CODEDEPLOY_NEEDLESS, NULL, NO_SERVICE),
        AGENT(instance_service_port, CODEDEPLOY_NEEDLESS, NULL, NO_SERVICE),
        AGENT(codedeploy_test_profile, CODEDEPLOY_NEEDLESS, "prod", NO_SERVICE),
        AGENT(enable_deployments_log, CODEDEPLOY_NEEDLESS, "true",
              "each deployment's output is kept with its steps"),
        AGENT(log_aws_wire, CODEDEPLOY_MISSING, "false",
              "requests are not logged; muster doctor tries each of them"),
        AGENT(http_read_timeout, CODEDEPLOY_NEEDLESS, "80", "every request has limits of its own"),
        AGENT(pid_dir, CODEDEPLOY_NEEDLESS, "/opt/codedeploy-agent/state/.pid/", ONE_PROCESS),
        AGENT(program_name, CODEDEPLOY_NEEDLESS, "codedeploy-agent", ONE_PROCESS),
        AGENT(children, CODEDEPLOY_NEEDLESS, "1", ONE_PROCESS),
        AGENT(max_runs_per_worker, CODEDEPLOY_NEEDLESS, "0", ONE_PROCESS),
        AGENT(wait_between_spawning_children, CODEDEPLOY_NEEDLESS, "1", ONE_PROCESS),
        AGENT(kill_agent_max_wait_time_seconds, CODEDEPLOY_NEEDLESS, "7200",
              "musterd may end at any moment and takes a deployment up again"),
        AGENT(ongoing_deployment_tracking, CODEDEPLOY_NEEDLESS, "ongoing-deployment",
              "the deploy record knows"),
        AGENT(wait_after_error, CODEDEPLOY_NEEDLESS, "30", "10s, doubled up to 10m"),
        AGENT(wait_after_throttle_error, CODEDEPLOY_NEEDLESS, "60",
              "a quota of repeats that all requests share"),
        AGENT(wait_after_connection_problem, CODEDEPLOY_NEEDLESS, "5", "10s, doubled up to 10m"),
        AGENT(plugins, CODEDEPLOY_NEEDLESS, NULL, ONE_PROCESS),
        AGENT(shared_dir, CODEDEPLOY_NEEDLESS, NULL, ONE_PROCESS),
        AGENT(config_file, CODEDEPLOY_ELSEWHERE, NULL, "musterd --config"),
        AGENT(user, CODEDEPLOY_MISSING, NULL, "musterd is root's; runas gives a script its user"),
        AGENT(group, CODEDEPLOY_MISSING, NULL, "musterd is root's; runas gives a script its user"),
        ON_PREMISES(region, false, CODEDEPLOY_CARRIED, "[aws] region"),
        ON_PREMISES(iam_session_arn, false, CODEDEPLOY_ELSEWHERE, "[agent] instance_id names the machine"),
        ON_PREMISES(iam_user_arn, false, CODEDEPLOY_ELSEWHERE, "[agent] instance_id names the machine"),
        ON_PREMISES(aws_credentials_file, false, CODEDEPLOY_ELSEWHERE,
                    "AWS_SHARED_CREDENTIALS_FILE in /etc/muster/environment"),
        ON_PREMISES(aws_access_key_id, true, CODEDEPLOY_ELSEWHERE, "AWS_ACCESS_KEY_ID, or a profile"),
        ON_PREMISES(aws_secret_access_key, true, CODEDEPLOY_ELSEWHERE, "AWS_SECRET_ACCESS_KEY, or a profile"),
};
const size_t codedeploy_n_keys = ELEMENTSOF(codedeploy_keys);

const CodedeployKey *codedeploy_key_find(CodedeployFile file, const char *name) {
        for (size_t i = 0; i < codedeploy_n_keys; i++)
                if (codedeploy_keys[i].file == file && strcmp(codedeploy_keys[i].name, name) == 0)
                        return &codedeploy_keys[i];
        return NULL;
}

const char *codedeploy_fate_to_string(CodedeployFate fate) {
        static const char *const names[] = {
                [CODEDEPLOY_CARRIED] = "carried",
                [CODEDEPLOY_ELSEWHERE] = "elsewhere",
                [CODEDEPLOY_NEEDLESS] = "needless",
                [CODEDEPLOY_MISSING] = "missing",
        };

        return names[fate];
}

void codedeploy_config_deinit(CodedeployConfig *config) {
        for (size_t i = 0; i < config->n; i++) {
                CodedeploySetting *setting = &config->settings[i];

                if (setting->value)
                        explicit_bzero(setting->value, strlen(setting->value));
                free(setting->value);
                free(setting->name);
        }
        free(config->settings);
        *config = (CodedeployConfig){};
}

static int compare_settings(const void *a, const void *b) {
        return strcmp(((const CodedeploySetting *) a)->name, ((const CodedeploySetting *) b)->name);
}

static int take_setting(CodedeployFile file, const char *name, const JsonField *field, CodedeploySetting *ret,
                        Error *error) {
        const char *value = json_string_value(field->value);

        if (!value && json_field_is_set(field))
                return json_field_expected(field, error, "one value");
        if (string_set(&ret->name, name) < 0 || string_set(&ret->value, value ?: "") < 0)
                return error_oom(error);
        ret->key = codedeploy_key_find(file, name);
        return 0;
}

static int take_settings(CodedeployFile file, const JsonField *top, CodedeployConfig *config, Error *error) {
        const char *key;
        json_t *value;
        int r = 0;

        config->settings = calloc(json_object_size(top->value) + 1, sizeof(*config->settings));
        if (!config->settings)
                return error_oom(error);
        json_object_foreach(top->value, key, value) {
                JsonField field = json_field_member(top, key);

                if (r >= 0)
                        r = take_setting(file, key[0] == ':' ? key + 1 : key, &field,
                                         &config->settings[config->n++], error);
        }
        return r;
}

int codedeploy_config_parse(const char *name, CodedeployFile file, const void *data, size_t size,
                            CodedeployConfig *ret, Error *error) {
        _cleanup_(yaml_tree_freep) YamlTree *tree = NULL;
        _cleanup_(codedeploy_config_deinit) CodedeployConfig config = {};
        JsonField top;
        int r;

        r = yaml_tree_parse(name, data, size, CODEDEPLOY_CONFIG_SIZE_MAX, &tree, error);
        if (r < 0)
                return r;
        top = yaml_tree_top(tree);
        if (!json_is_object(top.value))
                return error_set_fault(error, -EBADMSG, FAULT_INPUT, "%s: expected lines of \":key: value\"",
                                       name);
        r = take_settings(file, &top, &config, error);
        if (r < 0)
                return r;
        qsort(config.settings, config.n, sizeof(*config.settings), compare_settings);
        *ret = config;
        config = (CodedeployConfig){};
        return 0;
}

const char *codedeploy_config_get(const CodedeployConfig *config, const char *name) {
        for (size_t i = 0; i < config->n; i++)
                if (strcmp(config->settings[i].name, name) == 0)
                        return config->settings[i].value[0] ? config->settings[i].value : NULL;
        return NULL;
}

char *codedeploy_setting_show(const CodedeploySetting *setting) {
        if (setting->key && setting->key->is_secret)
                return strdup("(not shown)");
        return redact(setting->value);
}
