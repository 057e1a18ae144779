#include "agent/base/cleanup.h"
#include "agent/queue_orphan.h"
#include "tests/unit/test.h"

#define HOUR (3600 * USEC_PER_SEC)
#define NOW (1000 * HOUR)

static void test_states(void **state) {
        static const struct {
                QueueFacts facts;
                QueueOwnerState state;
        } cases[] = {
                { { .in_group = true, .in_state = INSTANCE_IN_SERVICE }, QUEUE_OWNER_IN_GROUP },
                { { .in_group = true, .in_state = INSTANCE_WARMED_STOPPED }, QUEUE_OWNER_IN_GROUP },
                { { .in_group = true, .in_state = INSTANCE_TERMINATING_WAIT }, QUEUE_OWNER_IN_GROUP },
                { { .in_group = true, .in_state = INSTANCE_UNKNOWN }, QUEUE_OWNER_IN_GROUP },
                { { .in_group = true, .in_state = INSTANCE_TERMINATED }, QUEUE_OWNER_GONE },
                { { .reported = NOW - HOUR + 1 }, QUEUE_OWNER_REPORTS },
                { { .reported = NOW - HOUR }, QUEUE_OWNER_GONE },
                { { .reported = NOW + HOUR }, QUEUE_OWNER_REPORTS }, /* by another clock */
                { { .created = NOW - HOUR + 1 }, QUEUE_OWNER_NEW },
                { { .created = NOW - HOUR }, QUEUE_OWNER_GONE },
                { { .reported = NOW - 5 * HOUR, .created = NOW - 1 }, QUEUE_OWNER_NEW },
                { {}, QUEUE_OWNER_GONE },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                QueueFacts facts = cases[i].facts;

                facts.now = NOW;
                facts.margin = HOUR;
                assert_int_equal(queue_owner_state(&facts), cases[i].state);
                assert_true(*queue_owner_state_to_string(cases[i].state));
        }
        (void) state;
}

static void test_ids(void **state) {
        static const char *const bad[] = { "",
                                           "i-",
                                           "i",
                                           "host-1",
                                           "i-0123456789ABCDEF0",
                                           "i-0123/",
                                           "i-host",
                                           "i-0123456789abcdef0123456789abcdef0" };

        assert_true(is_ec2_instance_id("i-0123456789abcdef0"));
        assert_true(is_ec2_instance_id("i-1a2b3c4d"));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(is_ec2_instance_id(bad[i]));
        (void) state;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_states),
                cmocka_unit_test(test_ids),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
