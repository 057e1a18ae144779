#include <stdarg.h>
#include <string.h>

#include "agent/base/buffer.h"
#include "artifacts/json.h"

/* Brackets outside of strings. Whatever else is wrong with the text is left to the parser to find. */
static bool depth_is_within(const char *text, size_t size, size_t limit) {
        size_t depth = 0;
        bool quoted = false;

        for (size_t i = 0; i < size; i++) {
                if (quoted) {
                        if (text[i] == '\\')
                                i++;
                        else if (text[i] == '"')
                                quoted = false;
                } else if (text[i] == '"') {
                        quoted = true;
                } else if (text[i] == '{' || text[i] == '[') {
                        if (++depth > limit)
                                return false;
                } else if ((text[i] == '}' || text[i] == ']') && depth > 0) {
                        depth--;
                }
        }
        return true;
}

static int refuse_syntax(const char *name, const json_error_t *e, Error *error) {
        char text[JSON_EXCERPT_MAX + 4];

        if (!*e->text) /* jansson says nothing where there was no memory */
                return error_oom(error);
        switch (json_error_code(e)) {
        case json_error_null_character: /* where jansson names the flag that would allow it */
        case json_error_null_byte_in_key:
                return error_set_fault(error, -EBADMSG, FAULT_INPUT,
                                       "%s: not valid JSON: line %d: a zero character in a text", name,
                                       e->line);
        default:
                json_excerpt(e->text, text);
                return error_set_fault(error, -EBADMSG, FAULT_INPUT, "%s: not valid JSON: line %d: %s", name,
                                       e->line, text);
        }
}

int json_read(const char *name, const void *data, size_t size, size_t limit, json_t **ret, Error *error) {
        json_error_t e = {};
        json_t *value;

        if (size > limit)
                return error_set_fault(error, -EBADMSG, FAULT_INPUT,
                                       "%s: expected at most %zu bytes, found %zu", name, limit, size);
        if (!depth_is_within(data, size, JSON_DEPTH_MAX))
                return error_set_fault(error, -EBADMSG, FAULT_INPUT, "%s: nested more than %u levels deep",
                                       name, JSON_DEPTH_MAX);
        value = json_loadb(data, size, JSON_REJECT_DUPLICATES, &e);
        if (!value)
                return refuse_syntax(name, &e, error);
        *ret = value;
        return 0;
}

static int append_text(const char *data, size_t size, void *buffer) {
        return buffer_append(buffer, data, size, SIZE_MAX - 1) < 0 ? -1 : 0;
}

int json_write(const json_t *value, char **ret, size_t *ret_size) {
        _cleanup_buffer_ Buffer buffer = {};

        if (json_dump_callback(value, append_text, &buffer, JSON_COMPACT | JSON_SORT_KEYS) < 0)
                return -ENOMEM;
        return buffer_steal(&buffer, ret, ret_size);
}

JsonField json_field_top(const JsonSource *source, json_t *value) {
        return (JsonField){ .source = source, .value = value };
}

JsonField json_field_member(const JsonField *object, const char *key) {
        return (JsonField){
                .source = object->source,
                .parent = object,
                .key = key,
                .value = json_object_get(object->value, key),
        };
}

JsonField json_field_element(const JsonField *array, size_t index) {
        return (JsonField){
                .source = array->source,
                .parent = array,
                .index = index,
                .value = json_array_get(array->value, index),
        };
}

bool json_field_is_set(const JsonField *field) {
        return field->value && !(field->source->untyped && json_is_null(field->value));
}

/* Backs N up to the start of the UTF-8 character that stands there. */
static size_t character_start(const char *text, size_t n) {
        while (n > 0 && ((unsigned char) text[n] & 0xc0) == 0x80)
                n--;
        return n;
}

void json_excerpt(const char *text, char ret[static JSON_EXCERPT_MAX + 4]) {
        size_t n = strnlen(text, JSON_EXCERPT_MAX + 1);
        bool cut = n > JSON_EXCERPT_MAX;

        if (cut)
                n = character_start(text, JSON_EXCERPT_MAX);
        for (size_t i = 0; i < n; i++)
                ret[i] = (unsigned char) text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
        memcpy(ret + n, cut ? "..." : "", cut ? 4 : 1);
}

size_t json_field_path(const JsonField *field, char *ret, size_t size) {
        size_t used;

        if (!field->parent) {
                ret[0] = '\0';
                return 0;
        }
        used = json_field_path(field->parent, ret, size);
        if (field->key) {
                char key[JSON_EXCERPT_MAX + 4];

                json_excerpt(field->key, key);
                snprintf(ret + used, size - used, "%s%s", used > 0 ? "." : "", key);
        } else {
                snprintf(ret + used, size - used, "[%zu]", field->index);
        }
        return used + strlen(ret + used);
}

unsigned json_field_line(const JsonField *field) {
        const JsonSource *source = field->source;

        for (; source->line_of && field; field = field->parent) {
                unsigned line = field->value ? source->line_of(source, field) : 0;

                if (line > 0)
                        return line;
        }
        return 0;
}

int json_field_fail(const JsonField *field, Error *error, const char *format, ...) {
        char path[JSON_PATH_MAX], line[16] = "", text[ERROR_MESSAGE_MAX];
        unsigned number = json_field_line(field);
        va_list arguments;

        va_start(arguments, format);
        (void) vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        (void) json_field_path(field, path, sizeof(path));
        if (number > 0)
                snprintf(line, sizeof(line), ":%u", number);
        return error_set_fault(error, -EBADMSG, FAULT_INPUT, "%s%s: %s%s%s", field->source->name, line, path,
                               *path ? ": " : "", text);
}

int json_field_expected(const JsonField *field, Error *error, const char *expected) {
        char found[JSON_EXCERPT_MAX + 4];

        if (!json_field_is_set(field))
                return json_field_fail(field, error, "missing; expected %s", expected);
        if (json_is_string(field->value)) {
                json_excerpt(json_string_value(field->value), found);
                return json_field_fail(field, error, "expected %s, not \"%s\"", expected, found);
        }
        if (json_is_integer(field->value))
                return json_field_fail(field, error, "expected %s, not %" JSON_INTEGER_FORMAT, expected,
                                       json_integer_value(field->value));
        return json_field_fail(field, error, "expected %s", expected);
}

static int change_strings(json_t *value, const char *key, JsonChange change) {
        const char *name;
        json_t *inner;
        size_t i;
        int r = json_is_string(value) ? change(value, key) : 0;

        json_object_foreach(value, name, inner)
                if (r >= 0)
                        r = change_strings(inner, name, change);
        json_array_foreach(value, i, inner)
                if (r >= 0)
                        r = change_strings(inner, NULL, change);
        return r;
}

int json_change_strings(json_t *value, JsonChange change) {
        return change_strings(value, NULL, change);
}
