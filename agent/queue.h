#pragma once

/* Watches one SQS queue in long polls, has exactly those look at the depot whom a message concerns, and removes a message
 * when what it says is durably known. The depot stays the truth: a message that is lost, late, repeated, foreign or forged
 * changes nothing but when somebody looks.
 *
 *   concerns us            held until the looks that it asked for have come to a judgement, then removed
 *   a signed target        offered to its app, which checks it like any other; removed when it is in the record
 *   concerns others        of a shared queue: given back at once; else removed
 *   asks for nothing       removed
 *   cannot be understood   logged once, and left: a quarter of an hour aside each time, until a dead-letter queue gets it
 *
 * Looks are spaced, so that a flood costs one a second for each app; what is for others alone makes the next long poll wait, and
 * so does an empty answer that comes at once. A queue that is out of reach costs one line in the log, and is tried again. */

#include <jansson.h>
#include <systemd/sd-event.h>

#include "agent/base/clock.h"
#include "agent/net/aws.h"
#include "agent/queue_held.h"

#define QUEUE_VISIBILITY 60U /* seconds that a message is ours */
#define QUEUE_LOOK_INTERVAL                                                                                  \
        (1 * USEC_PER_SEC)  /* between two looks of one app for messages' sake, in the long run */
#define QUEUE_LOOK_BURST 5U /* so many may come at once after a quiet time */

typedef struct Queue Queue;

typedef struct QueueContext {
        sd_event *event;
        const Clock *clock;
        AwsContext *aws;
        const char *name; /* or the URL */
        const char *url;  /* where it is known; else it is asked for */
        bool shared;
        QueueSelf self;
} QueueContext;

/* The watchers are numbered as the apps of QueueSelf, with that of the trust root after the last app. None of these may
 * free the queue. */
typedef struct QueueHandlers {
        /* Look at the depot; the number of the look, from 1. */
        uint64_t (*look)(void *userdata, size_t watcher);
        QueueHasLooked has_looked;
        /* 0: accepted durably, or not needed any more; QUEUE_OFFER_FOREIGN: it is good, but not for here; a negative
         * errno: it is refused, or with FAULT_HOST could not be kept. */
        int (*offer)(void *userdata, const char *envelope, size_t size, Error *error);
        /* A lifecycle action or an interruption of this instance. QUIET: it is not worth a line in the log. */
        void (*tell)(void *userdata, const QueueNotice *notice, bool quiet);
        /* The state is another one. */
        void (*changed)(void *userdata);
        /* There is no such queue; it is tried again all the same. May be NULL. */
        void (*gone)(void *userdata);
} QueueHandlers;

#define QUEUE_OFFER_FOREIGN 1

typedef enum QueueState {
        QUEUE_CONNECTING,
        QUEUE_HEALTHY,
        QUEUE_FAILING,
} QueueState;

/* What CONTEXT and HANDLERS point to must stay. */
int queue_new(const QueueContext *context, const QueueHandlers *handlers, void *userdata, Queue **ret,
              Error *error);
Queue *queue_free(Queue *queue);
DEFINE_CLEANUP(Queue *, queue_free)

/* It is said to answer again: does not wait before it is tried. */
void queue_receive_now(Queue *queue);

/* Some look has come to a judgement. */
void queue_looked(Queue *queue);

QueueState queue_state(const Queue *queue);

/* Whether it may be relied on to tell what changes: it answers, it is not shared, and a message has come by it that had
 * somebody look at the depot, so that such are sent; those about the instance's own life say nothing of that. */
bool queue_is_reliable(const Queue *queue);

/* {"queue", "shared", "state", "reason", "received", "removed", "given_back", "not_understood"} */
int queue_status(const Queue *queue, json_t **ret);
