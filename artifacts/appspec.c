#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/strv.h"
#include "artifacts/appspec.h"
#include "artifacts/yaml_tree.h"

#define VERSION_PLACEHOLDER "${version}"

/* CodeDeploy compares the number, so "0" and "0.00" are 0.0 too. */
static bool version_is_supported(const char *text) {
        return text[0] == '0' && strspn(text, "0.") == strlen(text) && strlen(text) <= 8;
}

/* Members that say something about the file, not about the app: checked and forgotten. */
typedef struct Appsource {
        char *version;
        unsigned os;
        Appspec spec;
} Appsource;

static const char *const oses[] = { "linux", NULL };

static const SchemaType version_type = {
        .kind = &schema_text,
        .is_valid = version_is_supported,
        .expected = "the version of CodeDeploy's format, 0.0",
        .max = 8,
};
static const SchemaType os_type = {
        .kind = &schema_choice,
        .choices = oses,
};

static const SchemaMember members[] = {
        { "version", &version_type, offsetof(Appsource, version), true },
        { "os", &os_type, offsetof(Appsource, os), true },
        { "files", &release_files_type, offsetof(Appsource, spec.files), false },
        { "permissions", &release_permissions_type, offsetof(Appsource, spec.permissions), false },
        { "file_exists_behavior", &release_file_exists_type, offsetof(Appsource, spec.file_exists), false },
        { "hooks", &release_hooks_type, offsetof(Appsource, spec.hooks), false },
        { "units", &release_units_type, offsetof(Appsource, spec.units), false },
        { "health", &release_healths_type, offsetof(Appsource, spec.health), false },
        { "env", &document_environment_type, offsetof(Appsource, spec.env), false },
        { "traffic", &release_traffic_type, offsetof(Appsource, spec.traffic), false },
        {},
};
const SchemaType appspec_type = {
        .kind = &schema_object,
        .size = sizeof(Appsource),
        .members = members,
        .lenient = true,
        .expected = "a mapping with version, os and sections",
};

static void clear_sections(Appspec *appspec) {
        schema_clear(&release_files_type, &appspec->files);
        schema_clear(&release_permissions_type, &appspec->permissions);
        schema_clear(&release_hooks_type, appspec->hooks);
        schema_clear(&release_units_type, &appspec->units);
        schema_clear(&release_healths_type, &appspec->health);
        schema_clear(&document_environment_type, &appspec->env);
        strv_free(appspec->warnings);
}

Appspec *appspec_free(Appspec *appspec) {
        if (appspec)
                clear_sections(appspec);
        free(appspec);
        return NULL;
}

/* With CodeDeploy it is the deployment group that says whether these happen. */
static int warn_of_traffic(const JsonField *top, Appspec *appspec, Error *error) {
        JsonField traffic = json_field_member(top, "traffic"), hooks = json_field_member(top, "hooks");
        int r = 0;

        for (LifecycleEvent event = 0; event < LIFECYCLE_EVENT_COUNT && r >= 0; event++) {
                JsonField scripts = json_field_member(&hooks, lifecycle_event_to_string(event));
                Error told;

                if (!lifecycle_event_is_traffic(event) || appspec->hooks[event].n == 0 ||
                    json_field_is_set(&traffic))
                        continue;
                json_field_fail(&scripts, &told,
                                "runs only with \"traffic: target-group\", which is not here");
                r = strv_append(&appspec->warnings, told.message);
        }
        return r < 0 ? error_oom(error) : 0;
}

int appspec_parse(const char *name, const void *data, size_t size, Appspec **ret, Error *error) {
        _cleanup_(yaml_tree_freep) YamlTree *tree = NULL;
        _cleanup_appspec_ Appspec *appspec = NULL;
        Appsource source = {};
        JsonField top;
        int r;

        r = yaml_tree_parse(name, data, size, APPSPEC_SIZE_MAX, &tree, error);
        if (r < 0)
                return r;
        appspec = calloc(1, sizeof(*appspec));
        if (!appspec)
                return error_oom(error);
        top = yaml_tree_top(tree);
        r = schema_read(&appspec_type, &top, &source, error);
        if (r >= 0) {
                *appspec = source.spec;
                source.spec = (Appspec){};
                appspec->warnings = yaml_tree_take_passed_over(tree);
                r = warn_of_traffic(&top, appspec, error);
        }
        if (r >= 0)
                *ret = TAKE_PTR(appspec);
        schema_clear(&appspec_type, &source);
        return r;
}

/* Replaces every placeholder in *TEXT. */
static int expand_version(char **text, const char *version) {
        _cleanup_buffer_ Buffer buffer = {};
        const char *rest = *text, *at;
        char *expanded;
        int r = 0;

        if (!*text || !strstr(*text, VERSION_PLACEHOLDER))
                return 0;
        while (r >= 0 && (at = strstr(rest, VERSION_PLACEHOLDER))) {
                r = buffer_printf(&buffer, "%.*s%s", (int) (at - rest), rest, version);
                rest = at + strlen(VERSION_PLACEHOLDER);
        }
        if (r >= 0)
                r = buffer_printf(&buffer, "%s", rest);
        if (r >= 0)
                r = buffer_steal(&buffer, &expanded, NULL);
        if (r < 0)
                return r;
        free(*text);
        *text = expanded;
        return 0;
}

static void move_sections(Appspec *from, Release *to) {
        to->files = from->files;
        to->permissions = from->permissions;
        to->file_exists = from->file_exists;
        memcpy(to->hooks, from->hooks, sizeof(to->hooks));
        to->units = from->units;
        to->health = from->health;
        to->traffic = from->traffic;
        to->env = from->env;
        *from = (Appspec){ .warnings = from->warnings };
}

int appspec_compile(Appspec *appspec, const char *app, const char *version, uint64_t created, Release **ret,
                    Error *error) {
        _cleanup_release_ Release *release = calloc(1, sizeof(*release));

        if (!release)
                return error_oom(error);
        release->created = created;
        if (string_set(&release->app, app) < 0 || string_set(&release->version, version) < 0 ||
            string_set(&release->min_agent, RELEASE_MIN_AGENT) < 0)
                return error_oom(error);
        for (size_t i = 0; i < appspec->health.n; i++)
                if (expand_version(&appspec->health.items[i].body, version) < 0 ||
                    expand_version(&appspec->health.items[i].header, version) < 0)
                        return error_oom(error);
        move_sections(appspec, release);
        *ret = TAKE_PTR(release);
        return 0;
}
