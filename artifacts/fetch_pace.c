#include "artifacts/fetch_pace.h"
#include "agent/base/cleanup.h"
#include "agent/base/clock.h"

#define MEASURE_TIME (10 * USEC_PER_MSEC)      /* at least that long, and at least ... */
#define MEASURE_BYTES (UINT64_C(512) << 10)    /* ... so many bytes, but not ... */
#define MEASURE_TIME_MAX (150 * USEC_PER_MSEC) /* ... longer than that */
#define WORTH_TIME (50 * USEC_PER_MSEC)        /* what is left must take longer for a try to pay */
#define BUSY_PERCENT 75U                       /* of the time on a processor: no stream more will help */
#define PIECE_TIME_MAX (100 * USEC_PER_MSEC)   /* that a piece should take, but see fetch_pace.h */
#define TRY_TIME (10 * USEC_PER_MSEC)          /* beyond two latencies: for all streams to come to speed */
#define STRAGGLER_TIME (2 * USEC_PER_SEC)      /* no stream is called slow before */
#define STRAGGLER_CUT_MAX 10U                  /* doublings of that */
#define STRAGGLER_FACTOR 4U                    /* times as slow */
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

void fetch_pace_held_up(FetchPace *pace) {
        pace->is_held_up = true;
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
        } else if (pace->streams < FETCH_PACE_STREAMS_MAX && now >= pace->hold_until && !pace->is_busy &&
                   is_worth_it(pace, remaining)) {
                pace->single_rate = pace->stream_rate;
                pace->streams = FETCH_PACE_STREAMS_MAX;
                pace->is_trying = true;
                pace->try_begin = now;
        }
}

/* All streams that are wanted have come to speed; or they have had the time for it, and something else is in
 * the way: the link, the processor, the reader. */
static bool is_measurable(const FetchPace *pace, uint64_t now, unsigned receiving) {
        if (receiving >= pace->streams)
                return true;
        return pace->is_trying && now - pace->try_begin > TRY_TIME + 2 * pace->latency;
}

void fetch_pace_update(FetchPace *pace, uint64_t now, uint64_t cpu, unsigned receiving, uint64_t remaining) {
        uint64_t time, bytes;

        if (pace->begin == USEC_INFINITY) {
                if (!is_measurable(pace, now, receiving))
                        return;
                pace->begin = now;
                pace->begin_bytes = pace->received;
                pace->begin_cpu = cpu;
        }
        time = now - pace->begin;
        bytes = pace->received - pace->begin_bytes;
        if (time < MEASURE_TIME || (bytes < MEASURE_BYTES && time < MEASURE_TIME_MAX))
                return;
        pace->is_busy = pace->is_held_up || (cpu - pace->begin_cpu) * 100 >= time * BUSY_PERCENT;
        pace->is_held_up = false;
        pace->rate = bytes * USEC_PER_SEC / time;
        pace->stream_rate = pace->rate / pace->streams;
        pace->begin = USEC_INFINITY;
        judge(pace, now, remaining);
}

/* Bytes that a stream brings in that time. */
static uint64_t bytes_in(const FetchPace *pace, uint64_t usec) {
        return pace->stream_rate * usec / USEC_PER_SEC;
}

/* On a slow connection small pieces, so that the first is soon there; on a fast single one large ones. */
static uint64_t largest_piece(const FetchPace *pace) {
        uint64_t limit = pace->streams == 1 ? FETCH_PACE_PIECE_SINGLE : FETCH_PACE_PIECE_MAX;

        if (pace->stream_rate == 0)
                return FETCH_PACE_PIECE_MAX;
        return MIN(limit, MAX(bytes_in(pace, PIECE_TIME_MAX), (uint64_t) FETCH_PACE_PIECE_MIN));
}

/* A fair share of what is left, so that all streams end together; but what takes less time than the latency
 * is not worth a request. */
uint64_t fetch_pace_piece(const FetchPace *pace, uint64_t wanted) {
        uint64_t largest = largest_piece(pace), smallest = FETCH_PACE_PIECE_MIN;

        if (pace->latency != USEC_INFINITY)
                smallest = MAX(smallest, bytes_in(pace, pace->latency * 3 / 4));
        return MIN(largest, MAX(smallest, wanted / pace->streams));
}

bool fetch_pace_is_ending(const FetchPace *pace, uint64_t left) {
        return pace->latency != USEC_INFINITY && left <= bytes_in(pace, pace->latency);
}

bool fetch_pace_is_straggling(const FetchPace *pace, uint64_t age, uint64_t received, uint64_t left,
                              unsigned cut) {
        uint64_t patience = STRAGGLER_TIME << MIN(cut, STRAGGLER_CUT_MAX), fresh, expected;

        if (pace->stream_rate == 0 || age < patience)
                return false;
        fresh = pace->latency + left * USEC_PER_SEC / pace->stream_rate;
        if (received == 0)
                return age > STRAGGLER_FACTOR * fresh;
        expected = left * age / received;
        return expected > STRAGGLER_FACTOR * fresh + patience;
}
