#include <stdarg.h>
#include <string.h>

#include "agent/base/strv.h"

char **strv_free(char **strv) {
        STRV_FOREACH(s, strv)
                free(*s);
        free(strv);
        return NULL;
}

size_t strv_length(char *const *strv) {
        size_t n = 0;

        while (strv && strv[n])
                n++;
        return n;
}

bool strv_equal(char *const *a, char *const *b) {
        size_t n = strv_length(a);

        if (n != strv_length(b))
                return false;
        for (size_t i = 0; i < n; i++)
                if (strcmp(a[i], b[i]) != 0)
                        return false;
        return true;
}

bool strv_contains(char *const *strv, const char *string) {
        for (; strv && *strv; strv++)
                if (strcmp(*strv, string) == 0)
                        return true;
        return false;
}

static int strv_consume(char ***strv, char *string) {
        size_t n = strv_length(*strv);
        char **grown;

        grown = reallocarray(*strv, n + 2, sizeof(char *));
        if (!grown) {
                free(string);
                return -ENOMEM;
        }
        grown[n] = string;
        grown[n + 1] = NULL;
        *strv = grown;
        return 0;
}

int strv_append(char ***strv, const char *string) {
        char *copy = strdup(string);

        return copy ? strv_consume(strv, copy) : -ENOMEM;
}

int strv_extend(char ***strv, char *const *strings) {
        int r = 0;

        for (; strings && *strings && r >= 0; strings++)
                r = strv_append(strv, *strings);
        return r;
}

int strv_appendf(char ***strv, const char *format, ...) {
        va_list arguments;
        char *text;
        int n;

        va_start(arguments, format);
        n = vasprintf(&text, format, arguments);
        va_end(arguments);
        return n < 0 ? -ENOMEM : strv_consume(strv, text);
}

int strv_split(const char *string, const char *separators, char ***ret) {
        _cleanup_strv_ char **strv = NULL;
        const char *p = string;

        for (;;) {
                size_t n;
                char *piece;
                int r;

                p += strspn(p, separators);
                n = strcspn(p, separators);
                if (n == 0)
                        break;
                piece = strndup(p, n);
                if (!piece)
                        return -ENOMEM;
                r = strv_consume(&strv, piece);
                if (r < 0)
                        return r;
                p += n;
        }
        *ret = TAKE_PTR(strv);
        return 0;
}

const char *strv_getenv(char *const *environment, const char *name) {
        size_t n = strlen(name);

        STRV_FOREACH(variable, environment)
                if (strncmp(*variable, name, n) == 0 && (*variable)[n] == '=')
                        return (*variable)[n + 1] ? *variable + n + 1 : NULL;
        return NULL;
}

bool string_starts_with(const char *string, const char *prefix) {
        return strncmp(string, prefix, strlen(prefix)) == 0;
}

bool string_ends_with(const char *string, const char *suffix) {
        size_t n = strlen(string), m = strlen(suffix);

        return n >= m && memcmp(string + n - m, suffix, m) == 0;
}

bool string_equal(const char *a, const char *b) {
        return a && b ? strcmp(a, b) == 0 : a == b;
}

int string_set(char **s, const char *value) {
        char *copy = NULL;

        if (value) {
                copy = strdup(value);
                if (!copy)
                        return -ENOMEM;
        }
        free(*s);
        *s = copy;
        return 0;
}
