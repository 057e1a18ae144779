#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "artifacts/release_health.h"
#include "artifacts/release_unit.h"

#define SECOND UINT64_C(1000000)
#define MILLISECOND UINT64_C(1000)

static const char *const health_types[] = {
        [RELEASE_HEALTH_HTTP] = "http",
        [RELEASE_HEALTH_TCP] = "tcp",
        [RELEASE_HEALTH_COMMAND] = "command",
        [RELEASE_HEALTH_UNIT] = "unit",
        NULL,
};

const char *release_health_type_to_string(ReleaseHealthType type) {
        return health_types[type];
}

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
        .max = DOCUMENT_ARGUMENTS_MAX,
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
        .max = RELEASE_HEALTH_DEADLINE_MAX,
};

static const SchemaMember health_members[] = {
        { "type", &health_type_type, offsetof(ReleaseHealth, type), true },
        { "url", &url_type, offsetof(ReleaseHealth, url), false },
        { "status", &status_type, offsetof(ReleaseHealth, status), false },
        { "body", &body_type, offsetof(ReleaseHealth, body), false },
        { "header", &header_type, offsetof(ReleaseHealth, header), false },
        { "address", &address_type, offsetof(ReleaseHealth, address), false },
        { "command", &command_type, offsetof(ReleaseHealth, command), false },
        { "runas", &document_user_type, offsetof(ReleaseHealth, runas), false },
        { "unit", &release_unit_name_type, offsetof(ReleaseHealth, unit), false },
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
        JsonField command = json_field_member(field, "command"), program = json_field_element(&command, 0);
        const char *path = health->command.n > 0 ? health->command.items[0] : NULL;

        if (!path || document_path_is_valid(path + (*path == '/')))
                return 0;
        return json_field_expected(&program, error,
                                   "a path within the app without \"..\", or an absolute one");
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
