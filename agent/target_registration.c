#include <string.h>

#include "agent/base/buffer.h"
#include "agent/net/elb_answer.h"
#include "agent/target_registration.h"

void target_registrations_deinit(TargetRegistrations *registrations) {
        for (size_t i = 0; i < registrations->n; i++)
                free(registrations->items[i].arn);
        free(registrations->items);
        *registrations = (TargetRegistrations){};
}

static int compare(const TargetRegistration *item, const char *arn, uint16_t port) {
        int order = strcmp(item->arn, arn);

        return order != 0 ? order : (int) item->port - (int) port;
}

int target_registrations_add(TargetRegistrations *registrations, const char *arn, uint16_t port) {
        size_t n = registrations->n, at = 0;
        TargetRegistration *items;
        char *copy;

        while (at < n && compare(&registrations->items[at], arn, port) < 0)
                at++;
        if (at < n && compare(&registrations->items[at], arn, port) == 0)
                return 0;
        if (n == TARGET_REGISTRATIONS_MAX)
                return -E2BIG;
        items = reallocarray(registrations->items, n + 1, sizeof(*items));
        if (!items)
                return -ENOMEM;
        registrations->items = items;
        copy = strdup(arn);
        if (!copy)
                return -ENOMEM;
        memmove(items + at + 1, items + at, (n - at) * sizeof(*items));
        items[at] = (TargetRegistration){ copy, port };
        registrations->n++;
        return 0;
}

int target_registrations_merge(TargetRegistrations *registrations, const TargetRegistrations *from) {
        int r = 0;

        for (size_t i = 0; i < from->n && r >= 0; i++)
                r = target_registrations_add(registrations, from->items[i].arn, from->items[i].port);
        return r;
}

size_t target_registrations_run(const TargetRegistrations *registrations, size_t at) {
        size_t n = 0;

        while (at + n < registrations->n &&
               strcmp(registrations->items[at].arn, registrations->items[at + n].arn) == 0)
                n++;
        return n;
}

int target_registrations_to_text(const TargetRegistrations *registrations, char **ret) {
        _cleanup_buffer_ Buffer text = {};
        int r = 0;

        for (size_t i = 0; i < registrations->n && r >= 0; i++) {
                _cleanup_free_ char *name = NULL;

                r = elb_target_group_name(registrations->items[i].arn, &name);
                if (r >= 0)
                        r = buffer_printf(&text, "%s%s:%u", i > 0 ? ", " : "", name,
                                          registrations->items[i].port);
        }
        if (r >= 0)
                r = buffer_printf(&text, "%s", "");
        return r < 0 ? r : buffer_steal(&text, ret, NULL);
}

int target_registrations_to_json(const TargetRegistrations *registrations, json_t **ret) {
        json_auto_t *array = json_array();

        for (size_t i = 0; i < registrations->n; i++)
                if (json_array_append_new(array,
                                          json_pack("{s:s, s:I}", "target_group", registrations->items[i].arn,
                                                    "port", (json_int_t) registrations->items[i].port)) < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(array);
        return *ret ? 0 : -ENOMEM;
}

static int read_items(json_t *json, TargetRegistrations *registrations) {
        json_t *item;
        size_t i;
        int r;

        json_array_foreach(json, i, item) {
                json_int_t port;
                const char *arn;

                if (json_unpack(item, "{s:s, s:I}", "target_group", &arn, "port", &port) < 0 || port < 0 ||
                    port > UINT16_MAX || !elb_is_target_group_arn(arn))
                        return -EINVAL;
                r = target_registrations_add(registrations, arn, (uint16_t) port);
                if (r < 0)
                        return r == -E2BIG ? -EINVAL : r;
        }
        return 0;
}

int target_registrations_from_json(json_t *json, TargetRegistrations *ret) {
        TargetRegistrations registrations = {};
        int r;

        if (!json || json_is_null(json))
                return 0;
        if (!json_is_array(json))
                return -EINVAL;
        r = read_items(json, &registrations);
        if (r < 0)
                target_registrations_deinit(&registrations);
        else
                *ret = registrations;
        return r;
}
