#pragma once

/* What follows from the health checks of a release that serves, run again and again: pure functions of counts and times. A
 * round is what a deployment does: all checks, until they are healthy or one misses its deadline. Times are microseconds on
 * the boot-time clock. */

#include <stdbool.h>
#include <stdint.h>

#include "agent/net/autoscaling_group.h"

#define HEALTH_RESTARTS_MAX 32U                           /* that are remembered */
#define HEALTH_RESTARTS_WINDOW (UINT64_C(3600) * 1000000) /* in which restarts are counted */
#define HEALTH_REPLACE_PAUSE (UINT64_C(600) * 1000000)    /* between two words to the group */
#define HEALTH_ASK_PAUSE (UINT64_C(60) * 1000000)         /* between two questions to the group */

/* Instances that fail for one reason take turns, so that each sees what those before it have said: a turn lasts so
 * long, and asking and telling begins in its middle. In a group of more than HEALTH_TURNS_MAX some have the same
 * turn, and the limit may be missed by one or two of them; nobody waits longer than two minutes. */
#define HEALTH_TURN (UINT64_C(5) * 1000000)
#define HEALTH_TURNS_MAX 24U

typedef struct HealthPolicy {
        unsigned failures; /* rounds in a row before anything is done; at least 1 */
        unsigned restarts; /* of the app's units, in the window; at most HEALTH_RESTARTS_MAX */
        bool replace;      /* then the group is told that the instance is unhealthy ... */
        unsigned percent;  /* ... if so many of the desired instances, of 100, are healthy without it */
} HealthPolicy;

typedef struct HealthState {
        unsigned failed; /* rounds, in a row, since the last good one or the last restart */
        uint64_t restarts[HEALTH_RESTARTS_MAX];
        unsigned n_restarts;
        bool unhealthy; /* restarts have not helped */
        uint64_t asked; /* the group was asked at this time; 0: not yet */
        uint64_t told;  /* the group was told; 0: not yet */
} HealthState;

typedef enum HealthAction {
        HEALTH_GO_ON,   /* nothing but the next round */
        HEALTH_RESTART, /* the units */
        HEALTH_REPLACE, /* ask the group whether it can do without this instance, and tell it then */
        HEALTH_ACTIONS,
} HealthAction;

/* Takes a round in, and says what to do. HEALTH_RESTART and HEALTH_REPLACE count as done with that. */
HealthAction health_verdict(const HealthPolicy *policy, HealthState *state, bool good, uint64_t now);

/* Whether the group keeps enough healthy instances in service without this one, which is counted as healthy if it is
 * thought to be. Without an answer it does not. */
bool health_may_replace(const HealthPolicy *policy, const AutoScalingGroup *group);

/* How long INSTANCE, one of SERVING, waits for its turn from NOW on, microseconds since 1970: the turns go by the
 * order of the ids, and begin anew for ever. RANDOM spreads those of the same turn. */
uint64_t health_turn(char *const *serving, const char *instance, uint64_t now, uint64_t random);
