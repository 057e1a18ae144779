#include <time.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"

static uint64_t read_clock(clockid_t id) {
        struct timespec ts = {};

        (void) clock_gettime(id, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

static uint64_t system_boottime(_unused_ void *userdata) {
        return read_clock(CLOCK_BOOTTIME);
}

static uint64_t system_realtime(_unused_ void *userdata) {
        return read_clock(CLOCK_REALTIME);
}

const Clock clock_system = { .boottime = system_boottime, .realtime = system_realtime };

uint64_t clock_boottime(const Clock *clock) {
        return clock->boottime(clock->userdata);
}

uint64_t clock_realtime(const Clock *clock) {
        return clock->realtime(clock->userdata);
}

uint64_t usec_add(uint64_t a, uint64_t b) {
        return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}
