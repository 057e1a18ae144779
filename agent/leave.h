#pragma once

/* Lets this instance go: while it is drained, the group's termination hooks of ours are kept waiting by heartbeats, and once
 * nothing runs any more they are completed. The same for the way back from service into a warm pool, where a group has the
 * same hooks wait (Warmed:Pending:Wait). Nothing of it is kept over a restart of musterd: what the group has heard already it
 * refuses without harm, and that settles it (lifecycle_settle.h).
 *
 * What has no hook is drained all the same, as far as the time goes that there is. */

#include <jansson.h>
#include <systemd/sd-event.h>

#include "agent/lifecycle_hooks.h"
#include "agent/net/aws.h"

typedef struct Leave Leave;

typedef struct LeaveContext {
        sd_event *event;
        AwsContext *aws;
        const char *instance;
        const char *hook; /* as configured: "auto", "none" or a name */
} LeaveContext;

typedef enum LeaveState {
        LEAVE_STAYS,
        LEAVE_DRAINING,
        LEAVE_TELLING,  /* drained; the group is told */
        LEAVE_LET_GO,   /* it has been told, or there is no hook that waits for that */
        LEAVE_TOO_LATE, /* the hook has timed out */
} LeaveState;

typedef void (*LeaveChanged)(void *userdata);

/* What CONTEXT points to must stay. */
int leave_new(const LeaveContext *context, LeaveChanged changed, void *userdata, Leave **ret, Error *error);
Leave *leave_free(Leave *leave);
DEFINE_CLEANUP(Leave *, leave_free)

/* The group terminates this instance, or takes it back into its warm pool: LIFECYCLE_TERMINATING, LIFECYCLE_RETURNING. To
 * say so again changes nothing; one after the other is another transition, whose hooks wait anew. GROUP may be NULL while
 * it is not known. */
void leave_begin(Leave *leave, LifecycleTransition transition, const char *group);

/* Nothing runs any more. */
void leave_drained(Leave *leave);

/* The instance serves again. */
void leave_end(Leave *leave);

/* Why the group has not heard yet that nothing runs any more, or NULL; *RET_SINCE is when that was so (microseconds
 * since 1970), *RET_ALARM whether somebody should look. */
const char *leave_undelivered(const Leave *leave, uint64_t *ret_since, bool *ret_alarm);

LeaveState leave_state(const Leave *leave);

/* {"state", "hooks", "alarm", "reason"} */
int leave_status(const Leave *leave, json_t **ret);
