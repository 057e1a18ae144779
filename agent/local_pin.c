#include <string.h>

#include "agent/base/strv.h"
#include "agent/base/utf8.h"
#include "agent/deployment_json.h"
#include "agent/local_pin.h"

void local_pin_deinit(LocalPin *pin) {
        release_ref_deinit(&pin->release);
        free(pin->reason);
        *pin = (LocalPin){};
}

static bool is_line(const char *text) {
        for (const char *p = text; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        return false;
        return utf8_is_valid(text);
}

int local_pin_check_reason(const char *reason, Error *error) {
        size_t size = strlen(reason);

        if (size > 0 && size <= LOCAL_PIN_REASON_MAX && is_line(reason))
                return 0;
        return error_set_fault(error, -EINVAL, FAULT_INPUT,
                               "the reason of a pin: expected one line of text, at most %u bytes",
                               LOCAL_PIN_REASON_MAX);
}

int local_pin_make(const ReleaseRef *release, const char *reason, uint64_t since, LocalPin *ret) {
        LocalPin pin = { .since = since };

        if (release_ref_copy(&pin.release, release) < 0 || string_set(&pin.reason, reason) < 0) {
                local_pin_deinit(&pin);
                return -ENOMEM;
        }
        *ret = pin;
        return 0;
}

json_t *local_pin_to_json(const LocalPin *pin) {
        if (!pin->release.version)
                return json_null();
        return json_pack("{s:o, s:s, s:o}", "release", release_ref_to_json(&pin->release), "reason",
                         pin->reason, "since", time_to_json(pin->since));
}

int local_pin_from_json(json_t *json, LocalPin *ret) {
        json_t *release, *since;
        const char *reason;
        LocalPin pin = {};
        int r;

        if (!json || json_is_null(json))
                return 0;
        if (json_unpack(json, "{s:o, s:s, s:o}", "release", &release, "reason", &reason, "since", &since) < 0)
                return -EINVAL;
        r = release_ref_from_json(release, &pin.release);
        if (r >= 0)
                r = time_from_json(since, &pin.since);
        if (r >= 0)
                r = pin.release.version ? string_set(&pin.reason, reason) : -EINVAL;
        if (r < 0)
                local_pin_deinit(&pin);
        else
                *ret = pin;
        return r;
}
