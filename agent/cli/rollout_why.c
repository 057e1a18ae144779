#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/strv.h"
#include "agent/cli/rollout_why.h"

#define HOLDERS_NAMED 3U

static const char *text_of(const json_t *object, const char *name) {
        const char *text = json_string_value(json_object_get(object, name));

        return text && *text ? text : NULL;
}

static bool is_state(const json_t *object, const char *state) {
        return string_equal(text_of(object, "state"), state);
}

/* From afar */

static const json_t *find_row(const json_t *picture, const char *instance) {
        const json_t *row;
        size_t i;

        json_array_foreach((json_t *) json_object_get(picture, "instances"), i, row)
                if (string_equal(text_of(row, "instance"), instance) ||
                    string_equal(text_of(row, "name"), instance))
                        return row;
        return NULL;
}

static bool holds_place(const json_t *row) {
        return text_of(row, "until") && !json_is_true(json_object_get(row, "late"));
}

/* "; the place is held by i-1 until 20:15:00Z, i-2 until ..." */
static int add_holders(Buffer *text, const json_t *picture) {
        const json_t *row;
        size_t i, n = 0;
        int r = 0;

        json_array_foreach((json_t *) json_object_get(picture, "instances"), i, row) {
                if (r < 0 || !holds_place(row))
                        continue;
                if (n < HOLDERS_NAMED)
                        r = buffer_printf(text, "%s %s (%s, until %s at most)",
                                          n == 0 ? "; those who change now:" : ",", text_of(row, "instance"),
                                          text_of(row, "state"), text_of(row, "until"));
                n++;
        }
        return r >= 0 && n > HOLDERS_NAMED ? buffer_printf(text, " and %zu more", n - HOLDERS_NAMED) : r;
}

typedef struct Reason {
        const char *state;
        const char *text;   /* with the release that it is about */
        bool names_rollout; /* what the rollout waits for comes after it */
        bool names_holders;
} Reason;

static const Reason reasons[] = {
        { "changing", "changes to %s", false, false },
        { "proving", "runs %s and has to stay healthy for a while before it counts", false, false },
        { "going-back", "goes back from %s", false, false },
        { "to-go-back", "is to go back from %s and waits for a place", false, true },
        { "failed", "failed with %s and does not try it again in this rollout", true, false },
        { "in-line", "asks for a place to change to %s", true, true },
        { "member", "runs %s and is done", true, false },
        { "waiting", "waits for its stage to change to %s", true, true },
        { "out", "takes no part in the rollout of %s: it is pinned, or leaves", false, false },
        { "gone", "does not report any more, and no stage waits for it to change to %s", false, false },
};

static int add_reason(Buffer *text, const Reason *reason, const char *version) {
        const char *place = strstr(reason->text, "%s");

        return buffer_printf(text, "%.*s%s%s", (int) (place - reason->text), reason->text, version,
                             place + 2);
}

static int describe_row(Buffer *text, const json_t *picture, const json_t *row) {
        const char *version = text_of(picture, "version") ?: "-", *why = text_of(row, "why");
        int r = buffer_printf(text, "%s ", text_of(row, "instance") ?: "-");

        for (size_t i = 0; i < ELEMENTSOF(reasons) && r >= 0; i++) {
                if (!is_state(row, reasons[i].state))
                        continue;
                r = add_reason(text, &reasons[i], version);
                if (r >= 0 && why)
                        r = buffer_printf(text, " (%s)", why);
                if (r >= 0 && holds_place(row))
                        r = buffer_printf(text, ", until %s at most", text_of(row, "until"));
                if (r >= 0 && reasons[i].names_rollout)
                        r = buffer_printf(text, "; rollout %s is %s: %s", text_of(picture, "rollout") ?: "-",
                                          text_of(picture, "state") ?: "-",
                                          text_of(picture, "sentence") ?: "-");
                if (r >= 0 && reasons[i].names_holders)
                        r = add_holders(text, picture);
        }
        return r;
}

static int take(Buffer *text, int r, char **ret) {
        if (r < 0)
                return r;
        *ret = strdup(buffer_string(text));
        return *ret ? 0 : -ENOMEM;
}

int rollout_why(const json_t *picture, const char *instance, char **ret, Error *error) {
        const json_t *row = find_row(picture, instance);
        _cleanup_buffer_ Buffer text = {};

        if (!row)
                return error_set_fault(error, -ENOENT, FAULT_INPUT,
                                       "%s in %s: no instance %.128s has reported or taken part",
                                       text_of(picture, "app") ?: "-", text_of(picture, "group") ?: "-",
                                       instance);
        return take(&text, describe_row(&text, picture, row), ret) < 0 ? error_oom(error) : 0;
}

/* Here */

static int describe_own_part(Buffer *text, const json_t *rollout) {
        const char *waits_for = text_of(rollout, "waits_for"), *holder = text_of(rollout, "holder"),
                   *until = text_of(rollout, "until");
        int r = buffer_printf(text, "%s in rollout %s to %s (%s)", text_of(rollout, "role") ?: "-",
                              text_of(rollout, "id") ?: "-", text_of(rollout, "release") ?: "-",
                              text_of(rollout, "state") ?: "-");

        if (r >= 0 && waits_for)
                r = buffer_printf(text, ": %s", waits_for);
        if (r >= 0 && holder)
                r = buffer_printf(text, ", held by %s", holder);
        return r >= 0 && until ? buffer_printf(text, ", until %s at most", until) : r;
}

int rollout_why_here(const json_t *app, char **ret) {
        const json_t *rollout = json_object_get(app, "rollout");
        const char *reason = text_of(app, "reason");
        _cleanup_buffer_ Buffer text = {};
        int r = buffer_printf(&text, "%s: ", text_of(app, "app") ?: "-");

        if (r >= 0 && json_is_object(rollout)) {
                r = describe_own_part(&text, rollout);
                if (r >= 0 && reason)
                        r = buffer_printf(&text, "; %s", reason);
        } else if (r >= 0)
                r = buffer_printf(&text, "%s", reason ?: text_of(app, "state") ?: "-");
        return take(&text, r, ret);
}
