#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "artifacts/fetch_retry.h"
#include "tests/unit/test.h"

#define FIRST (100 * USEC_PER_MSEC)

/* Each attempt when it is due: how long that takes in all, and that it ends. */
static uint64_t run(uint32_t random, unsigned failures_max) {
        uint64_t now = 1;
        FetchRetry retry;

        fetch_retry_init(&retry, failures_max, FIRST);
        for (unsigned i = 1; i < failures_max; i++) {
                uint64_t before = now;

                assert_true(fetch_retry_failed(&retry, now, random));
                assert_true(retry.not_before > now);
                assert_true(retry.not_before - now <= FETCH_RETRY_BACKOFF_MAX);
                now = retry.not_before;
                assert_true(now - before >= (i < 7 ? FIRST << (i - 1) : FETCH_RETRY_BACKOFF_MAX) / 2);
        }
        assert_false(fetch_retry_failed(&retry, now, random));
        return now;
}

static void test_backoff(_unused_ void **state) {
        assert_int_equal(run(0, 1), 1);
        assert_int_equal(run(0, 4), 1 + (50 + 100 + 200) * USEC_PER_MSEC);
        assert_in_range(run(UINT32_MAX, 4), 1 + (50 + 100 + 200) * USEC_PER_MSEC,
                        1 + (100 + 200 + 400) * USEC_PER_MSEC);
        assert_in_range(run(12345, 1000), 990 * FETCH_RETRY_BACKOFF_MAX / 2, 1000 * FETCH_RETRY_BACKOFF_MAX);
}

static void test_together(_unused_ void **state) {
        FetchRetry retry;

        fetch_retry_init(&retry, 2, FIRST);
        for (int i = 0; i < 8; i++)
                assert_true(fetch_retry_failed(&retry, 1000, 0));
        assert_int_equal(retry.failures, 1);
        assert_false(fetch_retry_failed(&retry, retry.not_before, 0));
}

static void test_progress(_unused_ void **state) {
        uint64_t now = 0;
        FetchRetry retry;

        fetch_retry_init(&retry, 2, FIRST);
        for (int i = 0; i < 100; i++) {
                assert_true(fetch_retry_failed(&retry, now, 0));
                now = retry.not_before;
                fetch_retry_progress(&retry);
        }
}

static void test_of_use(_unused_ void **state) {
        assert_true(fetch_retry_is_of_use(-ECONNRESET));
        assert_true(fetch_retry_is_of_use(-EAGAIN));
        assert_true(fetch_retry_is_of_use(-ETIMEDOUT));
        assert_false(fetch_retry_is_of_use(-EACCES));
        assert_false(fetch_retry_is_of_use(-ENOENT));
        assert_false(fetch_retry_is_of_use(-ENOMEM));
        assert_false(fetch_retry_is_of_use(0));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_backoff),
                cmocka_unit_test(test_together),
                cmocka_unit_test(test_progress),
                cmocka_unit_test(test_of_use),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
