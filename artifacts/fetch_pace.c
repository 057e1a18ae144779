#include "artifacts/fetch_pace.h"
#include "agent/base/cleanup.h"
#include "agent/base/clock.h"

#define MEASURE_TIME (10 * USEC_PER_MSEC)      /* at least that long, and at least ... */
#define MEASURE_BYTES (UINT64_C(512) << 10)    /* ... so many bytes, but not ... */
#define MEASURE_TIME_MAX (150 * USEC_PER_MSEC) /* ... longer than that */
#define WORTH_TIME (100 * USEC_PER_MSEC)       /* what is left must take longer for a try to pay */
#define PIECES_PER_SECOND 4U                   /* of a stream */
#define HOLD_TIME (2 * USEC_PER_SEC)           /* from one try that brought nothing to the next */
#define GROWTH_NONE 125U                       /* percent of one stream: below, more bring nothing */

void fetch_pace_init(FetchPace *pace) {
        *pace = (FetchPace){ .streams = 1, .latency = USEC_INFINITY, .begin = USEC_INFINITY };
}

void fetch_pace_first_byte(FetchPace *pace, uint64_t latency) {
        pace->latency = MIN(pace->latency, latency);
}

void fetch_pace_received(FetchPace *pace, uint64_t bytes) {
        pace->received += bytes;
}

/* Another stream shows its effect after one latency; is enough left for that to matter? */
static bool is_worth_it(const FetchPace *pace, uint64_t remaining) {
        uint64_t latency = pace->latency == USEC_INFINITY ? 0 : pace->latency;

        return pace->rate > 0 && remaining * USEC_PER_SEC / pace->rate > 2 * latency + WORTH_TIME;
}

/* What all streams together brought, in streams as they were before: so many are kept. */
static void end_try(FetchPace *pace, uint64_t now) {
        uint64_t percent = pace->rate * 100 / MAX(pace->single_rate, UINT64_C(1));

        pace->streams = percent < GROWTH_NONE
                                ? 1
                                : (unsigned) MIN((percent + 99) / 100, (uint64_t) FETCH_PACE_STREAMS_MAX);
        pace->is_trying = false;
        pace->hold_until = now + HOLD_TIME;
}

static void judge(FetchPace *pace, uint64_t now, uint64_t remaining) {
        if (pace->is_trying) {
                end_try(pace, now);
        } else if (pace->streams < FETCH_PACE_STREAMS_MAX && now >= pace->hold_until &&
                   is_worth_it(pace, remaining)) {
                pace->single_rate = pace->stream_rate;
                pace->streams = FETCH_PACE_STREAMS_MAX;
                pace->is_trying = true;
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

/* A fair share, so that all end together; on a slow connection small ones, so that the first is soon there. */
uint64_t fetch_pace_piece(const FetchPace *pace, uint64_t wanted) {
        uint64_t share = wanted / pace->streams, most = FETCH_PACE_PIECE_MAX;

        if (pace->stream_rate > 0)
                most = MIN(most, pace->stream_rate / PIECES_PER_SECOND);
        return MAX((uint64_t) FETCH_PACE_PIECE_MIN, MIN(share, most));
}

bool fetch_pace_is_ending(const FetchPace *pace, uint64_t left) {
        uint64_t latency = pace->latency == USEC_INFINITY ? 0 : pace->latency;

        return left <= pace->stream_rate * latency / USEC_PER_SEC;
}
