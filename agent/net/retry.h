#pragma once

/* What to do after an attempt: a pure function of what came of it. The tables and figures are those of the AWS SDKs'
 * standard retry mode in its revision of 2026 ("Retry behavior", SDKs and Tools Reference Guide; botocore's
 * AWS_NEW_RETRIES_2026): delays from 50 ms, 1 s when throttled, doubled each time, up to 20 s, full jitter; a quota of 500
 * for all requests of a client, of which a retry takes 14 (throttled: 5) and a success gives back what its last retry
 * took, or 1. */

#include <stdbool.h>
#include <stdint.h>

#define RETRY_QUOTA_MAX 500U
#define RETRY_COST 14U
#define RETRY_COST_THROTTLED 5U

typedef enum RetryVerdict {
        RETRY_ANSWERED,    /* 2xx or 304 */
        RETRY_TRANSIENT,   /* worth another attempt */
        RETRY_THROTTLED,   /* the same, later */
        RETRY_SKEW,        /* correct the clock first */
        RETRY_CREDENTIALS, /* get new credentials first */
        RETRY_REGION,      /* ask in the right region */
        RETRY_REFUSED,     /* no use */
} RetryVerdict;

typedef struct RetryFacts {
        int result;       /* of the transfer: 0 or a negative errno */
        int status;       /* of the answer */
        const char *code; /* "" where there is none */
        int64_t skew; /* this answer's Date minus the clock that signed the request, microseconds; 0: unknown */
        bool has_other_region; /* the answer names a region that is not the one that was asked */
} RetryFacts;

RetryVerdict retry_judge(const RetryFacts *facts);

bool retry_is_throttling(int status, const char *code);
bool retry_is_transient(int status, const char *code);

/* Microseconds to wait before retry number RETRY (from 0); RANDOM is uniform over all 64-bit numbers. SERVER_WAIT is the
 * answer's x-amz-retry-after in microseconds, 0: none; it is kept within its value and 5 s more than the delay. */
uint64_t retry_delay(RetryVerdict verdict, unsigned retry, uint64_t random, uint64_t server_wait);

typedef struct RetryQuota {
        unsigned left;
} RetryQuota;

/* What was taken; 0: there is not enough left, so no retry. */
unsigned retry_quota_take(RetryQuota *quota, RetryVerdict verdict);

/* After a success; TAKEN by its last retry, 0: it needed none. */
void retry_quota_give_back(RetryQuota *quota, unsigned taken);
