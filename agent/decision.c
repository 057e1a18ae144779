#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/decision.h"

static void decided(Decision *ret, DecisionAction action, const char *format, ...) _printf_(3, 4);

static void decided(Decision *ret, DecisionAction action, const char *format, ...) {
        va_list arguments;

        ret->action = action;
        va_start(arguments, format);
        (void) vsnprintf(ret->reason, sizeof(ret->reason), format, arguments);
        va_end(arguments);
}

static uint64_t retry_delay(unsigned count) {
        uint64_t delay = DECISION_RETRY_FIRST;

        for (unsigned i = 1; i < count && delay < DECISION_RETRY_MAX; i++)
                delay *= 2;
        return MIN(delay, (uint64_t) DECISION_RETRY_MAX);
}

static void decide_after_failure(const DecisionFacts *facts, const Failure *failure, Decision *ret) {
        const char *version = failure->release.version;

        if (failure->fault == FAULT_RELEASE || failure->fault == FAULT_INPUT ||
            failure->fault == FAULT_UNKNOWN) {
                decided(ret, DECISION_FAILED, "release %s failed in %s: %s", version,
                        step_to_string(failure->step), failure->reason);
                return;
        }
        ret->retry_at = usec_add(failure->at, retry_delay(failure->count));
        if (ret->retry_at <= facts->now || failure->at > facts->now)
                decided(ret, DECISION_DEPLOY, "release %s is tried again after: %s", version,
                        failure->reason);
        else
                decided(ret, DECISION_RETRY,
                        "release %s waits to be tried again after a fault of this instance: %s", version,
                        failure->reason);
}

/* Without a look at the target, which may not be known: this is for when the depot is gone, too. */
static void decide_pinned(const DecisionFacts *facts, Decision *ret) {
        const LocalPin *pin = &facts->record->pin;
        const Failure *failure = record_find_failure(facts->record, pin->release.sha256, 0);

        ret->local_pin = true;
        if (release_ref_equal(&facts->record->good, &pin->release))
                decided(ret, DECISION_FINISHED, "this instance is pinned to release %s: %s",
                        pin->release.version, pin->reason);
        else if (failure)
                decide_after_failure(facts, failure, ret);
        else
                decided(ret, DECISION_DEPLOY, "this instance was pinned to release %s: %s",
                        pin->release.version, pin->reason);
}

void decide(const DecisionFacts *facts, Decision *ret) {
        const Record *record = facts->record;
        const Failure *failure;
        bool same;

        *ret = (Decision){};
        if (record->pin.release.version) {
                decide_pinned(facts, ret);
                return;
        }
        if (!facts->target_known) {
                decided(ret, DECISION_WAIT, "%s",
                        facts->no_target ? facts->no_target : "no target was read yet");
                return;
        }
        if (record->good_is_local && facts->target_serial <= record->good_serial && record->good.version) {
                decided(ret, DECISION_FINISHED,
                        "release %s was deployed by hand; a target above serial %" PRIu64 " replaces it",
                        record->good.version, record->good_serial);
                return;
        }
        same = release_ref_equal(&record->good, &facts->stable);
        ret->env_changed = same && strcmp(record->good_env_sha256, facts->env_sha256) != 0;
        if (same && !ret->env_changed) {
                decided(ret, DECISION_FINISHED, "release %s is what target %" PRIu64 " %s",
                        facts->stable.version, facts->target_serial,
                        facts->pinned ? "pins the group to" : "asks for");
                return;
        }
        failure = record_find_failure(record, facts->stable.sha256, facts->target_serial);
        if (failure)
                decide_after_failure(facts, failure, ret);
        else
                decided(ret, DECISION_DEPLOY, "target %" PRIu64 " %s release %s%s", facts->target_serial,
                        facts->pinned ? "pins the group to" : "asks for", facts->stable.version,
                        ret->env_changed ? " with other environment values" : "");
}

int decision_accept_target(const Record *record, uint64_t serial, const char *sha256, Error *error) {
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
