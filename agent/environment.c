#include <inttypes.h>
#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/strv.h"
#include "agent/environment.h"
#include "artifacts/layout.h"

static size_t name_length(const char *assignment) {
        return strcspn(assignment, "=");
}

static const char *find(char *const *environment, const char *name, size_t length) {
        for (; environment && *environment; environment++)
                if (name_length(*environment) == length && strncmp(*environment, name, length) == 0)
                        return *environment;
        return NULL;
}

static int compare(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

int environment_of_app(const Release *release, char *const *group_environment, char ***ret) {
        _cleanup_strv_ char **environment = NULL;
        int r = 0;

        for (size_t i = 0; release && i < release->env.n && r >= 0; i++) {
                const DocumentVariable *variable = &release->env.items[i];

                if (!find(group_environment, variable->name, strlen(variable->name)))
                        r = strv_appendf(&environment, "%s=%s", variable->name, variable->value);
        }
        for (; group_environment && *group_environment && r >= 0; group_environment++)
                r = strv_append(&environment, *group_environment);
        if (r < 0)
                return r;
        if (environment)
                qsort(environment, strv_length(environment), sizeof(char *), compare);
        *ret = TAKE_PTR(environment);
        return 0;
}

/* BUNDLE_...: where the archive lay that was published, as CodeDeploy tells of a revision in S3. */
static int append_origin(const ReleaseOrigin *origin, char ***environment) {
        const struct {
                const char *name, *value;
        } rows[] = {
                { "BUNDLE_BUCKET", origin->bucket },
                { "BUNDLE_KEY", origin->key },
                { "BUNDLE_VERSION", origin->version_id },
                { "BUNDLE_ETAG", origin->etag },
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(rows) && r >= 0; i++)
                if (rows[i].value)
                        r = strv_appendf(environment, "%s=%s", rows[i].name, rows[i].value);
        return r;
}

/* BUNDLE_BUCKET and BUNDLE_KEY: where the artifact lies, for a depot in S3. */
static int append_artifact(const EngineContext *context, const ReleaseArtifact *artifact,
                           char ***environment) {
        const char *uri = context->depot ? depot_uri(context->depot) : "";
        const char *prefix;
        char key[LAYOUT_KEY_MAX];
        int r;

        if (!string_starts_with(uri, "s3://") ||
            layout_artifact(context->app, artifact->sha256, artifact->format, key, NULL) < 0)
                return 0;
        uri += strlen("s3://");
        prefix = strchr(uri, '/');
        r = strv_appendf(environment, "BUNDLE_BUCKET=%.*s", prefix ? (int) (prefix - uri) : (int) strlen(uri),
                         uri);
        if (r < 0)
                return r;
        return strv_appendf(environment, "BUNDLE_KEY=%s%s%s", prefix ? prefix + 1 : "", prefix ? "/" : "",
                            key);
}

static int append_bundle(const EngineContext *context, const Release *release, char ***environment) {
        const ReleaseArtifact *artifact = release ? release_find_artifact(release, release_platform()) : NULL;
        int r = 0;

        if (artifact)
                r = artifact->origin.bucket ? append_origin(&artifact->origin, environment)
                                            : append_artifact(context, artifact, environment);
        if (r >= 0 && release && release->commit)
                r = strv_appendf(environment, "BUNDLE_COMMIT=%s", release->commit);
        return r;
}

static int append_agent(const EngineContext *context, const ReleaseRef *subject, char ***environment) {
        const Deployment *deployment = &context->record->deployment;
        char name[STORE_NAME_SIZE];
        const struct {
                const char *name, *value;
        } rows[] = {
                { "APPLICATION_NAME", context->app },
                { "DEPLOYMENT_ID", deployment->id },
                { "DEPLOYMENT_GROUP_NAME", context->group },
                { "DEPLOYMENT_GROUP_ID", context->group },
                { "MUSTER_APP", context->app },
                { "MUSTER_GROUP", context->group },
                { "MUSTER_INSTANCE", context->instance },
                { "MUSTER_DEPLOYMENT", deployment->id },
                { "MUSTER_VERSION", subject->version },
                { "MUSTER_TO_VERSION", deployment->to.version },
                { "MUSTER_FROM_VERSION", deployment->from.version },
                { "MUSTER_ROLLBACK", step_is_rollback(deployment->step) ? "1" : "0" },
                { "MUSTER_RESUMED", deployment->attempt > 1 ? "1" : "0" },
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(rows) && r >= 0; i++)
                if (rows[i].value)
                        r = strv_appendf(environment, "%s=%s", rows[i].name, rows[i].value);
        if (r >= 0 && subject->version && store_name(subject->version, subject->sha256, name) >= 0)
                r = strv_appendf(environment, "MUSTER_RELEASE_DIR=%s/releases/%s", context->store->path,
                                 name);
        return r;
}

int environment_of_hooks(const EngineContext *context, const ReleaseRef *subject, const Release *release,
                         char *const *group_environment, char ***ret) {
        _cleanup_strv_ char **environment = NULL;
        int r;

        r = environment_of_app(release, group_environment, &environment);
        if (r >= 0)
                r = append_agent(context, subject, &environment);
        if (r >= 0)
                r = append_bundle(context, release, &environment);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(environment);
        return 0;
}

int environment_to_file(char *const *environment, char **ret) {
        _cleanup_buffer_ Buffer text = {};
        int r = 0;

        for (; environment && *environment && r >= 0; environment++) {
                size_t n = name_length(*environment);

                r = buffer_printf(&text, "%.*s=\"", (int) n, *environment);
                for (const char *c = *environment + n + 1; r >= 0 && *c; c++) {
                        if (strchr("\"\\$`", *c))
                                r = buffer_append(&text, "\\", 1, SIZE_MAX);
                        if (r >= 0)
                                r = buffer_append(&text, c, 1, SIZE_MAX);
                }
                if (r >= 0)
                        r = buffer_printf(&text, "\"\n");
        }
        return r < 0 ? r : buffer_steal(&text, ret, NULL);
}

static void replace(char ***environment, char **by) {
        strv_free(*environment);
        *environment = by;
}

int environment_of_target(const Target *target, char ***environment, char sha256[static DIGEST_HEX_SIZE]) {
        _cleanup_strv_ char **values = NULL;
        _cleanup_buffer_ Buffer text = {};
        int r = 0;

        for (size_t i = 0; i < target->env.n && r >= 0; i++) {
                const DocumentVariable *variable = &target->env.items[i];

                r = strv_appendf(&values, "%s=%s", variable->name, variable->value);
                if (r >= 0)
                        r = buffer_printf(&text, "%s=%s\n", variable->name, variable->value);
        }
        if (r >= 0)
                r = digest_sha256_hex(buffer_string(&text), text.size, sha256);
        if (r >= 0)
                replace(environment, TAKE_PTR(values));
        return r;
}

int environment_of_good(const Record *record, char ***environment, char sha256[static DIGEST_HEX_SIZE]) {
        _cleanup_strv_ char **values = NULL;
        int r = strv_extend(&values, record->good_environment);

        if (r < 0)
                return r;
        replace(environment, TAKE_PTR(values));
        if (!record->good_env_sha256[0])
                return digest_sha256_hex("", 0, sha256);
        memcpy(sha256, record->good_env_sha256, DIGEST_HEX_SIZE);
        return 0;
}
