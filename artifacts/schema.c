#include <inttypes.h>
#include <string.h>

#include "agent/base/base64.h"
#include "agent/base/clock.h"
#include "agent/base/hex.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/digest.h"
#include "artifacts/schema.h"

#define CRITICAL_MAX 64U
#define EXPECTED_TEXT_MAX 256U

int schema_read(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        return type->read(type, field, value, error);
}

int schema_write(const SchemaType *type, const void *value, json_t **ret) {
        *ret = NULL;
        return type->write(type, value, ret);
}

void schema_clear(const SchemaType *type, void *value) {
        if (type->clear)
                type->clear(type, value);
}

/* Hands over a new JSON value; NULL means that there was no memory for it. */
static int give(json_t *value, json_t **ret) {
        *ret = value;
        return value ? 0 : -ENOMEM;
}

/* Text */

int schema_read_text(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);
        size_t n = json_string_length(field->value);
        char *copy;

        if (!text || (type->is_valid && !type->is_valid(text)))
                return json_field_expected(field, error, type->expected ?: "text");
        if (n < type->min || n > type->max)
                return json_field_fail(field, error, "expected %s of %" PRIu64 " to %" PRIu64 " bytes",
                                       type->expected ?: "text", type->min, type->max);
        copy = strdup(text);
        if (!copy)
                return error_oom(error);
        *(char **) value = copy;
        return 0;
}

int schema_write_text(_unused_ const SchemaType *type, const void *value, json_t **ret) {
        const char *text = *(char *const *) value;

        return text ? give(json_string(text), ret) : 0;
}

void schema_clear_text(_unused_ const SchemaType *type, void *value) {
        free(*(char **) value);
        *(char **) value = NULL;
}

/* Numbers and booleans */

static int expected_number(const SchemaType *type, const JsonField *field, Error *error) {
        char expected[EXPECTED_TEXT_MAX];

        snprintf(expected, sizeof(expected), "%s from %" PRIu64 " to %" PRIu64, type->expected ?: "a number",
                 type->min, type->max);
        return json_field_expected(field, error, expected);
}

int schema_read_u64(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        json_int_t integer = json_integer_value(field->value);
        uint64_t number = (uint64_t) integer;
        bool ok = json_is_integer(field->value) && integer >= 0;

        if (field->source->untyped && json_is_string(field->value))
                ok = parse_u64(json_string_value(field->value), &number) >= 0;
        if (!ok || number < type->min || number > type->max)
                return expected_number(type, field, error);
        *(uint64_t *) value = number;
        return 0;
}

int schema_write_u64(const SchemaType *type, const void *value, json_t **ret) {
        uint64_t number = *(const uint64_t *) value;

        return number == 0 && type->zero_is_unset ? 0 : give(json_integer((json_int_t) number), ret);
}

int schema_read_boolean(_unused_ const SchemaType *type, const JsonField *field, void *value, Error *error) {
        bool result = json_is_true(field->value), ok = json_is_boolean(field->value);

        if (field->source->untyped && json_is_string(field->value))
                ok = parse_boolean(json_string_value(field->value), &result) >= 0;
        if (!ok)
                return json_field_expected(field, error, "true or false");
        *(bool *) value = result;
        return 0;
}

int schema_write_boolean(_unused_ const SchemaType *type, const void *value, json_t **ret) {
        return give(json_boolean(*(const bool *) value), ret);
}

/* Durations and times */

static int expected_duration(const SchemaType *type, const JsonField *field, Error *error) {
        char expected[EXPECTED_TEXT_MAX], min[DURATION_TEXT_MAX], max[DURATION_TEXT_MAX];

        format_duration(type->min, min);
        format_duration(type->max, max);
        snprintf(expected, sizeof(expected), "%s from %s to %s",
                 field->source->untyped ? "a number of seconds, or a duration such as \"5m\","
                                        : "a duration such as \"90s\"",
                 min, max);
        return json_field_expected(field, error, expected);
}

int schema_read_duration(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);
        uint64_t usec;
        int r;

        if (!text)
                return expected_duration(type, field, error);
        r = parse_duration(text, &usec);
        if (r < 0 && field->source->untyped && parse_u64(text, &usec) >= 0)
                r = __builtin_mul_overflow(usec, USEC_PER_SEC, &usec) ? -ERANGE : 0;
        if (r < 0 || usec < type->min || usec > type->max)
                return expected_duration(type, field, error);
        *(uint64_t *) value = usec;
        return 0;
}

int schema_write_duration(const SchemaType *type, const void *value, json_t **ret) {
        uint64_t usec = *(const uint64_t *) value;
        char text[DURATION_TEXT_MAX];

        if (usec == 0 && type->zero_is_unset)
                return 0;
        format_duration(usec, text);
        return give(json_string(text), ret);
}

int schema_read_time(_unused_ const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);
        uint64_t usec;

        if (!text || !string_ends_with(text, "Z") || parse_time(text, &usec) < 0 || usec == 0 ||
            usec % USEC_PER_SEC != 0)
                return json_field_expected(field, error, "a time such as \"2026-11-21T09:00:00Z\"");
        *(uint64_t *) value = usec;
        return 0;
}

int schema_write_time(_unused_ const SchemaType *type, const void *value, json_t **ret) {
        uint64_t usec = *(const uint64_t *) value;
        char text[TIME_TEXT_MAX];

        if (usec == 0)
                return 0;
        format_time(usec, text);
        return give(json_string(text), ret);
}

/* Digests */

int schema_read_digest(_unused_ const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);

        if (!text || hex_decode(text, value, DIGEST_SIZE) < 0)
                return json_field_expected(field, error, "a SHA-256 digest of 64 lower-case hex digits");
        return 0;
}

int schema_write_digest(_unused_ const SchemaType *type, const void *value, json_t **ret) {
        char text[DIGEST_HEX_SIZE];

        hex_encode(value, DIGEST_SIZE, text);
        return give(json_string(text), ret);
}

int schema_read_hex(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        uint8_t digest[DIGEST_SIZE];
        int r;

        r = schema_read_digest(type, field, digest, error);
        if (r >= 0)
                hex_encode(digest, sizeof(digest), value);
        return r;
}

int schema_write_hex(_unused_ const SchemaType *type, const void *value, json_t **ret) {
        return give(json_string(value), ret);
}

int schema_read_base64(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);
        _cleanup_free_ uint8_t *data = NULL;
        size_t size = 0;
        int r;

        r = text ? base64_decode(text, strlen(text), &data, &size) : -EINVAL;
        if (r == -ENOMEM)
                return error_oom(error);
        if (r < 0 || size != type->max)
                return json_field_fail(field, error, "expected %" PRIu64 " bytes in base64", type->max);
        memcpy(value, data, size);
        return 0;
}

int schema_write_base64(const SchemaType *type, const void *value, json_t **ret) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = base64_encode(value, type->max, &text);
        return r < 0 ? r : give(json_string(text), ret);
}

/* Choices */

static int expected_choice(const SchemaType *type, const JsonField *field, Error *error) {
        char expected[EXPECTED_TEXT_MAX] = "";
        size_t used = 0;

        for (const char *const *c = type->choices; *c && used < sizeof(expected); c++)
                used += (size_t) snprintf(expected + used, sizeof(expected) - used, "%s%s",
                                          c == type->choices ? "" : (c[1] ? ", " : " or "), *c);
        return json_field_expected(field, error, expected);
}

int schema_read_choice(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);

        for (unsigned i = 0; text && type->choices[i]; i++)
                if (strcmp(type->choices[i], text) == 0) {
                        *(unsigned *) value = i;
                        return 0;
                }
        return expected_choice(type, field, error);
}

int schema_write_choice(const SchemaType *type, const void *value, json_t **ret) {
        return give(json_string(type->choices[*(const unsigned *) value]), ret);
}

/* Objects */

static const SchemaMember *find_member(const SchemaType *type, const char *name, size_t length) {
        for (const SchemaMember *m = type->members; m->name; m++)
                if (strlen(m->name) == length && memcmp(m->name, name, length) == 0)
                        return m;
        return NULL;
}

/* Says what is known here; members that hold nothing (sections of a later version) are not offered. */
static int fail_unknown(const SchemaType *type, const JsonField *member, Error *error) {
        char known[EXPECTED_TEXT_MAX] = "";
        size_t used = 0;

        for (const SchemaMember *m = type->members; m->name && used < sizeof(known); m++)
                if (m->type->size > 0)
                        used += (size_t) snprintf(known + used, sizeof(known) - used, "%s%s",
                                                  used > 0 ? ", " : "", m->name);
        return json_field_fail(member, error, "not known to muster " MUSTER_VERSION ", which knows %s",
                               known);
}

static int refuse_unknown(const SchemaType *type, const JsonField *field, Error *error) {
        const char *key;
        json_t *value;

        json_object_foreach(field->value, key, value) {
                JsonField member = { .source = field->source, .parent = field, .key = key, .value = value };

                if (!find_member(type, key, strlen(key)))
                        return fail_unknown(type, &member, error);
        }
        return 0;
}

int schema_read_object(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        int r = 0;

        if (!json_is_object(field->value))
                return json_field_expected(field, error, type->expected ?: "an object");
        if (type->prepare)
                type->prepare(value);
        if (type->closed || field->source->closed)
                r = refuse_unknown(type, field, error);
        for (const SchemaMember *m = type->members; r >= 0 && m->name; m++) {
                JsonField member = json_field_member(field, m->name);

                if (m->required || json_field_is_set(&member))
                        r = schema_read(m->type, &member, (char *) value + m->offset, error);
        }
        return r >= 0 && type->check ? type->check(field, value, error) : r;
}

int schema_write_object(const SchemaType *type, const void *value, json_t **ret) {
        _cleanup_json_ json_t *object = NULL;
        int r;

        if (type->is_set && !type->is_set(value))
                return 0;
        object = json_object();
        if (!object)
                return -ENOMEM;
        for (const SchemaMember *m = type->members; m->name; m++) {
                json_t *member;

                r = schema_write(m->type, (const char *) value + m->offset, &member);
                if (r < 0)
                        return r;
                if (member && json_object_set_new(object, m->name, member) < 0)
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(object);
        return 0;
}

void schema_clear_object(const SchemaType *type, void *value) {
        for (const SchemaMember *m = type->members; m->name; m++)
                schema_clear(m->type, (char *) value + m->offset);
}

/* Lists */

static void *item_at(const SchemaType *type, const SchemaList *list, size_t i) {
        return (char *) list->items + i * type->element->size;
}

static int allocate_items(SchemaList *list, size_t n, size_t size, Error *error) {
        if (n == 0)
                return 0;
        list->items = calloc(n + 1, size);
        return list->items ? 0 : error_oom(error);
}

static int check_count(const SchemaType *type, const JsonField *field, size_t n, Error *error) {
        if (n < type->min)
                return json_field_fail(field, error, "expected at least %" PRIu64 " %s, found %zu", type->min,
                                       type->min == 1 ? "element" : "elements", n);
        if (n > type->max)
                return json_field_fail(field, error, "expected at most %" PRIu64 " elements, found %zu",
                                       type->max, n);
        return 0;
}

/* Whoever writes by hand gives one thing as itself, not as a list of one. */
static int read_single(const SchemaType *type, const JsonField *field, SchemaList *list, Error *error) {
        int r = allocate_items(list, 1, type->element->size, error);

        if (r < 0)
                return r;
        list->n = 1;
        return schema_read(type->element, field, list->items, error);
}

int schema_read_list(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        size_t n = json_array_size(field->value);
        SchemaList *list = value;
        int r;

        if (field->source->untyped && json_is_string(field->value))
                return read_single(type, field, list, error);
        if (!json_is_array(field->value))
                return json_field_expected(field, error, type->expected ?: "a list");
        r = check_count(type, field, n, error);
        if (r >= 0)
                r = allocate_items(list, n, type->element->size, error);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                JsonField element = json_field_element(field, i);

                list->n = i + 1; /* counted first, so that a half-read element is freed too */
                r = schema_read(type->element, &element, item_at(type, list, i), error);
        }
        return r >= 0 && type->check ? type->check(field, value, error) : r;
}

int schema_write_list(const SchemaType *type, const void *value, json_t **ret) {
        const SchemaList *list = value;
        _cleanup_json_ json_t *array = NULL;
        int r;

        if (list->n == 0)
                return 0;
        array = json_array();
        if (!array)
                return -ENOMEM;
        for (size_t i = 0; i < list->n; i++) {
                json_t *element;

                r = schema_write(type->element, item_at(type, list, i), &element);
                if (r < 0)
                        return r;
                if (json_array_append_new(array, element) < 0)
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(array);
        return 0;
}

void schema_clear_list(const SchemaType *type, void *value) {
        SchemaList *list = value;

        for (size_t i = 0; i < list->n; i++)
                schema_clear(type->element, item_at(type, list, i));
        free(list->items);
        *list = (SchemaList){};
}

/* Maps */

static char *entry_at(const SchemaType *type, const SchemaList *map, size_t i) {
        return (char *) map->items + i * type->entry_size;
}

static int compare_keys(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static int read_entry(const SchemaType *type, const JsonField *field, char *entry, Error *error) {
        if (type->is_valid && !type->is_valid(field->key))
                return json_field_fail(field, error, "expected the name of %s", type->expected);
        *(char **) entry = strdup(field->key);
        if (!*(char **) entry)
                return error_oom(error);
        return schema_read(type->element, field, entry + type->entry_value, error);
}

int schema_read_map(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        size_t n = json_object_size(field->value);
        SchemaList *map = value;
        const char *key;
        json_t *element;
        int r;

        if (!json_is_object(field->value))
                return json_field_expected(field, error, "an object");
        r = check_count(type, field, n, error);
        if (r >= 0)
                r = allocate_items(map, n, type->entry_size, error);
        if (r < 0)
                return r;
        json_object_foreach(field->value, key, element) {
                JsonField entry = { .source = field->source, .parent = field, .key = key, .value = element };

                r = read_entry(type, &entry, entry_at(type, map, map->n++), error);
                if (r < 0)
                        return r;
        }
        if (map->n > 1)
                qsort(map->items, map->n, type->entry_size, compare_keys);
        return 0;
}

int schema_write_map(const SchemaType *type, const void *value, json_t **ret) {
        const SchemaList *map = value;
        _cleanup_json_ json_t *object = NULL;
        int r;

        if (map->n == 0)
                return 0;
        object = json_object();
        if (!object)
                return -ENOMEM;
        for (size_t i = 0; i < map->n; i++) {
                const char *entry = entry_at(type, map, i);
                json_t *element;

                r = schema_write(type->element, entry + type->entry_value, &element);
                if (r < 0)
                        return r;
                if (json_object_set_new(object, *(char *const *) entry, element) < 0)
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(object);
        return 0;
}

void schema_clear_map(const SchemaType *type, void *value) {
        SchemaList *map = value;

        for (size_t i = 0; i < map->n; i++) {
                char *entry = entry_at(type, map, i);

                free(*(char **) entry);
                schema_clear(type->element, entry + type->entry_value);
        }
        free(map->items);
        *map = (SchemaList){};
}

/* What a document calls critical */

bool schema_knows(const SchemaType *type, const char *path) {
        for (;;) {
                size_t n = strcspn(path, ".");

                while (type->element && !type->entry_size)
                        type = type->element;
                if (type->element) {
                        type = type->element;
                } else {
                        const SchemaMember *member = type->members ? find_member(type, path, n) : NULL;

                        if (!member)
                                return false;
                        type = member->type;
                }
                if (path[n] == '\0')
                        return n > 0;
                path += n + 1;
        }
}

int schema_check_critical(const SchemaType *type, const JsonField *document, Error *error) {
        JsonField critical = json_field_member(document, "critical");
        size_t n = json_array_size(critical.value);

        if (!critical.value)
                return 0;
        if (!json_is_array(critical.value) || n > CRITICAL_MAX)
                return json_field_expected(&critical, error, "a list of at most 64 names of fields");
        for (size_t i = 0; i < n; i++) {
                JsonField field = json_field_element(&critical, i);
                const char *path = json_string_value(field.value);

                if (!path)
                        return json_field_expected(&field, error, "the name of a field");
                if (!schema_knows(type, path)) {
                        json_field_expected(&field, error, "a field that muster " MUSTER_VERSION " knows");
                        return -EPROTONOSUPPORT;
                }
        }
        return 0;
}
