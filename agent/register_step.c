#include <inttypes.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/register_step.h"

/* What the fleet looks like to one who writes. */
typedef struct Count {
        uint64_t live;
        uint64_t needed;   /* live, and neither failed nor out: those a stage can be made of */
        uint64_t members;  /* live and healthy with the new release */
        uint64_t running;  /* live with the new release, committed, or with a place on the way there */
        uint64_t failures; /* instances, each once */
        uint64_t held;     /* places that hold up others */
} Count;

static uint64_t whole_seconds(uint64_t usec) {
        return usec_add(usec, USEC_PER_SEC - 1) / USEC_PER_SEC * USEC_PER_SEC;
}

/* Takes back what has ended, and what its holder has lost. */
static bool settle_places(Register *reg, const RegisterSight *sight) {
        bool changed = false;

        for (size_t i = 0; i < reg->places.n;) {
                RegisterPlace *place = reg->places.items + i;
                const InstanceMarks *marks = rollout_marks_find(sight->marks, place->instance);
                bool lost = sight->now >= usec_add(place->until, REGISTER_MARGIN);
                bool ended = marks &&
                             marks_have_ended(marks, (unsigned) place->attempt, place->move == REGISTER_DOWN);

                if (ended || (lost && !(marks && marks->live))) {
                        register_remove_place(reg, i);
                        changed = true;
                        continue;
                }
                changed = changed || (lost && !place->late);
                place->late = place->late || lost;
                i++;
        }
        return changed;
}

/* Who is late on the way there has failed, unless it has failed before. */
static Count count(const Register *reg, const RolloutMarks *marks) {
        Count n = {};

        for (size_t i = 0; i < marks->n; i++) {
                const InstanceMarks *m = marks->items + i;

                n.live += m->live;
                n.needed += m->live && marks_are_needed(m);
                n.members += m->live && marks_are_healthy(m);
                n.running += m->live && marks_run(m);
                n.failures += m->failed;
        }
        for (size_t i = 0; i < reg->places.n; i++) {
                const RegisterPlace *place = reg->places.items + i;
                const InstanceMarks *m = rollout_marks_find(marks, place->instance);
                bool up = place->move == REGISTER_UP;

                n.held += !place->late;
                n.running += up && !(m && m->live && marks_run(m));
                n.failures += up && place->late && !(m && m->failed);
        }
        return n;
}

static int abort_by_itself(Register *reg, const char *reason) {
        reg->state = REGISTER_ABORTED;
        return string_set(&reg->reason, reason) < 0 ? -ENOMEM : 1;
}

/* What they have found holds for others, too. */
static int take_in_alarms(Register *reg, const RegisterSight *sight) {
        const AlarmsSight *alarms = sight->alarms;

        if (!alarms || !sight->plan->alarmed)
                return 0;
        reg->alarms = alarms->state;
        reg->alarms_seen = sight->now / USEC_PER_SEC * USEC_PER_SEC;
        return string_set(&reg->alarms_reason, *alarms->reason ? alarms->reason : NULL) < 0 ? -ENOMEM : 1;
}

static int abort_for_failures(Register *reg, const RolloutPlan *plan, const Count *n) {
        char reason[256];

        if (n->failures > plan->max_failures)
                (void) snprintf(reason, sizeof(reason), "%" PRIu64 " %s failed, %" PRIu64 " may", n->failures,
                                n->failures == 1 ? "instance" : "instances", plan->max_failures);
        else
                (void) snprintf(reason, sizeof(reason), "no instance is left that has not failed");
        return abort_by_itself(reg, reason);
}

/* All of the stage are healthy, it has baked, and nothing holds it. */
static bool stage_has_ended(const Register *reg, const RegisterSight *sight, bool all_healthy) {
        const RolloutPlan *plan = sight->plan;
        uint64_t bake = plan->stages[reg->stage].bake;

        return reg->state == REGISTER_ACTIVE && all_healthy &&
               (bake == 0 || sight->now >= usec_add(reg->full, bake)) &&
               register_alarms_let_end(reg, plan, sight->now) &&
               !(plan->staged && target_find_freeze(plan->target, sight->now));
}

static bool open_next_stage(Register *reg, const RegisterSight *sight, const Count *n) {
        const RolloutPlan *plan = sight->plan;

        if (reg->stage + 1 == plan->n_stages) {
                reg->state = REGISTER_COMPLETE;
                return true;
        }
        if (sight->now < rollout_plan_entry(plan, reg->stage + 1) ||
            (plan->target->rollout.promote == TARGET_PROMOTE_MANUAL && !reg->promoted))
                return false;
        reg->stage++;
        reg->fleet = n->live;
        reg->opened = whole_seconds(sight->now);
        reg->full = 0;
        reg->promoted = false;
        return true;
}

/* A bake begins when all are healthy, and begins again once fewer than half of them are left: in a large fleet there is
 * always one that has just been replaced. */
static bool bake(Register *reg, uint64_t need, uint64_t members, uint64_t now) {
        uint64_t before = reg->full;

        if (need == 0 || members < need - need / 2)
                reg->full = 0;
        else if (members >= need && reg->full == 0)
                reg->full = whole_seconds(now);
        return reg->full != before;
}

/* What failures, health and time make of the state and the stage. A stage for which there are enough already bakes at once. */
static int judge(Register *reg, const RegisterSight *sight, const Count *n) {
        bool changed = false, opened;

        if (reg->state != REGISTER_ACTIVE && reg->state != REGISTER_PAUSED)
                return 0;
        if (sight->plan->staged &&
            (n->failures > sight->plan->max_failures || (n->failures > 0 && n->live > 0 && n->needed == 0)))
                return abort_for_failures(reg, sight->plan, n);
        if (register_alarms_keep_out(reg, sight->plan) && n->running > 0)
                return abort_by_itself(reg, reg->alarms_reason ?: "an alarm rings");
        do {
                uint64_t need = MIN(n->needed, register_allowed(reg, sight->plan));

                changed = bake(reg, need, n->members, sight->now) || changed;
                opened = stage_has_ended(reg, sight, need > 0 && n->members >= need) &&
                         open_next_stage(reg, sight, n);
                changed = changed || opened;
        } while (opened && reg->state == REGISTER_ACTIVE);
        return changed;
}

static bool is_to_be_refreshed(const Register *reg, const RegisterSight *sight) {
        return register_goes_on(reg) && sight->now >= usec_add(reg->written, register_refresh(sight->plan));
}

/* Places */

typedef struct Asker {
        const char *instance;
        unsigned attempt;
        bool canary;
        uint64_t order;
} Asker;

static int compare_askers(const void *a, const void *b) {
        const Asker *x = a, *y = b;

        if (x->canary != y->canary)
                return x->canary ? -1 : 1;
        if (x->order != y->order)
                return x->order < y->order ? -1 : 1;
        return strcmp(x->instance, y->instance);
}

static bool is_asking(const InstanceMarks *m, RegisterMove move) {
        return m->live && (move == REGISTER_UP ? marks_want_up(m) : marks_want_down(m));
}

/* For each item of MARKS whether it has a place. NULL: no memory. */
static bool *find_placed(const Register *reg, const RolloutMarks *marks) {
        bool *placed = calloc(marks->n + 1, sizeof(*placed));

        for (size_t i = 0; placed && i < reg->places.n; i++) {
                const InstanceMarks *m = rollout_marks_find(marks, reg->places.items[i].instance);

                if (m)
                        placed[m - marks->items] = true;
        }
        return placed;
}

/* Gives up to ROOM places to those who ask for one, in their order. Negative, or how many. */
static int grant(Register *reg, const RegisterSight *sight, RegisterMove move, uint64_t room) {
        _cleanup_free_ Asker *askers = calloc(sight->marks->n + 1, sizeof(*askers));
        _cleanup_free_ bool *placed = find_placed(reg, sight->marks);
        uint64_t until = whole_seconds(usec_add(sight->now, sight->plan->progress_deadline));
        size_t n = 0;

        if (!askers || !placed)
                return -ENOMEM;
        for (size_t i = 0; i < sight->marks->n && room > 0; i++) {
                const InstanceMarks *m = sight->marks->items + i;

                if (is_asking(m, move) && !placed[i])
                        askers[n++] = (Asker){ m->instance, m->attempt,
                                               rollout_plan_is_canary(sight->plan, m->instance),
                                               rollout_plan_order(sight->plan, m->instance) };
        }
        qsort(askers, n, sizeof(*askers), compare_askers);
        n = MIN(n, room);
        for (size_t i = 0; i < n; i++)
                if (register_add_place(reg, askers[i].instance, askers[i].attempt, move, until) == -ENOMEM)
                        return -ENOMEM;
        return (int) n;
}

/* Places that are kept for those who were chosen by hand and have not asked yet. */
static uint64_t reserved_for_canaries(const Register *reg, const RegisterSight *sight) {
        uint64_t n = 0;

        if (reg->stage > 0 || sight->plan->target->rollout.canaries.n == 0)
                return 0;
        for (size_t i = 0; i < sight->marks->n; i++) {
                const InstanceMarks *m = sight->marks->items + i;

                n += m->live && rollout_plan_is_canary(sight->plan, m->instance) && marks_are_needed(m) &&
                     !marks_run(m) && !marks_want_up(m) && !register_find_place(reg, m->instance);
        }
        return n;
}

static bool gives_places_up(const Register *reg, const RegisterSight *sight) {
        return (reg->state == REGISTER_ACTIVE || reg->state == REGISTER_COMPLETE) &&
               sight->now >= rollout_plan_entry(sight->plan, reg->stage) &&
               !register_alarms_keep_out(reg, sight->plan) &&
               !(sight->plan->staged && target_find_freeze(sight->plan->target, sight->now));
}

/* How many more may change at once. */
static uint64_t count_room(const Register *reg, const RolloutPlan *plan, const Count *n) {
        uint64_t parallel = rollout_plan_parallel(plan, reg->fleet, REGISTER_PLACES_MAX),
                 left = REGISTER_PLACES_MAX - reg->places.n;

        return n->held >= parallel ? 0 : MIN(parallel - n->held, left);
}

/* How many more may run the new release. */
static uint64_t count_free(const Register *reg, const RegisterSight *sight, const Count *n) {
        uint64_t allowed = register_allowed(reg, sight->plan),
                 taken = n->running + reserved_for_canaries(reg, sight);

        return taken >= allowed ? 0 : allowed - taken;
}

/* Moves back first, whatever the state; then, as far as the stage goes, moves up. Negative, or how many. */
static int grant_places(Register *reg, const RegisterSight *sight, const Count *n) {
        uint64_t room = count_room(reg, sight->plan, n);
        int down, up;

        down = grant(reg, sight, REGISTER_DOWN, room);
        if (down < 0 || !gives_places_up(reg, sight))
                return down;
        room -= (uint64_t) down;
        up = grant(reg, sight, REGISTER_UP, MIN(room, count_free(reg, sight, n)));
        return up < 0 ? up : down + up;
}

/* What others wait for: that the stage takes more of them, and that all are back from what was aborted. */
static bool numbers_tell(const Register *reg, const RolloutPlan *plan, const Count *n) {
        uint64_t allowed = register_allowed(reg, plan);

        if (reg->state == REGISTER_ABORTED)
                return (n->running > 0) != (reg->running > 0);
        return n->running < allowed && reg->running >= allowed;
}

static int take_in(Register *reg, const RegisterSight *sight) {
        bool changed = settle_places(reg, sight);
        Count n = count(reg, sight->marks);
        int seen = take_in_alarms(reg, sight), judged, granted;

        if (seen < 0)
                return seen;
        judged = judge(reg, sight, &n);
        if (judged < 0)
                return judged;
        granted = grant_places(reg, sight, &n);
        if (granted < 0)
                return granted;
        changed = changed || reg->touched || numbers_tell(reg, sight->plan, &n);
        reg->touched = false;
        reg->live = n.live;
        reg->members = n.members;
        reg->running = n.running;
        reg->failures = n.failures;
        return changed || seen || judged || granted || is_to_be_refreshed(reg, sight);
}

/* The operator's events */

static int refuse(const Register *reg, int r, Error *error, const char *what) {
        return error_set_fault(error, r, FAULT_INPUT, "rollout %s: %s, it is %s", reg->id, what,
                               register_state_to_string(reg->state));
}

static int take_over(Register *reg, RegisterState state, const RegisterEvent *event) {
        reg->state = state;
        if (string_set(&reg->reason, event->reason) < 0 || string_set(&reg->by, event->by) < 0)
                return -ENOMEM;
        return 1;
}

static int pause_rollout(Register *reg, const RegisterEvent *event, Error *error) {
        if (reg->state == REGISTER_PAUSED)
                return refuse(reg, -EALREADY, error, "cannot be paused");
        if (reg->state != REGISTER_ACTIVE)
                return refuse(reg, -EPERM, error, "cannot be paused");
        return take_over(reg, REGISTER_PAUSED, event);
}

static int resume_rollout(Register *reg, const RegisterEvent *event, Error *error) {
        if (reg->state == REGISTER_ACTIVE)
                return refuse(reg, -EALREADY, error, "cannot be resumed");
        if (reg->state != REGISTER_PAUSED)
                return refuse(reg, -EPERM, error, "cannot be resumed");
        return take_over(reg, REGISTER_ACTIVE, event);
}

/* A complete rollout can be aborted as long as its candidate has not been signed as the stable release. */
static int abort_rollout(Register *reg, const RolloutPlan *plan, const RegisterEvent *event, Error *error) {
        if (!plan->staged)
                return error_set_fault(error, -EPERM, FAULT_INPUT,
                                       "rollout %s: a change of the stable release cannot be aborted; "
                                       "set the target that is wanted",
                                       reg->id);
        if (reg->state == REGISTER_ABORTED)
                return refuse(reg, -EALREADY, error, "cannot be aborted");
        return take_over(reg, REGISTER_ABORTED, event);
}

static int promote_rollout(Register *reg, const RolloutPlan *plan, const RegisterEvent *event, Error *error) {
        if (reg->state != REGISTER_ACTIVE && reg->state != REGISTER_PAUSED)
                return refuse(reg, -EPERM, error, "cannot be promoted");
        if (plan->target->rollout.promote != TARGET_PROMOTE_MANUAL && !plan->alarmed)
                return error_set_fault(error, -EPERM, FAULT_INPUT,
                                       "rollout %s: its stages follow each other by themselves", reg->id);
        if (event->stage != reg->stage)
                return error_set_fault(error, -ESTALE, FAULT_INPUT,
                                       "rollout %s: stage %" PRIu64 " is not the one that is open, %" PRIu64
                                       " is",
                                       reg->id, event->stage + 1, reg->stage + 1);
        if (reg->promoted)
                return error_set_fault(error, -EALREADY, FAULT_INPUT,
                                       "rollout %s: stage %" PRIu64 " is promoted already", reg->id,
                                       reg->stage + 1);
        reg->promoted = true;
        return string_set(&reg->by, event->by) < 0 ? -ENOMEM : 1;
}

int register_step(Register *reg, const RegisterEvent *event, const RegisterSight *sight, Error *error) {
        int r = register_check(reg, sight->plan, error);

        if (r < 0)
                return r;
        switch (event->kind) {
        case REGISTER_TAKE_IN:
                r = take_in(reg, sight);
                break;
        case REGISTER_PAUSE:
                r = pause_rollout(reg, event, error);
                break;
        case REGISTER_RESUME:
                r = resume_rollout(reg, event, error);
                break;
        case REGISTER_PROMOTE:
                r = promote_rollout(reg, sight->plan, event, error);
                break;
        case REGISTER_ABORT:
                r = abort_rollout(reg, sight->plan, event, error);
                break;
        default:
                r = -EINVAL;
        }
        if (r > 0 && (event->kind == REGISTER_RESUME || event->kind == REGISTER_PROMOTE))
                reg->touched = true;
        return r == -ENOMEM ? error_oom(error) : r;
}

int register_open(const RolloutPlan *plan, uint64_t fleet, uint64_t now, Register **ret, Error *error) {
        _cleanup_register_ Register *reg = calloc(1, sizeof(*reg));

        if (!reg || string_set(&reg->id, plan->id) < 0 ||
            string_set(&reg->release_sha256, plan->to->sha256) < 0)
                return error_oom(error);
        reg->fleet = fleet;
        reg->live = fleet;
        reg->opened = whole_seconds(now);
        *ret = TAKE_PTR(reg);
        return 0;
}

int register_sign(Register *reg, const char *nonce, const char *writer, uint64_t now) {
        if (string_set(&reg->nonce, nonce) < 0 || string_set(&reg->writer, writer) < 0)
                return -ENOMEM;
        reg->rev++;
        reg->written = whole_seconds(now);
        return 0;
}

const char *register_event_to_string(RegisterEventKind kind) {
        static const char *const names[] = { "take in", "pause", "resume", "promote", "abort" };

        return names[kind];
}
