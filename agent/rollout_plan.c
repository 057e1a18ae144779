#include <inttypes.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/rollout_plan.h"
#include "artifacts/siphash.h"

/* Of each instance that is in line behind those who were expected to ask. */
#define PATIENCE_STEP (UINT64_C(2) * USEC_PER_SEC)

static const TargetStage everyone = { .share = { .percent = 100 } };

void rollout_plan_make(const Target *target, RolloutPlan *ret) {
        const TargetRollout *rollout = &target->rollout;
        RolloutPlan plan = {
                .target = target,
                .staged = rollout->id,
                .to = rollout->id ? &target->candidate : &target->stable,
                .stages = rollout->id ? rollout->stages.items : &everyone,
                .n_stages = rollout->id ? rollout->stages.n : 1,
                .alarmed = rollout->id && rollout->alarms.n > 0,
                .max_failures = rollout->id ? rollout->max_failures : UINT64_MAX,
        };

        plan.progress_deadline = usec_add(rollout->progress_deadline ?: TARGET_PROGRESS_DEADLINE_DEFAULT,
                                          rollout->min_healthy_time);
        if (rollout->id)
                snprintf(plan.id, sizeof(plan.id), "%s", rollout->id);
        else
                snprintf(plan.id, sizeof(plan.id), TARGET_SERIAL_PREFIX "%" PRIu64, target->serial);
        *ret = plan;
}

uint64_t rollout_plan_allowed(const RolloutPlan *plan, uint64_t stage, uint64_t fleet) {
        uint64_t allowed = 1;

        for (uint64_t i = 0; i <= stage && i < plan->n_stages; i++) {
                if (plan->stages[i].share.percent == 100)
                        return UINT64_MAX;
                allowed = MAX(allowed, target_share_of(&plan->stages[i].share, fleet));
        }
        return allowed;
}

bool rollout_plan_is_limited(const RolloutPlan *plan) {
        const Target *target = plan->target;

        return !target->urgent && (target->max_parallel.count > 0 || target->max_parallel.percent > 0);
}

bool rollout_plan_is_shared(const RolloutPlan *plan) {
        return plan->staged || rollout_plan_is_limited(plan);
}

uint64_t rollout_plan_parallel(const RolloutPlan *plan, uint64_t fleet, uint64_t limit) {
        if (!rollout_plan_is_limited(plan))
                return limit;
        return MIN(MAX(target_share_of(&plan->target->max_parallel, fleet), UINT64_C(1)), limit);
}

uint64_t rollout_plan_entry(const RolloutPlan *plan, uint64_t stage) {
        uint64_t entry = plan->target->rollout.not_before;

        if (stage >= plan->n_stages)
                return USEC_INFINITY;
        for (uint64_t i = 0; i < stage; i++)
                entry = usec_add(entry, plan->stages[i].bake);
        return entry;
}

uint64_t rollout_plan_order(const RolloutPlan *plan, const char *instance) {
        uint8_t key[SIPHASH_KEY_SIZE] = {};
        uint64_t of_rollout = siphash(plan->id, strlen(plan->id), key);

        memcpy(key, &of_rollout, sizeof(of_rollout));
        return siphash(instance, strlen(instance), key);
}

bool rollout_plan_is_canary(const RolloutPlan *plan, const char *instance) {
        const char *id = strrchr(instance, ':');

        for (size_t i = 0; i < plan->target->rollout.canaries.n; i++) {
                const char *canary = plan->target->rollout.canaries.items[i];

                if (strcmp(canary, instance) == 0 || (id && strcmp(canary, id + 1) == 0))
                        return true;
        }
        return false;
}

uint64_t rollout_plan_patience(const RolloutPlan *plan, const char *instance, uint64_t allowed,
                               uint64_t fleet) {
        uint64_t position = rollout_plan_order(plan, instance) >> 32, expected, wait;

        if (allowed >= fleet || rollout_plan_is_canary(plan, instance))
                return 0;
        position = (position * MIN(fleet, (uint64_t) UINT32_MAX)) >> 32;
        expected = 2 * allowed + 4;
        if (position < expected)
                return 0;
        return __builtin_mul_overflow(position - expected + 1, PATIENCE_STEP, &wait)
                       ? ROLLOUT_PATIENCE_MAX
                       : MIN(wait, ROLLOUT_PATIENCE_MAX);
}
