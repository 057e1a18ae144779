#pragma once

/* The launch of an Auto Scaling instance, as values: the instance is held in Pending:Wait by lifecycle hooks until its
 * required apps are healthy (CONTINUE) or one has failed for good (ABANDON). What was decided is kept (launch_record.h)
 * before the group is told, and told again until it has been heard; a decision that the group may have heard is never
 * changed. Pure. */

#include <stdbool.h>

#include "agent/config.h"

typedef enum LaunchState {
        LAUNCH_NONE,      /* no hook is muster's, or the instance is not held */
        LAUNCH_WAITING,   /* held; the apps are on their way */
        LAUNCH_HOLDING,   /* held, and failed; but so did others, and this one stays for a better target */
        LAUNCH_CONTINUE,  /* decided, not delivered yet */
        LAUNCH_ABANDON,   /* likewise */
        LAUNCH_CONTINUED, /* delivered */
        LAUNCH_ABANDONED,
        LAUNCH_OVER, /* the group went on without us: the hook timed out, or somebody else completed it */
} LaunchState;

typedef enum AppReadiness {
        APP_ON_ITS_WAY,
        APP_READY,  /* committed: its health checks passed */
        APP_FAILED, /* its first deployment failed for good */
} AppReadiness;

const char *launch_state_to_string(LaunchState state);
int launch_state_from_string(const char *text, LaunchState *ret);

/* What is to be told, given every required app's readiness; WAITING where nothing is to be told yet. One that holds goes
 * back to WAITING as soon as none has failed any more. */
LaunchState launch_decide(LaunchState state, const AppReadiness *required, size_t n,
                          LaunchFailure on_failure);

/* Whether the instance is held and nothing is decided. */
bool launch_is_open(LaunchState state);

/* Whether the completion of STATE must be sent (again). */
bool launch_must_complete(LaunchState state);
