#include <jansson.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/deployment_json.h"
#include "agent/launch_record.h"
#include "agent/lifecycle_hooks.h"

#define LAUNCH_FILE "launch.json"
#define LAUNCH_BAD_FILE "launch.json.bad"
#define LAUNCH_FILE_MODE 0600
#define LAUNCH_FILE_SIZE_MAX 16384U

void launch_record_deinit(LaunchRecord *record) {
        free(record->instance);
        free(record->group);
        strv_free(record->hooks);
        free(record->reason);
        free(record->boot_id);
        *record = (LaunchRecord){};
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

/* "hook" is that of the records of muster 0.1. */
static int read_hooks(json_t *json, LaunchRecord *record) {
        const char *one = json_string_value(json_object_get(json, "hook"));
        json_t *item;
        size_t i;
        int r = one ? strv_append(&record->hooks, one) : 0;

        json_array_foreach(json_object_get(json, "hooks"), i, item) {
                if (!json_is_string(item) || i >= LIFECYCLE_HOOKS_MAX)
                        return -EINVAL;
                if (r >= 0)
                        r = strv_append(&record->hooks, json_string_value(item));
        }
        return r;
}

static int read_record(json_t *json, LaunchRecord *record) {
        const char *instance, *group = NULL, *state, *reason = NULL, *boot_id = NULL;
        json_int_t heard = 0, held_at = 0;
        json_t *since = NULL;
        int r;

        if (json_unpack(json, "{s:s, s?s, s:s, s?s, s?s, s?I, s?I, s?o}", "instance", &instance, "group",
                        &group, "state", &state, "reason", &reason, "boot_id", &boot_id, "heard", &heard,
                        "held_at", &held_at, "since", &since) < 0 ||
            launch_state_from_string(state, &record->state) < 0 || time_from_json(since, &record->since) < 0)
                return -EINVAL;
        r = read_hooks(json, record);
        if (r < 0)
                return r;
        if (heard < 0 || (size_t) heard > strv_length(record->hooks) || held_at < 0)
                return -EINVAL;
        record->n_heard = (size_t) heard;
        record->held_at = (uint64_t) held_at;
        if (string_set(&record->instance, instance) < 0 || string_set(&record->group, group) < 0 ||
            string_set(&record->reason, reason) < 0 || string_set(&record->boot_id, boot_id) < 0)
                return -ENOMEM;
        return 0;
}

/* Whatever is there is no record, and would stay in the way of one: musterd would do nothing at all. */
static bool is_none(int r) {
        return r == -E2BIG || r == -EISDIR || r == -ELOOP || r == -ENXIO;
}

static void set_aside(int state_fd) {
        (void) file_remove_tree_at(state_fd, LAUNCH_BAD_FILE);
        (void) renameat(state_fd, LAUNCH_FILE, state_fd, LAUNCH_BAD_FILE);
}

int launch_record_load(int state_fd, const char *instance, LaunchRecord *ret, Error *error) {
        _cleanup_(launch_record_deinit) LaunchRecord record = {};
        _cleanup_buffer_ Buffer text = {};
        json_auto_t *json = NULL;
        int r;

        r = file_read_at(state_fd, LAUNCH_FILE, LAUNCH_FILE_SIZE_MAX, &text);
        if (is_none(r))
                set_aside(state_fd);
        else if (r < 0 && r != -ENOENT)
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
        json_t *hooks = json_array();
        int r;

        STRV_FOREACH(hook, record->hooks)
                (void) json_array_append_new(hooks, json_string(*hook));
        json = json_pack("{s:s, s:s*, s:o, s:I, s:s, s:s*, s:s*, s:I, s:o}", "instance", record->instance,
                         "group", record->group, "hooks", hooks, "heard", (json_int_t) record->n_heard,
                         "state", launch_state_to_string(record->state), "reason", record->reason, "boot_id",
                         record->boot_id, "held_at", (json_int_t) record->held_at, "since",
                         time_to_json(record->since));
        text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
        if (!text)
                return error_oom(error);
        r = file_replace_at(state_fd, LAUNCH_FILE, text, strlen(text), LAUNCH_FILE_MODE);
        return r < 0 ? error_set_errno(error, r, "cannot write " LAUNCH_FILE) : 0;
}
