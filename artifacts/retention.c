#include "artifacts/retention.h"

static uint64_t add(uint64_t a, uint64_t b) {
        return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

void retention_choose(RetentionItem *items, size_t count, uint64_t releases, uint64_t bytes) {
        uint64_t kept = 0, taken = 0;
        bool full = false;

        for (size_t i = 0; i < count; i++)
                if (items[i].in_use) {
                        kept++;
                        taken = add(taken, items[i].bytes);
                }
        for (size_t i = 0; i < count; i++) {
                items[i].remove = false;
                if (items[i].in_use)
                        continue;
                full = full || kept >= releases || add(taken, items[i].bytes) > bytes;
                items[i].remove = full;
                if (!full) {
                        kept++;
                        taken = add(taken, items[i].bytes);
                }
        }
}
