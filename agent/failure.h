#pragma once

/* Why the launch of an instance failed, as the document that it leaves in the depot before it is replaced
 * (artifacts/layout.h: failures/): which release in which step and why, the deployment with what hooks and units printed
 * last, and the end of musterd's own journal. At most FAILURE_SIZE_MAX bytes; what looks like a secret is taken out
 * (redact.h). Pure. */

#include <jansson.h>

#include "agent/base/error.h"

#define FAILURE_SCHEMA 1
#define FAILURE_SIZE_MAX 65536U
#define FAILURE_TAILS_MAX 16384U   /* of what hooks and units printed: the last steps' */
#define FAILURE_JOURNAL_MAX 24576U /* bytes, */
#define FAILURE_JOURNAL_LINES 200U

typedef struct FailureFacts {
        const char *instance;
        const char *app;
        const char *group;
        const char *scaling_group; /* NULL: not known */
        const char *version;       /* of the release that failed */
        const char *release_sha256;
        const char *step; /* NULL: not known, as the two after it */
        const char *fault;
        const char *reason;
        const json_t *deployment; /* as `muster history` has it; NULL: there is none */
        const char *journal;      /* lines, oldest first; NULL: not to be told */
        bool with_output;         /* what hooks and units printed is told, too */
        uint64_t at;              /* microseconds since 1970 */
} FailureFacts;

/* The text of the document, new memory. -ENOMEM; -E2BIG if it cannot be made small enough. */
int failure_to_text(const FailureFacts *facts, char **ret);
