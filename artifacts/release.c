#include <inttypes.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "artifacts/release.h"

#define SECOND UINT64_C(1000000)
#define MILLISECOND UINT64_C(1000)

/* Words of the document */

static const char *const on_deploys[] = {
        [ON_DEPLOY_RELOAD] = "reload",
        [ON_DEPLOY_RESTART] = "restart",
        [ON_DEPLOY_RELOAD_OR_RESTART] = "reload-or-restart",
        [ON_DEPLOY_START] = "start",
        [ON_DEPLOY_NONE] = "none",
        NULL,
};

static const char *const health_types[] = {
        [RELEASE_HEALTH_HTTP] = "http",
        [RELEASE_HEALTH_TCP] = "tcp",
        [RELEASE_HEALTH_COMMAND] = "command",
        [RELEASE_HEALTH_UNIT] = "unit",
        NULL,
};

static const char *const archive_formats[] = {
        [ARCHIVE_TAR] = "tar",         [ARCHIVE_TAR_GZ] = "tar.gz", [ARCHIVE_TAR_XZ] = "tar.xz",
        [ARCHIVE_TAR_ZST] = "tar.zst", [ARCHIVE_ZIP] = "zip",       NULL,
};

const char *release_on_deploy_to_string(ReleaseOnDeploy on_deploy) {
        return on_deploys[on_deploy];
}

const char *release_health_type_to_string(ReleaseHealthType type) {
        return health_types[type];
}

/* Sections of a later version: an empty one says nothing, any other must not be passed over. */

static int read_unsupported(_unused_ const SchemaType *type, const JsonField *field, _unused_ void *value,
                            Error *error) {
        if (json_is_null(field->value) ||
            (json_is_array(field->value) && json_array_size(field->value) == 0) ||
            (json_is_object(field->value) && json_object_size(field->value) == 0))
                return 0;
        return json_field_fail(field, error, "not supported by muster " MUSTER_VERSION);
}

static int write_nothing(_unused_ const SchemaType *type, _unused_ const void *value, _unused_ json_t **ret) {
        return 0;
}

const SchemaType release_unsupported_type = {
        .read = read_unsupported,
        .write = write_nothing,
};

/* Artifacts */

static bool platform_is_valid(const char *text) {
        size_t n = string_starts_with(text, "linux/") ? strlen(text) - 6 : 0;

        if (strcmp(text, "any") == 0)
                return true;
        return n > 0 && n <= 16 && strspn(text + 6, "abcdefghijklmnopqrstuvwxyz0123456789") == n;
}

static const SchemaType format_type = {
        SCHEMA_CHOICE_OPERATIONS,
        .choices = archive_formats,
};
static const SchemaType bytes_type = {
        SCHEMA_U64_OPERATIONS,
        .expected = "a number of bytes",
        .min = 1,
        .max = (uint64_t) RELEASE_CHUNKS_MAX * RELEASE_CHUNK_SIZE_MAX,
};
static const SchemaType unpacked_size_type = {
        SCHEMA_U64_OPERATIONS,
        .expected = "a number of bytes",
        .max = RELEASE_UNPACKED_SIZE_MAX,
};
static const SchemaType entries_type = {
        SCHEMA_U64_OPERATIONS,
        .max = RELEASE_ENTRIES_MAX,
};
static const SchemaType chunk_size_type = {
        SCHEMA_U64_OPERATIONS,
        .expected = "a number of bytes",
        .min = RELEASE_CHUNK_SIZE_MIN,
        .max = RELEASE_CHUNK_SIZE_MAX,
};
static const SchemaType chunk_type = {
        SCHEMA_DIGEST_OPERATIONS,
};
static const SchemaType chunks_type = {
        SCHEMA_LIST_OPERATIONS,
        .element = &chunk_type,
        .min = 1,
        .max = RELEASE_CHUNKS_MAX,
};

static int check_artifact(const JsonField *field, void *value, Error *error) {
        const ReleaseArtifact *artifact = value;
        uint64_t n = (artifact->size + artifact->chunk_size - 1) / artifact->chunk_size;
        JsonField chunks = json_field_member(field, "chunks");

        if (artifact->chunks.n != n)
                return json_field_fail(&chunks, error,
                                       "expected %" PRIu64 " digests for %" PRIu64
                                       " bytes in pieces of %" PRIu64 ", found %zu",
                                       n, artifact->size, artifact->chunk_size, artifact->chunks.n);
        return 0;
}

static const SchemaMember artifact_members[] = {
        { "sha256", &document_hex_type, offsetof(ReleaseArtifact, sha256), true },
        { "size", &bytes_type, offsetof(ReleaseArtifact, size), true },
        { "format", &format_type, offsetof(ReleaseArtifact, format), true },
        { "unpacked_size", &unpacked_size_type, offsetof(ReleaseArtifact, unpacked_size), true },
        { "entries", &entries_type, offsetof(ReleaseArtifact, entries), true },
        { "chunk_size", &chunk_size_type, offsetof(ReleaseArtifact, chunk_size), true },
        { "chunks", &chunks_type, offsetof(ReleaseArtifact, chunks), true },
        {},
};
static const SchemaType artifact_type = {
        SCHEMA_OBJECT_OPERATIONS(ReleaseArtifact),
        .members = artifact_members,
        .check = check_artifact,
};
static const SchemaType artifacts_type = {
        SCHEMA_MAP_OPERATIONS,
        .element = &artifact_type,
        .entry_size = sizeof(ReleaseArtifact),
        .is_valid = platform_is_valid,
        .expected = "a platform such as linux/amd64, or any",
        .min = 1,
        .max = RELEASE_PLATFORMS_MAX,
};

/* Hooks */

/* CodeDeploy joins what an appspec says to the bundle's folder, so "/scripts/a", "./scripts/a" and "scripts/a" are one. */
static int read_path(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);
        char *copy;

        if (!field->source->untyped || !text)
                return schema_read_text(type, field, value, error);
        while (text[0] == '/' || (text[0] == '.' && text[1] == '/'))
                text += text[0] == '/' ? 1 : 2;
        if (strlen(text) > type->max || !type->is_valid(text))
                return json_field_expected(field, error, type->expected);
        copy = strdup(text);
        if (!copy)
                return error_oom(error);
        *(char **) value = copy;
        return 0;
}

static const SchemaType path_type = {
        .read = read_path,
        .write = schema_write_text,
        .clear = schema_clear_text,
        .size = sizeof(char *),
        .is_valid = document_path_is_valid,
        .expected = "a path within the app without \"..\"",
        .max = 1024,
};
static const SchemaType user_type = {
        SCHEMA_TEXT_OPERATIONS,
        .is_valid = document_user_is_valid,
        .expected = "the name of a user",
        .max = 32,
};
static const SchemaType arguments_type = {
        SCHEMA_LIST_OPERATIONS,
        .element = &document_text_type,
        .max = RELEASE_ARGUMENTS_MAX,
};
static const SchemaType hook_timeout_type = {
        SCHEMA_DURATION_OPERATIONS,
        .min = SECOND,
        .max = RELEASE_TIMEOUT_MAX,
};

/* CodeDeploy's word for how it becomes `runas`; only an appspec has it. */
static int read_sudo(_unused_ const SchemaType *type, const JsonField *field, _unused_ void *value,
                     Error *error) {
        bool ignored;

        return schema_read(&document_boolean_type, field, &ignored, error);
}
static const SchemaType sudo_type = {
        .read = read_sudo,
        .write = write_nothing,
};

static void prepare_hook(void *value) {
        ReleaseHook *hook = value;

        hook->timeout = RELEASE_HOOK_TIMEOUT_DEFAULT;
}

static const SchemaMember hook_members[] = {
        { "location", &path_type, offsetof(ReleaseHook, location), true },
        { "args", &arguments_type, offsetof(ReleaseHook, args), false },
        { "timeout", &hook_timeout_type, offsetof(ReleaseHook, timeout), false },
        { "runas", &user_type, offsetof(ReleaseHook, runas), false },
        { "sudo", &sudo_type, 0, false },
        {},
};
static const SchemaType hook_type = {
        SCHEMA_OBJECT_OPERATIONS(ReleaseHook),
        .members = hook_members,
        .prepare = prepare_hook,
};
static const SchemaType event_type = {
        SCHEMA_LIST_OPERATIONS,
        .element = &hook_type,
        .max = RELEASE_HOOKS_MAX,
};

#define EVENT(name, event)                                                                                   \
        { name, &event_type, LIFECYCLE_##event * sizeof(ReleaseHooks), false }
static const SchemaMember hooks_members[] = {
        EVENT("BeforeBlockTraffic", BEFORE_BLOCK_TRAFFIC),
        EVENT("AfterBlockTraffic", AFTER_BLOCK_TRAFFIC),
        EVENT("ApplicationStop", APPLICATION_STOP),
        EVENT("BeforeInstall", BEFORE_INSTALL),
        EVENT("AfterInstall", AFTER_INSTALL),
        EVENT("ApplicationStart", APPLICATION_START),
        EVENT("ValidateService", VALIDATE_SERVICE),
        EVENT("BeforeAllowTraffic", BEFORE_ALLOW_TRAFFIC),
        EVENT("AfterAllowTraffic", AFTER_ALLOW_TRAFFIC),
        {},
};

static bool hooks_are_set(const void *value) {
        const ReleaseHooks *hooks = value;

        for (unsigned i = 0; i < LIFECYCLE_EVENT_COUNT; i++)
                if (hooks[i].n > 0)
                        return true;
        return false;
}

const SchemaType release_hooks_type = {
        SCHEMA_OBJECT_OPERATIONS(ReleaseHooks[LIFECYCLE_EVENT_COUNT]),
        .members = hooks_members,
        .closed = true,
        .is_set = hooks_are_set,
};

/* Units */

static bool unit_name_is_valid(const char *text) {
        static const char *const suffixes[] = {
                ".service", ".socket", ".timer", ".path", ".target", ".slice"
        };
        static const char characters[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@";
        size_t n = strlen(text);

        if (n > 255 || strspn(text, characters) != n || text[0] == '.' || text[0] == '@')
                return false;
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
                if (n > strlen(suffixes[i]) && string_ends_with(text, suffixes[i]))
                        return true;
        return false;
}

static const SchemaType unit_name_type = {
        SCHEMA_TEXT_OPERATIONS,
        .is_valid = unit_name_is_valid,
        .expected = "the name of a unit such as api.service",
        .max = 255,
};
static const SchemaType on_deploy_type = {
        SCHEMA_CHOICE_OPERATIONS,
        .choices = on_deploys,
};

static void prepare_unit(void *value) {
        ReleaseUnit *unit = value;

        unit->on_deploy = ON_DEPLOY_RESTART;
}

static int check_unit(const JsonField *field, void *value, Error *error) {
        const ReleaseUnit *unit = value;
        JsonField on_deploy = json_field_member(field, "on_deploy");

        if (strstr(unit->name, "@.") && unit->on_deploy != ON_DEPLOY_NONE)
                return json_field_fail(&on_deploy, error, "%s is a template, which can only have none",
                                       unit->name);
        if (!string_ends_with(unit->name, ".service") &&
            (unit->on_deploy == ON_DEPLOY_RELOAD || unit->on_deploy == ON_DEPLOY_RELOAD_OR_RESTART))
                return json_field_fail(&on_deploy, error, "only a .service can be reloaded, %s cannot",
                                       unit->name);
        return 0;
}

static const SchemaMember unit_members[] = {
        { "name", &unit_name_type, offsetof(ReleaseUnit, name), true },
        { "file", &path_type, offsetof(ReleaseUnit, file), false },
        { "on_deploy", &on_deploy_type, offsetof(ReleaseUnit, on_deploy), false },
        {},
};
static const SchemaType unit_type = {
        SCHEMA_OBJECT_OPERATIONS(ReleaseUnit),
        .members = unit_members,
        .prepare = prepare_unit,
        .check = check_unit,
};
const SchemaType release_units_type = {
        SCHEMA_LIST_OPERATIONS,
        .element = &unit_type,
        .max = RELEASE_UNITS_MAX,
};

/* Health checks */

static bool url_is_valid(const char *text) {
        const char *host = strstr(text, "://");

        if (!string_starts_with(text, "http://") && !string_starts_with(text, "https://"))
                return false;
        for (const char *p = text; *p; p++)
                if ((unsigned char) *p <= ' ' || *p == 0x7f)
                        return false;
        return host[3] && !strchr("/:?#", host[3]);
}

static bool header_is_valid(const char *text) {
        static const char token[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~";
        size_t n = strspn(text, token);

        if (n == 0 || text[n] != ':' || text[n + 1] != ' ' || !text[n + 2])
                return false;
        return document_text_type.is_valid(text);
}

/* "host:port" or "[address]:port"; what the name means is for the resolver to say. */
static bool address_is_valid(const char *text) {
        static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";
        bool bracketed = text[0] == '[';
        size_t n = bracketed ? 1 + strspn(text + 1, "0123456789abcdefABCDEF:.") : strspn(text, characters);
        uint64_t port;

        if (n == bracketed || (bracketed && text[n++] != ']') || text[n] != ':')
                return false;
        return parse_u64(text + n + 1, &port) >= 0 && port >= 1 && port <= 65535;
}

static const SchemaType health_type_type = {
        SCHEMA_CHOICE_OPERATIONS,
        .choices = health_types,
};
static const SchemaType url_type = {
        SCHEMA_TEXT_OPERATIONS,
        .is_valid = url_is_valid,
        .expected = "a URL that starts with http:// or https://",
        .max = 2048,
};
static const SchemaType status_type = {
        SCHEMA_U64_OPERATIONS, .expected = "an HTTP status", .min = 100, .max = 599, .zero_is_unset = true,
};
static const SchemaType header_type = {
        SCHEMA_TEXT_OPERATIONS,
        .is_valid = header_is_valid,
        .expected = "a header such as \"X-Version: 1.4.2\"",
        .max = 1024,
};
static const SchemaType body_type = {
        SCHEMA_TEXT_OPERATIONS,
        .expected = "a text",
        .min = 1,
        .max = 1024,
};
static const SchemaType address_type = {
        SCHEMA_TEXT_OPERATIONS,
        .is_valid = address_is_valid,
        .expected = "an address such as 127.0.0.1:8080",
        .max = 260,
};
static const SchemaType command_type = {
        SCHEMA_LIST_OPERATIONS,
        .element = &document_text_type,
        .min = 1,
        .max = RELEASE_ARGUMENTS_MAX,
};
static const SchemaType active_type = {
        SCHEMA_DURATION_OPERATIONS,
        .max = 3600 * SECOND,
        .zero_is_unset = true,
};
static const SchemaType interval_type = {
        SCHEMA_DURATION_OPERATIONS,
        .min = 100 * MILLISECOND,
        .max = 3600 * SECOND,
};
static const SchemaType healthy_type = {
        SCHEMA_U64_OPERATIONS,
        .min = 1,
        .max = 1000,
};
static const SchemaType deadline_type = {
        SCHEMA_DURATION_OPERATIONS,
        .min = SECOND,
        .max = RELEASE_TIMEOUT_MAX,
};

static const SchemaMember health_members[] = {
        { "type", &health_type_type, offsetof(ReleaseHealth, type), true },
        { "url", &url_type, offsetof(ReleaseHealth, url), false },
        { "status", &status_type, offsetof(ReleaseHealth, status), false },
        { "body", &body_type, offsetof(ReleaseHealth, body), false },
        { "header", &header_type, offsetof(ReleaseHealth, header), false },
        { "address", &address_type, offsetof(ReleaseHealth, address), false },
        { "command", &command_type, offsetof(ReleaseHealth, command), false },
        { "runas", &user_type, offsetof(ReleaseHealth, runas), false },
        { "unit", &unit_name_type, offsetof(ReleaseHealth, unit), false },
        { "active", &active_type, offsetof(ReleaseHealth, active), false },
        { "interval", &interval_type, offsetof(ReleaseHealth, interval), false },
        { "timeout", &interval_type, offsetof(ReleaseHealth, timeout), false },
        { "healthy", &healthy_type, offsetof(ReleaseHealth, healthy), false },
        { "deadline", &deadline_type, offsetof(ReleaseHealth, deadline), false },
        {},
};

/* Which members belong to which type of check; what is in none of these belongs to all. */
static const struct {
        const char *name;
        ReleaseHealthType type;
        bool required;
} health_rules[] = {
        { "url", RELEASE_HEALTH_HTTP, true },       { "status", RELEASE_HEALTH_HTTP, false },
        { "body", RELEASE_HEALTH_HTTP, false },     { "header", RELEASE_HEALTH_HTTP, false },
        { "address", RELEASE_HEALTH_TCP, true },    { "command", RELEASE_HEALTH_COMMAND, true },
        { "runas", RELEASE_HEALTH_COMMAND, false }, { "unit", RELEASE_HEALTH_UNIT, true },
        { "active", RELEASE_HEALTH_UNIT, false },
};

static int check_command(const JsonField *field, const ReleaseHealth *health, Error *error) {
        const char *program = health->command.n > 0 ? health->command.items[0] : NULL;

        if (program && !document_path_is_valid(program + (*program == '/')))
                return json_field_fail(
                        field, error,
                        "command: expected a path within the app without \"..\", or an absolute one");
        return 0;
}

static int check_health(const JsonField *field, void *value, Error *error) {
        ReleaseHealth *health = value;

        for (size_t i = 0; i < ELEMENTSOF(health_rules); i++) {
                JsonField member = json_field_member(field, health_rules[i].name);
                bool is_own = health_rules[i].type == health->type;

                if (is_own && health_rules[i].required && !json_field_is_set(&member))
                        return json_field_fail(&member, error, "missing; a check of type %s needs it",
                                               health_types[health->type]);
                if (!is_own && json_field_is_set(&member))
                        return json_field_fail(
                                &member, error, "belongs to the type %s, this check is of type %s",
                                health_types[health_rules[i].type], health_types[health->type]);
        }
        if (health->type == RELEASE_HEALTH_HTTP && health->status == 0)
                health->status = 200;
        return check_command(field, health, error);
}

static void prepare_health(void *value) {
        ReleaseHealth *health = value;

        health->interval = SECOND;
        health->timeout = 2 * SECOND;
        health->healthy = 1;
        health->deadline = 60 * SECOND;
}

static const SchemaType health_type = {
        SCHEMA_OBJECT_OPERATIONS(ReleaseHealth),
        .members = health_members,
        .prepare = prepare_health,
        .check = check_health,
};
const SchemaType release_healths_type = {
        SCHEMA_LIST_OPERATIONS,
        .element = &health_type,
        .max = RELEASE_HEALTH_MAX,
};

/* The release */

int release_check_units(const JsonField *document, const ReleaseUnits *units, Error *error) {
        JsonField field = json_field_member(document, "units");

        for (size_t i = 0; i < units->n; i++)
                for (size_t k = 0; k < i; k++)
                        if (strcmp(units->items[i].name, units->items[k].name) == 0) {
                                JsonField unit = json_field_element(&field, i);

                                return json_field_fail(&unit, error, "the unit %s is listed twice",
                                                       units->items[i].name);
                        }
        return 0;
}

static int check_release(const JsonField *field, void *value, Error *error) {
        const Release *release = value;

        return release_check_units(field, &release->units, error);
}

static const SchemaMember release_members[] = {
        { "app", &document_name_type, offsetof(Release, app), true },
        { "version", &document_version_type, offsetof(Release, version), true },
        { "created", &document_time_type, offsetof(Release, created), true },
        { "min_agent", &document_agent_version_type, offsetof(Release, min_agent), false },
        { "artifacts", &artifacts_type, offsetof(Release, artifacts), true },
        { "hooks", &release_hooks_type, offsetof(Release, hooks), false },
        { "files", &release_unsupported_type, 0, false },
        { "permissions", &release_unsupported_type, 0, false },
        { "traffic", &release_unsupported_type, 0, false },
        { "units", &release_units_type, offsetof(Release, units), false },
        { "health", &release_healths_type, offsetof(Release, health), false },
        { "env", &document_environment_type, offsetof(Release, env), false },
        {},
};
static const SchemaType release_type = {
        SCHEMA_OBJECT_OPERATIONS(Release),
        .members = release_members,
        .check = check_release,
};

Release *release_free(Release *release) {
        if (release)
                schema_clear(&release_type, release);
        free(release);
        return NULL;
}

int release_parse(const void *payload, size_t size, Release **ret, Error *error) {
        static const DocumentName name = { "release", "app", "version" };
        _cleanup_release_ Release *release = calloc(1, sizeof(*release));
        int r;

        if (!release)
                return error_oom(error);
        r = document_parse(&release_type, &name, payload, size, RELEASE_PAYLOAD_SIZE_MAX, release, error);
        if (r < 0)
                return r;
        r = document_digest(payload, size, release->sha256, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(release);
        return 0;
}

int release_open(const TrustRoot *root, const void *envelope, size_t size, uint64_t now, const char *app,
                 const char *version, const char *sha256, Release **ret, Error *error) {
        _cleanup_free_ uint8_t *payload = NULL;
        _cleanup_release_ Release *release = NULL;
        char name[DOCUMENT_NAME_MAX];
        int r;

        snprintf(name, sizeof(name), "release %s %s", app, version);
        r = trust_root_verify_document(root, TRUST_ROLE_RELEASE, name, RELEASE_TYPE, envelope, size, now,
                                       &payload, &size, error);
        if (r >= 0)
                r = release_parse(payload, size, &release, error);
        if (r < 0)
                return r;
        if (strcmp(release->app, app) != 0 || strcmp(release->version, version) != 0)
                return error_set_fault(error, -EBADMSG, FAULT_INPUT, "%s: expected this release, found %s %s",
                                       name, release->app, release->version);
        if (sha256 && strcmp(release->sha256, sha256) != 0)
                return error_set_fault(error, -EBADMSG, FAULT_INPUT,
                                       "%s: the target names the digest %s, this release has %s", name,
                                       sha256, release->sha256);
        *ret = TAKE_PTR(release);
        return 0;
}

int release_to_json(const Release *release, char **ret, size_t *ret_size, Error *error) {
        _cleanup_release_ Release *check = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        r = document_write(&release_type, release, &text, &size, error);
        if (r >= 0)
                r = release_parse(text, size, &check, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(text);
        *ret_size = size;
        return 0;
}

static int copy_artifact(const ReleaseArtifact *from, ReleaseArtifact *to) {
        char *platform = strdup(from->platform);
        ReleaseChunk *chunks = calloc(from->chunks.n + 1, sizeof(*chunks));

        if (!platform || !chunks) {
                free(platform);
                free(chunks);
                return -ENOMEM;
        }
        if (from->chunks.n > 0)
                memcpy(chunks, from->chunks.items, from->chunks.n * sizeof(*chunks));
        *to = *from;
        to->platform = platform;
        to->chunks.items = chunks;
        return 0;
}

int release_add_artifact(Release *release, const ReleaseArtifact *artifact, Error *error) {
        size_t n = release->artifacts.n, at = 0;
        ReleaseArtifact copy, *items;
        int order = 1;

        for (; at < n; at++) {
                order = strcmp(release->artifacts.items[at].platform, artifact->platform);
                if (order >= 0)
                        break;
        }
        if (order == 0)
                return error_set_fault(error, -EEXIST, FAULT_INPUT,
                                       "release %s %s: there is an artifact for %s already", release->app,
                                       release->version, artifact->platform);
        items = reallocarray(release->artifacts.items, n + 1, sizeof(*items));
        if (!items)
                return error_oom(error);
        release->artifacts.items = items;
        if (copy_artifact(artifact, &copy) < 0)
                return error_oom(error);
        memmove(items + at + 1, items + at, (n - at) * sizeof(*items));
        items[at] = copy;
        release->artifacts.n++;
        return 0;
}

const ReleaseArtifact *release_find_artifact(const Release *release, const char *platform) {
        const ReleaseArtifact *any = NULL;

        for (size_t i = 0; i < release->artifacts.n; i++) {
                const ReleaseArtifact *artifact = release->artifacts.items + i;

                if (strcmp(artifact->platform, platform) == 0)
                        return artifact;
                if (strcmp(artifact->platform, "any") == 0)
                        any = artifact;
        }
        return any;
}

const char *release_platform(void) {
#if defined(__x86_64__)
        return "linux/amd64";
#elif defined(__aarch64__)
        return "linux/arm64";
#else
#error "name this platform"
#endif
}

bool release_health_asserts_version(const Release *release, const ReleaseHealth *health) {
        return (health->body && strstr(health->body, release->version)) ||
               (health->header && strstr(health->header, release->version));
}
