#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/pin_copy.h"

#define COPY_MODE 0600
#define COPY_SIZE_MAX (16U * 1024U)

static int to_text(const Record *record, char **ret) {
        json_auto_t *json = NULL;

        json = json_pack("{s:s?, s:o}", "instance", record->instance, "pin", local_pin_to_json(&record->pin));
        *ret = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
        return *ret ? 0 : -ENOMEM;
}

static bool holds(int app_fd, const char *text) {
        _cleanup_buffer_ Buffer found = {};

        return file_read_at(app_fd, PIN_COPY_FILE, COPY_SIZE_MAX, &found) >= 0 &&
               strcmp(buffer_string(&found), text) == 0;
}

int pin_copy_keep(int app_fd, const Record *record, Error *error) {
        _cleanup_free_ char *text = NULL;
        int r;

        if (!record->pin.release.version) {
                r = file_remove_at(app_fd, PIN_COPY_FILE);
        } else {
                r = to_text(record, &text);
                if (r >= 0 && !holds(app_fd, text))
                        r = file_replace_at(app_fd, PIN_COPY_FILE, text, strlen(text), COPY_MODE);
        }
        return r < 0 ? error_set_errno(error, r, "cannot write the copy of the pin") : 0;
}

int pin_copy_take(int app_fd, const char *instance, LocalPin *ret) {
        _cleanup_buffer_ Buffer text = {};
        json_auto_t *json = NULL;
        const char *whose;
        LocalPin pin = {};
        int r;

        if (file_read_at(app_fd, PIN_COPY_FILE, COPY_SIZE_MAX, &text) < 0)
                return 0;
        json = json_loadb(buffer_string(&text), text.size, JSON_REJECT_DUPLICATES, NULL);
        whose = json_string_value(json_object_get(json, "instance"));
        if (!instance || !whose || strcmp(whose, instance) != 0)
                return 0;
        r = local_pin_from_json(json_object_get(json, "pin"), &pin);
        if (r < 0 || !pin.release.version)
                return r == -ENOMEM ? r : 0;
        *ret = pin;
        return 1;
}
