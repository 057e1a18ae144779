#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/base/utf8.h"
#include "agent/decision.h"

static void decided(Decision *ret, DecisionAction action, const char *format, ...) _printf_(3, 4);

static void decided(Decision *ret, DecisionAction action, const char *format, ...) {
        va_list arguments;

        ret->action = action;
        va_start(arguments, format);
        utf8_vformat(ret->reason, sizeof(ret->reason), format, arguments);
        va_end(arguments);
}

static uint64_t delay_after(unsigned count) {
        uint64_t delay = DECISION_RETRY_FIRST;

        for (unsigned i = 1; i < count && delay < DECISION_RETRY_MAX; i++)
                delay *= 2;
        return MIN(delay, (uint64_t) DECISION_RETRY_MAX);
}

const char *decision_action_to_string(DecisionAction action) {
        static const char *const names[] = {
                [DECISION_WAIT] = "wait",
                [DECISION_RETRY] = "retry",
                [DECISION_DEPLOY] = "deploy",
                [DECISION_FINISHED] = "finished",
                [DECISION_FAILED] = "failed",
                [DECISION_CHECK] = "check",
                [DECISION_UNHEALTHY] = "unhealthy",
                [DECISION_ROLL_BACK] = "roll-back",
                [DECISION_STUCK] = "stuck",
                [DECISION_PREFETCH] = "prefetch",
                [DECISION_PREFETCHED] = "prefetched",
                [DECISION_DRAIN] = "drain",
                [DECISION_DRAINED] = "drained",
        };

        return names[action];
}

static bool rollback_failed(const Record *record) {
        return record->deployment.id && record->deployment.outcome == OUTCOME_ROLLBACK_FAILED;
}

/* Also with the clock set back. */
static bool is_due(uint64_t now, uint64_t failed_at, uint64_t retry_at) {
        return retry_at <= now || failed_at > now;
}

static bool is_quarantined(const Failure *failure) {
        return failure->fault != FAULT_HOST || failure->disturbing >= DECISION_DISTURBING_MAX;
}

uint64_t decision_retry_at(const Failure *failure) {
        unsigned count = failure->count - (failure->interrupted && failure->count > 0 ? 1 : 0);

        if (is_quarantined(failure))
                return USEC_INFINITY;
        return usec_add(failure->at, count > 0 ? delay_after(count) : 0);
}

static void decide_after_failure(const DecisionFacts *facts, const Failure *failure, Decision *ret) {
        const char *version = failure->release.version;

        if (is_quarantined(failure)) {
                decided(ret, DECISION_FAILED, "release %s failed %sin %s: %s", version,
                        failure->fault == FAULT_HOST ? "again and again, the last time " : "",
                        step_to_string(failure->step), failure->reason);
                return;
        }
        ret->retry_at = decision_retry_at(failure);
        if (is_due(facts->now, failure->at, ret->retry_at))
                decided(ret, DECISION_DEPLOY, "release %s is tried again after: %s", version,
                        failure->reason);
        else
                decided(ret, DECISION_RETRY,
                        "release %s waits to be tried again after a fault of this instance: %s", version,
                        failure->reason);
}

/* Without a look at the target, which may not be known: this is for when the depot is gone, too. */
static void decide_pinned(const DecisionFacts *facts, Decision *ret) {
        const Record *record = facts->record;
        const LocalPin *pin = &record->pin;
        const Failure *failure = record_find_failure(record, pin->release.sha256, 0, NULL);

        ret->local_pin = true;
        ret->release = &pin->release;
        if (release_ref_equal(&record->good, &pin->release) && record_good_is_up(record))
                decided(ret, DECISION_FINISHED, "this instance is pinned to release %s: %s",
                        pin->release.version, pin->reason);
        else if (failure)
                decide_after_failure(facts, failure, ret);
        else
                decided(ret, DECISION_DEPLOY, "this instance was pinned to release %s: %s",
                        pin->release.version, pin->reason);
}

/* The disk may have room again, and a restart may have helped; nothing else that could have changed is known. */
static void decide_after_failed_rollback(const DecisionFacts *facts, Decision *ret) {
        const Deployment *d = &facts->record->deployment;
        bool rebooted = !string_equal(d->boot_id, facts->boot_id);
        const char *step = step_to_string(d->rollback_step),
                   *reason = d->rollback_reason ? d->rollback_reason : "unknown",
                   *back_to = d->from.version ? d->from.version : "nothing";

        if (d->rollbacks >= DECISION_ROLLBACKS_MAX || (d->rollback_fault != FAULT_HOST && !rebooted)) {
                decided(ret, DECISION_STUCK,
                        "the way back to %s failed in %s: %s; a newer target or a deployment by hand leads on",
                        back_to, step, reason);
                return;
        }
        ret->retry_at = rebooted ? facts->now : usec_add(d->finished, delay_after(d->rollbacks + 1));
        decided(ret, is_due(facts->now, d->finished, ret->retry_at) ? DECISION_ROLL_BACK : DECISION_RETRY,
                "the way back to %s, which failed in %s, is tried again: %s", back_to, step, reason);
}

static void decide_check(const DecisionFacts *facts, Decision *ret) {
        const FailedChecks *checks = facts->checks;
        const char *version = facts->record->good.version;

        if (!checks || checks->count == 0) {
                decided(ret, DECISION_CHECK,
                        "release %s has yet to pass its checks since the instance was started", version);
                return;
        }
        if (checks->count >= DECISION_CHECKS_MAX) {
                decided(ret, DECISION_UNHEALTHY,
                        "release %s does not pass its checks since the instance was started: %s", version,
                        checks->reason);
                return;
        }
        ret->retry_at = usec_add(checks->at, delay_after(checks->count));
        decided(ret, is_due(facts->now, checks->at, ret->retry_at) ? DECISION_CHECK : DECISION_RETRY,
                "release %s is checked again: %s", version, checks->reason);
}

static bool is_in_store(const Record *record, const ReleaseRef *release) {
        return release_ref_equal(&record->good, release) || release_ref_equal(&record->prefetched, release) ||
               release_ref_equal(&record->previous, release);
}

/* While nothing else is to be done: what comes next is fetched, so that it needs no download in its turn. */
static void decide_ahead(const DecisionFacts *facts, Decision *ret) {
        const ReleaseRef *ahead = &facts->ahead;
        const Failure *failure;
        uint64_t at;

        if (!ahead->version || is_in_store(facts->record, ahead))
                return;
        failure = record_find_failure(facts->record, ahead->sha256, facts->target_serial, facts->rollout);
        at = failure ? decision_retry_at(failure) : 0;
        if (failure && !is_due(facts->now, failure->at, at)) {
                ret->retry_at = at < USEC_INFINITY ? at : 0;
                return;
        }
        ret->release = ahead;
        decided(ret, DECISION_PREFETCH, "release %s is fetched ahead of its turn", ahead->version);
}

static const char *what_is_asked(const DecisionFacts *facts) {
        if (facts->candidate)
                return "moves the group to";
        return facts->pinned ? "pins the group to" : "asks for";
}

/* There is a target, and no failed rollback that it cannot lead out of. */
static void decide_on_target(const DecisionFacts *facts, Decision *ret) {
        const Record *record = facts->record;
        bool same = release_ref_equal(&record->good, &facts->wanted);
        const Failure *failure;

        if (record->good_is_local && facts->target_serial <= record->good_serial &&
            record_good_is_up(record)) {
                decided(ret, DECISION_FINISHED,
                        "release %s was deployed by hand; a target above serial %" PRIu64 " replaces it",
                        record->good.version, record->good_serial);
                return;
        }
        ret->env_changed = same && strcmp(record->good_env_sha256, facts->env_sha256) != 0;
        if (same && !ret->env_changed && record_good_is_up(record)) {
                decided(ret, DECISION_FINISHED, "release %s is what target %" PRIu64 " %s",
                        facts->wanted.version, facts->target_serial, what_is_asked(facts));
                decide_ahead(facts, ret);
                return;
        }
        if (facts->held) {
                decided(ret, DECISION_WAIT, "%s", facts->held);
                decide_ahead(facts, ret);
                return;
        }
        ret->release = &facts->wanted;
        failure = record_find_failure(record, facts->wanted.sha256, facts->target_serial, facts->rollout);
        if (failure)
                decide_after_failure(facts, failure, ret);
        else
                decided(ret, DECISION_DEPLOY, "target %" PRIu64 " %s release %s%s", facts->target_serial,
                        what_is_asked(facts), facts->wanted.version,
                        ret->env_changed ? " with other environment values" : "");
}

/* Of a rollback that failed. */
static bool leads_out(const DecisionFacts *facts) {
        const Record *record = facts->record;

        if (record->pin.release.version)
                return record->pin.since > record->deployment.finished;
        return facts->target_known && facts->target_serial > record->deployment.accepted;
}

static void decide_serve(const DecisionFacts *facts, Decision *ret) {
        const Record *record = facts->record;

        if (rollback_failed(record) && !leads_out(facts)) {
                decide_after_failed_rollback(facts, ret);
                return;
        }
        if (record->pin.release.version)
                decide_pinned(facts, ret);
        else if (facts->target_known)
                decide_on_target(facts, ret);
        else
                decided(ret, DECISION_WAIT, "%s",
                        facts->no_target ? facts->no_target : "no target was read yet");
        if (ret->action != DECISION_DEPLOY && record_good_is_up(record) &&
            !string_equal(record->good_boot_id, facts->boot_id))
                decide_check(facts, ret);
}

const ReleaseRef *decision_runs(const Record *record) {
        const Deployment *d = &record->deployment;
        bool cut = deployment_left_a_mixture(d);

        if (cut && (d->failed_step > STEP_SWITCH || !record->good.version))
                return &d->to;
        return record->good.version && (cut || !record->good_is_stopped) ? &record->good : NULL;
}

static bool decide_drain(const DecisionFacts *facts, Decision *ret) {
        const ReleaseRef *runs = decision_runs(facts->record);

        if (runs)
                decided(ret, DECISION_DRAIN, "release %s is to be stopped: %s", runs->version, facts->life);
        return runs;
}

static void decide_leave(const DecisionFacts *facts, Decision *ret) {
        if (!decide_drain(facts, ret))
                decided(ret, DECISION_DRAINED, "nothing runs and nothing is begun: %s", facts->life);
}

/* From the store, where a release lies that was good or has been fetched for this, it enters service in seconds. */
static void decide_prepare(const DecisionFacts *facts, Decision *ret) {
        const Record *record = facts->record;
        bool pinned = record->pin.release.version;
        const ReleaseRef *wanted = pinned ? &record->pin.release : &facts->wanted;
        const Failure *failure;

        if (decide_drain(facts, ret))
                return;
        ret->local_pin = pinned;
        ret->release = wanted;
        if (!pinned && !facts->target_known) {
                decided(ret, DECISION_WAIT, "%s",
                        facts->no_target ? facts->no_target : "no target was read yet");
                return;
        }
        if (release_ref_equal(&record->good, wanted) || release_ref_equal(&record->prefetched, wanted)) {
                decided(ret, DECISION_PREFETCHED, "release %s is in the store and not started: %s",
                        wanted->version, facts->life);
                return;
        }
        failure = record_find_failure(record, wanted->sha256, pinned ? 0 : facts->target_serial,
                                      pinned ? NULL : facts->rollout);
        if (failure)
                decide_after_failure(facts, failure, ret);
        else
                decided(ret, DECISION_DEPLOY, "release %s is fetched and not started: %s", wanted->version,
                        facts->life);
        if (ret->action == DECISION_DEPLOY)
                ret->action = DECISION_PREFETCH;
}

/* What root orders is done, and what serves may be looked at. */
static void decide_hold(const DecisionFacts *facts, Decision *ret) {
        decide_serve(facts, ret);
        if ((ret->action == DECISION_DEPLOY && !ret->local_pin) || ret->action == DECISION_PREFETCH ||
            ret->action == DECISION_ROLL_BACK)
                decided(ret, DECISION_WAIT, "nothing is begun: %s", facts->life);
}

void decide(const DecisionFacts *facts, Decision *ret) {
        static void (*const by_posture[])(const DecisionFacts *, Decision *) = {
                [POSTURE_SERVE] = decide_serve,
                [POSTURE_HOLD] = decide_hold,
                [POSTURE_PREPARE] = decide_prepare,
                [POSTURE_LEAVE] = decide_leave,
        };

        *ret = (Decision){};
        by_posture[facts->posture](facts, ret);
}

bool decision_supersedes(const DecisionFacts *facts, const Deployment *deployment) {
        const LocalPin *pin = &facts->record->pin;

        if (pin->release.version)
                return !release_ref_equal(&pin->release, &deployment->to);
        if (deployment->kind == KIND_PREFETCH && release_ref_equal(&facts->ahead, &deployment->to))
                return false;
        return facts->target_known && !release_ref_equal(&facts->wanted, &deployment->to);
}

bool decision_is_serving(const Record *record, const char *boot_id) {
        return record_good_is_up(record) && string_equal(record->good_boot_id, boot_id);
}

int decision_accept_target(const Record *record, const char *group, uint64_t serial, const char *sha256,
                           Error *error) {
        if (record->group && strcmp(record->group, group) != 0)
                return 0; /* each group counts for itself */
        if (serial < record->serial)
                return error_set_fault(error, -ESTALE, FAULT_INPUT,
                                       "target has serial %" PRIu64 ", but %" PRIu64
                                       " was accepted already: a serial never goes down",
                                       serial, record->serial);
        if (serial == record->serial && record->target_sha256[0] &&
            strcmp(record->target_sha256, sha256) != 0)
                return error_set_fault(
                        error, -EEXIST, FAULT_INPUT,
                        "target has serial %" PRIu64
                        " like the one accepted before, but other content: a change needs a new serial",
                        serial);
        return 0;
}
