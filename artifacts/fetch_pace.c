#include "artifacts/fetch_pace.h"
#include "agent/base/cleanup.h"
#include "agent/base/clock.h"

#define MEASURE_TIME (15 * USEC_PER_MSEC)      /* at least that long, and at least ... */
#define MEASURE_BYTES (UINT64_C(512) << 10)    /* ... so many bytes, but not ... */
#define MEASURE_TIME_MAX (150 * USEC_PER_MSEC) /* ... longer than that */
#define WORTH_TIME (100 * USEC_PER_MSEC)       /* what is left must take longer for a try to pay */
#define FIRST_TRY 4U                           /* streams after the first one */
#define HOLD_TIME (2 * USEC_PER_SEC)           /* from one try that brought nothing to the next */
#define GROWTH_NONE 125U                       /* percent of one stream: below, more streams bring nothing */
#define GROWTH_GOOD 75U                        /* percent of what N streams could bring: above, try more */

void fetch_pace_init(FetchPace *pace) {
        *pace = (FetchPace){ .streams = 1, .latency = USEC_INFINITY, .begin = USEC_INFINITY };
}

void fetch_pace_first_byte(FetchPace *pace, uint64_t latency) {
        pace->latency = MIN(pace->latency, latency);
}

void fetch_pace_received(FetchPace *pace, uint64_t bytes) {
        pace->received += bytes;
}

static void set_streams(FetchPace *pace, unsigned streams) {
        pace->streams = MAX(1U, MIN(streams, FETCH_PACE_STREAMS_MAX));
        pace->begin = USEC_INFINITY;
}

/* Another stream shows its effect after one latency; is there enough left for that to matter? */
static bool is_worth_it(const FetchPace *pace, uint64_t remaining) {
        uint64_t latency = pace->latency == USEC_INFINITY ? 0 : pace->latency;

        return pace->rate > 0 && remaining * USEC_PER_SEC / pace->rate > 2 * latency + WORTH_TIME;
}

/* One stream has been measured, or what has been settled on is to be tried with more. */
static void try_more(FetchPace *pace, uint64_t now, uint64_t remaining) {
        if (now < pace->hold_until || pace->streams == FETCH_PACE_STREAMS_MAX ||
            !is_worth_it(pace, remaining))
                return;
        pace->single_rate = pace->stream_rate;
        set_streams(pace, pace->streams == 1 ? FIRST_TRY : pace->streams * 2);
}

static void judge(FetchPace *pace, uint64_t now, uint64_t remaining) {
        uint64_t percent = pace->single_rate ? pace->rate * 100 / pace->single_rate : 0;

        if (pace->streams == 1 || now < pace->hold_until) {
                try_more(pace, now, remaining);
        } else if (percent < GROWTH_NONE) {
                pace->hold_until = now + HOLD_TIME;
                set_streams(pace, 1);
        } else if (percent >= (uint64_t) pace->streams * GROWTH_GOOD) {
                try_more(pace, now, remaining);
        } else {
                pace->hold_until = now + HOLD_TIME;
                set_streams(pace, (unsigned) ((percent + 99) / 100));
        }
}

void fetch_pace_update(FetchPace *pace, uint64_t now, unsigned receiving, uint64_t remaining) {
        uint64_t time, bytes;

        if (receiving < pace->streams)
                return;
        if (pace->begin == USEC_INFINITY) {
                pace->begin = now;
                pace->begin_bytes = pace->received;
                return;
        }
        time = now - pace->begin;
        bytes = pace->received - pace->begin_bytes;
        if (time < MEASURE_TIME || (bytes < MEASURE_BYTES && time < MEASURE_TIME_MAX))
                return;
        pace->rate = bytes * USEC_PER_SEC / time;
        pace->stream_rate = pace->rate / pace->streams;
        pace->begin = USEC_INFINITY;
        judge(pace, now, remaining);
}

uint64_t fetch_pace_piece(const FetchPace *pace, uint64_t wanted) {
        uint64_t share = wanted / pace->streams;

        return MAX((uint64_t) FETCH_PACE_PIECE_MIN, MIN(share, (uint64_t) FETCH_PACE_PIECE_MAX));
}

bool fetch_pace_is_ending(const FetchPace *pace, uint64_t left) {
        uint64_t latency = pace->latency == USEC_INFINITY ? 0 : pace->latency;

        return left <= pace->stream_rate * latency / USEC_PER_SEC;
}
