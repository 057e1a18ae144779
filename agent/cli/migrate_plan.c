#include <string.h>

#include "agent/base/parse.h"
#include "agent/cli/migrate_plan.h"

#define ENVIRONMENT_FILE "/etc/muster/environment"

void migrate_facts_deinit(MigrateFacts *facts) {
        codedeploy_config_deinit(&facts->config);
        codedeploy_config_deinit(&facts->on_premises);
        codedeploy_state_deinit(&facts->state);
        *facts = (MigrateFacts){};
}

const char *migrate_root_dir(const MigrateFacts *facts) {
        return codedeploy_config_get(&facts->config, "root_dir") ?: CODEDEPLOY_ROOT_DIR;
}

static const CodedeployGroup *only_group(const CodedeployState *state) {
        const CodedeployGroup *found = NULL;

        for (size_t i = 0; i < state->n; i++) {
                if (!state->groups[i].last_successful)
                        continue;
                if (found)
                        return NULL;
                found = &state->groups[i];
        }
        return found;
}

int migrate_choose(const MigrateFacts *facts, const char *id, const CodedeployGroup **ret, Error *error) {
        const CodedeployGroup *group =
                id ? codedeploy_state_find(&facts->state, id) : only_group(&facts->state);

        *ret = NULL;
        if (id && !group)
                return error_set_fault(error, -ENOENT, FAULT_INPUT,
                                       "CodeDeploy has deployed nothing of a group %s here (%s)", id,
                                       migrate_root_dir(facts));
        if (group && group->problem)
                return error_set_fault(error, -EBADMSG, FAULT_HOST, "group %s cannot be taken over: %s",
                                       group->id, group->problem);
        *ret = group;
        return 0;
}

char *migrate_version(const CodedeployGroup *group) {
        char *version;

        return asprintf(&version, "codedeploy-%s", group->last_successful) < 0 ? NULL : version;
}

/* Lines */

typedef int (*MakeLine)(const char *value, char **ret);

static int line_of(const char *format, const char *value, char **ret) {
        return asprintf(ret, format, value) < 0 ? -ENOMEM : 0;
}

static int keep_line(const char *value, char **ret) {
        return line_of("[agent] keep_releases = %s", value, ret);
}

static int state_line(const char *value, char **ret) {
        return line_of("[agent] state_dir = %s/muster", value, ret);
}

static int proxy_line(const char *value, char **ret) {
        return line_of("HTTPS_PROXY=%s in " ENVIRONMENT_FILE, value, ret);
}

/* "true" as YAML 1.1 has it. */
static int fips_line(const char *value, char **ret) {
        bool wanted;

        *ret = NULL;
        if (parse_boolean(value, &wanted) < 0 || !wanted)
                return 0;
        return line_of("[aws] use_fips = %s", "yes", ret);
}

static int endpoint_line(const char *value, char **ret) {
        return line_of("[aws] s3_endpoint_url = %s", value, ret);
}

static int region_line(const char *value, char **ret) {
        return line_of("[aws] region = %s", value, ret);
}

static int poll_line(const char *value, char **ret) {
        return line_of("[agent] poll_interval = %ss", value, ret);
}

static int instance_line(const char *value, char **ret) {
        const char *name = strrchr(value, '/');

        *ret = NULL;
        return name && name_is_valid(name + 1) ? line_of("[agent] instance_id = %s", name + 1, ret) : 0;
}

static int credentials_line(const char *value, char **ret) {
        return line_of("AWS_SHARED_CREDENTIALS_FILE=%s in " ENVIRONMENT_FILE, value, ret);
}

static const struct {
        const char *name;
        MakeLine make;
} lines[] = {
        { "max_revisions", keep_line },
        { "root_dir", state_line },
        { "proxy_uri", proxy_line },
        { "use_fips_mode", fips_line },
        { "s3_endpoint_override", endpoint_line },
        { "instance_service_region", region_line },
        { "wait_between_runs", poll_line },
        { "region", region_line },
        { "iam_session_arn", instance_line },
        { "iam_user_arn", instance_line },
        { "aws_credentials_file", credentials_line },
};

int migrate_line(const CodedeploySetting *setting, char **ret) {
        _cleanup_free_ char *shown = NULL;

        *ret = NULL;
        if (!setting->key || !setting->value[0] || string_equal(setting->value, setting->key->initial))
                return 0;
        shown = codedeploy_setting_show(setting);
        if (!shown)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(lines); i++)
                if (strcmp(lines[i].name, setting->name) == 0)
                        return lines[i].make(shown, ret);
        return 0;
}

/* JSON */

static json_t *setting_to_json(const char *file, const CodedeploySetting *setting) {
        _cleanup_free_ char *shown = codedeploy_setting_show(setting), *line = NULL;
        const CodedeployKey *key = setting->key;

        if (!shown || migrate_line(setting, &line) < 0)
                return NULL;
        return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?, s:b}", "file", file, "name", setting->name,
                         "value", shown, "fate", key ? codedeploy_fate_to_string(key->fate) : "unknown",
                         "counterpart", key ? key->counterpart : NULL, "write", line, "default",
                         key && (!setting->value[0] || string_equal(setting->value, key->initial)));
}

static int add_settings(json_t *array, const char *file, const CodedeployConfig *config) {
        for (size_t i = 0; i < config->n; i++)
                if (json_array_append_new(array, setting_to_json(file, &config->settings[i])) < 0)
                        return -ENOMEM;
        return 0;
}

static json_t *groups_to_json(const CodedeployState *state) {
        json_t *array = json_array();

        for (size_t i = 0; i < state->n; i++) {
                const CodedeployGroup *group = &state->groups[i];

                if (json_array_append_new(array,
                                          json_pack("{s:s, s:s?, s:s?, s:s?, s:I, s:s?}", "id", group->id,
                                                    "last_successful", group->last_successful, "most_recent",
                                                    group->most_recent, "archive", group->archive,
                                                    "installed", (json_int_t) group->n_installed, "problem",
                                                    group->problem)) < 0) {
                        json_decref(array);
                        return NULL;
                }
        }
        return array;
}

static json_t *release_to_plan(const MigrateWish *wish) {
        const CodedeployGroup *group = wish->group;
        _cleanup_free_ char *version = NULL;

        if (!group)
                return json_null();
        version = wish->version ? strdup(wish->version) : migrate_version(group);
        if (!version)
                return NULL;
        return json_pack("{s:s?, s:s, s:s, s:s, s:s, s:I, s:s?}", "app", wish->app, "version", version,
                         "group", group->id, "deployment", group->last_successful, "archive", group->archive,
                         "installed", (json_int_t) group->n_installed, "problem", wish->bundle_problem);
}

static int add_warning(json_t *array, const char *format, ...) _printf_(2, 3);
static int add_warning(json_t *array, const char *format, ...) {
        va_list arguments;
        json_t *text;

        va_start(arguments, format);
        text = json_vsprintf(format, arguments);
        va_end(arguments);
        return json_array_append_new(array, text);
}

static int add_group_warnings(json_t *array, const CodedeployGroup *group) {
        if (!group->last_successful || !group->most_recent ||
            strcmp(group->last_successful, group->most_recent) == 0)
                return 0;
        return add_warning(
                array,
                "group %s: deployment %s was begun after %s and did not install its files; what is in place "
                "is that of %s",
                group->id, group->most_recent, group->last_successful, group->last_successful);
}

/* Both agents at once. */
static int add_service_warnings(json_t *array, const MigrateService *service) {
        if (!service->active && !service->enabled)
                return 0;
        return add_warning(
                array,
                "%s is %s%s%s: as long as it is, both agents act. Once muster has taken over: systemctl "
                "disable --now codedeploy-agent, and take the instances out of the deployment group",
                CODEDEPLOY_SERVICE, service->active ? "active" : "",
                service->active && service->enabled ? " and " : "", service->enabled ? "enabled" : "");
}

static json_t *warnings_to_json(const MigrateFacts *facts) {
        json_t *array = json_array();
        int r = add_service_warnings(array, &facts->service);

        STRV_FOREACH(id, facts->state.ongoing)
                if (r >= 0)
                        r = add_warning(array, "CodeDeploy's deployment %s runs, or its agent died in it",
                                        *id);
        for (size_t i = 0; i < facts->state.n && r >= 0; i++)
                r = add_group_warnings(array, &facts->state.groups[i]);
        if (r >= 0)
                return array;
        json_decref(array);
        return NULL;
}

static json_t *settings_to_json(const MigrateFacts *facts) {
        json_t *array = json_array();

        if (add_settings(array, CODEDEPLOY_CONFIG_PATH, &facts->config) >= 0 &&
            add_settings(array, CODEDEPLOY_ON_PREMISES_PATH, &facts->on_premises) >= 0)
                return array;
        json_decref(array);
        return NULL;
}

json_t *migrate_plan_make(const MigrateFacts *facts, const MigrateWish *wish) {
        const MigrateService *service = &facts->service;
        json_t *agent = service->known ? json_pack("{s:s, s:b, s:b}", "service", CODEDEPLOY_SERVICE, "active",
                                                   service->active, "enabled", service->enabled)
                                       : json_null();

        return json_pack("{s:s, s:o, s:b, s:o, s:o, s:o, s:o, s:n}", "root_dir", migrate_root_dir(facts),
                         "agent", agent, "on_premises", facts->has_on_premises, "settings",
                         settings_to_json(facts), "groups", groups_to_json(&facts->state), "release",
                         release_to_plan(wish), "warnings", warnings_to_json(facts), "applied");
}
