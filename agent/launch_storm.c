#include <string.h>

#include "agent/launch_storm.h"

/* Those of the same moment go by their names, so that each of them counts the same way. */
static bool is_before(const LaunchFailureSeen *a, const LaunchFailureSeen *b) {
        return a->at != b->at ? a->at < b->at : strcmp(a->instance, b->instance) < 0;
}

static bool is_in_window(const LaunchFailureSeen *seen, uint64_t now, uint64_t window) {
        return seen->at > now || now - seen->at <= window;
}

static const LaunchFailureSeen *find(const LaunchFailureSeen *seen, size_t n, const char *instance) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(seen[i].instance, instance) == 0)
                        return &seen[i];
        return NULL;
}

size_t launch_storm_rank(const LaunchFailureSeen *seen, size_t n, const char *instance, uint64_t now,
                         uint64_t window) {
        const LaunchFailureSeen *own = find(seen, n, instance);
        size_t rank = 0;

        for (size_t i = 0; i < n; i++)
                if (&seen[i] != own && is_in_window(&seen[i], now, window) &&
                    (!own || is_before(&seen[i], own)))
                        rank++;
        return rank;
}

bool launch_storm_holds(size_t rank, uint64_t limit) {
        return rank >= limit;
}
