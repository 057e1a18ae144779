#pragma once

/* What a signed target says of how its group moves: to a candidate in stages, or, where it has none, to its stable release
 * (a pin, a plain change, other environment values), which has a register too, named by the serial. Pure. */

#include "artifacts/target.h"

#define ROLLOUT_ID_MAX 65 /* with the zero byte */

/* How long after a stage was opened an instance that is not among the first asks for a place, at most. */
#define ROLLOUT_PATIENCE_MAX (UINT64_C(5) * 60 * 1000000)

typedef struct RolloutPlan {
        const Target *target;      /* borrowed */
        char id[ROLLOUT_ID_MAX];   /* of the register: the rollout's, or "serial-18" */
        bool staged;               /* to a candidate, with its rules; else to the stable release */
        const TargetRelease *to;   /* borrowed, of the target */
        const TargetStage *stages; /* borrowed, of the target, or the only one that a plain change has */
        size_t n_stages;
        bool alarmed;          /* it is staged, and the target names alarms */
        uint64_t max_failures; /* UINT64_MAX: a plain change is not aborted */
        /* of one change, what comes after it until the instance counts included */
        uint64_t progress_deadline;
} RolloutPlan;

/* TARGET must stay. */
void rollout_plan_make(const Target *target, RolloutPlan *ret);

/* Whether not all may change at once, but only so many: it has a limit, and is not urgent. */
bool rollout_plan_is_limited(const RolloutPlan *plan);

/* Whether the fleet has to agree on it, by a register: a rollout, or a plain change that is limited. All else needs none:
 * each instance goes at once, whatever the others do. */
bool rollout_plan_is_shared(const RolloutPlan *plan);

/* How many instances of a fleet of that size may run the new release in STAGE: at least 1, at least as many as in the
 * stages before it; UINT64_MAX in a stage of 100 percent, which takes in newcomers as well. */
uint64_t rollout_plan_allowed(const RolloutPlan *plan, uint64_t stage, uint64_t fleet);

/* How many may change at once: at least 1, at most LIMIT, which is also what an urgent target has. */
uint64_t rollout_plan_parallel(const RolloutPlan *plan, uint64_t fleet, uint64_t limit);

/* The earliest time, by the depot's clock, at which STAGE may be entered: what was signed, whatever the register says.
 * USEC_INFINITY for a stage that there is not. */
uint64_t rollout_plan_entry(const RolloutPlan *plan, uint64_t stage);

/* Who goes first: smaller numbers, in another order for each rollout. Before all others those who were chosen by hand. */
uint64_t rollout_plan_order(const RolloutPlan *plan, const char *instance);
bool rollout_plan_is_canary(const RolloutPlan *plan, const char *instance);

/* How long after a stage for ALLOWED of FLEET instances was opened INSTANCE asks for a place: at once where it is among
 * the first, later where it is not, so that not all ask for one place. */
uint64_t rollout_plan_patience(const RolloutPlan *plan, const char *instance, uint64_t allowed,
                               uint64_t fleet);
