#pragma once

/* Says which messages are new, and worth a line in the log: each one once, although it is delivered again and again, and
 * only so many lines at a time, whatever is sent. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_SEEN_MAX 256U         /* messages that are remembered */
#define QUEUE_SEEN_LINES 10U        /* that may be logged at once */
#define QUEUE_SEEN_REFILL 60000000U /* microseconds until one more may be */

typedef struct QueueSeen {
        uint64_t ids[QUEUE_SEEN_MAX]; /* digests; the oldest one is overwritten next */
        size_t next;
        unsigned lines;
        uint64_t refilled; /* boot time */
} QueueSeen;

typedef enum QueueSeenVerdict {
        QUEUE_SEEN_BEFORE,
        QUEUE_SEEN_NEW,
        QUEUE_SEEN_LAST,  /* the last one that is logged for a while */
        QUEUE_SEEN_QUIET, /* new, but there have been too many */
} QueueSeenVerdict;

void queue_seen_init(QueueSeen *seen, uint64_t now);
QueueSeenVerdict queue_seen(QueueSeen *seen, const char *id, uint64_t now);
