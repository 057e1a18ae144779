#include <dirent.h>
#include <inttypes.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/record.h"

#define RECORD_FILE "record.json"
#define HISTORY_FOLDER "history"
#define RECORD_MODE 0600
#define HISTORY_FOLDER_MODE 0700

void record_deinit(Record *record) {
        free(record->app);
        free(record->instance);
        release_ref_deinit(&record->good);
        release_ref_deinit(&record->previous);
        for (size_t i = 0; i < record->n_failures; i++) {
                release_ref_deinit(&record->failures[i].release);
                free(record->failures[i].reason);
        }
        deployment_deinit(&record->deployment);
        *record = (Record){};
}

static json_t *time_to_json(uint64_t usec) {
        char text[TIME_TEXT_MAX];

        if (usec == 0)
                return json_null();
        format_time_exact(usec, text);
        return json_string(text);
}

static int time_from_json(json_t *json, uint64_t *ret) {
        *ret = 0;
        return json_is_string(json) ? parse_time(json_string_value(json), ret) : 0;
}

static json_t *ref_to_json(const ReleaseRef *ref) {
        return ref->version ? json_pack("{s:s, s:s}", "version", ref->version, "sha256", ref->sha256)
                            : json_null();
}

static int digest_from_json(json_t *json, char ret[static DIGEST_HEX_SIZE]) {
        const char *text = json_string_value(json);

        if (!text || (*text && strlen(text) != DIGEST_HEX_SIZE - 1))
                return -EINVAL;
        memcpy(ret, text, strlen(text) + 1);
        return 0;
}

static int ref_from_json(json_t *json, ReleaseRef *ret) {
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

static int fault_from_string(const char *text, ErrorFault *ret) {
        for (ErrorFault fault = FAULT_UNKNOWN; fault <= FAULT_INPUT; fault++)
                if (strcmp(error_fault_to_string(fault), text) == 0) {
                        *ret = fault;
                        return 0;
                }
        return -EINVAL;
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
                "id", deployment->id, "to", ref_to_json(&deployment->to), "from",
                ref_to_json(&deployment->from), "serial", (json_int_t) deployment->serial, "local",
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
        if (ref_from_json(to, &d->to) < 0 || ref_from_json(from, &d->from) < 0 ||
            time_from_json(started, &d->started) < 0 || time_from_json(finished, &d->finished) < 0 ||
            outcome_from_string(outcome, &d->outcome) < 0 || step_from_string(step, &d->step) < 0 ||
            step_from_string(failed_step, &d->failed_step) < 0 ||
            digest_from_json(env_sha256, d->env_sha256) < 0 || fault_from_string(fault, &d->fault) < 0 ||
            !name_is_valid(id) || !d->to.version)
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

static json_t *failure_to_json(const Failure *failure) {
        return json_pack("{s:o, s:I, s:s, s:s, s:I, s:o, s:s}", "release", ref_to_json(&failure->release),
                         "serial", (json_int_t) failure->serial, "step", step_to_string(failure->step),
                         "fault", error_fault_to_string(failure->fault), "count", (json_int_t) failure->count,
                         "at", time_to_json(failure->at), "reason", failure->reason);
}

static int failure_from_json(json_t *json, Failure *ret) {
        const char *step, *fault, *reason;
        json_int_t serial, count;
        json_t *release, *at;

        if (json_unpack(json, "{s:o, s:I, s:s, s:s, s:I, s:o, s:s}", "release", &release, "serial", &serial,
                        "step", &step, "fault", &fault, "count", &count, "at", &at, "reason", &reason) < 0 ||
            ref_from_json(release, &ret->release) < 0 || step_from_string(step, &ret->step) < 0 ||
            fault_from_string(fault, &ret->fault) < 0 || time_from_json(at, &ret->at) < 0)
                return -EINVAL;
        ret->serial = (uint64_t) serial;
        ret->count = (unsigned) count;
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

int record_to_text(const Record *record, char **ret) {
        json_auto_t *json = NULL;
        json_t *deployment = json_null(), *failures;
        int r;

        r = failures_to_json(record, &failures);
        if (r < 0)
                return r;
        if (record->deployment.id)
                r = deployment_to_json(&record->deployment, &deployment);
        if (r < 0) {
                json_decref(failures);
                return r;
        }
        json = json_pack("{s:I, s:s*, s:s*, s:I, s:s, s:o, s:s, s:o, s:I, s:b, s:o, s:o, s:o}", "schema",
                         (json_int_t) RECORD_SCHEMA, "app", record->app, "instance", record->instance,
                         "serial", (json_int_t) record->serial, "target_sha256", record->target_sha256,
                         "good", ref_to_json(&record->good), "good_env_sha256", record->good_env_sha256,
                         "good_since", time_to_json(record->good_since), "good_serial",
                         (json_int_t) record->good_serial, "good_is_local", record->good_is_local, "previous",
                         ref_to_json(&record->previous), "failures", failures, "deployment", deployment);
        *ret = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
        return *ret ? 0 : -ENOMEM;
}

static int read_record(json_t *json, Record *record, Error *error) {
        json_t *target, *good, *good_env, *good_since, *previous, *failures, *deployment;
        const char *app = NULL, *instance = NULL;
        json_int_t serial, good_serial;
        int local;

        if (json_unpack(json, "{s?s, s?s, s:I, s:o, s:o, s:o, s:o, s:I, s:b, s:o, s:o, s:o}", "app", &app,
                        "instance", &instance, "serial", &serial, "target_sha256", &target, "good", &good,
                        "good_env_sha256", &good_env, "good_since", &good_since, "good_serial", &good_serial,
                        "good_is_local", &local, "previous", &previous, "failures", &failures, "deployment",
                        &deployment) < 0 ||
            digest_from_json(target, record->target_sha256) < 0 ||
            digest_from_json(good_env, record->good_env_sha256) < 0 ||
            ref_from_json(good, &record->good) < 0 || ref_from_json(previous, &record->previous) < 0 ||
            time_from_json(good_since, &record->good_since) < 0 || failures_from_json(failures, record) < 0)
                return error_set(error, -EINVAL, "the deploy record is malformed");
        record->serial = (uint64_t) serial;
        record->good_serial = (uint64_t) good_serial;
        record->good_is_local = local;
        if (string_set(&record->app, app) < 0 || string_set(&record->instance, instance) < 0)
                return error_oom(error);
        return json_is_null(deployment) ? 0 : deployment_from_json(deployment, &record->deployment, error);
}

int record_parse(const char *text, size_t size, Record *ret, Error *error) {
        json_auto_t *json = NULL;
        json_error_t problem;
        Record record = {};
        json_int_t schema;
        int r;

        json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
        if (!json)
                return error_set(error, -EINVAL, "the deploy record is no JSON: line %d: %s", problem.line,
                                 problem.text);
        if (json_unpack(json, "{s:I}", "schema", &schema) < 0)
                return error_set(error, -EINVAL, "the deploy record has no schema");
        if (schema != RECORD_SCHEMA)
                return error_set(error, -EPROTONOSUPPORT,
                                 "the deploy record has schema %" JSON_INTEGER_FORMAT
                                 ", this agent reads %u: a newer "
                                 "muster wrote it",
                                 schema, RECORD_SCHEMA);
        r = read_record(json, &record, error);
        if (r < 0) {
                record_deinit(&record);
                return r;
        }
        *ret = record;
        return 0;
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
        return record_parse(buffer_string(&text), text.size, ret, error);
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

static int is_history(const struct dirent *entry) {
        return entry->d_name[0] != '.' && string_ends_with(entry->d_name, ".json");
}

static void free_entries(struct dirent **entries, int n) {
        for (int i = 0; i < n; i++)
                free(entries[i]);
        free(entries);
}

/* The names of the history's files, oldest first: ids sort that way (deployment_id.h). */
static int list_history(int app_fd, struct dirent ***ret) {
        int n = scandirat(app_fd, HISTORY_FOLDER, ret, is_history, alphasort);

        return n < 0 ? -errno : n;
}

static void remove_history(int app_fd, const char *name) {
        _cleanup_free_ char *path = NULL, *logs = NULL;

        if (asprintf(&path, HISTORY_FOLDER "/%s", name) < 0)
                path = NULL;
        if (asprintf(&logs, RECORD_LOGS_FOLDER "/%.*s", (int) (strlen(name) - strlen(".json")), name) < 0)
                logs = NULL;
        if (!path || !logs)
                return;
        (void) file_remove_tree_at(app_fd, logs);
        (void) unlinkat(app_fd, path, 0);
}

static void trim_history(int app_fd) {
        struct dirent **entries;
        int n = list_history(app_fd, &entries);

        if (n < 0)
                return;
        for (int i = 0; i + (int) RECORD_HISTORY_MAX < n; i++)
                remove_history(app_fd, entries[i]->d_name);
        free_entries(entries, n);
}

int record_keep_history(int app_fd, const Deployment *deployment, Error *error) {
        _cleanup_free_ char *name = NULL, *text = NULL;
        json_auto_t *json = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        fd = file_open_folder_at(app_fd, HISTORY_FOLDER, HISTORY_FOLDER_MODE);
        if (fd < 0)
                return error_set_errno(error, fd, "cannot open the history");
        if (asprintf(&name, "%s.json", deployment->id) < 0) {
                name = NULL;
                return error_oom(error);
        }
        r = deployment_to_json(deployment, &json);
        text = r < 0 ? NULL : json_dumps(json, JSON_INDENT(2));
        if (!text)
                return error_oom(error);
        r = file_replace_at(fd, name, text, strlen(text), RECORD_MODE);
        if (r < 0)
                return error_set_errno(error, r, "cannot write the history");
        trim_history(app_fd);
        return 0;
}

static json_t *read_history_file(int app_fd, const char *name) {
        _cleanup_free_ char *path = NULL;
        _cleanup_buffer_ Buffer text = {};

        if (asprintf(&path, HISTORY_FOLDER "/%s", name) < 0) {
                path = NULL;
                return NULL;
        }
        if (file_read_at(app_fd, path, RECORD_SIZE_MAX, &text) < 0)
                return NULL;
        return json_loadb(buffer_string(&text), text.size, JSON_REJECT_DUPLICATES, NULL);
}

int record_read_history(int app_fd, size_t limit, json_t **ret, Error *error) {
        json_auto_t *array = json_array();
        struct dirent **entries;
        int n, r = 0;

        if (!array)
                return error_oom(error);
        n = list_history(app_fd, &entries);
        if (n == -ENOENT) {
                *ret = TAKE_PTR(array);
                return 0;
        }
        if (n < 0)
                return error_set_errno(error, n, "cannot read the history");
        for (int i = n - 1; i >= 0 && json_array_size(array) < limit && r == 0; i--) {
                json_t *item = read_history_file(app_fd, entries[i]->d_name);

                if (item && json_array_append_new(array, item) < 0)
                        r = error_oom(error);
        }
        free_entries(entries, n);
        if (r == 0)
                *ret = TAKE_PTR(array);
        return r;
}

const Failure *record_find_failure(const Record *record, const char *sha256, uint64_t serial) {
        for (size_t i = 0; i < record->n_failures; i++)
                if (record->failures[i].serial == serial &&
                    strcmp(record->failures[i].release.sha256, sha256) == 0)
                        return &record->failures[i];
        return NULL;
}

static void drop_failure(Record *record, size_t i) {
        release_ref_deinit(&record->failures[i].release);
        free(record->failures[i].reason);
        record->n_failures--;
        memmove(&record->failures[i], &record->failures[i + 1], (record->n_failures - i) * sizeof(Failure));
}

int record_add_failure(Record *record, const Deployment *deployment) {
        const Failure *known = record_find_failure(record, deployment->to.sha256, deployment->serial);
        Failure failure = {
                .serial = deployment->serial,
                .step = deployment->failed_step,
                .fault = deployment->fault,
                .count = known ? known->count + 1 : 1,
                .at = deployment->finished,
        };

        if (release_ref_copy(&failure.release, &deployment->to) < 0 ||
            string_set(&failure.reason, deployment->reason ? deployment->reason : "unknown") < 0) {
                release_ref_deinit(&failure.release);
                return -ENOMEM;
        }
        if (known)
                drop_failure(record, (size_t) (known - record->failures));
        else if (record->n_failures == RECORD_FAILURES_MAX)
                drop_failure(record, 0);
        record->failures[record->n_failures++] = failure;
        return 0;
}

int record_commit(Record *record, uint64_t at) {
        const Deployment *deployment = &record->deployment;
        const Failure *failure;

        if (!release_ref_equal(&record->good, &deployment->to)) {
                if (release_ref_copy(&record->previous, &record->good) < 0 ||
                    release_ref_copy(&record->good, &deployment->to) < 0)
                        return -ENOMEM;
                record->good_since = at;
        }
        snprintf(record->good_env_sha256, sizeof(record->good_env_sha256), "%s", deployment->env_sha256);
        record->good_serial = record->serial;
        record->good_is_local = deployment->local;
        failure = record_find_failure(record, deployment->to.sha256, deployment->serial);
        if (failure)
                drop_failure(record, (size_t) (failure - record->failures));
        return 0;
}
