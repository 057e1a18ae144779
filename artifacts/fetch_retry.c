#include <errno.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "artifacts/fetch_retry.h"

void fetch_retry_init(FetchRetry *retry, unsigned failures_max, uint64_t backoff_first) {
        *retry = (FetchRetry){ .failures_max = failures_max, .backoff_first = backoff_first };
}

bool fetch_retry_is_of_use(int result) {
        static const int passing[] = { EAGAIN,    EBUSY,        ECONNABORTED, ECONNREFUSED, ECONNRESET,
                                       EHOSTDOWN, EHOSTUNREACH, ENETUNREACH,  ENETDOWN,     ETIMEDOUT,
                                       EPROTO,    EREMOTEIO,    EBADMSG };

        for (size_t i = 0; i < ELEMENTSOF(passing); i++)
                if (result == -passing[i])
                        return true;
        return false;
}

/* Half of it fixed, half of it random. */
static uint64_t backoff(const FetchRetry *retry, uint32_t random) {
        uint64_t whole = retry->backoff_first;

        for (unsigned i = 1; i < retry->failures && whole < FETCH_RETRY_BACKOFF_MAX; i++)
                whole *= 2;
        whole = MIN(whole, FETCH_RETRY_BACKOFF_MAX);
        return whole / 2 + random % (whole / 2 + 1);
}

bool fetch_retry_failed(FetchRetry *retry, uint64_t now, uint32_t random) {
        if (now < retry->not_before)
                return true;
        if (++retry->failures >= retry->failures_max)
                return false;
        retry->not_before = now + backoff(retry, random);
        return true;
}

void fetch_retry_progress(FetchRetry *retry) {
        retry->failures = 0;
}
