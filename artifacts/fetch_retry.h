#pragma once

/* When a fetch tries again, after how long, and when it gives up. Knows no network and no clock.
 *
 * Failures count in a row: what brings something new starts the count again. Transfers that run side by side
 * break together, so those that fail before the next attempt is due are one failure. */

#include <stdbool.h>
#include <stdint.h>

#define FETCH_RETRY_BACKOFF_MAX (5 * USEC_PER_SEC)

typedef struct FetchRetry {
        unsigned failures_max;  /* so many in a row are given up on; at least 1 */
        uint64_t backoff_first; /* microseconds; doubled for each further failure */
        unsigned failures;      /* in a row */
        uint64_t not_before;    /* no attempt before this time */
} FetchRetry;

void fetch_retry_init(FetchRetry *retry, unsigned failures_max, uint64_t backoff_first);

/* Whether another attempt may meet something else than RESULT, a negative errno of a depot: yes if the
 * connection broke or the service was busy, no if something is missing or forbidden. */
bool fetch_retry_is_of_use(int result);

/* A transfer failed at NOW. True: there is to be another attempt, at not_before; false: that was the last.
 * RANDOM spreads a fleet. */
bool fetch_retry_failed(FetchRetry *retry, uint64_t now, uint32_t random);

/* Something new has come. */
void fetch_retry_progress(FetchRetry *retry);
