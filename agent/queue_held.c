#include <string.h>

#include "agent/queue_held.h"

#define DONE UINT64_C(0) /* looks are numbered from 1 */
#define NOT_ASKED UINT64_MAX

struct HeldMessage {
        HeldMessage *next;
        char *receipt;
        uint64_t until;
        uint64_t looks[]; /* by watcher */
};

void queue_held_init(QueueHeld *held, size_t n_apps) {
        *held = (QueueHeld){ .n_watchers = n_apps + 1 };
}

static char *take_first(QueueHeld *held, HeldMessage **link) {
        HeldMessage *message = *link;
        char *receipt = message->receipt;

        *link = message->next;
        held->n--;
        free(message);
        return receipt;
}

void queue_held_deinit(QueueHeld *held) {
        while (held->first)
                free(take_first(held, &held->first));
}

int queue_held_add(QueueHeld *held, const char *receipt, uint64_t apps, bool root, uint64_t until) {
        HeldMessage *message = malloc(sizeof(*message) + held->n_watchers * sizeof(message->looks[0]));

        if (!message)
                return -ENOMEM;
        *message = (HeldMessage){ .next = held->first, .receipt = strdup(receipt), .until = until };
        if (!message->receipt) {
                free(message);
                return -ENOMEM;
        }
        for (size_t i = 0; i < held->n_watchers; i++) {
                bool waits = i + 1 == held->n_watchers ? root : apps >> i & 1;

                message->looks[i] = waits ? NOT_ASKED : DONE;
        }
        held->first = message;
        held->n++;
        return 0;
}

bool queue_held_wants(const QueueHeld *held, size_t watcher) {
        for (const HeldMessage *message = held->first; message; message = message->next)
                if (message->looks[watcher] == NOT_ASKED)
                        return true;
        return false;
}

void queue_held_asked(QueueHeld *held, size_t watcher, uint64_t look) {
        for (HeldMessage *message = held->first; message; message = message->next)
                if (message->looks[watcher] == NOT_ASKED)
                        message->looks[watcher] = look;
}

static bool is_done(const QueueHeld *held, HeldMessage *message, QueueHasLooked has_looked, void *userdata) {
        bool done = true;

        for (size_t i = 0; i < held->n_watchers; i++) {
                uint64_t look = message->looks[i];

                if (look != DONE && look != NOT_ASKED && has_looked(userdata, i, look))
                        message->looks[i] = DONE;
                done = done && message->looks[i] == DONE;
        }
        return done;
}

char *queue_held_take(QueueHeld *held, uint64_t now, QueueHasLooked has_looked, void *userdata) {
        HeldMessage **link = &held->first;

        while (*link) {
                if (is_done(held, *link, has_looked, userdata))
                        return take_first(held, link);
                if ((*link)->until <= now)
                        free(take_first(held, link));
                else
                        link = &(*link)->next;
        }
        return NULL;
}
