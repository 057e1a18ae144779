#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/strv.h"
#include "units/unit_name.h"

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.-\\@"

static const char *const types[] = { "service", "socket", "timer", "path", "target", "slice" };

const char *unit_name_type(const char *name) {
        const char *dot = strrchr(name, '.');

        return dot ? dot + 1 : "";
}

bool unit_name_is_valid(const char *name) {
        const char *type = unit_name_type(name), *at = strchr(name, '@');
        size_t length = strlen(name);

        if (length >= UNIT_NAME_MAX || strspn(name, NAME_CHARACTERS) != length || !*type)
                return false;
        if (name == type - 1 || at == name || (at && strchr(at + 1, '@')))
                return false;
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (strcmp(type, types[i]) == 0)
                        return true;
        return false;
}

bool unit_name_is_template(const char *name) {
        const char *at = strchr(name, '@');

        return at && at + 2 == unit_name_type(name);
}

bool unit_name_is_reserved(const char *name) {
        /* systemd.special(7): units that systemd itself pulls in or starts by name. What has a file in its own folders
         * needs no entry here. */
        static const char *const special[] = {
                "-.slice",
                "ctrl-alt-del.target",
                "dbus.service",
                "dbus.socket",
                "default.target",
                "machine.slice",
                "display-manager.service",
                "kbrequest.target",
                "system.slice",
                "sigpwr.target",
                "syslog.service",
                "syslog.socket",
                "user.slice",
        };
        static const char *const prefixes[] = { "systemd-", "dbus-org.freedesktop.", "muster-", "muster.",
                                                "musterd." };

        for (size_t i = 0; i < ELEMENTSOF(special); i++)
                if (strcmp(name, special[i]) == 0)
                        return true;
        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
                if (string_starts_with(name, prefixes[i]))
                        return true;
        return false;
}

int unit_name_escape(const char *text, char **ret) {
        static const char digits[] = "0123456789abcdef";
        char *escaped, *to;

        escaped = to = malloc(strlen(text) * 4 + 1);
        if (!escaped)
                return -ENOMEM;
        for (const char *p = text; *p; p++) {
                unsigned char c = (unsigned char) *p;

                if ((c < 0x80 && isalnum(c)) || c == '_' || (c == '.' && p != text)) {
                        *to++ = *p;
                } else {
                        *to++ = '\\';
                        *to++ = 'x';
                        *to++ = digits[c >> 4];
                        *to++ = digits[c & 15];
                }
        }
        *to = '\0';
        *ret = escaped;
        return 0;
}
