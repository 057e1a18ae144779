#include <arpa/inet.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/net/url.h"
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

/* What the HTTP client takes. */
static bool url_is_valid(const char *text) {
        _cleanup_url_ Url url = {};

        return url_parse(text, &url, NULL) >= 0;
}

static bool header_is_valid(const char *text) {
        static const char token[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~";
        size_t n = strspn(text, token);

        if (n == 0 || text[n] != ':' || text[n + 1] != ' ' || !text[n + 2])
                return false;
        return document_text_type.is_valid(text);
}

static bool host_is_numeric(const char *host) {
        size_t n = strlen(host);
        char inner[INET6_ADDRSTRLEN];
        struct in6_addr address;

        if (strcmp(host, "localhost") == 0)
                return true;
        if (n < 2 || host[0] != '[' || host[n - 1] != ']')
                return inet_pton(AF_INET, host, &address) == 1;
        if (n - 2 >= sizeof(inner))
                return false;
        memcpy(inner, host + 1, n - 2);
        inner[n - 2] = '\0';
        return inet_pton(AF_INET6, inner, &address) == 1;
}

/* No names but localhost: a check must not wait for a resolver. */
static bool address_is_valid(const char *text) {
        const char *colon = strrchr(text, ':');
        char host[INET6_ADDRSTRLEN + 3];
        uint64_t port;

        if (!colon || (size_t) (colon - text) >= sizeof(host))
                return false;
        memcpy(host, text, (size_t) (colon - text));
        host[colon - text] = '\0';
        return host_is_numeric(host) && parse_u64(colon + 1, &port) >= 0 && port >= 1 && port <= UINT16_MAX;
}

static const SchemaType health_type_type = {
        .kind = &schema_choice,
        .choices = health_types,
};
static const SchemaType url_type = {
        .kind = &schema_text,
        .is_valid = url_is_valid,
        .expected = "a URL such as http://127.0.0.1:8080/healthz",
        .max = 2048,
};
static const SchemaType status_type = {
        .kind = &schema_u64,
        .expected = "an HTTP status",
        .min = 100,
        .max = 599,
        .zero_is_unset = true,
};
static const SchemaType header_type = {
        .kind = &schema_text,
        .is_valid = header_is_valid,
        .expected = "a header such as \"X-Version: 1.4.2\"",
        .max = 1024,
};
static const SchemaType body_type = {
        .kind = &schema_text,
        .expected = "a text",
        .min = 1,
        .max = 1024,
};
static const SchemaType address_type = {
        .kind = &schema_text,
        .is_valid = address_is_valid,
        .expected = "a numeric address and a port, such as 127.0.0.1:8080 or [::1]:8080",
        .max = 260,
};
static const SchemaType command_type = {
        .kind = &schema_list,
        .element = &document_text_type,
        .min = 1,
        .max = DOCUMENT_ARGUMENTS_MAX,
};
static const SchemaType active_type = {
        .kind = &schema_duration,
        .max = 3600 * SECOND,
        .zero_is_unset = true,
};
static const SchemaType interval_type = {
        .kind = &schema_duration,
        .min = 100 * MILLISECOND,
        .max = 3600 * SECOND,
};
static const SchemaType healthy_type = {
        .kind = &schema_u64,
        .min = 1,
        .max = 1000,
};
static const SchemaType deadline_type = {
        .kind = &schema_duration,
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

static int check_command(const JsonField *field, ReleaseHealth *health, Error *error) {
        JsonField command = json_field_member(field, "command"), first = json_field_element(&command, 0);
        const JsonField *program = first.value ? &first : &command; /* a text is a list of one */
        const char *path = health->command.n > 0 ? health->command.items[0] : NULL;

        health->line = json_field_line(&command);
        if (!path || document_path_is_valid(path + (*path == '/')))
                return 0;
        return json_field_expected(program, error,
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
        .kind = &schema_object,
        .size = sizeof(ReleaseHealth),
        .members = health_members,
        .prepare = prepare_health,
        .check = check_health,
};
const SchemaType release_healths_type = {
        .kind = &schema_list,
        .element = &health_type,
        .max = RELEASE_HEALTH_MAX,
};
