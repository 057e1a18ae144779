#include <inttypes.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/cli/target_edit.h"

static int edit_environment(json_t *target, char *const *set, char *const *unset, Error *error) {
        json_t *environment = json_object_get(target, "env");

        if (!environment) {
                environment = json_object();
                if (json_object_set_new(target, "env", environment) < 0)
                        return error_oom(error);
        }
        for (; unset && *unset; unset++)
                (void) json_object_del(environment, *unset);
        for (; set && *set; set++) {
                const char *equals = strchr(*set, '=');

                if (!equals || equals == *set)
                        return error_set_fault(
                                error, -EINVAL, FAULT_INPUT,
                                "--env is \"%.64s\", expected a variable such as LOG_LEVEL=info", *set);
                if (json_object_setn_new(environment, *set, (size_t) (equals - *set),
                                         json_string(equals + 1)) < 0)
                        return error_set_fault(error, -EINVAL, FAULT_INPUT, "--env %.*s: expected UTF-8 text",
                                               (int) (equals - *set), *set);
        }
        if (json_object_size(environment) == 0)
                (void) json_object_del(target, "env");
        return 0;
}

static bool is_release(const json_t *release, const char *sha256) {
        return string_equal(json_string_value(json_object_get(release, "release_sha256")), sha256);
}

static bool was_pinned(const json_t *target) {
        return json_is_true(json_object_get(target, "pinned"));
}

static int edit_previous(json_t *target, const TargetEdit *edit) {
        json_t *stable = json_object_get(target, "stable");

        if (was_pinned(target) && !edit->pinned)
                (void) json_object_del(target, "previous");
        else if (stable && !is_release(stable, edit->release_sha256))
                return json_object_set(target, "previous", stable);
        return 0;
}

static int edit_pin(json_t *target, const TargetEdit *edit, Error *error) {
        json_t *reason;

        (void) json_object_del(target, "urgent");
        (void) json_object_del(target, "pinned");
        (void) json_object_del(target, "reason");
        if (edit->urgent && json_object_set_new(target, "urgent", json_true()) < 0)
                return error_oom(error);
        if (!edit->pinned)
                return 0;
        reason = json_string(edit->reason);
        if (!reason)
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "the reason: expected UTF-8 text");
        if (json_object_set_new(target, "reason", reason) < 0 ||
            json_object_set_new(target, "pinned", json_true()) < 0)
                return error_oom(error);
        return 0;
}

static int edit_release(json_t *target, const TargetEdit *edit, Error *error) {
        json_t *release =
                json_pack("{s:s, s:s}", "version", edit->version, "release_sha256", edit->release_sha256);
        bool staged = edit->kind == TARGET_EDIT_CANDIDATE;

        if ((!staged && edit_previous(target, edit) < 0) ||
            json_object_set_new(target, staged ? "candidate" : "stable", release) < 0)
                return error_oom(error);
        if (!staged) {
                (void) json_object_del(target, "candidate");
                (void) json_object_del(target, "rollout");
        } else if (json_object_set(target, "rollout", edit->rollout) < 0)
                return error_oom(error);
        return edit_pin(target, edit, error);
}

static int edit_max_parallel(json_t *target, const TargetShare *share) {
        json_t *value;

        if (share->count == 0 && share->percent == 0)
                return 0;
        value = share->count > 0 ? json_integer((json_int_t) share->count)
                                 : json_sprintf("%" PRIu64 "%%", share->percent);
        return json_object_set_new(target, "max_parallel", value);
}

static int edit_freeze(json_t *target, json_t *freeze) {
        if (!freeze)
                return 0;
        if (json_array_size(freeze) > 0)
                return json_object_set(target, "freeze", freeze);
        (void) json_object_del(target, "freeze");
        return 0;
}

static int edit_members(json_t *target, const TargetEdit *edit) {
        json_auto_t *members = NULL;
        char issued[TIME_TEXT_MAX];

        format_time(edit->issued, issued);
        members = json_pack("{s:s, s:s, s:I, s:s}", "app", edit->app, "group", edit->group, "serial",
                            (json_int_t) edit->serial, "issued", issued);
        return !members || json_object_update(target, members) < 0 ||
                               edit_max_parallel(target, &edit->max_parallel) < 0 ||
                               edit_freeze(target, edit->freeze) < 0
                       ? -ENOMEM
                       : 0;
}

static int read_old(const void *old, size_t size, json_t **ret, Error *error) {
        json_auto_t *target = NULL;
        int r;

        if (old)
                r = json_read("target", old, size, TARGET_PAYLOAD_SIZE_MAX, &target, error);
        else
                r = (target = json_object()) ? 0 : error_oom(error);
        if (r < 0)
                return r;
        if (!json_is_object(target))
                return error_set_fault(error, -EBADMSG, FAULT_INPUT, "target: expected an object");
        *ret = TAKE_PTR(target);
        return 0;
}

int target_edit(const TargetEdit *edit, const void *old, size_t old_size, char **ret, size_t *ret_size,
                Error *error) {
        _cleanup_target_ Target *check = NULL;
        _cleanup_free_ char *text = NULL;
        json_auto_t *target = NULL;
        size_t size;
        int r;

        r = read_old(old, old_size, &target, error);
        if (r < 0)
                return r;
        if (edit_members(target, edit) < 0)
                return error_oom(error);
        if (edit->kind != TARGET_EDIT_VALUES)
                r = edit_release(target, edit, error);
        if (r >= 0)
                r = edit_environment(target, edit->set, edit->unset, error);
        if (r < 0)
                return r;
        if (json_write(target, &text, &size) < 0)
                return error_oom(error);
        r = target_parse(text, size, &check, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(text);
        *ret_size = size;
        return 0;
}

static json_t *timeless(const void *payload, size_t size) {
        json_t *target;

        if (json_read("target", payload, size, TARGET_PAYLOAD_SIZE_MAX, &target, NULL) < 0)
                return NULL;
        (void) json_object_del(target, "serial");
        (void) json_object_del(target, "issued");
        return target;
}

bool target_says_the_same(const void *a, size_t a_size, const void *b, size_t b_size) {
        json_auto_t *x = timeless(a, a_size), *y = timeless(b, b_size);

        return x && y && json_equal(x, y);
}
