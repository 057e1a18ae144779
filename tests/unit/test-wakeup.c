#include "agent/base/clock.h"
#include "agent/wakeup.h"
#include "tests/unit/test.h"

#define INTERVAL (30 * USEC_PER_SEC)

/* Seldom only where somebody is known to send messages, and to go on doing so. */
static void test_poll_interval(_unused_ void **state) {
        static const struct {
                WakeupTrust trust;
                unsigned times;
        } cases[] = {
                { { .reliable = false },
                  1 }, /* none, or it does not answer, or each message is another one's */
                { { .reliable = true }, WAKEUP_POLL_FACTOR },
                { { .reliable = true, .own = true, .subscribed = true }, WAKEUP_POLL_FACTOR },
                { { .reliable = true, .own = true }, 1 }, /* its topic, or its subscription, is gone */
                { { .own = true, .subscribed = true }, 1 },
                { { .own = true }, 1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(wakeup_poll_interval(INTERVAL, &cases[i].trust), cases[i].times * INTERVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_poll_interval),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
