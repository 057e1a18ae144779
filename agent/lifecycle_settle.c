#include "agent/lifecycle_settle.h"

static LifecyclePlace launching(InstanceState in_group) {
        switch (in_group) {
        case INSTANCE_UNKNOWN:
        case INSTANCE_PENDING:
        case INSTANCE_WARMED_PENDING:
                return LIFECYCLE_PLACE_EARLY;
        case INSTANCE_PENDING_WAIT:
        case INSTANCE_WARMED_PENDING_WAIT:
                return LIFECYCLE_PLACE_WAIT;
        case INSTANCE_PENDING_PROCEED:
        case INSTANCE_IN_SERVICE:
        case INSTANCE_WARMED_PENDING_PROCEED:
        case INSTANCE_WARMED_STOPPED:
        case INSTANCE_WARMED_RUNNING:
        case INSTANCE_WARMED_HIBERNATED:
                return LIFECYCLE_PLACE_PAST;
        case INSTANCE_TERMINATING:
        case INSTANCE_TERMINATING_WAIT:
        case INSTANCE_TERMINATING_PROCEED:
        case INSTANCE_TERMINATING_RETAINED:
        case INSTANCE_TERMINATED:
        case INSTANCE_WARMED_TERMINATING:
        case INSTANCE_WARMED_TERMINATING_WAIT:
        case INSTANCE_WARMED_TERMINATING_PROCEED:
        case INSTANCE_WARMED_TERMINATING_RETAINED:
        case INSTANCE_WARMED_TERMINATED:
                return LIFECYCLE_PLACE_GONE;
        default:
                return LIFECYCLE_PLACE_ELSEWHERE;
        }
}

/* What is terminated may come from everywhere, and its metadata say so before the group does. */
static LifecyclePlace terminating(InstanceState in_group) {
        switch (in_group) {
        case INSTANCE_TERMINATING_WAIT:
        case INSTANCE_WARMED_TERMINATING_WAIT:
                return LIFECYCLE_PLACE_WAIT;
        case INSTANCE_TERMINATING_PROCEED:
        case INSTANCE_TERMINATING_RETAINED:
        case INSTANCE_TERMINATED:
        case INSTANCE_WARMED_TERMINATING_PROCEED:
        case INSTANCE_WARMED_TERMINATING_RETAINED:
        case INSTANCE_WARMED_TERMINATED:
                return LIFECYCLE_PLACE_PAST;
        case INSTANCE_DETACHING:
        case INSTANCE_DETACHED:
                return LIFECYCLE_PLACE_ELSEWHERE;
        default:
                return LIFECYCLE_PLACE_EARLY;
        }
}

/* An instance that goes back into a warm pool waits in Warmed:Pending:Wait. */
static LifecyclePlace returning(InstanceState in_group) {
        switch (in_group) {
        case INSTANCE_UNKNOWN:
        case INSTANCE_IN_SERVICE:
        case INSTANCE_WARMED_PENDING:
                return LIFECYCLE_PLACE_EARLY;
        case INSTANCE_WARMED_PENDING_WAIT:
                return LIFECYCLE_PLACE_WAIT;
        case INSTANCE_WARMED_PENDING_PROCEED:
        case INSTANCE_WARMED_PENDING_RETAINED:
        case INSTANCE_WARMED_STOPPED:
        case INSTANCE_WARMED_RUNNING:
        case INSTANCE_WARMED_HIBERNATED:
                return LIFECYCLE_PLACE_PAST;
        default:
                return LIFECYCLE_PLACE_ELSEWHERE;
        }
}

LifecyclePlace lifecycle_place(LifecycleTransition transition, InstanceState in_group) {
        static LifecyclePlace (*const places[])(InstanceState) = {
                [LIFECYCLE_LAUNCHING] = launching,
                [LIFECYCLE_TERMINATING] = terminating,
                [LIFECYCLE_RETURNING] = returning,
        };

        return places[transition](in_group);
}

LifecycleSettled lifecycle_settle(LifecycleTransition transition, AutoScalingVerdict verdict,
                                  InstanceState in_group, unsigned refusals) {
        bool both_end_alike = transition != LIFECYCLE_LAUNCHING;
        bool goes_on = verdict == AUTOSCALING_CONTINUE || both_end_alike;

        switch (lifecycle_place(transition, in_group)) {
        case LIFECYCLE_PLACE_EARLY:
                return LIFECYCLE_AGAIN;
        case LIFECYCLE_PLACE_WAIT:
                if (refusals < LIFECYCLE_REFUSALS_MAX)
                        return LIFECYCLE_AGAIN;
                return goes_on ? LIFECYCLE_HEARD : LIFECYCLE_TOO_LATE;
        case LIFECYCLE_PLACE_PAST:
                return goes_on ? LIFECYCLE_HEARD : LIFECYCLE_TOO_LATE;
        case LIFECYCLE_PLACE_GONE:
                return verdict == AUTOSCALING_ABANDON ? LIFECYCLE_HEARD : LIFECYCLE_TOO_LATE;
        default:
                return LIFECYCLE_TOO_LATE;
        }
}
