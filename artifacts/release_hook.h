#pragma once

/* The hooks of a release: the scripts that run at each lifecycle event, in order, as CodeDeploy has them. */

#include "agent/base/lifecycle_event.h"
#include "artifacts/document.h"

#define RELEASE_HOOKS_MAX 64U                                   /* of one event */
#define RELEASE_HOOK_TIMEOUT_DEFAULT (UINT64_C(3600) * 1000000) /* CodeDeploy's */
#define RELEASE_HOOK_TIMEOUT_MAX (UINT64_C(86400) * 1000000)

typedef struct ReleaseHook {
        char *location; /* a file of the app's tree */
        DocumentArguments args;
        uint64_t timeout;
        char *runas;   /* NULL: root */
        unsigned line; /* of its location in an appspec; 0: not known */
} ReleaseHook;

typedef SCHEMA_LIST(ReleaseHook) ReleaseHooks;

/* ReleaseHooks[LIFECYCLE_EVENT_COUNT]; in a release an event that takes no scripts is refused. In an appspec it is passed
 * over, as the agent of CodeDeploy does it, unless it may be one that does, misspelt. */
extern const SchemaType release_hooks_type;
