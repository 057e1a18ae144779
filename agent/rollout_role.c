#include "agent/rollout_role.h"
#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "agent/rollout_marks.h"

/* Whether more instances may run the new release than the last writer counted. */
static bool stage_has_room(const RoleFacts *facts) {
        return facts->reg->running < register_allowed(facts->reg, facts->plan) &&
               !register_alarms_keep_out(facts->reg, facts->plan);
}

static bool others_leave_room(const RoleFacts *facts) {
        const Register *reg = facts->reg;
        uint64_t parallel = rollout_plan_parallel(facts->plan, reg->fleet, REGISTER_PLACES_MAX),
                 held = reg->places.n;

        for (size_t i = 0; i < reg->places.n && held >= parallel; i++)
                held -= reg->places.items[i].late;
        return held < parallel;
}

static uint64_t asks_at(const RoleFacts *facts) {
        const Register *reg = facts->reg;
        uint64_t allowed = register_allowed(reg, facts->plan);

        return MAX(rollout_plan_entry(facts->plan, reg->stage),
                   usec_add(reg->opened,
                            rollout_plan_patience(facts->plan, facts->instance, allowed, reg->fleet)));
}

static bool may(const RoleFacts *facts, RegisterMove move, bool switching) {
        return register_check_place(facts->reg, facts->plan, facts->place, facts->attempt, move, switching,
                                    facts->now, NULL) >= 0;
}

/* A place that came by a mark which it does not remember, or which it took for that of another life: whoever wrote the register
 * after what it said last, if it has said anything, has found that nothing ended it. */
static bool has_lost_place(const RoleFacts *facts) {
        bool unheard = facts->said > 0 && usec_add(facts->said, USEC_PER_SEC) > facts->reg->written;

        return facts->place && !unheard && facts->attempt <= MARK_ATTEMPTS_MAX;
}

static RoleStep before(const RoleFacts *facts) {
        RegisterState state = facts->reg->state;

        if (state == REGISTER_ABORTED && has_lost_place(facts)) /* else its next "up" ends it */
                return ROLE_BACK_OUT;
        return (state == REGISTER_ACTIVE || state == REGISTER_COMPLETE) && facts->now >= asks_at(facts)
                       ? ROLE_ASK_UP
                       : ROLE_WAIT;
}

/* That of an attempt that it has given back, of which the register has yet to hear. */
static bool place_is_old(const RoleFacts *facts) {
        return facts->place && facts->place->attempt < facts->attempt;
}

/* A place that came and went while the instance slept is given back as well; but not once more, with each attempt after it. */
static RoleStep asked(const RoleFacts *facts) {
        bool gone = facts->place && !place_is_old(facts);

        if (may(facts, REGISTER_UP, true))
                return ROLE_GO_UP;
        return gone || facts->reg->state == REGISTER_ABORTED ? ROLE_BACK_OUT : ROLE_WAIT;
}

static RoleStep next_step(const RoleFacts *facts) {
        bool aborted = facts->reg->state == REGISTER_ABORTED;

        switch (facts->standing) {
        case STANDING_BEFORE:
                return before(facts);
        case STANDING_ASKED:
                return asked(facts);
        case STANDING_CHANGING:
                return may(facts, REGISTER_UP, false) ? ROLE_WAIT : ROLE_BACK_OUT;
        case STANDING_COMMITTED:
                return aborted ? ROLE_ASK_DOWN : facts->place ? ROLE_WAIT : ROLE_SETTLE;
        case STANDING_MEMBER:
                return aborted ? ROLE_ASK_DOWN : ROLE_WAIT;
        case STANDING_UNWANTED:
                return ROLE_ASK_DOWN;
        case STANDING_ASKED_DOWN:
                return !rollout_plan_is_limited(facts->plan) || may(facts, REGISTER_DOWN, false)
                               ? ROLE_GO_DOWN
                               : ROLE_WAIT;
        default:
                return ROLE_WAIT;
        }
}

/* That it has ended, in whatever way. The register's time is rounded up to a second; a member that has been heard has no place
 * any more. */
static bool has_news(const RoleFacts *facts) {
        uint64_t slack = facts->standing == STANDING_MEMBER ? 0 : USEC_PER_SEC;

        return facts->said > 0 && usec_add(facts->said, slack) > facts->reg->written &&
               facts->standing != STANDING_ASKED && facts->standing != STANDING_CHANGING &&
               facts->standing != STANDING_ASKED_DOWN;
}

static bool would_have_place(const RoleFacts *facts) {
        if (facts->standing == STANDING_ASKED_DOWN)
                return others_leave_room(facts);
        return others_leave_room(facts) && stage_has_room(facts);
}

/* What it has said is heard in a write: that it asks, where it would be given a place, and that it is done. */
static bool waits_for_a_write(const RoleFacts *facts, Role *role) {
        bool waits = facts->standing == STANDING_ASKED || facts->standing == STANDING_ASKED_DOWN,
             asks = waits && (place_is_old(facts) || (!facts->place && would_have_place(facts)));

        role->crowd = asks ? facts->reg->live : facts->reg->places.n;
        role->age = facts->now - MIN(facts->now, MAX(facts->said, facts->reg->written));
        return asks || (facts->standing == STANDING_COMMITTED && facts->place);
}

static RolloutPart part_of(const RoleFacts *facts) {
        switch (facts->standing) {
        case STANDING_CHANGING:
        case STANDING_RETURNING:
                return ROLLOUT_CHANGES;
        case STANDING_COMMITTED:
        case STANDING_ASKED_DOWN:
                return ROLLOUT_HAS_SAID;
        case STANDING_ASKED:
                return stage_has_room(facts) ? ROLLOUT_HAS_SAID : ROLLOUT_LOOKS_ON;
        default:
                return ROLLOUT_LOOKS_ON;
        }
}

/* A plain change that is complete, and a rollout that was aborted and is back, are over for good; one that is complete can be
 * aborted. */
static bool rests(const RoleFacts *facts, const Role *role) {
        const Register *reg = facts->reg;
        bool done = facts->standing == STANDING_MEMBER || facts->standing == STANDING_OUT,
             over = facts->plan->staged ? reg->state == REGISTER_ABORTED && reg->running == 0 &&
                                                  facts->standing != STANDING_MEMBER
                                        : reg->state == REGISTER_COMPLETE && done;

        return over && reg->places.n == 0 && role->step == ROLE_WAIT && !role->writes &&
               role->part == ROLLOUT_LOOKS_ON;
}

void rollout_role(const RoleFacts *facts, Role *ret) {
        uint64_t due = register_due(facts->reg, facts->plan), asks = asks_at(facts);
        Role role = { .step = next_step(facts), .part = part_of(facts), .look_by = USEC_INFINITY };

        role.writes = waits_for_a_write(facts, &role);
        if (!role.writes && due <= facts->now) {
                role.writes = true;
                role.crowd = facts->reg->live;
                role.age = facts->now - due;
        }
        if (!role.writes && has_news(facts)) {
                role.writes = true;
                role.crowd = facts->reg->live;
                role.age = facts->now - MIN(facts->now, facts->said);
                role.part = ROLLOUT_HAS_SAID;
        }
        if (facts->standing == STANDING_BEFORE && asks > facts->now)
                role.look_by = asks;
        role.rests = rests(facts, &role);
        *ret = role;
}

const char *role_step_to_string(RoleStep step) {
        static const char *const names[] = { "wait",     "ask for a place",   "change to the new release",
                                             "back out", "count as a member", "ask for the way back",
                                             "go back" };

        _Static_assert(ELEMENTSOF(names) == ROLE_STEPS, "each step has a name");
        return names[step];
}
