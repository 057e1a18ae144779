#pragma once

/* Makes the decisions of a deployment again, from what was recorded, and compares: what was decided to do, which step
 * followed which event, how it ended. Pure. */

#include "agent/deployment.h"

#define REPLAY_SAME 0
#define REPLAY_DIFFERS 1

typedef struct Replay {
        unsigned decisions;                 /* that were made again and came out the same */
        bool whole;                         /* nothing was left out when it was recorded */
        char difference[ERROR_MESSAGE_MAX]; /* the first one, or "" */
} Replay;

/* -EINVAL for facts that are malformed, -ENOMEM. */
int replay_deployment(const Deployment *recorded, Replay *ret, Error *error);
