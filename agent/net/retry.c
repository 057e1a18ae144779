#include <errno.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "agent/net/retry.h"

#define DELAY_TRANSIENT (50 * USEC_PER_MSEC)
#define DELAY_THROTTLED (1 * USEC_PER_SEC)
#define DELAY_MAX (20 * USEC_PER_SEC)
#define DOUBLINGS_MAX 16U
#define SERVER_WAIT_EXTRA_MAX (5 * USEC_PER_SEC)
#define SKEW_MIN ((int64_t) (4 * 60 * USEC_PER_SEC)) /* from which on a refusal may be due to the clock */

typedef enum CodeClass {
        CODE_TRANSIENT = 1,
        CODE_THROTTLING,
        CODE_SKEW,
        CODE_CREDENTIALS,
        CODE_REGION,
} CodeClass;

static const struct {
        const char *code;
        CodeClass class;
} codes[] = {
        { "RequestTimeout", CODE_TRANSIENT },
        { "RequestTimeoutException", CODE_TRANSIENT },
        { "InternalError", CODE_TRANSIENT },
        { "InternalFailure", CODE_TRANSIENT },
        { "InternalServerError", CODE_TRANSIENT },
        { "ServiceUnavailable", CODE_TRANSIENT },
        { "BadDigest", CODE_TRANSIENT },          /* S3: the body was damaged on its way */
        { "ResourceContention", CODE_TRANSIENT }, /* Auto Scaling */
        { "IDPCommunicationError", CODE_TRANSIENT },

        { "Throttling", CODE_THROTTLING },
        { "ThrottlingException", CODE_THROTTLING },
        { "ThrottledException", CODE_THROTTLING },
        { "Throttled", CODE_THROTTLING },
        { "RequestThrottled", CODE_THROTTLING },
        { "RequestThrottledException", CODE_THROTTLING },
        { "TooManyRequestsException", CODE_THROTTLING },
        { "ProvisionedThroughputExceededException", CODE_THROTTLING },
        { "TransactionInProgressException", CODE_THROTTLING },
        { "RequestLimitExceeded", CODE_THROTTLING },
        { "BandwidthLimitExceeded", CODE_THROTTLING },
        { "LimitExceededException", CODE_THROTTLING },
        { "SlowDown", CODE_THROTTLING },
        { "PriorRequestNotComplete", CODE_THROTTLING },
        { "EC2ThrottledException", CODE_THROTTLING },
        { "KmsThrottled", CODE_THROTTLING },
        { "KMS.ThrottlingException", CODE_THROTTLING },

        { "RequestTimeTooSkewed", CODE_SKEW },
        { "InvalidSignatureException", CODE_SKEW },
        { "SignatureDoesNotMatch", CODE_SKEW },
        { "AuthFailure", CODE_SKEW },
        { "AccessDeniedException", CODE_SKEW },

        { "ExpiredToken", CODE_CREDENTIALS },
        { "ExpiredTokenException", CODE_CREDENTIALS },
        { "InvalidToken", CODE_CREDENTIALS },
        { "UnrecognizedClientException", CODE_CREDENTIALS },

        { "PermanentRedirect", CODE_REGION },
        { "TemporaryRedirect", CODE_REGION },
        { "AuthorizationHeaderMalformed", CODE_REGION },
        { "IllegalLocationConstraintException", CODE_REGION },
};

static CodeClass class_of(const char *code) {
        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                if (strcmp(code, codes[i].code) == 0)
                        return codes[i].class;
        return 0;
}

bool retry_is_throttling(int status, const char *code) {
        return status == 429 || class_of(code) == CODE_THROTTLING;
}

bool retry_is_transient(int status, const char *code) {
        return status == 500 || status == 502 || status == 503 || status == 504 ||
               class_of(code) == CODE_TRANSIENT;
}

/* What an attempt without a whole answer came to. A name that does not resolve is worth another attempt: at boot, DNS may
 * not be up yet. */
static bool is_passing(int result) {
        switch (-result) {
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ENETUNREACH:
        case ENETDOWN:
        case ECONNREFUSED:
        case ECONNRESET:
        case ECONNABORTED:
        case ETIMEDOUT:
        case EPROTO:
                return true;
        default:
                return false;
        }
}

static bool is_skewed(const RetryFacts *facts) {
        return class_of(facts->code) == CODE_SKEW && (facts->skew > SKEW_MIN || facts->skew < -SKEW_MIN);
}

/* Answers to HEAD have no code. */
static bool is_elsewhere(const RetryFacts *facts) {
        if (!facts->has_other_region)
                return false;
        return class_of(facts->code) == CODE_REGION || facts->status == 301 || facts->status == 307 ||
               (facts->status == 400 && !facts->code[0]);
}

RetryVerdict retry_judge(const RetryFacts *facts) {
        if (facts->result < 0)
                return is_passing(facts->result) ? RETRY_TRANSIENT : RETRY_REFUSED;
        if ((facts->status >= 200 && facts->status < 300 && !facts->code[0]) || facts->status == 304)
                return RETRY_ANSWERED;
        if (is_elsewhere(facts))
                return RETRY_REGION;
        if (is_skewed(facts))
                return RETRY_SKEW;
        if (class_of(facts->code) == CODE_CREDENTIALS)
                return RETRY_CREDENTIALS;
        if (retry_is_throttling(facts->status, facts->code))
                return RETRY_THROTTLED;
        return retry_is_transient(facts->status, facts->code) ? RETRY_TRANSIENT : RETRY_REFUSED;
}

/* VALUE * NUMERATOR / 2^64, without overflow for delays. */
static uint64_t scale(uint64_t value, uint64_t random) {
        return (uint64_t) (((__uint128_t) value * random) >> 64);
}

uint64_t retry_delay(RetryVerdict verdict, unsigned retry, uint64_t random, uint64_t server_wait) {
        uint64_t base = verdict == RETRY_THROTTLED ? DELAY_THROTTLED : DELAY_TRANSIENT, ceiling, delay;

        ceiling = retry < DOUBLINGS_MAX ? base << retry : DELAY_MAX;
        delay = scale(MIN(ceiling, DELAY_MAX), random);
        if (server_wait == 0)
                return delay;
        return MAX(delay, MIN(server_wait, delay + SERVER_WAIT_EXTRA_MAX));
}

unsigned retry_quota_take(RetryQuota *quota, RetryVerdict verdict) {
        unsigned cost = verdict == RETRY_THROTTLED ? RETRY_COST_THROTTLED : RETRY_COST;

        if (quota->left < cost)
                return 0;
        quota->left -= cost;
        return cost;
}

void retry_quota_give_back(RetryQuota *quota, unsigned taken) {
        quota->left = MIN(quota->left + MAX(taken, 1U), RETRY_QUOTA_MAX);
}
