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
        char *runas; /* NULL: root */
} ReleaseHook;

typedef SCHEMA_LIST(ReleaseHook) ReleaseHooks;

/* ReleaseHooks[LIFECYCLE_EVENT_COUNT]; an event that takes no scripts is refused. */
extern const SchemaType release_hooks_type;
