#include <ctype.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/cli/doctor_environment.h"

static char *trim(char *text) {
        char *end;

        text += strspn(text, " \t");
        for (end = text + strlen(text); end > text && isspace((unsigned char) end[-1]); end--)
                end[-1] = '\0';
        return text;
}

/* In double quotes a backslash makes the next character an ordinary one. */
static void unquote(char *value) {
        char quote = value[0], *to = value, *from = value + 1;

        if (quote != '"' && quote != '\'')
                return;
        for (; *from && *from != quote; from++) {
                if (quote == '"' && *from == '\\' && from[1])
                        from++;
                *to++ = *from;
        }
        *to = '\0';
}

static bool is_name(const char *name) {
        if (!isalpha((unsigned char) *name) && *name != '_')
                return false;
        for (; *name; name++)
                if (!isalnum((unsigned char) *name) && *name != '_')
                        return false;
        return true;
}

static int take_line(char *line, char ***list) {
        char *equals, *name, *value;

        line = trim(line);
        equals = strchr(line, '=');
        if (line[0] == '#' || line[0] == ';' || !equals)
                return 0;
        *equals = '\0';
        name = trim(line);
        value = trim(equals + 1);
        unquote(value);
        return is_name(name) ? strv_appendf(list, "%s=%s", name, value) : 0;
}

int doctor_environment_parse(const char *text, char ***ret) {
        _cleanup_strv_ char **list = NULL;
        _cleanup_free_ char *copy = strdup(text);
        char *next = copy, *line;
        int r = copy ? 0 : -ENOMEM;

        while (r >= 0 && (line = strsep(&next, "\n")))
                r = take_line(line, &list);
        if (copy)
                OPENSSL_cleanse(copy, strlen(text));
        if (r >= 0)
                *ret = TAKE_PTR(list);
        return r;
}

static int set_all(char *const *assignments) {
        STRV_FOREACH(assignment, assignments) {
                _cleanup_free_ char *name = strndup(*assignment, strcspn(*assignment, "="));

                if (!name || setenv(name, *assignment + strlen(name) + 1, true) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int enter(char *const *assignments) {
        static const char *const kept[] = { "PATH", "TERM", "NO_COLOR", "DBUS_SYSTEM_BUS_ADDRESS" };
        _cleanup_strv_ char **before = NULL;
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(kept) && r >= 0; i++)
                if (getenv(kept[i]))
                        r = strv_appendf(&before, "%s=%s", kept[i], getenv(kept[i]));
        if (r < 0 || clearenv() != 0)
                return -ENOMEM;
        r = set_all(before);
        return r < 0 ? r : set_all(assignments);
}

int doctor_environment_enter(const char *path, Error *error) {
        _cleanup_strv_ char **assignments = NULL;
        _cleanup_buffer_ Buffer text = {};
        int r;

        r = file_read_at(AT_FDCWD, path, DOCTOR_ENVIRONMENT_SIZE_MAX, &text);
        if (r < 0)
                return error_set_errno(error, r, "cannot read %s", path);
        r = doctor_environment_parse(buffer_string(&text), &assignments);
        if (text.data)
                OPENSSL_cleanse(text.data, text.allocated);
        if (r >= 0)
                r = enter(assignments);
        return r < 0 ? error_oom(error) : 0;
}
