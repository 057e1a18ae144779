#pragma once

/* Which lifecycle hooks of an Auto Scaling group are muster's to complete, as a pure choice. A hook that is somebody else's is
 * never completed by surprise: what is not named in the configuration must carry muster's name. */

#include "agent/net/autoscaling.h"

/* What the configuration may say in place of a hook's name. */
#define LIFECYCLE_HOOK_AUTO "auto" /* the hooks that are named LIFECYCLE_HOOK_OURS or LIFECYCLE_HOOK_OURS-… */
#define LIFECYCLE_HOOK_NONE "none" /* no lifecycle action is ever completed */
#define LIFECYCLE_HOOK_OURS "muster"

#define LIFECYCLE_HOOKS_MAX 8U /* of ours, of one transition; a group has at most 50 in all */

typedef struct LifecycleHook {
        char *name;
        uint64_t heartbeat_timeout; /* microseconds; 0: not known */
        uint64_t global_timeout;    /* likewise */
        AutoScalingVerdict default_result;
} LifecycleHook;

typedef struct LifecycleHooks {
        LifecycleHook items[LIFECYCLE_HOOKS_MAX];
        size_t n;
} LifecycleHooks;

void lifecycle_hooks_deinit(LifecycleHooks *hooks);
#define _cleanup_lifecycle_hooks_ _cleanup_(lifecycle_hooks_deinit)

/* Adds one of that name, of which nothing else is known. -ENOMEM, -E2BIG. */
int lifecycle_hooks_add(LifecycleHooks *hooks, const char *name);

typedef enum LifecycleTransition {
        LIFECYCLE_LAUNCHING,
        LIFECYCLE_TERMINATING,
        LIFECYCLE_RETURNING, /* into the warm pool, where the hooks of a termination wait */
} LifecycleTransition;

/* Of ALL, a group's hooks, those of TRANSITION that CONFIGURED asks for: NULL or "auto", "none", or one name. 0, and *REMARK
 * (may be NULL) says why where there are none; -ENOMEM or -E2BIG, and it says that. */
int lifecycle_hooks_choose(const AutoScalingHook *all, size_t n, LifecycleTransition transition,
                           const char *configured, LifecycleHooks *ret, Error *remark);

/* The shortest heartbeat time-out that is known; 0: none is. */
uint64_t lifecycle_hooks_heartbeat_timeout(const LifecycleHooks *hooks);

/* The one whose global time-out ends first; NULL: none is known. */
const LifecycleHook *lifecycle_hooks_first_to_end(const LifecycleHooks *hooks);
