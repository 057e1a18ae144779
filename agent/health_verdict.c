#include <string.h>

#include "agent/base/strv.h"
#include "agent/health_verdict.h"

static void forget_old_restarts(HealthState *state, uint64_t now) {
        unsigned n = 0;

        while (n < state->n_restarts && now - state->restarts[n] >= HEALTH_RESTARTS_WINDOW)
                n++;
        state->n_restarts -= n;
        memmove(state->restarts, state->restarts + n, state->n_restarts * sizeof(state->restarts[0]));
}

static bool may_restart(const HealthPolicy *policy, const HealthState *state) {
        return state->n_restarts < MIN(policy->restarts, HEALTH_RESTARTS_MAX);
}

static bool is_past(uint64_t at, uint64_t pause, uint64_t now) {
        return at == 0 || now - at >= pause;
}

HealthAction health_verdict(const HealthPolicy *policy, HealthState *state, bool good, uint64_t now) {
        forget_old_restarts(state, now);
        if (good) {
                state->failed = 0;
                state->unhealthy = false;
                return HEALTH_GO_ON;
        }
        state->failed++;
        if (state->failed < policy->failures)
                return HEALTH_GO_ON;
        if (may_restart(policy, state) && !state->unhealthy) {
                state->restarts[state->n_restarts++] = now;
                state->failed = 0;
                return HEALTH_RESTART;
        }
        state->unhealthy = true;
        if (!policy->replace || !is_past(state->told, HEALTH_REPLACE_PAUSE, now) ||
            !is_past(state->asked, HEALTH_ASK_PAUSE, now))
                return HEALTH_GO_ON;
        state->asked = now;
        return HEALTH_REPLACE;
}

bool health_may_replace(const HealthPolicy *policy, const AutoScalingGroup *group) {
        uint64_t needed, left;

        if (!group || group->in_service == 0)
                return false;
        left = group->healthy > 0 ? group->healthy - 1 : 0;
        needed = MAX(group->desired, group->in_service);
        return left * 100 >= needed * policy->percent;
}

uint64_t health_turn(char *const *serving, const char *instance, uint64_t now, uint64_t random) {
        uint64_t turns = MIN(strv_length(serving), (size_t) HEALTH_TURNS_MAX), cycle = turns * HEALTH_TURN,
                 begin;
        size_t place = 0;

        if (turns < 2)
                return 0;
        STRV_FOREACH(other, serving)
                place += strcmp(*other, instance) < 0;
        begin = place % turns * HEALTH_TURN + HEALTH_TURN / 5 + random % (HEALTH_TURN / 5);
        return (begin + cycle - now % cycle) % cycle;
}
