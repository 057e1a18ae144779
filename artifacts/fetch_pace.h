#pragma once

/* How many ranges of an artifact to receive at the same time, and how large. Measures and decides; knows no
 * network and no clock.
 *
 * Where connections are not limited, one is best: more only cost CPU. Where each one is (as those to S3 are),
 * n of them are n times as fast. So one is measured; if what is left would take it long, and neither the processor nor the
 * reader is what limits, many are tried, and as many of them kept as bring something. A range is asked for before another one ends, so that its latency
 * does not count. */

#include <stdbool.h>
#include <stdint.h>

#define FETCH_PACE_STREAMS_MAX 8U
#define FETCH_PACE_PIECE_MIN (1U << 20) /* bytes asked for at once */
#define FETCH_PACE_PIECE_MAX (3U << 20)
#define FETCH_PACE_PIECE_SINGLE (8U << 20) /* at most, where there is a single fast stream */

typedef struct FetchPace {
        unsigned streams;  /* how many are wanted now */
        uint64_t latency;  /* microseconds from a request to its first byte; USEC_INFINITY: not known yet */
        uint64_t received; /* bytes */
        uint64_t begin;    /* of the present measurement; USEC_INFINITY: none is under way */
        uint64_t begin_bytes; /* received at its begin */
        uint64_t begin_cpu;   /* used up at its begin */
        bool is_held_up;      /* in this measurement the reader was slower */
        bool is_busy;         /* in the last measurement the processor or the reader was what limited us */
        uint64_t rate;        /* bytes a second of the last measurement; 0: none yet */
        uint64_t stream_rate; /* of each stream in it */
        uint64_t single_rate; /* of a stream before more were tried */
        bool is_trying;       /* all there can be, to see what they bring */
        uint64_t try_begin;
        uint64_t hold_until; /* no other try before */
} FetchPace;

void fetch_pace_init(FetchPace *pace);

/* A stream has got its first bytes, LATENCY after it was asked for. */
void fetch_pace_first_byte(FetchPace *pace, uint64_t latency);

/* Bytes have come. */
void fetch_pace_received(FetchPace *pace, uint64_t bytes);

/* The reader does not take what has come: more of it would only wait. */
void fetch_pace_held_up(FetchPace *pace);

/* Looks at NOW (boot time) and CPU (the time that the process has spent on a processor), with RECEIVING
 * streams that have had their first byte and REMAINING bytes still to come; may change pace->streams. To be
 * called about as often as bytes come. */
void fetch_pace_update(FetchPace *pace, uint64_t now, uint64_t cpu, unsigned receiving, uint64_t remaining);

/* How much the next request asks for, when WANTED bytes have not been asked for yet. */
uint64_t fetch_pace_piece(const FetchPace *pace, uint64_t wanted);

/* A range with that much left is so near its end that its successor must be asked for already, to be there in
 * time. */
bool fetch_pace_is_ending(const FetchPace *pace, uint64_t left);

/* A stream that has brought RECEIVED of its bytes in AGE and has LEFT more to bring is so much slower than
 * the others are, or were, that another one in its place would be done long before it. CUT is how many have
 * been cut off for that without anything gained: each makes us wait twice as long for the next. */
bool fetch_pace_is_straggling(const FetchPace *pace, uint64_t age, uint64_t received, uint64_t left,
                              unsigned cut);
