#pragma once

/* What all signed documents share: how a payload is read and written by its table, "critical", "min_agent", and the
 * types of fields that stand in several of them. */

#include "agent/net/digest.h"
#include "artifacts/schema_value.h"

/* What messages call a document: "release", then the values of these two members where they are there and valid
 * ("release api 1.4.2"); NULL: none. */
#define DOCUMENT_NAME_MAX 256U

typedef struct DocumentName {
        const char *kind;
        const char *first, *second;
} DocumentName;

/* Parses a verified payload into VALUE, which is zeroed first and left cleared on failure. Members that TYPE does
 * not know are ignored unless "critical" lists them. -EBADMSG; -EPROTONOSUPPORT if "critical" or "min_agent" asks for
 * a newer muster. */
int document_parse(const SchemaType *type, const DocumentName *name, const void *payload, size_t size,
                   size_t limit, void *value, Error *error);

/* The canonical payload. New memory, followed by a zero byte that does not count. */
int document_write(const SchemaType *type, const void *value, char **ret, size_t *ret_size, Error *error);

/* The digest that names a document: SHA-256 of its payload, so that a further signature does not change it. */
int document_digest(const void *payload, size_t size, char ret[static DIGEST_HEX_SIZE], Error *error);

/* Compares dotted versions of muster number by number: "1.2" == "1.2.0" < "1.10". */
int document_compare_agents(const char *a, const char *b);

/* Names and versions, times, the oldest agent, a text that a person reads. */
extern const SchemaType document_name_type;
extern const SchemaType document_version_type;
extern const SchemaType document_time_type;
extern const SchemaType document_agent_version_type;
extern const SchemaType document_hex_type;
extern const SchemaType document_text_type;
extern const SchemaType document_boolean_type;

extern const SchemaType
        document_path_type; /* document_path_is_valid(); what of an appspec's changes nothing is dropped */
extern const SchemaType document_user_type; /* document_user_is_valid() */

/* The arguments of a program: NULL after the last, or items NULL if there is none, so that they are a strv. */
#define DOCUMENT_ARGUMENTS_MAX 64U
typedef SCHEMA_LIST(char *) DocumentArguments;
extern const SchemaType document_arguments_type;

/* A map of environment variables, a DocumentEnvironment. */
#define DOCUMENT_ENVIRONMENT_MAX 256U
#define DOCUMENT_ENVIRONMENT_VALUE_MAX (32U * 1024)

typedef struct DocumentVariable {
        char *name;
        char *value;
} DocumentVariable;

typedef SCHEMA_LIST(DocumentVariable) DocumentEnvironment;

extern const SchemaType document_environment_type;

bool document_digest_is_valid(const char *text);

/* One line: no control character. */
bool document_text_is_valid(const char *text);

/* Relative, in the tree of the app: no empty, "." or ".." component, no control character. */
bool document_path_is_valid(const char *text);

/* A name of a user or a group, as useradd(8) accepts it. */
bool document_user_is_valid(const char *text);
