#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "agent/base/parse.h"

#define NAME_LENGTH_MAX 64U

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

/* Reads leading digits and moves *P past them. */
static int parse_digits(const char **p, uint64_t *ret) {
        const char *s = *p;
        uint64_t value = 0;

        if (!is_digit(*s))
                return -EINVAL;
        for (; is_digit(*s); s++)
                if (__builtin_mul_overflow(value, (uint64_t) 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t) (*s - '0'), &value))
                        return -ERANGE;
        *p = s;
        *ret = value;
        return 0;
}

int parse_u64(const char *text, uint64_t *ret) {
        uint64_t value;
        int r;

        r = parse_digits(&text, &value);
        if (r < 0)
                return r;
        if (*text)
                return -EINVAL;
        *ret = value;
        return 0;
}

static const struct {
        const char *suffix;
        uint64_t usec;
} duration_units[] = {
        { "d", 86400 * USEC_PER_SEC }, { "h", 3600 * USEC_PER_SEC }, { "m", 60 * USEC_PER_SEC },
        { "s", USEC_PER_SEC },         { "ms", USEC_PER_MSEC },
};

/* The unit at P, not before FIRST in the table; its index. */
static int parse_unit(const char **p, size_t first) {
        size_t n = strspn(*p, "dhms");

        for (size_t i = first; i < ELEMENTSOF(duration_units); i++)
                if (strlen(duration_units[i].suffix) == n && strncmp(*p, duration_units[i].suffix, n) == 0) {
                        *p += n;
                        return (int) i;
                }
        return -EINVAL;
}

int parse_duration(const char *text, uint64_t *ret_usec) {
        uint64_t total = 0;
        size_t next = 0;

        if (strcmp(text, "0") == 0) {
                *ret_usec = 0;
                return 0;
        }
        do {
                uint64_t value;
                int r, unit;

                r = parse_digits(&text, &value);
                if (r < 0)
                        return r;
                unit = parse_unit(&text, next);
                if (unit < 0)
                        return unit;
                next = (size_t) unit + 1;
                if (__builtin_mul_overflow(value, duration_units[unit].usec, &value) ||
                    __builtin_add_overflow(total, value, &total) || total == USEC_INFINITY)
                        return -ERANGE;
        } while (*text);
        *ret_usec = total;
        return 0;
}

int parse_size(const char *text, uint64_t *ret) {
        static const char suffixes[] = "KMGT";
        uint64_t value;
        int r;

        r = parse_digits(&text, &value);
        if (r < 0)
                return r;
        if (*text) {
                const char *at = strchr(suffixes, *text);
                unsigned shift;

                if (!at || text[1])
                        return -EINVAL;
                shift = 10 * (unsigned) (at - suffixes + 1);
                if (value > UINT64_MAX >> shift)
                        return -ERANGE;
                value <<= shift;
        }
        *ret = value;
        return 0;
}

int parse_boolean(const char *text, bool *ret) {
        static const char *const yes[] = { "yes", "true", "on", "1" }, *const no[] = { "no", "false", "off",
                                                                                       "0" };

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
                        *ret = strcmp(text, yes[i]) == 0;
                        return 0;
                }
        }
        return -EINVAL;
}

/* Exactly N digits. */
static int parse_fixed(const char **p, size_t n, int max, int *ret) {
        int value = 0;

        for (size_t i = 0; i < n; i++) {
                if (!is_digit((*p)[i]))
                        return -EINVAL;
                value = value * 10 + ((*p)[i] - '0');
        }
        if (value > max)
                return -EINVAL;
        *p += n;
        *ret = value;
        return 0;
}

static int parse_character(const char **p, const char *allowed) {
        if (!**p || !strchr(allowed, **p))
                return -EINVAL;
        return *(*p)++;
}

static int parse_fraction(const char **p, uint64_t *ret_usec) {
        uint64_t scale = 100000, usec = 0;

        if (**p == '.') {
                if (!is_digit(*++*p))
                        return -EINVAL;
                for (; is_digit(**p); (*p)++, scale /= 10)
                        usec += (uint64_t) (**p - '0') * scale;
        }
        *ret_usec = usec;
        return 0;
}

static int parse_offset(const char **p, int *ret_seconds) {
        int sign, hours, minutes;

        sign = parse_character(p, "Zz+-");
        if (sign < 0)
                return sign;
        if (sign == 'Z' || sign == 'z') {
                *ret_seconds = 0;
                return 0;
        }
        if (parse_fixed(p, 2, 23, &hours) < 0 || parse_character(p, ":") < 0 ||
            parse_fixed(p, 2, 59, &minutes) < 0)
                return -EINVAL;
        *ret_seconds = (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
        return 0;
}

int parse_time(const char *text, uint64_t *ret_usec) {
        struct tm tm = {}, check;
        uint64_t fraction;
        int offset;
        time_t t;

        if (parse_fixed(&text, 4, 9999, &tm.tm_year) < 0 || parse_character(&text, "-") < 0 ||
            parse_fixed(&text, 2, 12, &tm.tm_mon) < 0 || parse_character(&text, "-") < 0 ||
            parse_fixed(&text, 2, 31, &tm.tm_mday) < 0 || parse_character(&text, "Tt") < 0 ||
            parse_fixed(&text, 2, 23, &tm.tm_hour) < 0 || parse_character(&text, ":") < 0 ||
            parse_fixed(&text, 2, 59, &tm.tm_min) < 0 || parse_character(&text, ":") < 0 ||
            parse_fixed(&text, 2, 59, &tm.tm_sec) < 0 || parse_fraction(&text, &fraction) < 0 ||
            parse_offset(&text, &offset) < 0 || *text)
                return -EINVAL;
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        check = tm;
        t = timegm(&check);
        if (check.tm_mon != tm.tm_mon || check.tm_mday != tm.tm_mday)
                return -EINVAL;
        t -= offset;
        if (t < 0)
                return -ERANGE;
        *ret_usec = (uint64_t) t * USEC_PER_SEC + fraction;
        return 0;
}

void format_time(uint64_t usec, char ret[static TIME_TEXT_MAX]) {
        time_t t = (time_t) (usec / USEC_PER_SEC);
        struct tm tm = {};

        (void) gmtime_r(&t, &tm);
        if (strftime(ret, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                ret[0] = '\0';
}

void format_time_exact(uint64_t usec, char ret[static TIME_TEXT_MAX]) {
        char seconds[TIME_TEXT_MAX];

        format_time(usec, seconds);
        if (snprintf(ret, TIME_TEXT_MAX, "%.19s.%06uZ", seconds, (unsigned) (usec % USEC_PER_SEC)) >=
            TIME_TEXT_MAX)
                ret[0] = '\0';
}

void format_duration(uint64_t usec, char ret[static DURATION_TEXT_MAX]) {
        size_t used = 0;

        if (usec == USEC_INFINITY) {
                snprintf(ret, DURATION_TEXT_MAX, "infinity");
                return;
        }
        snprintf(ret, DURATION_TEXT_MAX, "0s");
        for (size_t i = 0; i < ELEMENTSOF(duration_units); i++) {
                uint64_t n = usec / duration_units[i].usec;

                usec %= duration_units[i].usec;
                if (n > 0)
                        used += (size_t) snprintf(ret + used, DURATION_TEXT_MAX - used, "%" PRIu64 "%s", n,
                                                  duration_units[i].suffix);
        }
}

void format_size(uint64_t bytes, char ret[static SIZE_TEXT_MAX]) {
        static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
        double value = (double) bytes / 1024.0;
        size_t unit = 0;

        if (bytes < 1024) {
                snprintf(ret, SIZE_TEXT_MAX, "%" PRIu64 " B", bytes);
                return;
        }
        for (; value >= 1023.95 && unit + 1 < ELEMENTSOF(units); unit++)
                value /= 1024.0;
        snprintf(ret, SIZE_TEXT_MAX, "%.1f %s", value, units[unit]);
}

static bool is_alphanumeric(char c) {
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool characters_are_valid(const char *text, const char *others) {
        size_t n = strlen(text);

        if (n == 0 || n > NAME_LENGTH_MAX || !is_alphanumeric(text[0]))
                return false;
        for (; *text; text++)
                if (!is_alphanumeric(*text) && !strchr(others, *text))
                        return false;
        return true;
}

bool name_is_valid(const char *name) {
        return characters_are_valid(name, "._-");
}

bool version_is_valid(const char *version) {
        return characters_are_valid(version, "._-+~");
}
