#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/url.h"

static const char hex_digits[] = "0123456789ABCDEF";

static bool is_unreserved(unsigned char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '.' || c == '_' || c == '~';
}

int url_encode(Buffer *buffer, const char *text, size_t size, bool keep_slash) {
        int r;

        if (size > SIZE_MAX / 4)
                return -ENOMEM;
        r = buffer_reserve(buffer, buffer->size + 3 * size);
        for (size_t i = 0; r >= 0 && i < size; i++) {
                unsigned char c = (unsigned char) text[i];
                const char escaped[] = { '%', hex_digits[c >> 4], hex_digits[c & 15] };

                if (is_unreserved(c) || (keep_slash && c == '/'))
                        r = buffer_append(buffer, &c, 1, SIZE_MAX);
                else
                        r = buffer_append(buffer, escaped, sizeof(escaped), SIZE_MAX);
        }
        return r;
}

int url_query_add(Buffer *query, const char *name, const char *value) {
        int r = 0;

        if (query->size > 0)
                r = buffer_append(query, "&", 1, SIZE_MAX);
        if (r >= 0)
                r = url_encode(query, name, strlen(name), false);
        if (r >= 0)
                r = buffer_append(query, "=", 1, SIZE_MAX);
        if (r >= 0 && value)
                r = url_encode(query, value, strlen(value), false);
        return r;
}

int url_query_addf(Buffer *query, const char *name, const char *format, ...) {
        _cleanup_free_ char *value = NULL;
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vasprintf(&value, format, arguments);
        va_end(arguments);
        if (n < 0) {
                value = NULL;
                return -ENOMEM;
        }
        return url_query_add(query, name, value);
}

static int hex_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

int url_decode(Buffer *buffer, const char *text, size_t size, bool plus_is_space) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < size; i++) {
                char c = text[i];

                if (c == '%') {
                        int high = size - i > 2 ? hex_value(text[i + 1]) : -1;
                        int low = high >= 0 ? hex_value(text[i + 2]) : -1;

                        if (low < 0)
                                return -EINVAL;
                        c = (char) (high * 16 + low);
                        i += 2;
                } else if (c == '+' && plus_is_space)
                        c = ' ';
                r = buffer_append(buffer, &c, 1, SIZE_MAX);
        }
        return r;
}

static bool host_is_valid(const char *host) {
        size_t n = strlen(host);

        if (host[0] == '[')
                return n > 2 && host[n - 1] == ']' && strspn(host + 1, "0123456789abcdef:.") == n - 2;
        return n > 0 && strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == n;
}

/* HOST[:PORT] at the start of *TEXT, up to the path. */
static int parse_authority(const char *text, size_t size, Url *url) {
        bool https = strcmp(url->scheme, "https") == 0;
        uint64_t port = https ? 443 : 80, default_port = port;
        char *colon;

        url->host = strndup(text, size);
        if (!url->host)
                return -ENOMEM;
        colon = strrchr(url->host, ':');
        if (colon && !strchr(colon, ']')) {
                *colon = '\0';
                if (parse_u64(colon + 1, &port) < 0 || port == 0 || port > UINT16_MAX)
                        return -EINVAL;
        }
        for (char *c = url->host; *c; c++)
                *c = (char) tolower((unsigned char) *c);
        if (!host_is_valid(url->host))
                return -EINVAL;
        url->port = (uint16_t) port;
        if (port == default_port)
                url->authority = strdup(url->host);
        else if (asprintf(&url->authority, "%s:%u", url->host, (unsigned) port) < 0)
                url->authority = NULL;
        return url->authority ? 0 : -ENOMEM;
}

static int parse_path_and_query(const char *text, Url *url) {
        size_t n = strcspn(text, "?");
        int r = 0;

        url->path = n > 0 ? strndup(text, n) : strdup("/");
        if (text[n] == '?')
                r = string_set(&url->query, text + n + 1);
        return url->path ? r : -ENOMEM;
}

static bool has_foreign_character(const char *text) {
        for (; *text; text++)
                if (*text <= ' ' || *text >= 127 || *text == '#' || *text == '\\')
                        return true;
        return false;
}

static int parse(const char *text, Url *url) {
        const char *rest;
        size_t n;
        int r;

        if (strncasecmp(text, "https://", 8) == 0)
                r = string_set(&url->scheme, "https");
        else if (strncasecmp(text, "http://", 7) == 0)
                r = string_set(&url->scheme, "http");
        else
                return -EINVAL;
        if (r < 0)
                return r;
        if (strlen(text) > URL_MAX || has_foreign_character(text))
                return -EINVAL;
        rest = text + strlen(url->scheme) + 3;
        n = strcspn(rest, "/?");
        r = parse_authority(rest, n, url);
        return r < 0 ? r : parse_path_and_query(rest + n, url);
}

int url_parse(const char *text, Url *ret, Error *error) {
        _cleanup_url_ Url url = {};
        int r;

        r = parse(text, &url);
        if (r == -ENOMEM)
                return error_oom(error);
        if (r < 0)
                return error_set_fault(error, r, FAULT_INPUT,
                                       "bad URL '%.200s', expected http[s]://HOST[:PORT][/PATH]",
                                       strchr(text, '@') ? "(with a user name)" : text);
        *ret = url;
        url = (Url){};
        return 0;
}

void url_deinit(Url *url) {
        free(url->scheme);
        free(url->host);
        free(url->authority);
        free(url->path);
        free(url->query);
        *url = (Url){};
}
