#include <string.h>

#include "agent/base/clock.h"
#include "agent/decision.h"
#include "agent/deployment_json.h"
#include "agent/rollout_record.h"

static bool is_good(const PartFacts *facts, const TargetRelease *release) {
        const ReleaseRef *good = &facts->record->good;

        return good->version && strcmp(good->version, release->version) == 0 &&
               strcmp(good->sha256, release->sha256) == 0;
}

static bool runs(const PartFacts *facts, const TargetRelease *release) {
        return is_good(facts, release) && record_good_is_up(facts->record);
}

static bool has_its_environment(const PartFacts *facts) {
        return strcmp(facts->record->good_env_sha256, facts->env_sha256) == 0;
}

/* A plain change may be one of environment values only; while a rollout goes on these come with the next change. */
static bool runs_new(const PartFacts *facts) {
        return runs(facts, facts->plan->to) && (facts->plan->staged || has_its_environment(facts));
}

/* Neither the one release nor the other: from an older rollout, or by hand. */
static bool runs_another(const PartFacts *facts) {
        return facts->plan->staged && record_good_is_up(facts->record) && !runs(facts, facts->plan->to) &&
               !runs(facts, &facts->plan->target->stable);
}

static const Failure *find_failure(const PartFacts *facts) {
        const Target *target = facts->plan->target;

        return record_find_failure(facts->record, facts->plan->to->sha256, target->serial,
                                   target->rollout.id);
}

static bool are_equal(const RolloutRecord *a, const RolloutRecord *b) {
        return strcmp(a->id, b->id) == 0 && a->standing == b->standing && a->attempt == b->attempt &&
               a->owes == b->owes && a->then == b->then && a->failed == b->failed && a->good == b->good &&
               a->sick_before == b->sick_before;
}

static void owe(RolloutRecord *part, RolloutStanding standing, MarkKind mark) {
        part->standing = standing;
        part->owes = mark;
}

static void join(RolloutRecord *part, const RolloutPlan *plan) {
        *part = (RolloutRecord){
                .standing = STANDING_BEFORE, .attempt = 1, .owes = OWES_NOTHING, .then = MARK_VOID
        };
        memcpy(part->id, plan->id, sizeof(part->id));
}

static void begin_attempt(RolloutRecord *part) {
        part->standing = STANDING_BEFORE;
        part->attempt++;
        part->sick_before = part->good = false;
        part->deployment[0] = '\0';
}

/* What a deployment of the attempt has come to, if it has ended and did not bring the release. */
static void conclude(RolloutRecord *part, const PartFacts *facts) {
        const Deployment *d = &facts->record->deployment;
        bool known = d->id && strcmp(d->id, part->deployment) == 0,
             blamed = known && d->reason && !d->cancelled && d->fault != FAULT_HOST;

        /* It failed ahead of its turn, as it was given its place: nobody waits for the next try. */
        if (!part->deployment[0] && find_failure(facts) && rollout_record_asks_at(part, facts) > 0) {
                owe(part, STANDING_BEFORE,
                    find_failure(facts)->fault == FAULT_HOST ? MARK_VOID : MARK_FAILED);
                return;
        }
        if (!part->deployment[0] || (known && d->outcome == OUTCOME_RUNNING))
                return;
        owe(part, STANDING_BEFORE, blamed && !part->sick_before ? MARK_FAILED : MARK_VOID);
}

/* A release that could not even be fetched, by its own fault, need not be tried in its turn. */
static void judge_fetch(RolloutRecord *part, const PartFacts *facts) {
        const Failure *failure = find_failure(facts);

        if (failure && failure->fault != FAULT_HOST && !part->failed)
                owe(part, STANDING_BEFORE, MARK_FAILED);
}

static void settle_before(RolloutRecord *part, const PartFacts *facts) {
        if (runs_new(facts))
                owe(part, STANDING_COMMITTED, MARK_GOOD);
        else if (part->standing == STANDING_BEFORE && runs_another(facts))
                part->standing = STANDING_UNWANTED;
        else
                judge_fetch(part, facts);
}

static void settle_standing(RolloutRecord *part, const PartFacts *facts) {
        bool is_new = runs_new(facts);

        switch (part->standing) {
        case STANDING_BEFORE:
        case STANDING_ASKED:
                settle_before(part, facts);
                break;
        case STANDING_CHANGING:
                if (!is_new)
                        conclude(part, facts);
                break;
        case STANDING_COMMITTED:
        case STANDING_MEMBER:
                if (!runs(facts, facts->plan->to) && record_good_is_up(facts->record))
                        owe(part, STANDING_BEFORE, MARK_BACK);
                break;
        case STANDING_UNWANTED:
                if (runs(facts, &facts->plan->target->stable))
                        part->standing = STANDING_BEFORE;
                break;
        case STANDING_ASKED_DOWN:
                if (runs(facts, &facts->plan->target->stable))
                        owe(part, STANDING_BEFORE, MARK_BACK);
                break;
        case STANDING_RETURNING:
                if (runs(facts, &facts->plan->target->stable))
                        owe(part, STANDING_BEFORE, part->then);
                break;
        default:
                break;
        }
}

static void settle_presence(RolloutRecord *part, const PartFacts *facts) {
        if (facts->absent && part->standing != STANDING_OUT)
                owe(part, STANDING_OUT, MARK_OUT);
        else if (facts->absent && part->good && (facts->leaves || !runs(facts, facts->plan->to)))
                part->owes = MARK_BACK; /* it makes way for another one */
        else if (!facts->absent && part->standing == STANDING_OUT)
                begin_attempt(part);
}

bool rollout_record_settle(RolloutRecord *part, const PartFacts *facts) {
        RolloutRecord was = *part;

        if (strcmp(part->id, facts->plan->id) != 0)
                join(part, facts->plan);
        if (part->owes == OWES_NOTHING && !facts->deploying && part->attempt <= MARK_ATTEMPTS_MAX)
                settle_presence(part, facts);
        if (part->owes == OWES_NOTHING && !facts->deploying && part->attempt <= MARK_ATTEMPTS_MAX)
                settle_standing(part, facts);
        return !are_equal(&was, part);
}

uint64_t rollout_record_asks_at(const RolloutRecord *part, const PartFacts *facts) {
        const Failure *failure = find_failure(facts);
        uint64_t at = failure ? decision_retry_at(failure) : 0;

        if (part->failed || part->attempt > MARK_ATTEMPTS_MAX)
                return USEC_INFINITY;
        return at <= facts->now || (failure && failure->at > facts->now) ? 0 : at;
}

static void back_out(RolloutRecord *part, const PartFacts *facts) {
        if (part->standing == STANDING_CHANGING && runs_new(facts)) {
                part->standing = STANDING_RETURNING;
                part->then = MARK_VOID;
        } else
                owe(part, STANDING_BEFORE, MARK_VOID);
}

bool rollout_record_take(RolloutRecord *part, const PartFacts *facts, RoleStep step) {
        RolloutRecord was = *part;

        if (part->owes != OWES_NOTHING || (facts->deploying && part->standing == STANDING_CHANGING))
                return false;
        switch (step) {
        case ROLE_ASK_UP:
                if (record_good_is_up(facts->record) && rollout_record_asks_at(part, facts) == 0)
                        part->owes = MARK_UP;
                break;
        case ROLE_GO_UP:
                part->standing = STANDING_CHANGING;
                break;
        case ROLE_BACK_OUT:
                back_out(part, facts);
                break;
        case ROLE_SETTLE:
                part->standing = STANDING_MEMBER;
                break;
        case ROLE_ASK_DOWN:
                owe(part, STANDING_UNWANTED, MARK_DOWN);
                break;
        case ROLE_GO_DOWN:
                part->standing = STANDING_RETURNING;
                part->then = MARK_BACK;
                break;
        default:
                break;
        }
        return !are_equal(&was, part);
}

bool rollout_record_is_proving(const RolloutRecord *part, const PartFacts *facts) {
        return part->standing == STANDING_CHANGING && part->owes == OWES_NOTHING && !facts->deploying &&
               runs_new(facts);
}

void rollout_record_prove(RolloutRecord *part) {
        owe(part, STANDING_COMMITTED, MARK_GOOD);
}

/* Before it has said that it is good the attempt has failed, and its place is there for the way back. */
void rollout_record_sicken(RolloutRecord *part) {
        if (part->standing == STANDING_CHANGING) {
                part->standing = STANDING_RETURNING;
                part->then = part->sick_before ? MARK_VOID : MARK_FAILED;
        } else if (part->standing == STANDING_COMMITTED || part->standing == STANDING_MEMBER)
                owe(part, STANDING_UNWANTED, MARK_SICK);
}

void rollout_record_say(RolloutRecord *part, uint64_t now) {
        MarkKind mark = part->owes;

        part->owes = OWES_NOTHING;
        part->said = now;
        part->failed = part->failed || mark == MARK_FAILED || mark == MARK_SICK;
        part->good = mark == MARK_GOOD || (part->good && mark != MARK_BACK);
        if (mark == MARK_UP)
                part->standing = STANDING_ASKED;
        else if (mark == MARK_DOWN)
                part->standing = STANDING_ASKED_DOWN;
        else if (part->standing != STANDING_OUT && mark != MARK_GOOD && mark != MARK_SICK)
                begin_attempt(part);
}

static bool has_new(const RolloutRecord *part) {
        return part->standing == STANDING_CHANGING || part->standing == STANDING_COMMITTED ||
               part->standing == STANDING_MEMBER;
}

void rollout_record_begin_anew(RolloutRecord *part) {
        part->owes = OWES_NOTHING;
        begin_attempt(part);
}

/* An instance on which nothing serves waits for nobody, but for the first look: who is let in does not bring up the other
 * release before. */
static void wish_of_newcomer(const RolloutRecord *part, const PartFacts *facts, RegisterFound found,
                             const Register *reg, RolloutWish *ret) {
        const RolloutPlan *plan = facts->plan;
        bool had = has_new(part) && is_good(facts, plan->to) && reg && reg->state != REGISTER_ABORTED,
             let_in = had || register_takes_newcomers(reg, plan, facts->depot_now);

        if (!plan->staged)
                return;
        ret->held = found == REGISTER_NOT_READ;
        if (let_in && rollout_record_asks_at(part, facts) != USEC_INFINITY) {
                ret->candidate = true;
                ret->release = &plan->target->candidate;
        }
}

/* Who serves goes where its place leads, and stays otherwise. */
static void wish_of_server(const RolloutRecord *part, const PartFacts *facts, RolloutWish *ret) {
        const RolloutPlan *plan = facts->plan;
        bool goes = part->standing == STANDING_CHANGING || part->standing == STANDING_RETURNING,
             unwanted = part->standing == STANDING_UNWANTED || part->standing == STANDING_ASKED_DOWN;

        if (plan->staged && (has_new(part) || (!goes && !unwanted && runs(facts, plan->to)))) {
                ret->candidate = true;
                ret->release = &plan->target->candidate;
        }
        ret->held = !goes && (!runs(facts, ret->release) ||
                              (!has_its_environment(facts) && rollout_plan_is_limited(plan)));
}

static bool is_to_come(const RolloutRecord *part, const PartFacts *facts, const Register *reg) {
        return (part->standing == STANDING_BEFORE || part->standing == STANDING_ASKED) && reg &&
               reg->state != REGISTER_ABORTED && !is_good(facts, facts->plan->to) &&
               rollout_record_asks_at(part, facts) != USEC_INFINITY;
}

void rollout_record_wish(const RolloutRecord *part, const PartFacts *facts, RegisterFound found,
                         const Register *reg, RolloutWish *ret) {
        *ret = (RolloutWish){ .release = &facts->plan->target->stable };
        if (!record_good_is_up(facts->record)) {
                wish_of_newcomer(part, facts, found, reg, ret);
                return;
        }
        wish_of_server(part, facts, ret);
        if (is_to_come(part, facts, reg))
                ret->ahead = facts->plan->to;
}

/* Words */

static const char *const standings[ROLLOUT_STANDINGS] = {
        [STANDING_BEFORE] = "before",
        [STANDING_ASKED] = "asked",
        [STANDING_CHANGING] = "changing",
        [STANDING_COMMITTED] = "committed",
        [STANDING_MEMBER] = "member",
        [STANDING_UNWANTED] = "unwanted",
        [STANDING_ASKED_DOWN] = "asked-down",
        [STANDING_RETURNING] = "returning",
        [STANDING_OUT] = "out",
};

const char *rollout_record_role(const RolloutRecord *part, const PartFacts *facts) {
        static const char *const roles[ROLLOUT_STANDINGS] = {
                [STANDING_BEFORE] = "waiting",
                [STANDING_ASKED] = "in-line",
                [STANDING_CHANGING] = "changing",
                [STANDING_COMMITTED] = "member",
                [STANDING_MEMBER] = "member",
                [STANDING_UNWANTED] = "to-go-back",
                [STANDING_ASKED_DOWN] = "to-go-back",
                [STANDING_RETURNING] = "going-back",
                [STANDING_OUT] = "out",
        };

        if (rollout_record_is_proving(part, facts))
                return "proving";
        if (part->standing == STANDING_BEFORE && (part->failed || part->owes == MARK_FAILED))
                return "failed";
        return roles[part->standing];
}

json_t *rollout_record_to_json(const RolloutRecord *part) {
        if (!part->id[0])
                return json_null();
        return json_pack("{s:s, s:s, s:I, s:o, s:s, s:s, s:b, s:b, s:b, s:s}", "id", part->id, "standing",
                         standings[part->standing], "attempt", (json_int_t) part->attempt, "said",
                         time_to_json(part->said), "owes", mark_to_string(part->owes), "then",
                         mark_to_string(part->then), "good", part->good, "failed", part->failed,
                         "sick_before", part->sick_before, "deployment", part->deployment);
}

static int standing_from_string(const char *text, RolloutStanding *ret) {
        for (RolloutStanding standing = 0; standing < ROLLOUT_STANDINGS; standing++)
                if (strcmp(standings[standing], text) == 0) {
                        *ret = standing;
                        return 0;
                }
        return -EINVAL;
}

int rollout_record_from_json(json_t *json, RolloutRecord *ret) {
        const char *id, *standing, *owes, *then, *deployment;
        int good, failed, sick_before;
        RolloutRecord part = {};
        json_int_t attempt;
        json_t *said;

        *ret = part;
        if (!json || json_is_null(json))
                return 0;
        if (json_unpack(json, "{s:s, s:s, s:I, s:o, s:s, s:s, s:b, s:b, s:b, s:s}", "id", &id, "standing",
                        &standing, "attempt", &attempt, "said", &said, "owes", &owes, "then", &then, "good",
                        &good, "failed", &failed, "sick_before", &sick_before, "deployment",
                        &deployment) < 0 ||
            !*id || strlen(id) >= sizeof(part.id) || strlen(deployment) >= sizeof(part.deployment) ||
            attempt < 1 || attempt > MARK_ATTEMPTS_MAX + 1 || time_from_json(said, &part.said) < 0 ||
            standing_from_string(standing, &part.standing) < 0 || mark_from_string(owes, &part.owes) < 0 ||
            mark_from_string(then, &part.then) < 0)
                return -EINVAL;
        memcpy(part.id, id, strlen(id) + 1);
        memcpy(part.deployment, deployment, strlen(deployment) + 1);
        part.attempt = (unsigned) attempt;
        part.good = good;
        part.failed = failed;
        part.sick_before = sick_before;
        *ret = part;
        return 0;
}
