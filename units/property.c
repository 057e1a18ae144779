#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/strv.h"
#include "units/property.h"

#define MOUNT_RECURSIVE UINT64_C(16384) /* MS_REC, as systemd's own clients send it for rbind */

static const char *skip_dash(const char *path, int *ret_optional) {
        *ret_optional = *path == '-';
        return path + (*path == '-');
}

/* Splits "a:b" into *RET_A (new memory) and *RET_B (within TEXT). */
static int split_pair(const char *text, char **ret_a, const char **ret_b) {
        const char *colon = strchr(text, ':');

        if (!colon)
                return -EINVAL;
        *ret_a = strndup(text, (size_t) (colon - text));
        *ret_b = colon + 1;
        return *ret_a ? 0 : -ENOMEM;
}

static int append_path(sd_bus_message *m, const char *item) {
        int optional;
        const char *path = skip_dash(item, &optional);

        return sd_bus_message_append(m, "(sb)", path, optional);
}

static int append_option(sd_bus_message *m, const char *item) {
        _cleanup_free_ char *path = NULL;
        const char *options;
        int r;

        r = split_pair(item, &path, &options);
        return r < 0 ? r : sd_bus_message_append(m, "(ss)", path, options);
}

static int append_bind(sd_bus_message *m, const char *item) {
        _cleanup_free_ char *source = NULL;
        const char *destination;
        int optional, r;

        r = split_pair(skip_dash(item, &optional), &source, &destination);
        return r < 0 ? r : sd_bus_message_append(m, "(ssbt)", source, destination, optional, MOUNT_RECURSIVE);
}

static int append_boolean(sd_bus_message *m, const UnitProperty *p) {
        return sd_bus_message_append(m, "b", (int) (p->number != 0));
}

static int append_uint64(sd_bus_message *m, const UnitProperty *p) {
        return sd_bus_message_append(m, "t", p->number);
}

static int append_uint32(sd_bus_message *m, const UnitProperty *p) {
        return p->number > UINT32_MAX ? -EINVAL : sd_bus_message_append(m, "u", (uint32_t) p->number);
}

static int append_int32(sd_bus_message *m, const UnitProperty *p) {
        return sd_bus_message_append(m, "i", (int32_t) (int64_t) p->number);
}

static int append_text(sd_bus_message *m, const UnitProperty *p) {
        return p->text ? sd_bus_message_append(m, "s", p->text) : -EINVAL;
}

static int append_strings(sd_bus_message *m, const UnitProperty *p) {
        return sd_bus_message_append_strv(m, (char **) p->list);
}

static int append_filter(sd_bus_message *m, const UnitProperty *p) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "bas");
        if (r >= 0)
                r = sd_bus_message_append(m, "b", (int) p->allow);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **) p->list);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_list(sd_bus_message *m, const UnitProperty *p,
                       int (*append)(sd_bus_message *, const char *)) {
        int r;

        r = sd_bus_message_open_container(m, 'a', p->signature + 1);
        for (const char *const *item = p->list; r >= 0 && item && *item; item++)
                r = append(m, *item);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_paths(sd_bus_message *m, const UnitProperty *p) {
        return append_list(m, p, append_path);
}

static int append_options(sd_bus_message *m, const UnitProperty *p) {
        return append_list(m, p, append_option);
}

static int append_binds(sd_bus_message *m, const UnitProperty *p) {
        return append_list(m, p, append_bind);
}

static const struct {
        const char *signature;
        int (*append)(sd_bus_message *m, const UnitProperty *p);
} types[] = {
        { "b", append_boolean },     { "t", append_uint64 },    { "u", append_uint32 },
        { "i", append_int32 },       { "s", append_text },      { "as", append_strings },
        { "(bas)", append_filter },  { "a(sb)", append_paths }, { "a(ss)", append_options },
        { "a(ssbt)", append_binds },
};

int unit_property_append(sd_bus_message *message, const UnitProperty *property) {
        int r = -EINVAL;

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                if (strcmp(types[i].signature, property->signature) != 0)
                        continue;
                r = sd_bus_message_open_container(message, 'r', "sv");
                if (r >= 0)
                        r = sd_bus_message_append(message, "s", property->name);
                if (r >= 0)
                        r = sd_bus_message_open_container(message, 'v', property->signature);
                if (r >= 0)
                        r = types[i].append(message, property);
                if (r >= 0)
                        r = sd_bus_message_close_container(message);
                return r < 0 ? r : sd_bus_message_close_container(message);
        }
        return r;
}

int unit_properties_append(sd_bus_message *message, const UnitProperty *properties, size_t n) {
        for (size_t i = 0; i < n; i++) {
                int r = unit_property_append(message, &properties[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

UnitProperty *unit_properties_free(UnitProperty *properties, size_t n) {
        for (size_t i = 0; properties && i < n; i++) {
                free((char *) properties[i].name);
                free((char *) properties[i].signature);
                free((char *) properties[i].text);
                strv_free((char **) properties[i].list);
        }
        free(properties);
        return NULL;
}

static int copy_property(const UnitProperty *from, UnitProperty *to) {
        int r = 0;

        *to = (UnitProperty){ .number = from->number, .allow = from->allow };
        if (string_set((char **) &to->name, from->name) < 0 ||
            string_set((char **) &to->signature, from->signature) < 0 ||
            string_set((char **) &to->text, from->text) < 0)
                return -ENOMEM;
        for (const char *const *item = from->list; r >= 0 && item && *item; item++)
                r = strv_append((char ***) &to->list, *item);
        return r;
}

int unit_properties_copy(const UnitProperty *properties, size_t n, UnitProperty **ret) {
        UnitProperty *copy;

        if (n > UNIT_PROPERTIES_MAX)
                return -E2BIG;
        copy = calloc(n + 1, sizeof(*copy));
        if (!copy)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                int r = copy_property(&properties[i], &copy[i]);

                if (r < 0) {
                        unit_properties_free(copy, n);
                        return r;
                }
        }
        *ret = copy;
        return 0;
}
