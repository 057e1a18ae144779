#include "agent/app_status.h"
#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/utf8.h"

static const char *state_at_work(const Deployment *deployment) {
        static const char *const states[KIND_COUNT] = { [KIND_DEPLOY] = "deploying",
                                                        [KIND_PREFETCH] = "fetching",
                                                        [KIND_DRAIN] = "draining",
                                                        [KIND_ADOPT] = "adopting" };

        return step_is_rollback(deployment->step) ? "rolling-back" : states[deployment->kind];
}

/* none: no release; deploying, fetching, draining, adopting, rolling-back: at work; prefetched: in the store, for
 * when the instance enters service; stopped: drained, because the instance leaves or lies in a warm pool; checking: a
 * release that was good before the instance was restarted; good: what was asked for serves; held: a release serves,
 * but not the one asked for; failed: nothing serves, and nothing will be tried; rollback-failed: likewise, the way
 * back having failed. */
static const char *state_of(const AppStatusFacts *facts) {
        const Record *record = facts->record;
        DecisionAction action = facts->decision->action;

        if (facts->deploying)
                return state_at_work(&record->deployment);
        if (action == DECISION_PREFETCHED)
                return "prefetched";
        if (record->good_is_down || record->deployment.outcome == OUTCOME_ROLLBACK_FAILED)
                return "rollback-failed";
        if (!record->good.version)
                return action == DECISION_FAILED ? "failed" : "none";
        if (record->good_is_stopped)
                return "stopped";
        if (!facts->serving)
                return action == DECISION_UNHEALTHY ? "failed" : "checking";
        return action == DECISION_FINISHED ? "good" : "held";
}

static json_t *short_time_to_json(uint64_t usec) {
        char text[TIME_TEXT_MAX];

        format_time(usec, text);
        return usec > 0 ? json_string(text) : json_null();
}

static json_t *deployment_status(const AppStatusFacts *facts) {
        const Deployment *deployment = &facts->record->deployment;

        if (!facts->deploying)
                return json_null();
        return json_pack("{s:s, s:s, s:s, s:s, s:s*, s:I, s:o, s:o}", "id", deployment->id, "kind",
                         deployment_kind_to_string(deployment->kind), "version", deployment->to.version,
                         "step", step_to_string(deployment->step), "event",
                         step_lifecycle_event(deployment->step), "attempt", (json_int_t) deployment->attempt,
                         "started", short_time_to_json(deployment->started), "percent",
                         facts->percent >= 0 ? json_integer(facts->percent) : json_null());
}

static json_t *last_failure(const Record *record) {
        const Failure *failure;

        if (record->n_failures == 0)
                return json_null();
        failure = &record->failures[record->n_failures - 1];
        return json_pack("{s:s, s:s, s:s, s:s, s:o}", "version", failure->release.version, "step",
                         step_to_string(failure->step), "fault", error_fault_to_string(failure->fault),
                         "reason", failure->reason, "at", short_time_to_json(failure->at));
}

/* The group's, by its target. */
static json_t *pin_status(const Target *target) {
        if (!target || !target->pinned)
                return json_null();
        return json_pack("{s:s, s:s, s:b, s:s?, s:I, s:o}", "version", target->stable.version,
                         "release_sha256", target->stable.sha256, "urgent", target->urgent, "reason",
                         target->reason, "serial", (json_int_t) target->serial, "since",
                         short_time_to_json(target->issued));
}

static json_t *local_pin_status(const LocalPin *pin) {
        if (!pin->release.version)
                return json_null();
        return json_pack("{s:s, s:s, s:s, s:o}", "version", pin->release.version, "release_sha256",
                         pin->release.sha256, "reason", pin->reason, "since", short_time_to_json(pin->since));
}

int app_status_to_json(const AppStatusFacts *facts, json_t **ret) {
        const Record *record = facts->record;
        bool has_good = record->good.version;
        char reason[DECISION_REASON_MAX];

        snprintf(reason, sizeof(reason), "%s", facts->decision->reason);
        if (facts->deploying)
                utf8_format(reason, sizeof(reason), "%s %s of release %s is in step %s%s%s",
                            record->deployment.kind == KIND_DEPLOY
                                    ? "deployment"
                                    : deployment_kind_to_string(record->deployment.kind),
                            record->deployment.id, record->deployment.to.version,
                            step_to_string(record->deployment.step), *facts->problem ? ": " : "",
                            facts->problem);
        *ret = json_pack("{s:s, s:b, s:s, s:s?, s:s?, s:I, s:b, s:o, s:s, s:s?, s:o, s:o, s:o, s:o}", "app",
                         facts->name, "required", facts->required, "state", state_of(facts), "version",
                         record->good.version, "release_sha256", has_good ? record->good.sha256 : NULL,
                         "serial", (json_int_t) record->serial, "local", record->good_is_local, "since",
                         short_time_to_json(record->good_since), "reason", reason, "target_problem",
                         facts->target_problem, "pin", pin_status(facts->target), "local_pin",
                         local_pin_status(&record->pin), "deployment", deployment_status(facts),
                         "last_failure", last_failure(record));
        return *ret ? 0 : -ENOMEM;
}

static json_t *step_history(const StepLog *log) {
        double seconds = log->finished > log->started ? (double) (log->finished - log->started) / 1e6 : 0.0;

        return json_pack("{s:s, s:s*, s:s, s:I, s:o, s:f, s:s*, s:s*}", "step", step_to_string(log->step),
                         "event", step_lifecycle_event(log->step), "result",
                         step_result_to_string(log->result), "attempt", (json_int_t) log->attempt, "started",
                         short_time_to_json(log->started), "seconds", seconds, "reason", log->reason,
                         "output_tail", log->tail);
}

int app_history_to_json(const char *app, const Deployment *deployment, json_t **ret) {
        json_auto_t *steps = json_array();
        bool failed = deployment->reason;

        for (size_t i = 0; i < deployment->n_steps; i++)
                if (json_array_append_new(steps, step_history(&deployment->steps[i])) < 0)
                        return -ENOMEM;
        *ret = json_pack("{s:s, s:s, s:s, s:s, s:s?, s:I, s:b, s:o, s:o, s:s, s:s?, s:s?, s:s?, s:O}", "id",
                         deployment->id, "kind", deployment_kind_to_string(deployment->kind), "app", app,
                         "version", deployment->to.version, "from_version", deployment->from.version,
                         "serial", (json_int_t) deployment->serial, "local", deployment->local, "started",
                         short_time_to_json(deployment->started), "finished",
                         short_time_to_json(deployment->finished), "outcome",
                         outcome_to_string(deployment->outcome), "reason", deployment->reason, "failed_step",
                         failed ? step_to_string(deployment->failed_step) : NULL, "fault",
                         failed ? error_fault_to_string(deployment->fault) : NULL, "steps", steps);
        return *ret ? 0 : -ENOMEM;
}
