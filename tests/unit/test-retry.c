#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "agent/net/retry.h"
#include "tests/unit/test.h"

#define MINUTE ((int64_t) (60 * USEC_PER_SEC))

static void test_judge(_unused_ void **state) {
        static const struct {
                RetryFacts facts;
                RetryVerdict verdict;
        } cases[] = {
                { { .status = 200, .code = "" }, RETRY_ANSWERED },
                { { .status = 204, .code = "" }, RETRY_ANSWERED },
                { { .status = 304, .code = "" }, RETRY_ANSWERED },
                { { .status = 200, .code = "InternalError" }, RETRY_TRANSIENT },
                { { .status = 200, .code = "Strange" }, RETRY_REFUSED },
                { { .status = 500, .code = "" }, RETRY_TRANSIENT },
                { { .status = 503, .code = "ServiceUnavailable" }, RETRY_TRANSIENT },
                { { .status = 503, .code = "SlowDown" }, RETRY_THROTTLED },
                { { .status = 400, .code = "Throttling" }, RETRY_THROTTLED },
                { { .status = 429, .code = "" }, RETRY_THROTTLED },
                { { .status = 400, .code = "RequestTimeout" }, RETRY_TRANSIENT },
                { { .status = 500, .code = "ResourceContention" }, RETRY_TRANSIENT },
                { { .status = 501, .code = "NotImplemented" }, RETRY_REFUSED },
                { { .status = 403, .code = "AccessDenied" }, RETRY_REFUSED },
                { { .status = 404, .code = "NoSuchKey" }, RETRY_REFUSED },
                { { .status = 409, .code = "ConditionalRequestConflict" }, RETRY_REFUSED },
                { { .status = 412, .code = "PreconditionFailed" }, RETRY_REFUSED },
                { { .status = 400, .code = "ExpiredToken" }, RETRY_CREDENTIALS },
                { { .status = 403, .code = "ExpiredTokenException" }, RETRY_CREDENTIALS },
                { { .status = 400, .code = "InvalidToken" }, RETRY_CREDENTIALS },
                /* The clock is to blame only if it is off. */
                { { .status = 403, .code = "RequestTimeTooSkewed", .skew = 16 * MINUTE }, RETRY_SKEW },
                { { .status = 403, .code = "RequestTimeTooSkewed", .skew = 3 * MINUTE }, RETRY_REFUSED },
                { { .status = 403, .code = "SignatureDoesNotMatch", .skew = -5 * MINUTE }, RETRY_SKEW },
                { { .status = 403, .code = "SignatureDoesNotMatch" }, RETRY_REFUSED },
                { { .status = 403, .code = "AccessDenied", .skew = 16 * MINUTE }, RETRY_REFUSED },
                /* Elsewhere. */
                { { .status = 301, .code = "PermanentRedirect", .has_other_region = true }, RETRY_REGION },
                { { .status = 400, .code = "AuthorizationHeaderMalformed", .has_other_region = true },
                  RETRY_REGION },
                { { .status = 400, .code = "AuthorizationHeaderMalformed" }, RETRY_REFUSED },
                { { .status = 400, .code = "", .has_other_region = true }, RETRY_REGION },
                { { .status = 403, .code = "AccessDenied", .has_other_region = true }, RETRY_REFUSED },
                { { .status = 302, .code = "" }, RETRY_REFUSED },
                /* No answer. */
                { { .result = -ETIMEDOUT, .code = "" }, RETRY_TRANSIENT },
                { { .result = -EHOSTDOWN, .code = "" }, RETRY_TRANSIENT },
                { { .result = -ECONNREFUSED, .code = "" }, RETRY_TRANSIENT },
                { { .result = -ECONNABORTED, .code = "" }, RETRY_TRANSIENT },
                { { .result = -EKEYREJECTED, .code = "" }, RETRY_REFUSED },
                { { .result = -E2BIG, .code = "" }, RETRY_REFUSED },
                { { .result = -ENOMEM, .code = "" }, RETRY_REFUSED },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(retry_judge(&cases[i].facts), cases[i].verdict);
}

static void test_delay(_unused_ void **state) {
        assert_int_equal(retry_delay(RETRY_TRANSIENT, 0, 0, 0), 0);
        assert_int_equal(retry_delay(RETRY_TRANSIENT, 0, UINT64_MAX, 0), 50 * USEC_PER_MSEC - 1);
        assert_int_equal(retry_delay(RETRY_TRANSIENT, 1, UINT64_MAX, 0), 100 * USEC_PER_MSEC - 1);
        assert_int_equal(retry_delay(RETRY_TRANSIENT, 1, UINT64_MAX / 2, 0), 50 * USEC_PER_MSEC - 1);
        assert_int_equal(retry_delay(RETRY_THROTTLED, 0, UINT64_MAX, 0), USEC_PER_SEC - 1);
        assert_int_equal(retry_delay(RETRY_THROTTLED, 3, UINT64_MAX, 0), 8 * USEC_PER_SEC - 1);
        assert_int_equal(retry_delay(RETRY_THROTTLED, 5, UINT64_MAX, 0), 20 * USEC_PER_SEC - 1);
        assert_int_equal(retry_delay(RETRY_THROTTLED, UINT32_MAX, UINT64_MAX, 0), 20 * USEC_PER_SEC - 1);
}

static void test_server_wait(_unused_ void **state) {
        assert_int_equal(retry_delay(RETRY_TRANSIENT, 0, 0, 2 * USEC_PER_SEC), 2 * USEC_PER_SEC);
        assert_int_equal(retry_delay(RETRY_TRANSIENT, 0, 0, 3600 * USEC_PER_SEC), 5 * USEC_PER_SEC);
        assert_int_equal(retry_delay(RETRY_THROTTLED, 0, UINT64_MAX, 1), USEC_PER_SEC - 1);
}

static void test_quota(_unused_ void **state) {
        RetryQuota quota = { 30 };

        assert_int_equal(retry_quota_take(&quota, RETRY_TRANSIENT), 14);
        assert_int_equal(retry_quota_take(&quota, RETRY_TRANSIENT), 14);
        assert_int_equal(retry_quota_take(&quota, RETRY_TRANSIENT), 0);
        assert_int_equal(retry_quota_take(&quota, RETRY_THROTTLED), 0);
        assert_int_equal(quota.left, 2);
        retry_quota_give_back(&quota, 0);
        retry_quota_give_back(&quota, 14);
        assert_int_equal(quota.left, 17);
        assert_int_equal(retry_quota_take(&quota, RETRY_THROTTLED), 5);
        quota.left = RETRY_QUOTA_MAX;
        retry_quota_give_back(&quota, 14);
        assert_int_equal(quota.left, RETRY_QUOTA_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_judge),
                cmocka_unit_test(test_delay),
                cmocka_unit_test(test_server_wait),
                cmocka_unit_test(test_quota),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
