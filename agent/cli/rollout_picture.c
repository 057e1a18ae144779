#include <inttypes.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/cli/rollout_picture.h"

static json_t *time_to_json(uint64_t usec) {
        char text[TIME_TEXT_MAX];

        format_time(usec, text);
        return usec > 0 && usec != USEC_INFINITY ? json_string(text) : json_null();
}

static json_t *share_to_json(const TargetShare *share) {
        if (share->count == 0 && share->percent == 0)
                return json_null();
        return share->count > 0 ? json_sprintf("%" PRIu64, share->count)
                                : json_sprintf("%" PRIu64 "%%", share->percent);
}

/* Stages */

static const char *stage_state(const Register *reg, uint64_t i) {
        if (reg && (i < reg->stage || reg->state == REGISTER_COMPLETE))
                return "done";
        return reg && i == reg->stage ? "open" : "to come";
}

static json_t *stage_to_json(const RolloutFacts *facts, uint64_t i) {
        const TargetStage *stage = &facts->plan->stages[i];
        const Register *reg = facts->reg;
        uint64_t allowed = rollout_plan_allowed(facts->plan, i, reg ? reg->fleet : 0),
                 need = MIN(allowed, reg ? reg->live : 0);
        char bake[DURATION_TEXT_MAX];

        format_duration(stage->bake, bake);
        return json_pack("{s:o, s:s?, s:s, s:I, s:I, s:o}", "share", share_to_json(&stage->share), "bake",
                         stage->bake > 0 ? bake : NULL, "state", stage_state(reg, i), "need",
                         (json_int_t) need, "members",
                         (json_int_t) (reg && i == reg->stage ? MIN(reg->members, need) : 0), "entry",
                         time_to_json(rollout_plan_entry(facts->plan, i)));
}

static json_t *stages_to_json(const RolloutFacts *facts) {
        json_auto_t *list = json_array();

        for (uint64_t i = 0; i < facts->plan->n_stages; i++)
                if (json_array_append_new(list, stage_to_json(facts, i)) < 0)
                        return NULL;
        return TAKE_PTR(list);
}

/* Alarms */

static json_t *alarms_to_json(const RolloutFacts *facts) {
        const Target *target = facts->plan->target;
        const Register *reg = facts->reg;
        json_auto_t *names = json_array();

        if (!facts->plan->alarmed)
                return json_null();
        for (size_t i = 0; i < target->rollout.alarms.n; i++)
                if (json_array_append_new(names, json_string(target->rollout.alarms.items[i])) < 0)
                        return NULL;
        return json_pack("{s:O, s:s, s:s?, s:o}", "names", names, "state",
                         register_alarms_to_string(reg ? reg->alarms : REGISTER_ALARMS_NOT_SEEN), "reason",
                         reg ? reg->alarms_reason : NULL, "seen", time_to_json(reg ? reg->alarms_seen : 0));
}

/* The whole */

static bool is_plain(const RolloutFacts *facts) {
        return !rollout_plan_is_shared(facts->plan);
}

static const char *state_of(const RolloutFacts *facts) {
        if (is_plain(facts))
                return "none";
        if (facts->reg)
                return register_state_to_string(facts->reg->state);
        return facts->problem ? "unreadable" : "missing";
}

static json_t *sentence(const RolloutFacts *facts) {
        char text[REGISTER_SENTENCE_MAX];

        if (is_plain(facts))
                return json_sprintf("no rollout: %s is stable%s", facts->plan->to->version,
                                    facts->plan->target->pinned ? " and pinned" : "");
        if (!facts->reg && facts->problem)
                return json_sprintf("its register cannot be used (%s): nothing moves", facts->problem);
        if (!facts->reg)
                return json_string("its register is missing: nothing moves");
        register_describe(facts->reg, facts->plan, facts->now, text);
        return json_string(text);
}

static json_t *head_to_json(const RolloutFacts *facts) {
        const RolloutPlan *plan = facts->plan;
        const Target *target = plan->target;
        const Register *reg = facts->reg;

        return json_pack("{s:s, s:s, s:I, s:s?, s:s, s:o, s:s?, s:s?, s:s, s:s, s:s, s:b}", "app",
                         target->app, "group", target->group, "serial", (json_int_t) target->serial,
                         "rollout", is_plain(facts) ? NULL : plan->id, "state", state_of(facts), "sentence",
                         sentence(facts), "reason", reg ? reg->reason : NULL, "by", reg ? reg->by : NULL,
                         "stable", target->stable.version, "version", plan->to->version, "release_sha256",
                         plan->to->sha256, "staged", plan->staged);
}

static json_t *rules_to_json(const RolloutFacts *facts) {
        const Target *target = facts->plan->target;
        const TargetFreeze *freeze = facts->plan->staged ? target_find_freeze(target, facts->now) : NULL;
        bool manual = target->rollout.promote == TARGET_PROMOTE_MANUAL;

        return json_pack(
                "{s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "not_before", time_to_json(target->rollout.not_before),
                "promote", manual ? "manual" : "auto", "max_parallel",
                target->urgent ? json_null() : share_to_json(&target->max_parallel), "max_failures",
                facts->plan->staged ? json_integer((json_int_t) facts->plan->max_failures) : json_null(),
                "frozen_until", time_to_json(freeze ? freeze->until : 0), "alarms", alarms_to_json(facts),
                "stages", stages_to_json(facts));
}

static json_t *numbers_to_json(const Register *reg) {
        if (!reg)
                return json_object();
        return json_pack("{s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:o, s:o}", "stage",
                         (json_int_t) reg->stage + 1, "promoted", reg->promoted, "failures",
                         (json_int_t) reg->failures, "live", (json_int_t) reg->live, "members",
                         (json_int_t) reg->members, "running", (json_int_t) reg->running, "changing",
                         (json_int_t) reg->places.n, "goes_on", register_goes_on(reg), "opened",
                         time_to_json(reg->opened), "healthy_since", time_to_json(reg->full), "written",
                         time_to_json(reg->written));
}

json_t *rollout_picture_make(const RolloutFacts *facts) {
        json_auto_t *picture = head_to_json(facts), *rules = NULL, *numbers = NULL;

        if (!picture || is_plain(facts))
                return TAKE_PTR(picture);
        rules = rules_to_json(facts);
        numbers = numbers_to_json(facts->reg);
        if (json_object_update(picture, rules) < 0 || json_object_update(picture, numbers) < 0 ||
            json_object_set_new(picture, "instances", rollout_rows_make(facts)) < 0 ||
            json_object_set_new(picture, "failed", rollout_failures_make(facts)) < 0)
                return NULL;
        return TAKE_PTR(picture);
}
