#pragma once

/* When a rollout would get where, if nothing went wrong: the register's own steps (register_step.h), played for a
 * fleet of which every instance takes the same time to change and says so at once. What comes out is the earliest
 * that is possible; coordination adds a few minutes to it, failures and instances that leave add more. What alarms
 * the target names are taken to be quiet. Pure. */

#include "agent/register_step.h"

#define FORECAST_FLEET_MAX 100000U

/* A rollout that is not complete by then is given up. */
#define FORECAST_SPAN_MAX (UINT64_C(400) * 86400 * 1000000)

typedef struct ForecastStage {
        uint64_t instances;            /* that may run the new release */
        uint64_t entry;                /* when it may be entered at the earliest, by what was signed */
        uint64_t opens, healthy, ends; /* when it does, all of it are healthy, and they have baked */
        uint64_t most_changing;        /* at once */
        bool promoted; /* it would wait for somebody who promotes it: that is taken to happen at once */
} ForecastStage;

typedef struct RolloutForecast {
        uint64_t fleet;
        uint64_t begins, ends; /* ENDS is 0 if it would not complete: then PROBLEM says why */
        uint64_t parallel;     /* how many change at once at most */
        /* how many serve in the worst case: while so many change and all that may fail have failed */
        uint64_t serving;
        ForecastStage stages[TARGET_STAGES_MAX];
        size_t n_stages; /* that were opened */
        char problem[REGISTER_SENTENCE_MAX];
} RolloutForecast;

/* CHANGE is how long one instance takes from its place to healthy, without min_healthy_time. NOW, or not_before if
 * that is later, is when it begins. -EINVAL for a fleet of more than FORECAST_FLEET_MAX or none, -ENOMEM. */
int rollout_forecast(const RolloutPlan *plan, uint64_t fleet, uint64_t change, uint64_t now,
                     RolloutForecast *ret, Error *error);
