#include <inttypes.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/utf8.h"
#include "agent/register_view.h"

int register_check(const Register *reg, const RolloutPlan *plan, Error *error) {
        if (strcmp(reg->id, plan->id) != 0)
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "register %s: expected that of %s",
                                       reg->id, plan->id);
        if (strcmp(reg->release_sha256, plan->to->sha256) != 0)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "register %s: it is about another release than the target", reg->id);
        if (reg->stage >= plan->n_stages)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "register %s: stage %" PRIu64 " is open, the target has %zu", reg->id,
                                       reg->stage + 1, plan->n_stages);
        return 0;
}

uint64_t register_allowed(const Register *reg, const RolloutPlan *plan) {
        return rollout_plan_allowed(plan, reg->stage, reg->fleet);
}

bool register_goes_on(const Register *reg) {
        return reg->state == REGISTER_ACTIVE || reg->state == REGISTER_PAUSED ||
               (reg->state == REGISTER_ABORTED && reg->running > 0);
}

uint64_t register_refresh(const RolloutPlan *plan) {
        return plan->alarmed ? REGISTER_REFRESH_ALARMED : REGISTER_REFRESH;
}

/* What is ahead of NOW by more than the depot's clock may jump was forged. */
static bool alarms_are_fresh(const Register *reg, uint64_t now) {
        return reg->alarms_seen > 0 && reg->alarms_seen <= usec_add(now, USEC_PER_SEC) &&
               now < usec_add(reg->alarms_seen, REGISTER_ALARMS_GOOD);
}

static bool were_seen_after_bake(const Register *reg, const RolloutPlan *plan) {
        return reg->full > 0 && reg->alarms_seen >= usec_add(reg->full, plan->stages[reg->stage].bake);
}

static bool stage_has_baked(const Register *reg, const RolloutPlan *plan, uint64_t now) {
        return reg->full > 0 && now >= usec_add(reg->full, plan->stages[reg->stage].bake);
}

bool register_wants_alarms(const Register *reg, const RolloutPlan *plan, uint64_t now) {
        if (!plan->alarmed || reg->stage >= plan->n_stages ||
            (reg->state != REGISTER_ACTIVE && reg->state != REGISTER_PAUSED))
                return false;
        return reg->touched || !alarms_are_fresh(reg, now) ||
               (stage_has_baked(reg, plan, now) && !were_seen_after_bake(reg, plan));
}

bool register_alarms_let_end(const Register *reg, const RolloutPlan *plan, uint64_t now) {
        if (!plan->alarmed)
                return true;
        return alarms_are_fresh(reg, now) && were_seen_after_bake(reg, plan) &&
               (reg->alarms == REGISTER_ALARMS_QUIET ||
                (reg->alarms == REGISTER_ALARMS_UNKNOWN && reg->promoted));
}

bool register_alarms_keep_out(const Register *reg, const RolloutPlan *plan) {
        return plan->alarmed && reg->state != REGISTER_COMPLETE && reg->alarms == REGISTER_ALARMS_RING;
}

static uint64_t first_place_lost(const Register *reg) {
        uint64_t due = USEC_INFINITY;

        for (size_t i = 0; i < reg->places.n; i++)
                if (!reg->places.items[i].late)
                        due = MIN(due, usec_add(reg->places.items[i].until, REGISTER_MARGIN));
        return due;
}

static uint64_t stage_ends(const Register *reg, const RolloutPlan *plan) {
        uint64_t end = usec_add(reg->full, plan->stages[reg->stage].bake);

        if (reg->stage + 1 < plan->n_stages) {
                if (plan->target->rollout.promote == TARGET_PROMOTE_MANUAL && !reg->promoted)
                        return USEC_INFINITY;
                end = MAX(end, rollout_plan_entry(plan, reg->stage + 1));
        }
        for (const TargetFreeze *freeze; plan->staged && (freeze = target_find_freeze(plan->target, end));)
                end = freeze->until;
        return end;
}

uint64_t register_due(const Register *reg, const RolloutPlan *plan) {
        uint64_t due = first_place_lost(reg), end = USEC_INFINITY;

        if (reg->touched)
                return reg->written;
        if (register_goes_on(reg))
                due = MIN(due, usec_add(reg->written, register_refresh(plan)));
        if (reg->state == REGISTER_ACTIVE && reg->stage < plan->n_stages && reg->full > 0)
                end = stage_ends(reg, plan);
        /* One that a write has found not to end waits for more than time: for instances, or for an alarm. */
        return end >= reg->written && !(plan->alarmed && reg->alarms_seen >= end) ? MIN(due, end) : due;
}

static int not_now(Error *error, const char *why) {
        return error_set_fault(error, -EPERM, FAULT_HOST, "%s", why);
}

/* A place past its deadline is lost even before the margin has passed and somebody has taken it back. */
int register_check_place(const Register *reg, const RolloutPlan *plan, const RegisterPlace *place,
                         uint64_t attempt, RegisterMove move, bool switching, uint64_t now, Error *error) {
        int r;

        r = register_check(reg, plan, error);
        if (r < 0)
                return r;
        if (!place || place->attempt != attempt || place->move != move)
                return not_now(error, "this instance has no place in the rollout");
        if (move == REGISTER_DOWN)
                return 0;
        if (reg->state == REGISTER_ABORTED)
                return not_now(error, "the rollout was aborted");
        if (place->late || now >= place->until)
                return not_now(error, "the time for this change is over");
        if (now < rollout_plan_entry(plan, reg->stage))
                return not_now(error, "the register is ahead of what was signed");
        if (switching && plan->staged && target_find_freeze(plan->target, now))
                return not_now(error, "the group is frozen");
        return 0;
}

int register_check_holder(const Register *reg, const RolloutPlan *plan, const char *instance,
                          uint64_t attempt, RegisterMove move, bool switching, uint64_t now, Error *error) {
        return register_check_place(reg, plan, register_find_place(reg, instance), attempt, move, switching,
                                    now, error);
}

/* A plain change: the stable release is what a newcomer takes. That it is complete anybody can write, so the signed
 * times count here, too. */
bool register_takes_newcomers(const Register *reg, const RolloutPlan *plan, uint64_t now) {
        if (!plan->staged)
                return true;
        return reg && register_check(reg, plan, NULL) >= 0 && reg->state == REGISTER_COMPLETE &&
               now >= rollout_plan_entry(plan, plan->n_stages - 1);
}

/* What the alarms make somebody wait for, or NULL. */
static const char *held_by_alarms(const Register *reg, const RolloutPlan *plan) {
        bool holds = reg->alarms == REGISTER_ALARMS_RING ||
                     (reg->alarms == REGISTER_ALARMS_UNKNOWN && !reg->promoted);

        return plan->alarmed && holds ? reg->alarms_reason ?: "nobody knows of its alarms" : NULL;
}

static void describe_healthy(const Register *reg, const RolloutPlan *plan, uint64_t now, char *rest,
                             size_t size) {
        const char *held = held_by_alarms(reg, plan);
        uint64_t end = stage_ends(reg, plan);
        char until[TIME_TEXT_MAX];

        if (end == USEC_INFINITY && !held)
                (void) snprintf(rest, size, "healthy, waits to be promoted");
        else if (held && (end == USEC_INFINITY || now >= end))
                (void) snprintf(rest, size, "healthy, held (%s)", held);
        else {
                format_time(end, until);
                (void) snprintf(rest, size, "healthy, bakes until %s%s%s%s", until,
                                held ? "; then held (" : "", held ?: "", held ? ")" : "");
        }
}

static void describe_active(const Register *reg, const RolloutPlan *plan, uint64_t now,
                            char ret[static REGISTER_SENTENCE_MAX]) {
        char until[TIME_TEXT_MAX];
        uint64_t allowed = register_allowed(reg, plan), entry = rollout_plan_entry(plan, reg->stage);
        const TargetFreeze *freeze = plan->staged ? target_find_freeze(plan->target, now) : NULL;
        int n = snprintf(ret, REGISTER_SENTENCE_MAX, "stage %" PRIu64 " of %zu: ", reg->stage + 1,
                         plan->n_stages);
        char *rest = ret + n;
        size_t size = REGISTER_SENTENCE_MAX - (size_t) n;

        if (freeze) {
                format_time(freeze->until, until);
                (void) snprintf(rest, size, "frozen until %s%s%s", until, freeze->reason ? ": " : "",
                                freeze->reason ?: "");
        } else if (now < entry) {
                format_time(entry, until);
                (void) snprintf(rest, size, "begins at %s", until);
        } else if (register_alarms_keep_out(reg, plan))
                (void) snprintf(rest, size, "nobody is let in (%s)", reg->alarms_reason ?: "an alarm rings");
        else if (reg->full == 0)
                (void) snprintf(rest, size, "%" PRIu64 " of %" PRIu64 " healthy, %zu changing", reg->members,
                                MIN(allowed, reg->live), reg->places.n);
        else
                describe_healthy(reg, plan, now, rest, size);
}

void register_describe(const Register *reg, const RolloutPlan *plan, uint64_t now,
                       char ret[static REGISTER_SENTENCE_MAX]) {
        const char *reason = reg->reason ?: "by hand";

        if (register_check(reg, plan, NULL) < 0)
                (void) snprintf(ret, REGISTER_SENTENCE_MAX, "the register is not the target's");
        else if (reg->state == REGISTER_ACTIVE)
                describe_active(reg, plan, now, ret);
        else if (reg->state == REGISTER_COMPLETE)
                (void) snprintf(ret, REGISTER_SENTENCE_MAX, "complete%s",
                                plan->staged ? "; the candidate is not signed as stable yet" : "");
        else
                (void) snprintf(ret, REGISTER_SENTENCE_MAX, "%s in stage %" PRIu64 " of %zu: %s%s%s",
                                register_state_to_string(reg->state), reg->stage + 1, plan->n_stages, reason,
                                reg->by ? ", by " : "", reg->by ?: "");
        utf8_make_printable(ret, strlen(ret)); /* it may have been cut */
}
