#include "agent/deployment_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/base/clock.h"

/* The time of an id as one number, "20261121090000250": it need not be a time that exists, as long as it grows. */
#define STAMP_MAX UINT64_C(99999999999999999)

static uint64_t stamp_of_time(uint64_t usec) {
        time_t seconds = (time_t) (usec / USEC_PER_SEC);
        struct tm tm = {};
        uint64_t day, second;

        (void) gmtime_r(&seconds, &tm);
        day = ((uint64_t) tm.tm_year + 1900) * 10000 + (uint64_t) (tm.tm_mon + 1) * 100 +
              (uint64_t) tm.tm_mday;
        second = (uint64_t) tm.tm_hour * 10000 + (uint64_t) tm.tm_min * 100 + (uint64_t) tm.tm_sec;
        return (day * 1000000 + second) * 1000 + usec % USEC_PER_SEC / USEC_PER_MSEC;
}

/* Zero for what is no id. */
static uint64_t stamp_of_id(const char *id) {
        uint64_t day, second, millisecond;
        int end = 0;

        if (!id ||
            sscanf(id, "d-%8" SCNu64 "T%6" SCNu64 ".%3" SCNu64 "Z-%n", &day, &second, &millisecond, &end) !=
                    3 ||
            end == 0)
                return 0;
        return (day * 1000000 + second) * 1000 + millisecond;
}

void deployment_id_make(uint64_t now, const char *last, uint16_t random,
                        char ret[static DEPLOYMENT_ID_SIZE]) {
        uint64_t stamp = stamp_of_time(now), before = stamp_of_id(last);

        if (stamp <= before)
                stamp = before + 1;
        if (stamp > STAMP_MAX)
                stamp = STAMP_MAX;
        snprintf(ret, DEPLOYMENT_ID_SIZE, "d-%08" PRIu64 "T%06" PRIu64 ".%03" PRIu64 "Z-%04x",
                 stamp / 1000000000, stamp / 1000 % 1000000, stamp % 1000, random);
}
