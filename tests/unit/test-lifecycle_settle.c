#include "agent/base/cleanup.h"
#include "agent/lifecycle_settle.h"
#include "tests/unit/test.h"

#define A LIFECYCLE_AGAIN
#define H LIFECYCLE_HEARD
#define L LIFECYCLE_TOO_LATE

/* For each state: after CONTINUE and ABANDON of a launch, of a termination, and of a return into the warm pool. */
static const struct {
        InstanceState in_group;
        LifecycleSettled launching[2], terminating[2], returning[2];
} rows[] = {
        { INSTANCE_UNKNOWN, { A, A }, { A, A }, { A, A } },
        { INSTANCE_PENDING, { A, A }, { A, A }, { L, L } },
        { INSTANCE_PENDING_WAIT, { A, A }, { A, A }, { L, L } },
        { INSTANCE_PENDING_PROCEED, { H, L }, { A, A }, { L, L } },
        { INSTANCE_IN_SERVICE, { H, L }, { A, A }, { A, A } },
        { INSTANCE_TERMINATING, { L, H }, { A, A }, { L, L } },
        { INSTANCE_TERMINATING_WAIT, { L, H }, { A, A }, { L, L } },
        { INSTANCE_TERMINATING_PROCEED, { L, H }, { H, H }, { L, L } },
        { INSTANCE_TERMINATING_RETAINED, { L, H }, { H, H }, { L, L } },
        { INSTANCE_TERMINATED, { L, H }, { H, H }, { L, L } },
        { INSTANCE_DETACHING, { L, L }, { L, L }, { L, L } },
        { INSTANCE_DETACHED, { L, L }, { L, L }, { L, L } },
        { INSTANCE_ENTERING_STANDBY, { L, L }, { A, A }, { L, L } },
        { INSTANCE_STANDBY, { L, L }, { A, A }, { L, L } },
        { INSTANCE_REPLACING_ROOT_VOLUME, { L, L }, { A, A }, { L, L } },
        { INSTANCE_REPLACING_ROOT_VOLUME_WAIT, { L, L }, { A, A }, { L, L } },
        { INSTANCE_REPLACING_ROOT_VOLUME_PROCEED, { L, L }, { A, A }, { L, L } },
        { INSTANCE_ROOT_VOLUME_REPLACED, { L, L }, { A, A }, { L, L } },
        { INSTANCE_WARMED_PENDING, { A, A }, { A, A }, { A, A } },
        { INSTANCE_WARMED_PENDING_WAIT, { A, A }, { A, A }, { A, A } },
        { INSTANCE_WARMED_PENDING_PROCEED, { H, L }, { A, A }, { H, H } },
        { INSTANCE_WARMED_PENDING_RETAINED, { L, L }, { A, A }, { H, H } },
        { INSTANCE_WARMED_TERMINATING, { L, H }, { A, A }, { L, L } },
        { INSTANCE_WARMED_TERMINATING_WAIT, { L, H }, { A, A }, { L, L } },
        { INSTANCE_WARMED_TERMINATING_PROCEED, { L, H }, { H, H }, { L, L } },
        { INSTANCE_WARMED_TERMINATING_RETAINED, { L, H }, { H, H }, { L, L } },
        { INSTANCE_WARMED_TERMINATED, { L, H }, { H, H }, { L, L } },
        { INSTANCE_WARMED_STOPPED, { H, L }, { A, A }, { H, H } },
        { INSTANCE_WARMED_RUNNING, { H, L }, { A, A }, { H, H } },
        { INSTANCE_WARMED_HIBERNATED, { H, L }, { A, A }, { H, H } },
};

static void test_every_state(_unused_ void **state) {
        assert_int_equal(ELEMENTSOF(rows), INSTANCE_WARMED_HIBERNATED + 1);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                InstanceState s = rows[i].in_group;

                assert_int_equal(s, i);
                for (AutoScalingVerdict v = AUTOSCALING_CONTINUE; v <= AUTOSCALING_ABANDON; v++) {
                        assert_int_equal(lifecycle_settle(LIFECYCLE_LAUNCHING, v, s, 1),
                                         rows[i].launching[v]);
                        assert_int_equal(lifecycle_settle(LIFECYCLE_TERMINATING, v, s, 1),
                                         rows[i].terminating[v]);
                        assert_int_equal(lifecycle_settle(LIFECYCLE_RETURNING, v, s, 1),
                                         rows[i].returning[v]);
                }
        }
}

/* One answer may have crossed with the way into :Wait; several did not. */
static void test_wait_for_others(_unused_ void **state) {
        static const InstanceState waits[] = { INSTANCE_PENDING_WAIT, INSTANCE_WARMED_PENDING_WAIT };

        for (size_t i = 0; i < ELEMENTSOF(waits); i++) {
                assert_int_equal(lifecycle_settle(LIFECYCLE_LAUNCHING, AUTOSCALING_CONTINUE, waits[i],
                                                  LIFECYCLE_REFUSALS_MAX - 1),
                                 A);
                assert_int_equal(lifecycle_settle(LIFECYCLE_LAUNCHING, AUTOSCALING_CONTINUE, waits[i],
                                                  LIFECYCLE_REFUSALS_MAX),
                                 H);
                assert_int_equal(lifecycle_settle(LIFECYCLE_LAUNCHING, AUTOSCALING_ABANDON, waits[i],
                                                  LIFECYCLE_REFUSALS_MAX),
                                 L);
        }
        assert_int_equal(lifecycle_settle(LIFECYCLE_LAUNCHING, AUTOSCALING_CONTINUE, INSTANCE_PENDING, 99),
                         A);
        assert_int_equal(lifecycle_settle(LIFECYCLE_TERMINATING, AUTOSCALING_CONTINUE,
                                          INSTANCE_TERMINATING_WAIT, LIFECYCLE_REFUSALS_MAX),
                         H);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_state),
                                            cmocka_unit_test(test_wait_for_others) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
