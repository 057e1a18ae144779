#include <inttypes.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/base/suggest.h"
#include "artifacts/schema.h"

#define CRITICAL_MAX 64U
#define EXPECTED_TEXT_MAX 256U
#define LENIENT_MEMBERS_MAX 32U

size_t schema_size(const SchemaType *type) {
        return type->size ?: type->kind->size;
}

int schema_read(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        return type->kind->read(type, field, value, error);
}

int schema_write(const SchemaType *type, const void *value, json_t **ret) {
        *ret = NULL;
        return type->kind->write(type, value, ret);
}

void schema_clear(const SchemaType *type, void *value) {
        if (type->kind->clear)
                type->kind->clear(type, value);
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
                if (schema_size(m->type) > 0)
                        used += (size_t) snprintf(known + used, sizeof(known) - used, "%s%s",
                                                  used > 0 ? ", " : "", m->name);
        return json_field_fail(member, error, "not known to muster " MUSTER_VERSION ", which knows %s",
                               known);
}

/* Whether KEY may have been meant to be one of the known ones, or says more than it. */
static bool resembles_member(const SchemaType *type, const char *key) {
        const char *names[LENIENT_MEMBERS_MAX];
        size_t n = 0;

        for (const SchemaMember *m = type->members; m->name && n < LENIENT_MEMBERS_MAX; m++) {
                if (strncasecmp(key, m->name, strlen(m->name)) == 0)
                        return true;
                names[n++] = m->name;
        }
        return suggest_nearest(key, names, n);
}

#define NOTHING_IS_KNOWN "nothing is known of this key; it is passed over, as CodeDeploy does it"

static int pass_over(const JsonField *field, const char *reason, Error *error) {
        Error told;

        json_field_fail(field, &told, "%s", reason);
        return strv_append(field->source->passed_over, told.message) < 0 ? error_oom(error) : 0;
}

static int meet_unknown(const SchemaType *type, const JsonField *member, Error *error) {
        if (type->lenient && member->source->passed_over &&
            (strv_contains(type->ignored, member->key) || !resembles_member(type, member->key)))
                return pass_over(member, type->passed_over ?: NOTHING_IS_KNOWN, error);
        return fail_unknown(type, member, error);
}

static int meet_unknowns(const SchemaType *type, const JsonField *field, Error *error) {
        const char *key;
        json_t *value;
        int r = 0;

        json_object_foreach(field->value, key, value) {
                JsonField member = { .source = field->source, .parent = field, .key = key, .value = value };

                if (!find_member(type, key, strlen(key)))
                        r = meet_unknown(type, &member, error);
                if (r < 0)
                        break;
        }
        return r;
}

static int read_object(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        int r = 0;

        if (!json_is_object(field->value))
                return json_field_expected(field, error, type->expected ?: "an object");
        if (type->prepare)
                type->prepare(value);
        if (type->closed || field->source->closed)
                r = meet_unknowns(type, field, error);
        for (const SchemaMember *m = type->members; r >= 0 && m->name; m++) {
                JsonField member = json_field_member(field, m->name);

                if (m->required || json_field_is_set(&member))
                        r = schema_read(m->type, &member, (char *) value + m->offset, error);
        }
        return r >= 0 && type->check ? type->check(field, value, error) : r;
}

static int write_object(const SchemaType *type, const void *value, json_t **ret) {
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

static void clear_object(const SchemaType *type, void *value) {
        for (const SchemaMember *m = type->members; m->name; m++)
                schema_clear(m->type, (char *) value + m->offset);
}

const SchemaKind schema_object = { .read = read_object, .write = write_object, .clear = clear_object };

/* Lists */

static void *item_at(const SchemaType *type, const SchemaList *list, size_t i) {
        return (char *) list->items + i * schema_size(type->element);
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
        int r = allocate_items(list, 1, schema_size(type->element), error);

        if (r < 0)
                return r;
        list->n = 1;
        return schema_read(type->element, field, list->items, error);
}

/* Counted first, so that one that was read by half is freed too. */
static int read_element(const SchemaType *type, const JsonField *element, SchemaList *list, Error *error) {
        const char *idle =
                type->element->idle && element->source->passed_over ? type->element->idle(element) : NULL;

        if (idle)
                return pass_over(element, idle, error);
        list->n++;
        return schema_read(type->element, element, item_at(type, list, list->n - 1), error);
}

static int read_list(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        size_t n = json_array_size(field->value);
        SchemaList *list = value;
        int r;

        if (field->source->untyped && json_is_string(field->value))
                return read_single(type, field, list, error);
        if (!json_is_array(field->value))
                return json_field_expected(field, error, type->expected ?: "a list");
        r = check_count(type, field, n, error);
        if (r >= 0)
                r = allocate_items(list, n, schema_size(type->element), error);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                JsonField element = json_field_element(field, i);

                r = read_element(type, &element, list, error);
        }
        return r >= 0 && type->check ? type->check(field, value, error) : r;
}

static int write_list(const SchemaType *type, const void *value, json_t **ret) {
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

static void clear_list(const SchemaType *type, void *value) {
        SchemaList *list = value;

        for (size_t i = 0; i < list->n; i++)
                schema_clear(type->element, item_at(type, list, i));
        free(list->items);
        *list = (SchemaList){};
}

const SchemaKind schema_list = {
        .read = read_list, .write = write_list, .clear = clear_list, .size = sizeof(SchemaList)
};

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

static int read_map(const SchemaType *type, const JsonField *field, void *value, Error *error) {
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

static int write_map(const SchemaType *type, const void *value, json_t **ret) {
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

static void clear_map(const SchemaType *type, void *value) {
        SchemaList *map = value;

        for (size_t i = 0; i < map->n; i++) {
                char *entry = entry_at(type, map, i);

                free(*(char **) entry);
                schema_clear(type->element, entry + type->entry_value);
        }
        free(map->items);
        *map = (SchemaList){};
}

const SchemaKind schema_map = {
        .read = read_map, .write = write_map, .clear = clear_map, .size = sizeof(SchemaList)
};

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
