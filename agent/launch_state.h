#pragma once

/* The launch of an Auto Scaling instance, as values: the instance is held in Pending:Wait by a lifecycle hook until its
 * required apps are healthy (CONTINUE) or one has failed for good (ABANDON). What was decided is kept in
 * <state_dir>/launch.json before the group is told, and told again until it has been heard; a decision is never
 * changed. Pure but for load and save. */

#include <stdbool.h>

#include "agent/config.h"
#include "agent/net/autoscaling.h"

typedef enum LaunchState {
        LAUNCH_NONE,      /* no hook is configured, or the instance is not held */
        LAUNCH_WAITING,   /* held; the apps are on their way */
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

typedef enum LifecycleAnswer {
        LIFECYCLE_DONE,       /* the completion was accepted */
        LIFECYCLE_NOT_ACTIVE, /* "No active Lifecycle Action found" */
        LIFECYCLE_UNCLEAR,    /* no answer, or another error */
} LifecycleAnswer;

const char *launch_state_to_string(LaunchState state);
int launch_state_from_string(const char *text, LaunchState *ret);

/* What is to be told, given every required app's readiness; WAITING stays where nothing is to be told yet. */
LaunchState launch_decide(LaunchState state, const AppReadiness *required, size_t n,
                          LaunchFailure on_failure);

/* Whether the completion of STATE must be sent (again). */
bool launch_must_complete(LaunchState state);

/* After an answer to the completion. IN_GROUP is the instance's lifecycle state as the group tells it, INSTANCE_UNKNOWN
 * where that is not known; it settles what "not active" means: too early (still Pending), done already, or too late. */
LaunchState launch_settle(LaunchState state, LifecycleAnswer answer, InstanceState in_group);

/* Whether an instance in that state is held at launch, or will be in a moment. */
bool launch_is_held(InstanceState in_group);

typedef struct LaunchRecord {
        char *instance;
        char *hook;
        LaunchState state;
        char *reason;   /* of ABANDON */
        char *boot_id;  /* of the boot in which it came to that, or was last found to hold */
        uint64_t since; /* microseconds since 1970 */
} LaunchRecord;

/* Whether the group must be asked whether the instance is held: it never was, or the instance was started again meanwhile,
 * which is how one leaves a warm pool. */
bool launch_must_look(const LaunchRecord *record, const char *boot_id);

void launch_record_deinit(LaunchRecord *record);

/* Missing, malformed or another instance's: an empty record (state NONE). */
int launch_record_load(int state_fd, const char *instance, LaunchRecord *ret, Error *error);
int launch_record_save(int state_fd, const LaunchRecord *record, Error *error);
