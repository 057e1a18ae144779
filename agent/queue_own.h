#pragma once

/* Makes the queue that queue_plan.h describes and subscribes it to its topic, finds them where they are there already, makes
 * them again when somebody has removed them (a subscription is missed by nobody but who looks, every few hours), and takes
 * them away when the instance leaves. What a crash left half made, or
 * an earlier configuration made, is put right by the same way: every start goes through all of it.
 *
 * Nobody waits for it: until there is a queue the depot is polled. What fails is logged once and tried again, more and more
 * slowly. */

#include <systemd/sd-event.h>

#include "agent/net/aws.h"
#include "agent/queue_plan.h"

#define QUEUE_OWN_INTERVAL (6 * 3600 * USEC_PER_SEC)

typedef struct QueueOwn QueueOwn;

typedef struct QueueOwnContext {
        sd_event *event;
        AwsContext *aws;
        int state_fd;   /* of the folder that has the note of what exists (queue_note.h) */
        QueuePlan plan; /* without a topic none is wanted, and one of before goes */
        /* after which it is all gone through again, less a jitter; 0: QUEUE_OWN_INTERVAL */
        uint64_t interval;
} QueueOwnContext;

/* None of these may free it. */
typedef struct QueueOwnHandlers {
        void (*ready)(void *userdata, const char *url); /* it is there and subscribed, perhaps once more */
        void (*changed)(void *userdata);                /* there is a problem, or it is over */
} QueueOwnHandlers;

/* Begins at once. What the context points to must stay. */
int queue_own_new(const QueueOwnContext *context, const QueueOwnHandlers *handlers, void *userdata,
                  QueueOwn **ret, Error *error);
QueueOwn *queue_own_free(QueueOwn *own);
DEFINE_CLEANUP(QueueOwn *, queue_own_free)

/* Somebody has removed it. */
void queue_own_ensure(QueueOwn *own);

/* RESULT is 0, or a negative errno where something is left behind, for `muster queue gc`. */
typedef void (*QueueOwnLeft)(int result, const Error *error, void *userdata);

/* Ends the subscription and deletes the queue, whatever is under way; nothing is made again. One try. */
void queue_own_leave(QueueOwn *own, QueueOwnLeft left, void *userdata);

const char *queue_own_name(const QueueOwn *own);    /* "" where none is wanted */
const char *queue_own_problem(const QueueOwn *own); /* why there is none yet, or "" */

/* It is there and subscribed, as far as is known. */
bool queue_own_is_ready(const QueueOwn *own);
