#include "agent/queue_seen.h"
#include "agent/base/cleanup.h"

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

/* FNV-1a: the ids are SQS's own, nobody chooses them. */
static uint64_t digest_of(const char *id) {
        uint64_t digest = FNV_OFFSET;

        for (; *id; id++)
                digest = (digest ^ (uint8_t) *id) * FNV_PRIME;
        return digest;
}

void queue_seen_init(QueueSeen *seen, uint64_t now) {
        *seen = (QueueSeen){ .lines = QUEUE_SEEN_LINES, .refilled = now };
}

static void refill(QueueSeen *seen, uint64_t now) {
        uint64_t more = (now - seen->refilled) / QUEUE_SEEN_REFILL;

        seen->lines = (unsigned) MIN(seen->lines + more, (uint64_t) QUEUE_SEEN_LINES);
        seen->refilled += more * QUEUE_SEEN_REFILL;
}

QueueSeenVerdict queue_seen(QueueSeen *seen, const char *id, uint64_t now) {
        uint64_t digest = digest_of(id);

        for (size_t i = 0; i < QUEUE_SEEN_MAX; i++)
                if (seen->ids[i] == digest)
                        return QUEUE_SEEN_BEFORE;
        seen->ids[seen->next] = digest;
        seen->next = (seen->next + 1) % QUEUE_SEEN_MAX;
        refill(seen, now);
        if (seen->lines == 0)
                return QUEUE_SEEN_QUIET;
        return --seen->lines == 0 ? QUEUE_SEEN_LAST : QUEUE_SEEN_NEW;
}
