#pragma once

/* Strict JSON (RFC 8259) on jansson: what is too large, nested too deeply, not UTF-8, followed by anything, holds a
 * key twice or a zero character is refused as a whole. Size and depth are checked before the parser sees a byte.
 *
 * Values are then read through fields, which know where in which document they stand, so that every message is one
 * sentence of the form "release api 1.4.2: artifacts.linux/amd64.size: expected a number of bytes".
 *
 * What is wrong with a document's content gives -EBADMSG and FAULT_INPUT. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/base/cleanup.h"
#include "agent/base/error.h"

#define JSON_DEPTH_MAX 16U

/* How much of a key or a value a message shows. */
#define JSON_EXCERPT_MAX 64U

/* The way to a value, such as "health[0].url". */
#define JSON_PATH_MAX 512U

#define _cleanup_json_ _cleanup_(json_decrefp)

/* A document's name, for messages, and how it was written. */
typedef struct JsonSource JsonSource;
typedef struct JsonField JsonField;
struct JsonSource {
        const char *name;

        /* The values were made from notation without types (YAML): every scalar is a string or null, a number is
         * a string of digits, null is a missing value, and a duration without a unit is in seconds. */
        bool untyped;

        /* Keys that the reader does not know are refused, wherever they stand. */
        bool closed;

        /* Where keys that were passed over are told, a strv of sentences; NULL: none is passed over. */
        char ***passed_over;

        /* The line on which the value of a field stands, 0 if unknown; NULL where there are no lines. */
        unsigned (*line_of)(const JsonSource *source, const JsonField *field);
};

/* A value and the way to it. Lives on the stack of whoever walks the document, and borrows everything. */
struct JsonField {
        const JsonSource *source;
        const JsonField *parent; /* NULL at the top */
        const char *key;         /* NULL in an array */
        size_t index;
        json_t *value; /* NULL if there is none */
};

/* Parses a whole object or array. -EBADMSG; -ENOMEM. */
int json_read(const char *name, const void *data, size_t size, size_t limit, json_t **ret, Error *error);

/* The canonical text: keys sorted, no white space. New memory, followed by a zero byte that does not count. -ENOMEM. */
int json_write(const json_t *value, char **ret, size_t *ret_size);

JsonField json_field_top(const JsonSource *source, json_t *value);
JsonField json_field_member(const JsonField *object, const char *key);
JsonField json_field_element(const JsonField *array, size_t index);

/* Whether there is a value (in untyped notation: one that is not null). */
bool json_field_is_set(const JsonField *field);

/* The line on which it stands, or what is closest around it; 0: not known. */
unsigned json_field_line(const JsonField *field);

/* Writes the way from the top; what does not fit is left out. Returns its length. */
size_t json_field_path(const JsonField *field, char *ret, size_t size);

/* Sets "<document>: <path>: <text>". Returns -EBADMSG. */
int json_field_fail(const JsonField *field, Error *error, const char *format, ...) _printf_(3, 4);

/* "expected EXPECTED", with what is there instead. Returns -EBADMSG. */
int json_field_expected(const JsonField *field, Error *error, const char *expected);

/* Calls CHANGE for every string in VALUE, what is nested included; KEY is the member's name, NULL in an array and for VALUE
 * itself. The first negative result ends it and is returned. */
typedef int (*JsonChange)(json_t *string, const char *key);
int json_change_strings(json_t *value, JsonChange change);

/* Writes TEXT so that it can stand in a message: cut at JSON_EXCERPT_MAX bytes, control characters as "?". */
void json_excerpt(const char *text, char ret[static JSON_EXCERPT_MAX + 4]);
