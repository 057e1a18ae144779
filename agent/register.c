#include <string.h>

#include "agent/base/strv.h"
#include "agent/register.h"
#include "agent/rollout_marks.h"
#include "artifacts/layout.h"

#define NUMBER_MAX REGISTER_REV_MAX

static bool nonce_is_valid(const char *text) {
        return strspn(text, "0123456789abcdef") == strlen(text);
}

static const SchemaType number_type = { .kind = &schema_u64, .max = NUMBER_MAX };
static const SchemaType rev_type = { .kind = &schema_u64, .min = 1, .max = REGISTER_REV_MAX };
static const SchemaType stage_type = { .kind = &schema_u64, .max = TARGET_STAGES_MAX - 1 };
static const SchemaType attempt_type = { .kind = &schema_u64, .min = 1, .max = MARK_ATTEMPTS_MAX };
static const SchemaType nonce_type = {
        .kind = &schema_text,
        .is_valid = nonce_is_valid,
        .expected = "lower-case hex digits",
        .min = 16,
        .max = REGISTER_NONCE_MAX,
};
static const SchemaType instance_type = {
        .kind = &schema_text,
        .is_valid = layout_instance_is_valid,
        .expected = "the name of an instance",
        .min = 1,
        .max = LAYOUT_INSTANCE_MAX,
};
static const SchemaType digest_type = {
        .kind = &schema_text,
        .is_valid = document_digest_is_valid,
        .expected = "a SHA-256 digest of 64 lower-case hex digits",
        .max = DIGEST_HEX_SIZE - 1,
};
static const char *const states[] = { "active", "paused", "aborted", "complete", NULL };
static const SchemaType state_type = { .kind = &schema_choice, .choices = states };
static const char *const alarms[] = { "not-seen", "quiet", "unknown", "ring", NULL };
static const SchemaType alarms_type = { .kind = &schema_choice, .choices = alarms, .zero_is_unset = true };
static const char *const moves[] = { "up", "down", NULL };
static const SchemaType move_type = { .kind = &schema_choice, .choices = moves };

static const SchemaMember place_members[] = {
        { "instance", &instance_type, offsetof(RegisterPlace, instance), true },
        { "attempt", &attempt_type, offsetof(RegisterPlace, attempt), true },
        { "move", &move_type, offsetof(RegisterPlace, move), true },
        { "until", &document_time_type, offsetof(RegisterPlace, until), true },
        { "late", &document_boolean_type, offsetof(RegisterPlace, late), false },
        {},
};
static const SchemaType place_type = {
        .kind = &schema_object,
        .size = sizeof(RegisterPlace),
        .members = place_members,
};

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* An instance has one place. */
static int check_places(const JsonField *field, void *value, Error *error) {
        const SchemaList *list = value;
        const RegisterPlace *places = list->items;
        _cleanup_free_ const char **sorted = calloc(list->n + 1, sizeof(*sorted));

        if (!sorted)
                return error_oom(error);
        for (size_t i = 0; i < list->n; i++)
                sorted[i] = places[i].instance;
        qsort(sorted, list->n, sizeof(*sorted), compare_names);
        for (size_t i = 1; i < list->n; i++)
                if (strcmp(sorted[i - 1], sorted[i]) == 0)
                        return json_field_fail(field, error, "%s has two places", sorted[i]);
        return 0;
}

static const SchemaType places_type = {
        .kind = &schema_list,
        .element = &place_type,
        .max = REGISTER_PLACES_MAX,
        .check = check_places,
};

static const SchemaMember register_members[] = {
        { "id", &document_name_type, offsetof(Register, id), true },
        { "rev", &rev_type, offsetof(Register, rev), true },
        { "nonce", &nonce_type, offsetof(Register, nonce), true },
        { "writer", &instance_type, offsetof(Register, writer), true },
        { "written", &document_time_type, offsetof(Register, written), true },
        { "release_sha256", &digest_type, offsetof(Register, release_sha256), true },
        { "state", &state_type, offsetof(Register, state), true },
        { "reason", &document_text_type, offsetof(Register, reason), false },
        { "by", &document_text_type, offsetof(Register, by), false },
        { "stage", &stage_type, offsetof(Register, stage), true },
        { "opened", &document_time_type, offsetof(Register, opened), true },
        { "fleet", &number_type, offsetof(Register, fleet), true },
        { "full", &document_time_type, offsetof(Register, full), false },
        { "promoted", &document_boolean_type, offsetof(Register, promoted), false },
        { "touched", &document_boolean_type, offsetof(Register, touched), false },
        { "alarms", &alarms_type, offsetof(Register, alarms), false },
        { "alarms_seen", &document_time_type, offsetof(Register, alarms_seen), false },
        { "alarms_reason", &document_text_type, offsetof(Register, alarms_reason), false },
        { "live", &number_type, offsetof(Register, live), false },
        { "members", &number_type, offsetof(Register, members), false },
        { "running", &number_type, offsetof(Register, running), false },
        { "failures", &number_type, offsetof(Register, failures), false },
        { "places", &places_type, offsetof(Register, places), false },
        {},
};
static const SchemaType register_type = {
        .kind = &schema_object,
        .size = sizeof(Register),
        .members = register_members,
};

Register *register_free(Register *reg) {
        if (reg)
                schema_clear(&register_type, reg);
        free(reg);
        return NULL;
}

int register_parse(const void *data, size_t size, Register **ret, Error *error) {
        static const DocumentName name = { "register", "id", NULL };
        _cleanup_register_ Register *reg = calloc(1, sizeof(*reg));
        int r;

        if (!reg)
                return error_oom(error);
        r = document_parse(&register_type, &name, data, size, REGISTER_SIZE_MAX, reg, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(reg);
        return 0;
}

int register_to_json(const Register *reg, char **ret, size_t *ret_size, Error *error) {
        _cleanup_register_ Register *check = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        r = document_write(&register_type, reg, &text, &size, error);
        if (r >= 0)
                r = register_parse(text, size, &check, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(text);
        *ret_size = size;
        return 0;
}

RegisterPlace *register_find_place(const Register *reg, const char *instance) {
        for (size_t i = 0; i < reg->places.n; i++)
                if (strcmp(reg->places.items[i].instance, instance) == 0)
                        return reg->places.items + i;
        return NULL;
}

/* As schema.h has lists, a zeroed item follows the last one. */
int register_add_place(Register *reg, const char *instance, uint64_t attempt, RegisterMove move,
                       uint64_t until) {
        RegisterPlace *items;
        char *copy;

        if (reg->places.n >= REGISTER_PLACES_MAX)
                return -E2BIG;
        copy = strdup(instance);
        items = copy ? reallocarray(reg->places.items, reg->places.n + 2, sizeof(*items)) : NULL;
        if (!items) {
                free(copy);
                return -ENOMEM;
        }
        items[reg->places.n++] =
                (RegisterPlace){ .instance = copy, .attempt = attempt, .move = move, .until = until };
        items[reg->places.n] = (RegisterPlace){};
        reg->places.items = items;
        return 0;
}

void register_remove_place(Register *reg, size_t index) {
        RegisterPlace *items = reg->places.items;

        free(items[index].instance);
        memmove(items + index, items + index + 1, (reg->places.n - index) * sizeof(*items));
        reg->places.n--;
}

const char *register_state_to_string(RegisterState state) {
        return states[state];
}

const char *register_alarms_to_string(RegisterAlarms state) {
        return alarms[state];
}
