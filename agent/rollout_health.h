#pragma once

/* Looks at the health of what serves, for a rollout: the checks of the good release, round after round. A round ends
 * well once all are healthy, and badly where one is not by its deadline. */

#include "agent/engine.h"

typedef struct RolloutHealth RolloutHealth;

#define ROLLOUT_HEALTH_INTERVAL (UINT64_C(15) * 1000000) /* between two rounds, at most */

typedef void (*RolloutHealthSeen)(bool good, const char *reason, void *userdata);

/* INTERVAL in microseconds. Nothing is looked at yet. */
int rollout_health_new(sd_event *event, uint64_t interval, RolloutHealthSeen seen, void *userdata,
                       RolloutHealth **ret, Error *error);
RolloutHealth *rollout_health_free(RolloutHealth *health);
DEFINE_CLEANUP(RolloutHealth *, rollout_health_free)

/* Begins, with a round at once, or goes on. CONTEXT is copied. */
void rollout_health_run(RolloutHealth *health, const EngineContext *context);
void rollout_health_stop(RolloutHealth *health);
