#include <stdint.h>
#include <string.h>

#include "agent/base/utf8.h"
#include "artifacts/entry_name.h"

/* The length of the character that P begins with, 0 if it is none, or one that controls a terminal (C0, delete, C1). */
static size_t character_length(const uint8_t *p, size_t available) {
        size_t length = utf8_sequence(p, available);

        if (length == 1 && (*p < 0x20 || *p == 0x7f))
                return 0;
        if (length == 2 && *p == 0xc2 && p[1] < 0xa0)
                return 0;
        return length;
}

bool entry_text_is_valid(const char *text, size_t length) {
        const uint8_t *p = (const uint8_t *) text;

        for (size_t n; length > 0; p += n, length -= n) {
                n = character_length(p, length);
                if (n == 0)
                        return false;
        }
        return true;
}

size_t entry_text_clean(const char *text, char *ret, size_t size) {
        const uint8_t *p = (const uint8_t *) text;
        size_t left = strlen(text), written = 0;

        while (left > 0) {
                size_t n = character_length(p, left), step = n > 0 ? n : 1;

                if (written + step >= size)
                        break;
                if (n > 0)
                        memcpy(ret + written, p, n);
                else
                        ret[written] = '?';
                written += step;
                p += step;
                left -= step;
        }
        ret[written] = '\0';
        return written;
}

static bool is_component(const char *p, size_t length, const char *component) {
        return length == strlen(component) && memcmp(p, component, length) == 0;
}

static int refuse(Error *error, const char *reason) {
        return error_set_fault(error, -EBADMSG, FAULT_RELEASE, "%s", reason);
}

int entry_name_normalise(const char *name, size_t path_max, size_t depth_max, char *ret, Error *error) {
        size_t length = strlen(name), written = 0, depth = 0;

        if (length == 0)
                return refuse(error, "its name is empty");
        if (*name == '/')
                return refuse(error, "its name is an absolute path");
        if (!entry_text_is_valid(name, length))
                return refuse(error, "its name is not UTF-8 text, or has control characters");
        for (const char *p = name; *p; p += strspn(p, "/")) {
                size_t n = strcspn(p, "/");

                if (is_component(p, n, ".."))
                        return refuse(error, "its name has \"..\" in it");
                if (n > ENTRY_COMPONENT_MAX)
                        return error_set_fault(error, -EBADMSG, FAULT_RELEASE,
                                               "its name has a part of %zu bytes, at most %u are allowed", n,
                                               ENTRY_COMPONENT_MAX);
                if (!is_component(p, n, ".")) {
                        if (written > 0)
                                ret[written++] = '/';
                        memcpy(ret + written, p, n);
                        written += n;
                        depth++;
                }
                p += n;
        }
        ret[written] = '\0';
        if (written > path_max)
                return error_set_fault(error, -EBADMSG, FAULT_RELEASE,
                                       "its name has %zu bytes, at most %zu are allowed", written, path_max);
        if (depth > depth_max)
                return error_set_fault(error, -EBADMSG, FAULT_RELEASE,
                                       "it lies %zu folders deep, at most %zu are allowed", depth, depth_max);
        return 0;
}

static size_t folders_of(const char *path) {
        size_t n = 0;

        for (; *path; path++)
                n += *path == '/';
        return n;
}

int entry_link_check(const char *path, const char *target, Error *error) {
        size_t length = strlen(target), folders = folders_of(path), climbs = 0;
        bool descended = false;

        if (length == 0)
                return refuse(error, "its link target is empty");
        if (length > ENTRY_LINK_TARGET_MAX)
                return refuse(error, "its link target is too long");
        if (*target == '/')
                return error_set_fault(error, -EBADMSG, FAULT_RELEASE,
                                       "it links to an absolute path, out of the release");
        if (!entry_text_is_valid(target, length))
                return refuse(error, "its link target is not UTF-8 text, or has control characters");
        for (const char *p = target; *p; p += strspn(p, "/")) {
                size_t n = strcspn(p, "/");

                if (is_component(p, n, "..")) {
                        if (descended)
                                return refuse(error, "its link target has \"..\" after a name");
                        if (++climbs > folders)
                                return refuse(error, "it links out of the release");
                } else if (!is_component(p, n, "."))
                        descended = true;
                p += n;
        }
        return 0;
}
