#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/deployment_json.h"
#include "agent/record.h"

#define RECORD_MODE 0600

static void failure_deinit(Failure *failure) {
        release_ref_deinit(&failure->release);
        free(failure->rollout);
        free(failure->reason);
}

void record_deinit(Record *record) {
        free(record->app);
        free(record->instance);
        free(record->machine);
        free(record->group);
        release_ref_deinit(&record->good);
        strv_free(record->good_environment);
        free(record->good_boot_id);
        release_ref_deinit(&record->previous);
        release_ref_deinit(&record->prefetched);
        target_registrations_deinit(&record->deregistered);
        local_pin_deinit(&record->pin);
        for (size_t i = 0; i < record->n_failures; i++)
                failure_deinit(&record->failures[i]);
        deployment_deinit(&record->deployment);
        *record = (Record){};
}

static json_t *failure_to_json(const Failure *failure) {
        return json_pack("{s:o, s:I, s:s*, s:s, s:s, s:I, s:I, s:b, s:o, s:s}", "release",
                         release_ref_to_json(&failure->release), "serial", (json_int_t) failure->serial,
                         "rollout", failure->rollout, "step", step_to_string(failure->step), "fault",
                         error_fault_to_string(failure->fault), "count", (json_int_t) failure->count,
                         "disturbing", (json_int_t) failure->disturbing, "interrupted", failure->interrupted,
                         "at", time_to_json(failure->at), "reason", failure->reason);
}

static int failure_from_json(json_t *json, Failure *ret) {
        const char *step, *fault, *reason, *rollout = NULL;
        json_int_t serial, count, disturbing = 0;
        json_t *release, *at;
        int interrupted = 0;

        if (json_unpack(json, "{s:o, s:I, s?s, s:s, s:s, s:I, s?I, s?b, s:o, s:s}", "release", &release,
                        "serial", &serial, "rollout", &rollout, "step", &step, "fault", &fault, "count",
                        &count, "disturbing", &disturbing, "interrupted", &interrupted, "at", &at, "reason",
                        &reason) < 0 ||
            release_ref_from_json(release, &ret->release) < 0 || step_from_string(step, &ret->step) < 0 ||
            error_fault_from_string(fault, &ret->fault) < 0 || time_from_json(at, &ret->at) < 0)
                return -EINVAL;
        if (serial < 0 || count < 0 || disturbing < 0)
                return -EINVAL;
        ret->serial = (uint64_t) serial;
        ret->count = (unsigned) count;
        ret->disturbing = (unsigned) disturbing;
        ret->interrupted = interrupted;
        if (string_set(&ret->rollout, rollout) < 0)
                return -ENOMEM;
        return string_set(&ret->reason, reason);
}

static int failures_to_json(const Record *record, json_t **ret) {
        json_auto_t *array = json_array();

        for (size_t i = 0; i < record->n_failures; i++)
                if (json_array_append_new(array, failure_to_json(&record->failures[i])) < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(array);
        return *ret ? 0 : -ENOMEM;
}

static int failures_from_json(json_t *json, Record *ret) {
        json_t *item;
        size_t i;
        int r;

        if (!json_is_array(json) || json_array_size(json) > RECORD_FAILURES_MAX)
                return -EINVAL;
        json_array_foreach(json, i, item) {
                ret->n_failures++;
                r = failure_from_json(item, &ret->failures[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int good_to_json(const Record *record, json_t **ret) {
        json_auto_t *environment = NULL;
        int r;

        r = strv_to_json(record->good_environment, &environment);
        if (r < 0)
                return r;
        *ret = json_pack("{s:o, s:s, s:O, s:s*, s:o, s:I, s:b, s:b, s:b}", "good",
                         release_ref_to_json(&record->good), "good_env_sha256", record->good_env_sha256,
                         "good_environment", environment, "good_boot_id", record->good_boot_id, "good_since",
                         time_to_json(record->good_since), "good_serial", (json_int_t) record->good_serial,
                         "good_is_local", record->good_is_local, "good_is_down", record->good_is_down,
                         "good_is_stopped", record->good_is_stopped);
        return *ret ? 0 : -ENOMEM;
}

int record_to_json(const Record *record, bool with_deployment, json_t **ret) {
        json_auto_t *json = NULL, *good = NULL, *failures = NULL, *deployment = NULL, *deregistered = NULL;
        int r;

        r = good_to_json(record, &good);
        if (r >= 0)
                r = target_registrations_to_json(&record->deregistered, &deregistered);
        if (r >= 0)
                r = failures_to_json(record, &failures);
        if (r >= 0 && with_deployment && record->deployment.id)
                r = deployment_to_json(&record->deployment, &deployment);
        if (r < 0)
                return r;
        json = json_pack("{s:I, s:s*, s:s*, s:s*, s:s*, s:I, s:s, s:o, s:o, s:o, s:o, s:O, s:O, s:O?}",
                         "schema", (json_int_t) RECORD_SCHEMA, "app", record->app, "instance",
                         record->instance, "machine", record->machine, "group", record->group, "serial",
                         (json_int_t) record->serial, "target_sha256", record->target_sha256, "previous",
                         release_ref_to_json(&record->previous), "prefetched",
                         release_ref_to_json(&record->prefetched), "pin", local_pin_to_json(&record->pin),
                         "rollout", rollout_record_to_json(&record->rollout), "deregistered", deregistered,
                         "failures", failures, "deployment", deployment);
        if (!json || json_object_update(json, good) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(json);
        return 0;
}

int record_to_text(const Record *record, char **ret) {
        json_auto_t *json = NULL;
        int r;

        r = record_to_json(record, true, &json);
        if (r < 0)
                return r;
        *ret = json_dumps(json, JSON_INDENT(2));
        return *ret ? 0 : -ENOMEM;
}

/* What older schemas had no words for is optional. */
static int read_good(json_t *json, Record *record) {
        json_t *good, *env, *environment = NULL, *since;
        const char *boot_id = NULL;
        json_int_t serial;
        int local, down = 0, stopped = 0;

        if (json_unpack(json, "{s:o, s:o, s?o, s?s, s:o, s:I, s:b, s?b, s?b}", "good", &good,
                        "good_env_sha256", &env, "good_environment", &environment, "good_boot_id", &boot_id,
                        "good_since", &since, "good_serial", &serial, "good_is_local", &local, "good_is_down",
                        &down, "good_is_stopped", &stopped) < 0 ||
            serial < 0 || digest_from_json(env, record->good_env_sha256) < 0 ||
            release_ref_from_json(good, &record->good) < 0 || time_from_json(since, &record->good_since) < 0)
                return -EINVAL;
        record->good_serial = (uint64_t) serial;
        record->good_is_local = local;
        record->good_is_down = down;
        record->good_is_stopped = stopped;
        if (environment && strv_from_json(environment, &record->good_environment) < 0)
                return -EINVAL;
        return string_set(&record->good_boot_id, boot_id);
}

static int read_record(json_t *json, Record *record, Error *error) {
        json_t *target, *previous, *prefetched = NULL, *pin = NULL, *rollout = NULL, *deregistered = NULL,
                                   *failures, *deployment;
        const char *app = NULL, *instance = NULL, *machine = NULL, *group = NULL;
        json_int_t serial;
        int r;

        if (json_unpack(json, "{s?s, s?s, s?s, s?s, s:I, s:o, s:o, s?o, s?o, s?o, s?o, s:o, s:o}", "app",
                        &app, "instance", &instance, "machine", &machine, "group", &group, "serial", &serial,
                        "target_sha256", &target, "previous", &previous, "prefetched", &prefetched, "pin",
                        &pin, "rollout", &rollout, "deregistered", &deregistered, "failures", &failures,
                        "deployment", &deployment) < 0 ||
            serial < 0 || digest_from_json(target, record->target_sha256) < 0 ||
            release_ref_from_json(previous, &record->previous) < 0 ||
            release_ref_from_json(prefetched, &record->prefetched) < 0 ||
            local_pin_from_json(pin, &record->pin) < 0 ||
            rollout_record_from_json(rollout, &record->rollout) < 0 ||
            target_registrations_from_json(deregistered, &record->deregistered) < 0 ||
            failures_from_json(failures, record) < 0)
                return error_set(error, -EINVAL, "the deploy record is malformed");
        record->serial = (uint64_t) serial;
        r = read_good(json, record);
        if (r == -EINVAL)
                return error_set(error, r, "the deploy record is malformed");
        if (r < 0 || string_set(&record->app, app) < 0 || string_set(&record->instance, instance) < 0 ||
            string_set(&record->machine, machine) < 0 || string_set(&record->group, group) < 0)
                return error_oom(error);
        return json_is_null(deployment) ? 0 : deployment_from_json(deployment, &record->deployment, error);
}

int record_from_json(json_t *json, Record *ret, Error *error) {
        Record record = {};
        json_int_t schema;
        int r;

        if (json_unpack(json, "{s:I}", "schema", &schema) < 0 || schema < 1)
                return error_set(error, -EINVAL, "the deploy record has no schema");
        if (schema > RECORD_SCHEMA)
                return error_set(error, -EPROTONOSUPPORT,
                                 "a newer muster wrote the deploy record: it has schema %" JSON_INTEGER_FORMAT
                                 ", this one reads %u",
                                 schema, RECORD_SCHEMA);
        r = read_record(json, &record, error);
        if (r < 0) {
                record_deinit(&record);
                return r;
        }
        *ret = record;
        return 0;
}

int record_parse(const char *text, size_t size, Record *ret, Error *error) {
        json_auto_t *json = NULL;
        json_error_t problem;

        json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
        if (!json)
                return error_set(error, -EINVAL, "the deploy record is no JSON: line %d: %s", problem.line,
                                 problem.text);
        return record_from_json(json, ret, error);
}

int record_load(int app_fd, Record *ret, Error *error) {
        _cleanup_buffer_ Buffer text = {};
        int r;

        r = file_read_at(app_fd, RECORD_FILE, RECORD_SIZE_MAX, &text);
        if (r == -ENOENT) {
                *ret = (Record){};
                return 0;
        }
        if (r < 0)
                return error_set_errno(error, r, "cannot read the deploy record");
        r = record_parse(buffer_string(&text), text.size, ret, error);
        return r < 0 ? r : 1;
}

int record_save(int app_fd, const Record *record, Error *error) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = record_to_text(record, &text);
        if (r < 0)
                return error_oom(error);
        r = file_replace_at(app_fd, RECORD_FILE, text, strlen(text), RECORD_MODE);
        return r < 0 ? error_set_errno(error, r, "cannot write the deploy record") : 0;
}

/* What asked for it is the rollout where there is one: that outlives a change of the serial. */
static bool is_asked_by(const Failure *failure, uint64_t serial, const char *rollout) {
        if (failure->rollout || rollout)
                return string_equal(failure->rollout, rollout);
        return failure->serial == serial;
}

const Failure *record_find_failure(const Record *record, const char *sha256, uint64_t serial,
                                   const char *rollout) {
        for (size_t i = 0; i < record->n_failures; i++)
                if (is_asked_by(&record->failures[i], serial, rollout) &&
                    strcmp(record->failures[i].release.sha256, sha256) == 0)
                        return &record->failures[i];
        return NULL;
}

static void drop_failure(Record *record, size_t i) {
        failure_deinit(&record->failures[i]);
        record->n_failures--;
        memmove(&record->failures[i], &record->failures[i + 1], (record->n_failures - i) * sizeof(Failure));
}

/* FAILURE's texts become the record's; its count is that of those before and one more. */
static void take_failure(Record *record, Failure *failure) {
        const Failure *known =
                record_find_failure(record, failure->release.sha256, failure->serial, failure->rollout);

        failure->count = known ? known->count + 1 : 1;
        failure->disturbing += known ? known->disturbing : 0;
        if (known)
                drop_failure(record, (size_t) (known - record->failures));
        else if (record->n_failures == RECORD_FAILURES_MAX)
                drop_failure(record, 0);
        record->failures[record->n_failures++] = *failure;
}

static int add_failure(Record *record, const Failure *what) {
        Failure failure = *what;

        failure.release = (ReleaseRef){};
        failure.rollout = failure.reason = NULL;
        if (release_ref_copy(&failure.release, &what->release) < 0 ||
            string_set(&failure.rollout, what->rollout) < 0 ||
            string_set(&failure.reason, what->reason) < 0) {
                failure_deinit(&failure);
                return -ENOMEM;
        }
        take_failure(record, &failure);
        return 0;
}

static int add_failed_deployment(Record *record) {
        const Deployment *deployment = &record->deployment;
        bool disturbing = deployment->failed_step >= STEP_APPLICATION_STOP && !deployment->unchanged;
        static char unknown[] = "unknown";
        const Failure failure = {
                .release = deployment->to,
                .serial = deployment->serial,
                .rollout = deployment->rollout,
                .step = deployment->failed_step,
                .fault = deployment->fault,
                .disturbing = disturbing ? 1 : 0,
                .interrupted = deployment->interrupted,
                .at = deployment->finished,
                .reason = deployment->reason ? deployment->reason : unknown,
        };

        return add_failure(record, &failure);
}

int record_note_failure(Record *record, const ReleaseRef *release, Step step, uint64_t serial,
                        const char *rollout, const char *reason, uint64_t at) {
        const Failure failure = {
                .release = *release,
                .serial = serial,
                .rollout = (char *) rollout,
                .step = step,
                .fault = FAULT_RELEASE,
                .disturbing = 1,
                .at = at,
                .reason = (char *) reason,
        };

        return add_failure(record, &failure);
}

void record_forget_failure(Record *record, const char *sha256, uint64_t serial, const char *rollout) {
        const Failure *failure = record_find_failure(record, sha256, serial, rollout);

        if (failure)
                drop_failure(record, (size_t) (failure - record->failures));
}

static int copy_environment(Record *record) {
        _cleanup_strv_ char **copy = NULL;

        if (strv_extend(&copy, record->deployment.environment) < 0)
                return -ENOMEM;
        strv_free(record->good_environment);
        record->good_environment = TAKE_PTR(copy);
        return 0;
}

static int commit(Record *record) {
        const Deployment *deployment = &record->deployment;

        if (copy_environment(record) < 0)
                return -ENOMEM;
        if (!release_ref_equal(&record->good, &deployment->to)) {
                if (release_ref_copy(&record->previous, &record->good) < 0 ||
                    release_ref_copy(&record->good, &deployment->to) < 0)
                        return -ENOMEM;
                record->good_since = deployment->finished;
        }
        snprintf(record->good_env_sha256, sizeof(record->good_env_sha256), "%s", deployment->env_sha256);
        record->good_serial = record->serial;
        record->good_is_local = deployment->local;
        record_forget_failure(record, deployment->to.sha256, deployment->serial, deployment->rollout);
        return 0;
}

bool record_good_is_up(const Record *record) {
        return record->good.version && !record->good_is_down && !record->good_is_stopped;
}

bool record_is_way_back(const Record *record, const char *sha256) {
        return record->previous.version && strcmp(record->previous.sha256, sha256) == 0;
}

static int end_prefetch(Record *record) {
        const Deployment *deployment = &record->deployment;

        if (deployment->outcome == OUTCOME_SUCCEEDED)
                return release_ref_copy(&record->prefetched, &deployment->to);
        return deployment->cancelled ? 0 : add_failed_deployment(record);
}

int record_end(Record *record, const char *boot_id) {
        const Deployment *deployment = &record->deployment;
        bool serves = deployment->outcome == OUTCOME_SUCCEEDED || deployment->outcome == OUTCOME_ROLLED_BACK;
        int r = 0;

        if (deployment->kind == KIND_PREFETCH)
                return end_prefetch(record);
        if (deployment->kind == KIND_DRAIN) { /* as far as it went: nothing more of it is relied on */
                record->good_is_stopped = true;
                return 0;
        }
        if (deployment->outcome == OUTCOME_SUCCEEDED)
                r = commit(record);
        else if (!deployment->cancelled && deployment->rollbacks == 0)
                r = add_failed_deployment(record);
        if (serves && r >= 0)
                r = string_set(&record->good_boot_id, boot_id);
        if (serves || deployment->outcome == OUTCOME_ROLLBACK_FAILED)
                record->good_is_down = !serves;
        if (serves)
                record->good_is_stopped = false;
        return r;
}
