#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "agent/base/buffer.h"
#include "agent/redact.h"

#define ACCESS_KEY_LENGTH 20U
#define PEM_BEGIN "-----BEGIN "
#define PEM_END "-----END "
#define PEM_PRIVATE "PRIVATE KEY-----"

/* A name that ends with one of these is a secret's. */
static const char *const names[] = {
        "password",   "passwd",      "passphrase", "pwd",        "secret",      "token",         "api_key",
        "apikey",     "api-key",     "access_key", "access-key", "accesskey",   "secretkey",     "secret_key",
        "secret-key", "private_key", "privatekey", "credential", "credentials", "authorization", "cookie",
};

static bool is_word(char c) {
        return isalnum((unsigned char) c) || c == '_' || c == '-';
}

/* Whether the word that ends at END, and begins no earlier than TEXT, names a secret. */
static bool names_secret(const char *text, const char *end) {
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                size_t n = strlen(names[i]);

                if ((size_t) (end - text) >= n && strncasecmp(end - n, names[i], n) == 0)
                        return true;
        }
        return false;
}

static const char *skip(const char *p, const char *set) {
        return p + strspn(p, set);
}

/* How long the value at P is; a quoted one goes to the closing quote. */
static size_t value_length(const char *p, char quote) {
        return quote ? strcspn(p, quote == '"' ? "\"\n" : "'\n") : strcspn(p, " \t\r\n,;&\"')}]");
}

/* P stands behind a name: what of "= value" or ": value" stays as it is, 0 if that is no assignment. */
static size_t before_value(const char *p, char *ret_quote) {
        const char *s = p;

        if (*s == '"' || *s == '\'') /* of a name in JSON */
                s++;
        s = skip(s, " \t");
        if (*s != '=' && *s != ':')
                return 0;
        s = skip(s + 1, " \t");
        *ret_quote = *s == '"' || *s == '\'' ? *s : '\0';
        if (*ret_quote)
                s++;
        for (const char *scheme = s;
             strncasecmp(scheme, "Bearer ", 7) == 0 || strncasecmp(scheme, "Basic ", 6) == 0;)
                s = scheme = skip(scheme + strcspn(scheme, " "), " ");
        return (size_t) (s - p);
}

static bool is_access_key(const char *text, const char *p) {
        if ((strncmp(p, "AKIA", 4) != 0 && strncmp(p, "ASIA", 4) != 0) || (p > text && is_word(p[-1])))
                return false;
        return strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ACCESS_KEY_LENGTH;
}

/* "//user:password@host": where the password begins, and how long it is. */
static size_t url_password(const char *p, const char **ret) {
        size_t name, length;

        if (strncmp(p, "//", 2) != 0)
                return 0;
        name = strcspn(p + 2, ":/@ \t\r\n\"'");
        if (p[2 + name] != ':')
                return 0;
        length = strcspn(p + 3 + name, "/@ \t\r\n\"'");
        if (length == 0 || p[3 + name + length] != '@')
                return 0;
        *ret = p + 3 + name;
        return length;
}

/* A private key in PEM goes to the end of its last line, or of the text. */
static size_t private_key_length(const char *p) {
        const char *end;

        if (strncmp(p, PEM_BEGIN, strlen(PEM_BEGIN)) != 0)
                return 0;
        end = strstr(p, PEM_PRIVATE);
        if (!end || memchr(p, '\n', (size_t) (end - p)))
                return 0;
        end = strstr(end, PEM_END);
        return end ? (size_t) (end - p) + strcspn(end, "\n") : strlen(p);
}

/* What is at P: copies KEEP bytes, then leaves *RET_OUT out. False: nothing of interest. */
static bool find_secret(const char *text, const char *p, size_t *ret_keep, size_t *ret_out) {
        const char *password;
        char quote = '\0';

        *ret_keep = 0;
        if ((*ret_out = private_key_length(p)) > 0)
                return true;
        if (is_access_key(text, p)) {
                *ret_out = ACCESS_KEY_LENGTH;
                return true;
        }
        if ((*ret_out = url_password(p, &password)) > 0) {
                *ret_keep = (size_t) (password - p);
                return true;
        }
        if (p == text || is_word(*p) || !is_word(p[-1]) || !names_secret(text, p))
                return false;
        *ret_keep = before_value(p, &quote);
        *ret_out = *ret_keep > 0 ? value_length(p + *ret_keep, quote) : 0;
        return *ret_out > 0;
}

char *redact(const char *text) {
        _cleanup_buffer_ Buffer out = {};
        size_t keep, length, size;
        char *copy;
        int r = 0;

        for (const char *p = text; *p && r >= 0;) {
                if (find_secret(text, p, &keep, &length)) {
                        r = buffer_append(&out, p, keep, SIZE_MAX);
                        if (r >= 0)
                                r = buffer_printf(&out, REDACTED);
                        p += keep + length;
                } else {
                        r = buffer_append(&out, p++, 1, SIZE_MAX);
                }
        }
        return r >= 0 && buffer_steal(&out, &copy, &size) >= 0 ? copy : NULL;
}
