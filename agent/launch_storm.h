#pragma once

/* When a release that fails on one new instance after the other must not cost one instance more: pure. Every instance whose
 * launch has failed leaves an object below apps/<app>/groups/<group>/failures/<release>/ before it says so. The first
 * `limit` of those that lie there since `window` may have themselves replaced; whoever comes after them stays, held, until
 * the target changes or the hook's time is up. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct LaunchFailureSeen {
        const char *instance;
        uint64_t at; /* when its object was written, by the depot's clock; microseconds since 1970 */
} LaunchFailureSeen;

/* How many of SEEN, in the window that ends at NOW, came before INSTANCE; an instance that is not among them comes last. */
size_t launch_storm_rank(const LaunchFailureSeen *seen, size_t n, const char *instance, uint64_t now,
                         uint64_t window);

/* Whether LIMIT instances have gone already; UINT64_MAX: there is no limit. */
bool launch_storm_holds(size_t rank, uint64_t limit);
