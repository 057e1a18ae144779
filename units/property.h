#pragma once

/* Properties of a transient unit as a table, so that a sandbox is data. The names are those of systemd's D-Bus
 * interface (org.freedesktop.systemd1(5)), which mostly are the unit file's, with ...USec where times are meant. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define UNIT_PROPERTIES_MAX 64U

typedef struct UnitProperty {
        const char *name;
        const char *signature; /* the type on the bus: one of those below */
        uint64_t number;       /* b t u i */
        const char *text;      /* s */
        /* as and (bas), NULL-terminated. a(sb): paths, "-" before one that may be missing. a(ss): "path:options".
         * a(ssbt): "source:destination", "-" before one that may be missing; mounted recursively. */
        const char *const *list;
        bool allow; /* (bas): an allow list, else a deny list */
} UnitProperty;

#define UNIT_BOOLEAN(n, v) ((UnitProperty){ .name = (n), .signature = "b", .number = (v) })
#define UNIT_UINT64(n, v) ((UnitProperty){ .name = (n), .signature = "t", .number = (v) })
#define UNIT_UINT32(n, v) ((UnitProperty){ .name = (n), .signature = "u", .number = (v) })
#define UNIT_INT32(n, v) ((UnitProperty){ .name = (n), .signature = "i", .number = (uint64_t) (int64_t) (v) })
#define UNIT_STRING(n, v) ((UnitProperty){ .name = (n), .signature = "s", .text = (v) })
#define UNIT_STRINGS(n, ...)                                                                                 \
        ((UnitProperty){ .name = (n), .signature = "as", .list = (const char *const[]){ __VA_ARGS__, NULL } })
#define UNIT_ALLOW(n, ...)                                                                                   \
        ((UnitProperty){ .name = (n),                                                                        \
                         .signature = "(bas)",                                                               \
                         .allow = true,                                                                      \
                         .list = (const char *const[]){ __VA_ARGS__, NULL } })
#define UNIT_DENY(n, ...)                                                                                    \
        ((UnitProperty){                                                                                     \
                .name = (n), .signature = "(bas)", .list = (const char *const[]){ __VA_ARGS__, NULL } })
#define UNIT_BIND(n, ...)                                                                                    \
        ((UnitProperty){                                                                                     \
                .name = (n), .signature = "a(ssbt)", .list = (const char *const[]){ __VA_ARGS__, NULL } })

/* Appends one (sv). -EINVAL for a signature that is not in the list above or a list item that does not fit it. */
int unit_property_append(sd_bus_message *message, const UnitProperty *property);
int unit_properties_append(sd_bus_message *message, const UnitProperty *properties, size_t n);

/* A copy in new memory, lists and texts included. -ENOMEM; -E2BIG for more than UNIT_PROPERTIES_MAX. */
int unit_properties_copy(const UnitProperty *properties, size_t n, UnitProperty **ret);
UnitProperty *unit_properties_free(UnitProperty *properties, size_t n);
