#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/deployment_json.h"

json_t *time_to_json(uint64_t usec) {
        char text[TIME_TEXT_MAX];

        if (usec == 0)
                return json_null();
        format_time_exact(usec, text);
        return json_string(text);
}

int time_from_json(json_t *json, uint64_t *ret) {
        *ret = 0;
        return json_is_string(json) ? parse_time(json_string_value(json), ret) : 0;
}

json_t *release_ref_to_json(const ReleaseRef *ref) {
        return ref->version ? json_pack("{s:s, s:s}", "version", ref->version, "sha256", ref->sha256)
                            : json_null();
}

int digest_from_json(json_t *json, char ret[static DIGEST_HEX_SIZE]) {
        const char *text = json_string_value(json);

        if (!text || (*text && strlen(text) != DIGEST_HEX_SIZE - 1))
                return -EINVAL;
        memcpy(ret, text, strlen(text) + 1);
        return 0;
}

int release_ref_from_json(json_t *json, ReleaseRef *ret) {
        const char *version = json_string_value(json_object_get(json, "version"));
        int r;

        if (!json || json_is_null(json))
                return 0;
        if (!version || !version_is_valid(version))
                return -EINVAL;
        r = digest_from_json(json_object_get(json, "sha256"), ret->sha256);
        return r < 0 ? r : string_set(&ret->version, version);
}

static json_t *log_to_json(const StepLog *log) {
        return json_pack("{s:s, s:s, s:I, s:o, s:o, s:s*, s:s*}", "step", step_to_string(log->step), "result",
                         step_result_to_string(log->result), "attempt", (json_int_t) log->attempt, "started",
                         time_to_json(log->started), "finished", time_to_json(log->finished), "reason",
                         log->reason, "output_tail", log->tail);
}

static int logs_to_json(const Deployment *deployment, json_t **ret) {
        json_auto_t *array = json_array();

        for (size_t i = 0; i < deployment->n_steps; i++)
                if (json_array_append_new(array, log_to_json(&deployment->steps[i])) < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(array);
        return *ret ? 0 : -ENOMEM;
}

int strv_to_json(char *const *strv, json_t **ret) {
        json_auto_t *array = json_array();

        for (; strv && *strv; strv++)
                if (json_array_append_new(array, json_string(*strv)) < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(array);
        return *ret ? 0 : -ENOMEM;
}

int strv_from_json(json_t *json, char ***ret) {
        json_t *item;
        size_t i;
        int r;

        json_array_foreach(json, i, item) {
                if (!json_is_string(item))
                        return -EINVAL;
                r = strv_append(ret, json_string_value(item));
                if (r < 0)
                        return r;
        }
        return json_is_array(json) ? 0 : -EINVAL;
}

static json_t *event_to_json(const EventLog *log) {
        return json_pack("{s:s, s:o, s:s*, s:s*, s:s, s:s}", "event", deployment_event_to_string(log->kind),
                         "at", time_to_json(log->at), "boot_id", log->boot_id, "reason", log->reason, "fault",
                         error_fault_to_string(log->fault), "then", step_to_string(log->then));
}

static int events_to_json(const Deployment *deployment, json_t **ret) {
        json_auto_t *array = json_array();

        for (size_t i = 0; i < deployment->n_events; i++)
                if (json_array_append_new(array, event_to_json(&deployment->events[i])) < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(array);
        return *ret ? 0 : -ENOMEM;
}

/* What it is to do: known when it begins. */
static int order_to_json(const Deployment *deployment, json_t **ret) {
        json_auto_t *environment = NULL;
        json_t *facts = NULL;
        int r;

        r = strv_to_json(deployment->environment, &environment);
        if (r < 0)
                return r;
        if (deployment->facts)
                facts = json_loads(deployment->facts, 0, NULL);
        *ret = json_pack(
                "{s:s, s:s, s:o, s:o, s:I, s:I, s:s*, s:b, s:b, s:b, s:O, s:s, s:o, s:o?}", "id",
                deployment->id, "kind", deployment_kind_to_string(deployment->kind), "to",
                release_ref_to_json(&deployment->to), "from", release_ref_to_json(&deployment->from),
                "serial", (json_int_t) deployment->serial, "accepted", (json_int_t) deployment->accepted,
                "rollout", deployment->rollout, "local", deployment->local, "traffic", deployment->traffic,
                "env_changed", deployment->env_changed, "environment", environment, "env_sha256",
                deployment->env_sha256, "started", time_to_json(deployment->started), "facts", facts);
        return *ret ? 0 : -ENOMEM;
}

/* What has come of it so far. */
static json_t *state_to_json(const Deployment *d) {
        return json_pack(
                "{s:s*, s:o, s:s, s:s, s:b, s:I, s:I, s:s, s:s*, s:s, s:b, s:b, s:b, s:b, s:I, s:I, s:b}",
                "boot_id", d->boot_id, "finished", time_to_json(d->finished), "outcome",
                outcome_to_string(d->outcome), "step", step_to_string(d->step), "step_started",
                d->step_started, "attempt", (json_int_t) d->attempt, "hooks_done", (json_int_t) d->hooks_done,
                "failed_step", step_to_string(d->failed_step), "reason", d->reason, "fault",
                error_fault_to_string(d->fault), "cancelled", d->cancelled, "cut", d->cut, "interrupted",
                d->interrupted, "unchanged", d->unchanged, "reboots", (json_int_t) d->reboots, "rollbacks",
                (json_int_t) d->rollbacks, "events_lost", d->events_lost);
}

static json_t *failed_rollback_to_json(const Deployment *d) {
        return d->rollback_reason
                       ? json_pack("{s:s, s:s, s:s}", "step", step_to_string(d->rollback_step), "fault",
                                   error_fault_to_string(d->rollback_fault), "reason", d->rollback_reason)
                       : json_null();
}

int deployment_to_json(const Deployment *deployment, json_t **ret) {
        json_auto_t *json = NULL, *state = NULL, *logs = NULL, *events = NULL;
        int r;

        r = order_to_json(deployment, &json);
        if (r >= 0)
                r = logs_to_json(deployment, &logs);
        if (r >= 0)
                r = events_to_json(deployment, &events);
        if (r < 0)
                return r;
        state = state_to_json(deployment);
        if (!state || json_object_update(json, state) < 0 ||
            json_object_set_new(json, "failed_rollback", failed_rollback_to_json(deployment)) < 0 ||
            json_object_set(json, "steps", logs) < 0 || json_object_set(json, "events", events) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(json);
        return 0;
}

static int log_from_json(json_t *json, StepLog *ret) {
        const char *step, *result, *reason = NULL, *tail = NULL;
        json_t *started, *finished;
        json_int_t attempt;

        if (json_unpack(json, "{s:s, s:s, s:I, s:o, s:o, s?s, s?s}", "step", &step, "result", &result,
                        "attempt", &attempt, "started", &started, "finished", &finished, "reason", &reason,
                        "output_tail", &tail) < 0 ||
            step_from_string(step, &ret->step) < 0 || step_result_from_string(result, &ret->result) < 0 ||
            time_from_json(started, &ret->started) < 0 || time_from_json(finished, &ret->finished) < 0)
                return -EINVAL;
        ret->attempt = (unsigned) attempt;
        if (string_set(&ret->reason, reason) < 0 || string_set(&ret->tail, tail) < 0)
                return -ENOMEM;
        return 0;
}

static int logs_from_json(json_t *json, Deployment *ret) {
        json_t *item;
        size_t i;
        int r;

        if (!json_is_array(json) || json_array_size(json) > DEPLOYMENT_STEPS_MAX)
                return -EINVAL;
        json_array_foreach(json, i, item) {
                ret->n_steps++;
                r = log_from_json(item, &ret->steps[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int event_from_json(json_t *json, EventLog *ret) {
        const char *event, *boot_id = NULL, *reason = NULL, *fault, *then;
        json_t *at;

        if (json_unpack(json, "{s:s, s:o, s?s, s?s, s:s, s:s}", "event", &event, "at", &at, "boot_id",
                        &boot_id, "reason", &reason, "fault", &fault, "then", &then) < 0 ||
            deployment_event_from_string(event, &ret->kind) < 0 || time_from_json(at, &ret->at) < 0 ||
            error_fault_from_string(fault, &ret->fault) < 0 || step_from_string(then, &ret->then) < 0)
                return -EINVAL;
        if (string_set(&ret->boot_id, boot_id) < 0 || string_set(&ret->reason, reason) < 0)
                return -ENOMEM;
        return 0;
}

static int events_from_json(json_t *json, Deployment *ret) {
        json_t *item;
        size_t i;
        int r;

        if (!json_is_array(json) || json_array_size(json) > DEPLOYMENT_EVENTS_MAX)
                return -EINVAL;
        json_array_foreach(json, i, item) {
                ret->n_events++;
                r = event_from_json(item, &ret->events[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_facts(json_t *facts, Deployment *d) {
        if (!facts || json_is_null(facts))
                return 0;
        d->facts = json_dumps(facts, JSON_COMPACT);
        return d->facts ? 0 : -ENOMEM;
}

static int read_order(json_t *json, Deployment *d) {
        json_t *to, *from, *environment, *env_sha256, *started, *facts = NULL;
        json_int_t serial, accepted = 0;
        const char *id, *kind = "deploy", *rollout = NULL;
        int local, traffic = 0, env_changed;

        if (json_unpack(json, "{s:s, s?s, s:o, s:o, s:I, s?I, s?s, s:b, s?b, s:b, s:o, s:o, s:o, s?o}", "id",
                        &id, "kind", &kind, "to", &to, "from", &from, "serial", &serial, "accepted",
                        &accepted, "rollout", &rollout, "local", &local, "traffic", &traffic, "env_changed",
                        &env_changed, "environment", &environment, "env_sha256", &env_sha256, "started",
                        &started, "facts", &facts) < 0 ||
            release_ref_from_json(to, &d->to) < 0 || release_ref_from_json(from, &d->from) < 0 ||
            time_from_json(started, &d->started) < 0 || digest_from_json(env_sha256, d->env_sha256) < 0 ||
            deployment_kind_from_string(kind, &d->kind) < 0 || !name_is_valid(id) || !d->to.version)
                return -EINVAL;
        d->serial = (uint64_t) serial;
        d->accepted = MAX((uint64_t) accepted, d->serial);
        d->local = local;
        d->traffic = traffic;
        d->env_changed = env_changed;
        if (string_set(&d->id, id) < 0 || string_set(&d->rollout, rollout) < 0)
                return -ENOMEM;
        return strv_from_json(environment, &d->environment) < 0 ? -EINVAL : read_facts(facts, d);
}

typedef struct StateTexts {
        const char *boot_id, *outcome, *step, *failed_step, *reason, *fault;
} StateTexts;

static int take_texts(const StateTexts *texts, Deployment *d) {
        if (outcome_from_string(texts->outcome, &d->outcome) < 0 ||
            step_from_string(texts->step, &d->step) < 0 ||
            step_from_string(texts->failed_step, &d->failed_step) < 0 ||
            error_fault_from_string(texts->fault, &d->fault) < 0)
                return -EINVAL;
        if (string_set(&d->boot_id, texts->boot_id) < 0 || string_set(&d->reason, texts->reason) < 0)
                return -ENOMEM;
        return 0;
}

/* What older schemas had no words for is optional. */
static int read_state(json_t *json, Deployment *d) {
        json_int_t attempt, hooks_done = 0, reboots = 0, rollbacks = 0;
        int step_started, cancelled = 0, cut = 0, interrupted = 0, unchanged = 0, lost = 0;
        StateTexts texts = {};
        json_t *finished;
        int r;

        if (json_unpack(
                    json,
                    "{s?s, s:o, s:s, s:s, s:b, s:I, s?I, s:s, s?s, s:s, s?b, s?b, s?b, s?b, s?I, s?I, s?b}",
                    "boot_id", &texts.boot_id, "finished", &finished, "outcome", &texts.outcome, "step",
                    &texts.step, "step_started", &step_started, "attempt", &attempt, "hooks_done",
                    &hooks_done, "failed_step", &texts.failed_step, "reason", &texts.reason, "fault",
                    &texts.fault, "cancelled", &cancelled, "cut", &cut, "interrupted", &interrupted,
                    "unchanged", &unchanged, "reboots", &reboots, "rollbacks", &rollbacks, "events_lost",
                    &lost) < 0 ||
            time_from_json(finished, &d->finished) < 0)
                return -EINVAL;
        d->step_started = step_started;
        d->attempt = (unsigned) attempt;
        d->hooks_done = (unsigned) hooks_done;
        d->cancelled = cancelled;
        d->cut = cut;
        d->interrupted = interrupted;
        d->unchanged = unchanged;
        d->reboots = (unsigned) reboots;
        d->rollbacks = (unsigned) rollbacks;
        d->events_lost = lost;
        r = take_texts(&texts, d);
        return r < 0 || !deployment_is_running(d) || d->step < STEP_END ? r : -EINVAL;
}

static int read_failed_rollback(json_t *json, Deployment *d) {
        const char *step, *fault, *reason;

        if (!json || json_is_null(json))
                return 0;
        if (json_unpack(json, "{s:s, s:s, s:s}", "step", &step, "fault", &fault, "reason", &reason) < 0 ||
            step_from_string(step, &d->rollback_step) < 0 ||
            error_fault_from_string(fault, &d->rollback_fault) < 0)
                return -EINVAL;
        return string_set(&d->rollback_reason, reason);
}

static int read_deployment(json_t *json, Deployment *d) {
        json_t *events = json_object_get(json, "events");
        int r;

        r = read_order(json, d);
        if (r >= 0)
                r = read_state(json, d);
        if (r >= 0)
                r = read_failed_rollback(json_object_get(json, "failed_rollback"), d);
        if (r >= 0)
                r = logs_from_json(json_object_get(json, "steps"), d);
        return r < 0 || !events ? r : events_from_json(events, d);
}

int deployment_from_json(json_t *json, Deployment *ret, Error *error) {
        Deployment deployment = {};
        int r;

        r = read_deployment(json, &deployment);
        if (r < 0) {
                deployment_deinit(&deployment);
                return error_set(error, r, "the deployment in the record is malformed");
        }
        *ret = deployment;
        return 0;
}
