#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "agent/net/http_date.h"

#define LENGTH 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* COUNT digits, or -1. */
static int digits(const char *text, size_t count) {
        int value = 0;

        for (size_t i = 0; i < count; i++) {
                if (text[i] < '0' || text[i] > '9')
                        return -1;
                value = value * 10 + text[i] - '0';
        }
        return value;
}

static int find_name(const char *text, const char *const *names, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (strncmp(text, names[i], 3) == 0)
                        return (int) i;
        return -1;
}

static bool has_shape(const char *text) {
        static const char shape[] = "___, __ ___ ____ __:__:__ GMT";

        if (strlen(text) != LENGTH)
                return false;
        for (size_t i = 0; i < LENGTH; i++)
                if (shape[i] != '_' && shape[i] != text[i])
                        return false;
        return true;
}

int http_date_parse(const char *text, uint64_t *ret_usec) {
        static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
        static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
        struct tm tm = {}, given;
        time_t t;

        if (!has_shape(text))
                return -EINVAL;
        tm.tm_mday = digits(text + 5, 2);
        tm.tm_mon = find_name(text + 8, months, ELEMENTSOF(months));
        tm.tm_year = digits(text + 12, 4) - 1900;
        tm.tm_hour = digits(text + 17, 2);
        tm.tm_min = digits(text + 20, 2);
        tm.tm_sec = digits(text + 23, 2);
        if (find_name(text, days, ELEMENTSOF(days)) < 0 || tm.tm_mday < 1 || tm.tm_mon < 0 ||
            tm.tm_year < 70 || tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 ||
            tm.tm_sec < 0 || tm.tm_sec > 60)
                return -EINVAL;
        given = tm;
        t = timegm(&tm);
        if (t < 0 ||
            (given.tm_mday != tm.tm_mday && given.tm_sec < 60)) /* a day that the month does not have */
                return -EINVAL;
        *ret_usec = (uint64_t) t * USEC_PER_SEC;
        return 0;
}
