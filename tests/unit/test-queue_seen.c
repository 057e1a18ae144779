#include "agent/base/cleanup.h"
#include "agent/queue_seen.h"
#include "tests/unit/test.h"

static QueueSeenVerdict see(QueueSeen *seen, unsigned id, uint64_t now) {
        char text[16];

        snprintf(text, sizeof(text), "%u", id);
        return queue_seen(seen, text, now);
}

static void test_once(_unused_ void **state) {
        QueueSeen seen;

        queue_seen_init(&seen, 0);
        assert_int_equal(see(&seen, 1, 0), QUEUE_SEEN_NEW);
        assert_int_equal(see(&seen, 1, 0), QUEUE_SEEN_BEFORE);
        assert_int_equal(see(&seen, 2, 0), QUEUE_SEEN_NEW);
        assert_int_equal(see(&seen, 1, 0), QUEUE_SEEN_BEFORE);
}

static void test_flood(_unused_ void **state) {
        QueueSeen seen;

        queue_seen_init(&seen, 1000);
        for (unsigned i = 1; i < QUEUE_SEEN_LINES; i++)
                assert_int_equal(see(&seen, i, 1000), QUEUE_SEEN_NEW);
        assert_int_equal(see(&seen, 100, 1000), QUEUE_SEEN_LAST);
        for (unsigned i = 200; i < 10000; i++)
                assert_int_equal(see(&seen, i, 1000), QUEUE_SEEN_QUIET);
        assert_int_equal(see(&seen, 20000, 1000 + QUEUE_SEEN_REFILL), QUEUE_SEEN_LAST);
        assert_int_equal(see(&seen, 20001, 1000 + 100 * (uint64_t) QUEUE_SEEN_REFILL), QUEUE_SEEN_NEW);
}

static void test_forgets_the_oldest(_unused_ void **state) {
        QueueSeen seen;

        queue_seen_init(&seen, 0);
        for (unsigned i = 0; i < QUEUE_SEEN_MAX; i++)
                (void) see(&seen, i, 0);
        assert_int_equal(see(&seen, 0, 0), QUEUE_SEEN_BEFORE);
        (void) see(&seen, QUEUE_SEEN_MAX, 0);
        assert_int_not_equal(see(&seen, 0, 0), QUEUE_SEEN_BEFORE);
        assert_int_equal(see(&seen, QUEUE_SEEN_MAX, 0), QUEUE_SEEN_BEFORE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_once),
                cmocka_unit_test(test_flood),
                cmocka_unit_test(test_forgets_the_oldest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
