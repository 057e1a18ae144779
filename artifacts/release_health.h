#pragma once

/* The health checks of a release. Each has what its type needs and nothing that belongs to another type; what is not given
 * has its default here already. Durations are microseconds. */

#include "artifacts/document.h"

#define RELEASE_HEALTH_MAX 32U
#define RELEASE_HEALTH_DEADLINE_MAX (UINT64_C(86400) * 1000000)

typedef enum ReleaseHealthType {
        RELEASE_HEALTH_HTTP,
        RELEASE_HEALTH_TCP,
        RELEASE_HEALTH_COMMAND,
        RELEASE_HEALTH_UNIT,
} ReleaseHealthType;

const char *release_health_type_to_string(ReleaseHealthType type);

typedef struct ReleaseHealth {
        ReleaseHealthType type;
        char *url;                 /* http: as url_parse() takes it */
        uint64_t status;           /* http: of the answer, 200 unless given; 0 in checks of another type */
        char *body;                /* http: a text that the answer's body must hold, or NULL */
        char *header;              /* http: a header "Name: value" that the answer must have, or NULL */
        char *address;             /* tcp: "127.0.0.1:6379", "[::1]:6379", "localhost:6379"; no other names */
        DocumentArguments command; /* command: a file of the app's tree or an absolute path, and arguments */
        char *runas;               /* command: NULL: root */
        char *unit;                /* unit: must be active ... */
        uint64_t active;           /* unit: ... for so long without a restart; 0 */
        uint64_t interval;         /* between two tries; 1 s */
        uint64_t timeout;          /* of one try; 2 s */
        uint64_t healthy;          /* so many good tries in a row; 1 */
        uint64_t deadline;         /* within this time; 60 s */
        unsigned line;             /* of its command in an appspec; 0: not known */
} ReleaseHealth;

typedef SCHEMA_LIST(ReleaseHealth) ReleaseHealths;

extern const SchemaType release_healths_type;
