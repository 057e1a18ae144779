#pragma once

/* Documents as tables: what members an object has, of which type, and where in a struct they go. One table reads,
 * writes and frees a document, so that these three cannot differ from each other.
 *
 * Reading refuses what a type does not allow and ignores members it does not know, except where the source or the
 * object is closed. Members that are not there leave the struct as it was: the type's `prepare` puts the defaults in.
 * Whoever reads starts from zeroed memory and calls schema_clear() when it fails. */

#include <stdint.h>

#include "artifacts/json.h"

typedef struct SchemaType SchemaType;

/* How values of a kind are handled; what they may be is for the type to say. */
typedef struct SchemaKind {
        int (*read)(const SchemaType *type, const JsonField *field, void *value, Error *error);
        /* Leaves *RET NULL for a value that is left out. -ENOMEM. */
        int (*write)(const SchemaType *type, const void *value, json_t **ret);
        void (*clear)(const SchemaType *type, void *value); /* NULL: nothing to free */
        size_t size;                                        /* in memory; 0: the type says */
} SchemaKind;

typedef struct SchemaMember {
        const char *name;
        const SchemaType *type;
        size_t offset;
        bool required;
} SchemaMember;

struct SchemaType {
        const SchemaKind *kind;
        size_t size;          /* in memory, where the kind does not say */
        const char *expected; /* what a message says was expected; NULL: the kind's own words */

        uint64_t min, max; /* of a number, a duration, a text's length, a list's or a map's elements */
        bool zero_is_unset;
        bool (*is_valid)(const char *text); /* of a text, or of a map's key */
        const char *const *choices;         /* in the order of the enum, NULL-terminated */

        const SchemaMember *members; /* of an object, up to one without a name */
        bool closed;                 /* an unknown member is refused, in any notation */
        bool lenient; /* in a closed source one that resembles none of the known ones is passed over, and told ... */
        char *const *ignored;    /* ... and these, whatever they resemble; NULL-terminated ... */
        const char *passed_over; /* ... with this sentence; NULL: that nothing is known of it */
        /* Why an object has no effect: as a list's element it is passed over then, and told; NULL: it has one. */
        const char *(*idle)(const JsonField *field);
        void (*prepare)(void *value);
        bool (*is_set)(const void *value); /* an object for which this is false is left out when written */

        const SchemaType *element; /* of a list or a map */
        size_t entry_size;         /* of a map's entry, which starts with the key, a char * ... */
        size_t entry_value; /* ... and has the value here (0: an object's struct that holds the key itself) */

        /* Rules across members or elements, of an object or a list that is good so far; may put in what follows
         * from other members. */
        int (*check)(const JsonField *field, void *value, Error *error);
};

/* An object is its struct in memory; lists and maps are this, with ITEMS of the element's own type, a map's sorted by
 * key. After the last item follows a zeroed one that does not count, so that a list of texts can be passed as a strv.
 * Empty ones are left out when written. In untyped notation a scalar is a list of one. */
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

extern const SchemaKind schema_object;
extern const SchemaKind schema_list;
extern const SchemaKind schema_map;

int schema_read(const SchemaType *type, const JsonField *field, void *value, Error *error);
int schema_write(const SchemaType *type, const void *value, json_t **ret);
void schema_clear(const SchemaType *type, void *value);
size_t schema_size(const SchemaType *type);

/* Whether PATH ("hooks.AfterInstall.timeout"; lists have no component, a map's key is any one) names a member. */
bool schema_knows(const SchemaType *type, const char *path);

/* -EPROTONOSUPPORT for a document whose "critical" lists a member that TYPE does not know, -EBADMSG if it is no list. */
int schema_check_critical(const SchemaType *type, const JsonField *document, Error *error);
