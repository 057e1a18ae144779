#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/record_copy.h"

#define COPY_MODE 0600
#define COPY_SIZE_MAX (256U * 1024U)

static int to_text(const Record *record, char **ret) {
        json_auto_t *json = NULL;
        json_t *deregistered;
        int r;

        r = target_registrations_to_json(&record->deregistered, &deregistered);
        if (r < 0)
                return r;
        json = json_pack("{s:s?, s:o, s:o}", "instance", record->instance, "pin",
                         local_pin_to_json(&record->pin), "deregistered", deregistered);
        *ret = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
        return *ret ? 0 : -ENOMEM;
}

static bool holds(int app_fd, const char *text) {
        _cleanup_buffer_ Buffer found = {};

        return file_read_at(app_fd, RECORD_COPY_FILE, COPY_SIZE_MAX, &found) >= 0 &&
               strcmp(buffer_string(&found), text) == 0;
}

int record_copy_keep(int app_fd, const Record *record, Error *error) {
        _cleanup_free_ char *text = NULL;
        int r;

        if (!record->pin.release.version && record->deregistered.n == 0) {
                r = file_remove_at(app_fd, RECORD_COPY_FILE);
        } else {
                r = to_text(record, &text);
                if (r >= 0 && !holds(app_fd, text))
                        r = file_replace_at(app_fd, RECORD_COPY_FILE, text, strlen(text), COPY_MODE);
        }
        return r < 0 ? error_set_errno(error, r, "cannot write the copy of the deploy record") : 0;
}

static int take_pin(json_t *json, LocalPin *pin) {
        LocalPin found = {};
        int r;

        if (pin->release.version)
                return 0;
        r = local_pin_from_json(json, &found);
        if (r < 0 || !found.release.version)
                return r == -ENOMEM ? r : 0;
        *pin = found;
        return 0;
}

static int take_registrations(json_t *json, TargetRegistrations *registrations) {
        int r;

        if (registrations->n > 0)
                return 0;
        r = target_registrations_from_json(json, registrations);
        return r == -ENOMEM ? r : 0;
}

int record_copy_take(int app_fd, const char *instance, Record *record) {
        _cleanup_buffer_ Buffer text = {};
        json_auto_t *json = NULL;
        const char *whose;
        int r;

        if (file_read_at(app_fd, RECORD_COPY_FILE, COPY_SIZE_MAX, &text) < 0)
                return 0;
        json = json_loadb(buffer_string(&text), text.size, JSON_REJECT_DUPLICATES, NULL);
        whose = json_string_value(json_object_get(json, "instance"));
        if (!instance || !whose || strcmp(whose, instance) != 0)
                return 0;
        r = take_pin(json_object_get(json, "pin"), &record->pin);
        return r < 0 ? r : take_registrations(json_object_get(json, "deregistered"), &record->deregistered);
}
