#pragma once

/* Documents as tables: what members an object has, of which type, and where in a struct they go. One table reads,
 * writes and frees a document, so that these three cannot differ from each other.
 *
 * Reading refuses what a type does not allow and ignores members it does not know, except where the source or the
 * object is closed. Members that are not there leave the struct as it was: the type's `prepare` puts the defaults in.
 * Whoever reads starts from zeroed memory and calls schema_clear() when it fails. */

#include <stdint.h>

#include "agent/net/digest.h"
#include "artifacts/json.h"

typedef struct SchemaType SchemaType;

typedef struct SchemaMember {
        const char *name;
        const SchemaType *type;
        size_t offset;
        bool required;
} SchemaMember;

struct SchemaType {
        int (*read)(const SchemaType *type, const JsonField *field, void *value, Error *error);
        /* *ret stays NULL for a value that is left out. -ENOMEM. */
        int (*write)(const SchemaType *type, const void *value, json_t **ret);
        void (*clear)(const SchemaType *type, void *value); /* NULL: nothing to free */
        size_t size;                                        /* of the value in memory */

        const char *expected; /* what a message says was expected; NULL: the type's own words */
        uint64_t min, max;    /* of a number, a duration, a text's length, a list's or a map's elements */
        bool (*is_valid)(const char *text);
        bool zero_is_unset;         /* a number or duration of 0 is left out when written */
        const char *const *choices; /* in the order of the enum, NULL-terminated */

        const SchemaMember *members; /* of an object, up to one without a name */
        bool closed;                 /* an unknown member is refused, in any notation */
        void (*prepare)(void *value);
        int (*check)(const JsonField *field, void *value,
                     Error *error); /* rules across members, of objects and lists */

        bool (*is_set)(const void *value); /* an object for which this is false is left out when written */

        const SchemaType *element; /* of a list or a map */
        size_t entry_size;         /* of a map's entry, which starts with the key, a char * ... */
        size_t entry_value; /* ... and has the value here (0: an object's struct that holds the key itself) */
};

/* Lists and maps in memory: this, with ITEMS of the element's own type, a map's sorted by key. After the last item
 * follows a zeroed one that does not count, so that a list of texts can be passed as a strv. */
typedef struct SchemaList {
        void *items;
        size_t n;
} SchemaList;

/* Declares a list type with the same layout as SchemaList. */
#define SCHEMA_LIST(type)                                                                                    \
        struct {                                                                                             \
                type *items;                                                                                 \
                size_t n;                                                                                    \
        }

int schema_read(const SchemaType *type, const JsonField *field, void *value, Error *error);
int schema_write(const SchemaType *type, const void *value, json_t **ret);
void schema_clear(const SchemaType *type, void *value);

/* Whether PATH ("hooks.AfterInstall.timeout"; lists have no component, a map's key is any one) names a member. */
bool schema_knows(const SchemaType *type, const char *path);

/* -EPROTONOSUPPORT for a document whose "critical" lists a member that TYPE does not know, -EBADMSG if it is no list. */
int schema_check_critical(const SchemaType *type, const JsonField *document, Error *error);

/* What the read and write members of types are made of. In memory:
 *   text      char *, NULL if it is not there
 *   u64       uint64_t, from min to max
 *   boolean   bool
 *   duration  uint64_t, microseconds
 *   time      uint64_t, microseconds since 1970, whole seconds; 0 (not there) is left out when written
 *   digest    uint8_t[DIGEST_SIZE]
 *   hex       char[DIGEST_HEX_SIZE], the same as text
 *   base64    uint8_t[max], exactly max bytes
 *   choice    an enum that counts from 0
 *   object    its struct; left out when written if is_set says so
 *   list      SchemaList; an empty one is left out when written; in untyped notation a scalar is a list of one
 *   map       SchemaList, likewise; is_valid and expected speak of the key */
#define SCHEMA_OPERATIONS(name)                                                                              \
        int schema_read_##name(const SchemaType *, const JsonField *, void *, Error *);                      \
        int schema_write_##name(const SchemaType *, const void *, json_t **)

SCHEMA_OPERATIONS(text);
SCHEMA_OPERATIONS(u64);
SCHEMA_OPERATIONS(boolean);
SCHEMA_OPERATIONS(duration);
SCHEMA_OPERATIONS(time);
SCHEMA_OPERATIONS(digest);
SCHEMA_OPERATIONS(hex);
SCHEMA_OPERATIONS(base64);
SCHEMA_OPERATIONS(choice);
SCHEMA_OPERATIONS(object);
SCHEMA_OPERATIONS(list);
SCHEMA_OPERATIONS(map);

void schema_clear_text(const SchemaType *type, void *value);
void schema_clear_object(const SchemaType *type, void *value);
void schema_clear_list(const SchemaType *type, void *value);
void schema_clear_map(const SchemaType *type, void *value);

#define SCHEMA_TEXT_OPERATIONS                                                                               \
        .read = schema_read_text, .write = schema_write_text, .clear = schema_clear_text,                    \
        .size = sizeof(char *)
#define SCHEMA_U64_OPERATIONS .read = schema_read_u64, .write = schema_write_u64, .size = sizeof(uint64_t)
#define SCHEMA_BOOLEAN_OPERATIONS                                                                            \
        .read = schema_read_boolean, .write = schema_write_boolean, .size = sizeof(bool)
#define SCHEMA_DURATION_OPERATIONS                                                                           \
        .read = schema_read_duration, .write = schema_write_duration, .size = sizeof(uint64_t)
#define SCHEMA_TIME_OPERATIONS .read = schema_read_time, .write = schema_write_time, .size = sizeof(uint64_t)
#define SCHEMA_DIGEST_OPERATIONS .read = schema_read_digest, .write = schema_write_digest, .size = DIGEST_SIZE
#define SCHEMA_HEX_OPERATIONS .read = schema_read_hex, .write = schema_write_hex, .size = DIGEST_HEX_SIZE
#define SCHEMA_BASE64_OPERATIONS(bytes)                                                                      \
        .read = schema_read_base64, .write = schema_write_base64, .size = (bytes), .max = (bytes)
#define SCHEMA_CHOICE_OPERATIONS                                                                             \
        .read = schema_read_choice, .write = schema_write_choice, .size = sizeof(unsigned)
#define SCHEMA_OBJECT_OPERATIONS(type)                                                                       \
        .read = schema_read_object, .write = schema_write_object, .clear = schema_clear_object,              \
        .size = sizeof(type)
#define SCHEMA_LIST_OPERATIONS                                                                               \
        .read = schema_read_list, .write = schema_write_list, .clear = schema_clear_list,                    \
        .size = sizeof(SchemaList)
#define SCHEMA_MAP_OPERATIONS                                                                                \
        .read = schema_read_map, .write = schema_write_map, .clear = schema_clear_map,                       \
        .size = sizeof(SchemaList)
