#pragma once

/* What it means when Auto Scaling says "No active Lifecycle Action found" to a completion: not yet, done, or too late. Pure.
 * The instance's state, as DescribeAutoScalingInstances tells it, decides. */

#include <stdbool.h>

#include "agent/lifecycle_hooks.h"

typedef enum LifecycleSettled {
        LIFECYCLE_AGAIN, /* not yet, or not known: tell it again */
        LIFECYCLE_HEARD, /* the group went on as it was told, perhaps by an earlier completion whose answer was lost */
        LIFECYCLE_TOO_LATE, /* it went on otherwise: the hook timed out, or somebody else decided */
} LifecycleSettled;

/* Where an instance is, seen from the hooks of a transition. */
typedef enum LifecyclePlace {
        LIFECYCLE_PLACE_EARLY, /* on its way to :Wait, or not known */
        LIFECYCLE_PLACE_WAIT,  /* every hook of the transition that nobody completed is active */
        LIFECYCLE_PLACE_PAST,  /* it went on, as after CONTINUE */
        LIFECYCLE_PLACE_GONE,  /* of a launch: it is terminated, as after ABANDON */
        LIFECYCLE_PLACE_ELSEWHERE,
} LifecyclePlace;

LifecyclePlace lifecycle_place(LifecycleTransition transition, InstanceState in_group);

/* After a completion that met no active action. REFUSALS: how many of them in a row found the instance in :Wait, this one
 * included. It may have come to :Wait in between, so one says nothing; after LIFECYCLE_REFUSALS_MAX this hook is known to
 * be done, and the instance waits for others. */
#define LIFECYCLE_REFUSALS_MAX 3U
LifecycleSettled lifecycle_settle(LifecycleTransition transition, AutoScalingVerdict verdict,
                                  InstanceState in_group, unsigned refusals);
