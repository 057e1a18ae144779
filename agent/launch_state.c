#include <jansson.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/deployment_json.h"
#include "agent/launch_state.h"

#define LAUNCH_FILE "launch.json"
#define LAUNCH_FILE_MODE 0600
#define LAUNCH_FILE_SIZE_MAX 16384U

static const char *const names[] = {
        [LAUNCH_NONE] = "none",       [LAUNCH_WAITING] = "waiting",     [LAUNCH_CONTINUE] = "continue",
        [LAUNCH_ABANDON] = "abandon", [LAUNCH_CONTINUED] = "continued", [LAUNCH_ABANDONED] = "abandoned",
        [LAUNCH_OVER] = "over",
};

const char *launch_state_to_string(LaunchState state) {
        return names[state];
}

int launch_state_from_string(const char *text, LaunchState *ret) {
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcmp(names[i], text) == 0) {
                        *ret = (LaunchState) i;
                        return 0;
                }
        return -EINVAL;
}

LaunchState launch_decide(LaunchState state, const AppReadiness *required, size_t n,
                          LaunchFailure on_failure) {
        size_t n_ready = 0;

        if (state != LAUNCH_WAITING)
                return state;
        for (size_t i = 0; i < n; i++) {
                if (required[i] == APP_FAILED && on_failure == LAUNCH_FAILURE_ABANDON)
                        return LAUNCH_ABANDON;
                if (required[i] == APP_READY ||
                    (required[i] == APP_FAILED && on_failure == LAUNCH_FAILURE_CONTINUE))
                        n_ready++;
        }
        return n_ready == n ? LAUNCH_CONTINUE : LAUNCH_WAITING;
}

bool launch_must_complete(LaunchState state) {
        return state == LAUNCH_CONTINUE || state == LAUNCH_ABANDON;
}

bool launch_is_held(InstanceState in_group) {
        return in_group == INSTANCE_PENDING || in_group == INSTANCE_PENDING_WAIT ||
               in_group == INSTANCE_WARMED_PENDING || in_group == INSTANCE_WARMED_PENDING_WAIT;
}

static bool is_leaving(InstanceState in_group) {
        return (in_group >= INSTANCE_TERMINATING && in_group <= INSTANCE_TERMINATED) ||
               (in_group >= INSTANCE_WARMED_TERMINATING && in_group <= INSTANCE_WARMED_TERMINATED);
}

static bool is_let_go(InstanceState in_group) {
        return in_group == INSTANCE_PENDING_PROCEED || in_group == INSTANCE_IN_SERVICE ||
               in_group == INSTANCE_WARMED_PENDING_PROCEED || in_group == INSTANCE_WARMED_STOPPED ||
               in_group == INSTANCE_WARMED_RUNNING || in_group == INSTANCE_WARMED_HIBERNATED;
}

bool launch_must_look(const LaunchRecord *record, const char *boot_id) {
        switch (record->state) {
        case LAUNCH_NONE:
                return true;
        case LAUNCH_CONTINUED:
        case LAUNCH_ABANDONED:
        case LAUNCH_OVER:
                return !string_equal(record->boot_id, boot_id);
        default:
                return false;
        }
}

LaunchState launch_settle(LaunchState state, LifecycleAnswer answer, InstanceState in_group) {
        bool abandon = state == LAUNCH_ABANDON;

        if (!launch_must_complete(state) || answer == LIFECYCLE_UNCLEAR)
                return state;
        if (answer == LIFECYCLE_DONE)
                return abandon ? LAUNCH_ABANDONED : LAUNCH_CONTINUED;
        if (in_group == INSTANCE_UNKNOWN || launch_is_held(in_group))
                return state;
        /* An earlier completion of ours whose answer was lost leaves these behind. */
        if (!abandon && is_let_go(in_group))
                return LAUNCH_CONTINUED;
        return abandon && is_leaving(in_group) ? LAUNCH_ABANDONED : LAUNCH_OVER;
}

void launch_record_deinit(LaunchRecord *record) {
        free(record->instance);
        free(record->hook);
        free(record->reason);
        free(record->boot_id);
        *record = (LaunchRecord){};
}

static int read_record(json_t *json, LaunchRecord *record) {
        const char *instance, *hook = NULL, *state, *reason = NULL, *boot_id = NULL;
        json_t *since = NULL;

        if (json_unpack(json, "{s:s, s?s, s:s, s?s, s?s, s?o}", "instance", &instance, "hook", &hook, "state",
                        &state, "reason", &reason, "boot_id", &boot_id, "since", &since) < 0 ||
            launch_state_from_string(state, &record->state) < 0 || time_from_json(since, &record->since) < 0)
                return -EINVAL;
        if (string_set(&record->instance, instance) < 0 || string_set(&record->hook, hook) < 0 ||
            string_set(&record->reason, reason) < 0 || string_set(&record->boot_id, boot_id) < 0)
                return -ENOMEM;
        return 0;
}

int launch_record_load(int state_fd, const char *instance, LaunchRecord *ret, Error *error) {
        _cleanup_(launch_record_deinit) LaunchRecord record = {};
        _cleanup_buffer_ Buffer text = {};
        json_auto_t *json = NULL;
        int r;

        r = file_read_at(state_fd, LAUNCH_FILE, LAUNCH_FILE_SIZE_MAX, &text);
        if (r < 0 && r != -ENOENT)
                return error_set_errno(error, r, "cannot read " LAUNCH_FILE);
        json = json_loadb(buffer_string(&text), text.size, JSON_REJECT_DUPLICATES, NULL);
        r = json ? read_record(json, &record) : -EINVAL;
        if (r == -ENOMEM)
                return error_oom(error);
        if (r < 0 || !string_equal(record.instance, instance)) {
                launch_record_deinit(&record);
                if (string_set(&record.instance, instance) < 0)
                        return error_oom(error);
        }
        *ret = record;
        record = (LaunchRecord){};
        return 0;
}

int launch_record_save(int state_fd, const LaunchRecord *record, Error *error) {
        _cleanup_free_ char *text = NULL;
        json_auto_t *json = NULL;
        int r;

        json = json_pack("{s:s, s:s*, s:s, s:s*, s:s*, s:o}", "instance", record->instance, "hook",
                         record->hook, "state", launch_state_to_string(record->state), "reason",
                         record->reason, "boot_id", record->boot_id, "since", time_to_json(record->since));
        text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
        if (!text)
                return error_oom(error);
        r = file_replace_at(state_fd, LAUNCH_FILE, text, strlen(text), LAUNCH_FILE_MODE);
        return r < 0 ? error_set_errno(error, r, "cannot write " LAUNCH_FILE) : 0;
}
