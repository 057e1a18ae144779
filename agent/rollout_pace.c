#include "agent/rollout_pace.h"
#include "agent/base/cleanup.h"
#include "agent/base/clock.h"

/* So much of LIMIT as CHANCE is of 2^64. */
static uint64_t share(uint64_t limit, uint64_t chance) {
        return (uint64_t) (((unsigned __int128) limit * chance) >> 64);
}

static uint64_t look_on(uint64_t fleet) {
        uint64_t more;

        if (__builtin_mul_overflow(fleet, ROLLOUT_LOOK_OF_ONE, &more))
                return ROLLOUT_LOOK_MAX;
        more = usec_add(more, ROLLOUT_LOOK_FIRST);
        return MIN(more, ROLLOUT_LOOK_MAX);
}

/* Never in step with others: from three quarters of the time to all of it. */
uint64_t rollout_pace_look(RolloutPart part, uint64_t fleet, uint64_t chance) {
        static const uint64_t fixed[ROLLOUT_PARTS] = {
                [ROLLOUT_HAS_SAID] = ROLLOUT_LOOK_ASKED, [ROLLOUT_CHANGES] = ROLLOUT_LOOK_UNCOMMITTED
        };
        uint64_t interval = fixed[part] ?: look_on(fleet);

        return interval - share(interval / 4, chance);
}

uint64_t rollout_pace_due(uint64_t due, uint64_t fleet, uint64_t chance) {
        uint64_t window = look_on(fleet) / 4;

        return usec_add(due, share(window, chance));
}

bool rollout_pace_writes(uint64_t crowd, uint64_t fleet, uint64_t look, uint64_t age, uint64_t chance) {
        uint64_t halved = age / ROLLOUT_CROWD_HALVED,
                 takes = ROLLOUT_WRITE_TAKES + MIN(fleet, (uint64_t) UINT32_MAX) * ROLLOUT_WRITE_TAKES_OF_ONE,
                 weight;

        crowd = halved < 64 ? crowd >> halved : 0;
        if (__builtin_mul_overflow(crowd, takes, &weight))
                return share(crowd, chance) < look / takes;
        return share(weight, chance) < look;
}
