#include <inttypes.h>
#include <string.h>

#include "agent/base/parse.h"
#include "artifacts/freshness.h"

static int check_times(const JsonField *field, void *value, Error *error) {
        const Freshness *freshness = value;
        JsonField expires = json_field_member(field, "expires");

        if (freshness->expires <= freshness->issued)
                return json_field_fail(&expires, error, "expected a time later than issued");
        return 0;
}

static const SchemaType serial_type = {
        .kind = &schema_u64,
        .min = 1,
        .max = TARGET_SERIAL_MAX,
};

static const SchemaMember members[] = {
        { "app", &document_name_type, offsetof(Freshness, app), true },
        { "group", &document_name_type, offsetof(Freshness, group), true },
        { "serial", &serial_type, offsetof(Freshness, serial), true },
        { "target_sha256", &document_hex_type, offsetof(Freshness, target_sha256), true },
        { "issued", &document_time_type, offsetof(Freshness, issued), true },
        { "expires", &document_time_type, offsetof(Freshness, expires), true },
        { "min_agent", &document_agent_version_type, offsetof(Freshness, min_agent), false },
        {},
};
static const SchemaType freshness_type = {
        .kind = &schema_object,
        .size = sizeof(Freshness),
        .members = members,
        .check = check_times,
};

Freshness *freshness_free(Freshness *freshness) {
        if (freshness)
                schema_clear(&freshness_type, freshness);
        free(freshness);
        return NULL;
}

int freshness_parse(const void *payload, size_t size, Freshness **ret, Error *error) {
        static const DocumentName name = { "freshness", "app", "group" };
        _cleanup_freshness_ Freshness *freshness = calloc(1, sizeof(*freshness));
        int r;

        if (!freshness)
                return error_oom(error);
        r = document_parse(&freshness_type, &name, payload, size, FRESHNESS_PAYLOAD_SIZE_MAX, freshness,
                           error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(freshness);
        return 0;
}

int freshness_open(const TrustRoot *root, const void *envelope, size_t size, uint64_t now, const char *app,
                   const char *group, Freshness **ret, Error *error) {
        _cleanup_freshness_ Freshness *freshness = NULL;
        _cleanup_free_ uint8_t *payload = NULL;
        char name[DOCUMENT_NAME_MAX];
        int r;

        snprintf(name, sizeof(name), "freshness %s %s", app, group);
        r = trust_root_verify_document(root, TRUST_ROLE_FRESHNESS, name, FRESHNESS_TYPE, envelope, size, now,
                                       &payload, &size, error);
        if (r >= 0)
                r = freshness_parse(payload, size, &freshness, error);
        if (r < 0)
                return r;
        if (strcmp(freshness->app, app) != 0 || strcmp(freshness->group, group) != 0)
                return error_set_fault(error, -EBADMSG, FAULT_INPUT,
                                       "%s: expected the app and group of the instance, found %s %s", name,
                                       freshness->app, freshness->group);
        *ret = TAKE_PTR(freshness);
        return 0;
}

int freshness_to_json(const Freshness *freshness, char **ret, size_t *ret_size, Error *error) {
        return document_write(&freshness_type, freshness, ret, ret_size, error);
}

int freshness_check(const Freshness *freshness, const Target *target, uint64_t now, Error *error) {
        char expires[TIME_TEXT_MAX];

        if (freshness->serial != target->serial || strcmp(freshness->target_sha256, target->sha256) != 0)
                return error_set_fault(error, -ESTALE, FAULT_INPUT,
                                       "freshness %s %s: speaks of serial %" PRIu64
                                       ", this target is another one (%" PRIu64 ")",
                                       freshness->app, freshness->group, freshness->serial, target->serial);
        if (now >= freshness->expires) {
                format_time(freshness->expires, expires);
                return error_set_fault(error, -ESTALE, FAULT_INPUT, "freshness %s %s: expired at %s",
                                       freshness->app, freshness->group, expires);
        }
        return 0;
}
