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

static int strv_to_json(char *const *strv, json_t **ret) {
        json_auto_t *array = json_array();

        for (; strv && *strv; strv++)
                if (json_array_append_new(array, json_string(*strv)) < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(array);
        return *ret ? 0 : -ENOMEM;
}

static int strv_from_json(json_t *json, char ***ret) {
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

int deployment_to_json(const Deployment *deployment, json_t **ret) {
        json_auto_t *environment = NULL;
        json_t *logs;
        int r;

        r = strv_to_json(deployment->environment, &environment);
        if (r >= 0)
                r = logs_to_json(deployment, &logs);
        if (r < 0)
                return r;
        *ret = json_pack(
                "{s:s, s:o, s:o, s:I, s:b, s:b, s:O, s:s, s:s*, s:o, s:o, s:s, s:s, s:b, s:I, s:s, s:s*, s:s, s:o}",
                "id", deployment->id, "to", release_ref_to_json(&deployment->to), "from",
                release_ref_to_json(&deployment->from), "serial", (json_int_t) deployment->serial, "local",
                deployment->local, "env_changed", deployment->env_changed, "environment", environment,
                "env_sha256", deployment->env_sha256, "boot_id", deployment->boot_id, "started",
                time_to_json(deployment->started), "finished", time_to_json(deployment->finished), "outcome",
                outcome_to_string(deployment->outcome), "step", step_to_string(deployment->step),
                "step_started", deployment->step_started, "attempt", (json_int_t) deployment->attempt,
                "failed_step", step_to_string(deployment->failed_step), "reason", deployment->reason, "fault",
                error_fault_to_string(deployment->fault), "steps", logs);
        return *ret ? 0 : -ENOMEM;
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

static int read_deployment(json_t *json, Deployment *d) {
        const char *id, *boot_id = NULL, *outcome, *step, *failed_step, *reason = NULL, *fault;
        json_t *to, *from, *started, *finished, *steps, *environment, *env_sha256;
        json_int_t serial, attempt;
        int local, env_changed, step_started;

        if (json_unpack(
                    json,
                    "{s:s, s:o, s:o, s:I, s:b, s:b, s:o, s:o, s?s, s:o, s:o, s:s, s:s, s:b, s:I, s:s, s?s, s:s, s:o}",
                    "id", &id, "to", &to, "from", &from, "serial", &serial, "local", &local, "env_changed",
                    &env_changed, "environment", &environment, "env_sha256", &env_sha256, "boot_id", &boot_id,
                    "started", &started, "finished", &finished, "outcome", &outcome, "step", &step,
                    "step_started", &step_started, "attempt", &attempt, "failed_step", &failed_step, "reason",
                    &reason, "fault", &fault, "steps", &steps) < 0)
                return -EINVAL;
        if (release_ref_from_json(to, &d->to) < 0 || release_ref_from_json(from, &d->from) < 0 ||
            time_from_json(started, &d->started) < 0 || time_from_json(finished, &d->finished) < 0 ||
            outcome_from_string(outcome, &d->outcome) < 0 || step_from_string(step, &d->step) < 0 ||
            step_from_string(failed_step, &d->failed_step) < 0 ||
            digest_from_json(env_sha256, d->env_sha256) < 0 ||
            error_fault_from_string(fault, &d->fault) < 0 || !name_is_valid(id) || !d->to.version)
                return -EINVAL;
        d->serial = (uint64_t) serial;
        d->local = local;
        d->env_changed = env_changed;
        d->step_started = step_started;
        d->attempt = (unsigned) attempt;
        if (string_set(&d->id, id) < 0 || string_set(&d->boot_id, boot_id) < 0 ||
            string_set(&d->reason, reason) < 0)
                return -ENOMEM;
        if (strv_from_json(environment, &d->environment) < 0)
                return -EINVAL;
        return logs_from_json(steps, d);
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
