#pragma once

/* Time is injected, so that a test or a simulation can set it. Deadlines and ages count on the boot-time clock, which
 * goes on while the machine is suspended and never jumps; the wall clock only stamps documents and log entries. */

#include <stdint.h>

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_INFINITY UINT64_MAX

/* For sd-event's timers: with its default they may be a quarter of a second late, also those that mean "now". */
#define TIMER_ACCURACY_EXACT 1

typedef struct Clock {
        uint64_t (*boottime)(void *userdata); /* microseconds since boot, suspended time included */
        uint64_t (*realtime)(void *userdata); /* microseconds since 1970, UTC */
        void *userdata;
} Clock;

/* The machine's own clocks. */
extern const Clock clock_system;

uint64_t clock_boottime(const Clock *clock);
uint64_t clock_realtime(const Clock *clock);

/* A + B, USEC_INFINITY where that does not fit. */
uint64_t usec_add(uint64_t a, uint64_t b);
