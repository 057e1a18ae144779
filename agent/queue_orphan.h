#pragma once

/* Whether the instance that made a queue is gone, from what is known of it. Pure. A mistake costs little: an instance whose
 * queue was removed makes it again. */

#include <stdbool.h>
#include <stdint.h>

#include "agent/net/autoscaling.h"

typedef struct QueueFacts {
        bool in_group;          /* Auto Scaling knows the instance */
        InstanceState in_state; /* then: its state there */
        /* when it reported to the depot last; 0: never, or it is not known where. Microseconds */
        uint64_t reported;
        uint64_t created; /* since 1970, as all of these; the queue's */
        uint64_t now;
        uint64_t margin; /* how long a queue, or the last report, must be over before it counts */
} QueueFacts;

typedef enum QueueOwnerState {
        QUEUE_OWNER_IN_GROUP,
        QUEUE_OWNER_REPORTS,
        QUEUE_OWNER_NEW, /* the queue is too young to tell */
        QUEUE_OWNER_GONE,
} QueueOwnerState;

QueueOwnerState queue_owner_state(const QueueFacts *facts);
const char *queue_owner_state_to_string(QueueOwnerState state);

/* "i-" and hexadecimal digits: what Auto Scaling can be asked about. */
bool is_ec2_instance_id(const char *instance);
