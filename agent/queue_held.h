#pragma once

/* Messages that have said "look", and are kept back from removal until those looks have come to a judgement. A look that
 * is not asked for at once (the watcher spaces them) is waited for all the same. Pure: told what time it is. */

#include "agent/queue_route.h"

#define QUEUE_HELD_MAX 1000U /* beyond it nothing is received */

typedef struct HeldMessage HeldMessage;

typedef struct QueueHeld {
        HeldMessage *first; /* in no order */
        size_t n;
        size_t n_watchers; /* the apps, and the trust root as the last one */
} QueueHeld;

void queue_held_init(QueueHeld *held, size_t n_apps);
void queue_held_deinit(QueueHeld *held);

/* Until when: boot time after which the queue delivers it again, and it is forgotten here. -ENOMEM. */
int queue_held_add(QueueHeld *held, const char *receipt, uint64_t apps, bool root, uint64_t until);

/* Whether anybody waits for a look of this watcher that was not asked for yet. */
bool queue_held_wants(const QueueHeld *held, size_t watcher);

/* It was asked for: the look of this number will do. */
void queue_held_asked(QueueHeld *held, size_t watcher, uint64_t look);

typedef bool (*QueueHasLooked)(void *userdata, size_t watcher, uint64_t look);

/* Takes out one message all of whose looks are done: its receipt, new memory; NULL: there is none. Forgets those whose
 * time is over. */
char *queue_held_take(QueueHeld *held, uint64_t now, QueueHasLooked has_looked, void *userdata);
