#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/utf8.h"
#include "hooks/environment_file.h"

#define NAME_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define QUOTED "\"\\`$"
#define NAME_SHOWN 64

static bool name_is_right(const char *name) {
        return *name && strchr(NAME_LETTERS, *name) &&
               strspn(name, NAME_LETTERS "0123456789") == strlen(name);
}

static bool value_is_right(const char *value) {
        for (const char *p = value; *p; p++)
                if (((unsigned char) *p < ' ' && *p != '\t' && *p != '\n') || *p == 0x7f)
                        return false;
        return utf8_is_valid(value);
}

static int append(Buffer *buffer, const char *text, size_t size) {
        return buffer_append(buffer, text, size, ENVIRONMENT_FILE_MAX);
}

static int append_value(Buffer *buffer, const char *value) {
        int r = 0;

        while (r >= 0 && *value) {
                size_t n = strcspn(value, QUOTED);

                r = append(buffer, value, n);
                value += n;
                if (r >= 0 && *value) {
                        const char pair[] = { '\\', *value++ };

                        r = append(buffer, pair, sizeof(pair));
                }
        }
        return r;
}

int environment_file_add(Buffer *buffer, const char *name, const char *value, Error *error) {
        int r;

        if (!name_is_right(name))
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "environment: '%.*s' is not the name of a variable", NAME_SHOWN, name);
        if (!value_is_right(value))
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "environment: %s is not UTF-8 text, or has control characters", name);
        r = append(buffer, name, strlen(name));
        if (r >= 0)
                r = append(buffer, "=\"", 2);
        if (r >= 0)
                r = append_value(buffer, value);
        if (r >= 0)
                r = append(buffer, "\"\n", 2);
        if (r == -E2BIG)
                return error_set_fault(error, r, FAULT_INPUT, "environment: more than %u bytes of variables",
                                       ENVIRONMENT_FILE_MAX);
        return r < 0 ? error_oom(error) : 0;
}

int environment_file_add_all(Buffer *buffer, char *const *assignments, Error *error) {
        for (; assignments && *assignments; assignments++) {
                _cleanup_free_ char *name = NULL;
                const char *equals = strchr(*assignments, '=');
                int r;

                if (!equals)
                        return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                               "environment: a text without '='");
                name = strndup(*assignments, (size_t) (equals - *assignments));
                r = name ? environment_file_add(buffer, name, equals + 1, error) : error_oom(error);
                if (r < 0)
                        return r;
        }
        return 0;
}

int environment_file_write(Buffer *buffer, const char *run_folder, const char *app, const char *name,
                           char **ret_path, Error *error) {
        _cleanup_free_ char *folder = NULL, *path = NULL;
        _cleanup_close_ int dirfd = -1;
        int r;

        if (asprintf(&folder, "%s/%s", run_folder, app) < 0 ||
            asprintf(&path, "%s/%s.env", folder, name) < 0) {
                r = -ENOMEM;
        } else {
                r = dirfd = file_open_folder_at(AT_FDCWD, folder, 0700);
                if (r >= 0)
                        r = file_replace_at(dirfd, path + strlen(folder) + 1, buffer->data, buffer->size,
                                            0600);
        }
        if (buffer->data)
                explicit_bzero(buffer->data, buffer->size);
        if (r < 0) {
                (void) error_set_errno(error, r, "cannot write the environment of %s to %s", app, run_folder);
                error_blame(error, FAULT_HOST);
                return r;
        }
        *ret_path = TAKE_PTR(path);
        return 0;
}
