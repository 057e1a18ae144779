#pragma once

/* The course of one health check, and what follows from all of them: pure functions of times and outcomes. Times are
 * microseconds on the boot-time clock. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "hooks/health.h"

#define HEALTH_REASON_MAX 320U

typedef struct HealthTrack {
        uint64_t interval, deadline; /* the deadline is a moment */
        unsigned needed;             /* consecutive successes */
        unsigned streak;             /* those there are */
        unsigned attempts, failures; /* ended ones */
        bool running;
        uint64_t next; /* when the next attempt is due, unless one runs */
        char reason[HEALTH_REASON_MAX];
        ErrorFault fault; /* of the last failure */
} HealthTrack;

typedef enum HealthVerdict {
        HEALTH_GOES_ON,
        HEALTH_ALL_HEALTHY,
        HEALTH_DEADLINE_MISSED,
} HealthVerdict;

void health_track_init(HealthTrack *track, const HealthCheck *check, uint64_t now);

bool health_track_is_due(const HealthTrack *track, uint64_t now);
void health_track_begin(HealthTrack *track, uint64_t now);

/* ERROR NULL: the attempt succeeded. */
void health_track_end(HealthTrack *track, const Error *error);

bool health_track_is_healthy(const HealthTrack *track);

HealthVerdict health_judge(const HealthTrack *tracks, size_t n, uint64_t now);

/* When something has to be done next, if no attempt ends before: an attempt is due, or a deadline is there. */
uint64_t health_next_wakeup(const HealthTrack *tracks, size_t n, uint64_t now);

/* "status 503, expected 200; 14 of 14 attempts failed" */
void health_track_describe(const HealthTrack *track, char *ret, size_t size);
