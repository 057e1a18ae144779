#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/clock.h"
#include "agent/instance_life.h"

#define NOW (UINT64_C(1000000) * USEC_PER_SEC)
#define MINUTE (60 * USEC_PER_SEC)

static LifeView view_of(LifeFacts facts) {
        LifeView view;

        facts.now = NOW;
        instance_life(&facts, &view);
        assert_true((view.life == LIFE_LEAVING) == (view.cause != LEAVE_NOT));
        assert_true(view.life == LIFE_LEAVING || (view.deadline == USEC_INFINITY && !view.may_return));
        return view;
}

/* Every LifecycleState of the API reference, as the group tells it: what it is where the metadata have not answered, while
 * they name InService, and while they name Terminated. */
static const struct {
        const char *state;
        InstanceLife alone;
        InstanceLife to_service;
} states[] = {
        { "Pending", LIFE_LAUNCHING, LIFE_LAUNCHING },
        { "Pending:Wait", LIFE_LAUNCHING, LIFE_LAUNCHING },
        { "Pending:Proceed", LIFE_LAUNCHING, LIFE_LAUNCHING },
        { "InService", LIFE_IN_SERVICE, LIFE_IN_SERVICE },
        { "Terminating", LIFE_LEAVING, LIFE_LEAVING },
        { "Terminating:Wait", LIFE_LEAVING, LIFE_LEAVING },
        { "Terminating:Proceed", LIFE_LEAVING, LIFE_LEAVING },
        { "Terminating:Retained", LIFE_LEAVING, LIFE_LEAVING },
        { "Terminated", LIFE_LEAVING, LIFE_LEAVING },
        { "Detaching", LIFE_DETACHED, LIFE_LAUNCHING },
        { "Detached", LIFE_DETACHED, LIFE_LAUNCHING },
        { "EnteringStandby", LIFE_ENTERING_STANDBY, LIFE_LAUNCHING },
        { "Standby", LIFE_STANDBY, LIFE_LAUNCHING },
        { "ReplacingRootVolume", LIFE_UNKNOWN, LIFE_UNKNOWN },
        { "ReplacingRootVolume:Wait", LIFE_UNKNOWN, LIFE_UNKNOWN },
        { "ReplacingRootVolume:Proceed", LIFE_UNKNOWN, LIFE_UNKNOWN },
        { "RootVolumeReplaced", LIFE_UNKNOWN, LIFE_UNKNOWN },
        { "Warmed:Pending", LIFE_WARMING, LIFE_LAUNCHING },
        { "Warmed:Pending:Wait", LIFE_WARMING, LIFE_LAUNCHING },
        { "Warmed:Pending:Proceed", LIFE_WARMING, LIFE_LAUNCHING },
        { "Warmed:Pending:Retained", LIFE_WARMING, LIFE_LAUNCHING },
        { "Warmed:Terminating", LIFE_LEAVING, LIFE_LEAVING },
        { "Warmed:Terminating:Wait", LIFE_LEAVING, LIFE_LEAVING },
        { "Warmed:Terminating:Proceed", LIFE_LEAVING, LIFE_LEAVING },
        { "Warmed:Terminating:Retained", LIFE_LEAVING, LIFE_LEAVING },
        { "Warmed:Terminated", LIFE_LEAVING, LIFE_LEAVING },
        { "Warmed:Stopped", LIFE_POOLED, LIFE_LAUNCHING },
        { "Warmed:Running", LIFE_POOLED, LIFE_LAUNCHING },
        { "Warmed:Hibernated", LIFE_POOLED, LIFE_LAUNCHING },
        { "Quarantined", LIFE_UNKNOWN, LIFE_UNKNOWN }, /* in the reference, unused */
        { "Teleporting", LIFE_UNKNOWN, LIFE_UNKNOWN },
};

static void test_states(_unused_ void **state) {
        bool seen[INSTANCE_WARMED_HIBERNATED + 1] = {};

        for (size_t i = 0; i < ELEMENTSOF(states); i++) {
                LifeFacts facts = { .view = GROUP_MEMBER,
                                    .in_group = instance_state_from_string(states[i].state) };
                LifeView view;

                seen[facts.in_group] = true;
                view = view_of(facts);
                assert_int_equal(view.life, states[i].alone);
                facts.target_known = true; /* the metadata have no such item */
                assert_int_equal(view_of(facts).life, states[i].alone);
                facts.target = "InService";
                assert_int_equal(view_of(facts).life, states[i].to_service);
                facts.target = "Terminated";
                assert_int_equal(view_of(facts).life,
                                 states[i].alone == LIFE_UNKNOWN ? LIFE_UNKNOWN : LIFE_LEAVING);
                facts.target = "Teleported";
                assert_int_equal(view_of(facts).life,
                                 states[i].alone == LIFE_LEAVING ? LIFE_LEAVING : LIFE_UNKNOWN);
        }
        for (size_t i = 0; i < ELEMENTSOF(seen); i++)
                assert_true(seen[i]);
}

static void test_targets(_unused_ void **state) {
        static const struct {
                const char *target;
                InstanceLife unasked;
                const char *before; /* where it comes from, as the group may still say */
                InstanceLife on_the_way;
                const char *steady;
                InstanceLife there;
        } cases[] = {
                { "InService", LIFE_IN_SERVICE, "Warmed:Stopped", LIFE_LAUNCHING, "InService",
                  LIFE_IN_SERVICE },
                { "Terminated", LIFE_LEAVING, "InService", LIFE_LEAVING, "Terminated", LIFE_LEAVING },
                { "Detached", LIFE_DETACHED, "InService", LIFE_DETACHED, "Detached", LIFE_DETACHED },
                { "Standby", LIFE_ENTERING_STANDBY, "InService", LIFE_ENTERING_STANDBY, "Standby",
                  LIFE_STANDBY },
                { "Warmed:Stopped", LIFE_WARMING, "InService", LIFE_WARMING, "Warmed:Stopped", LIFE_POOLED },
                { "Warmed:Running", LIFE_WARMING, "Warmed:Pending:Wait", LIFE_WARMING, "Warmed:Running",
                  LIFE_POOLED },
                { "Warmed:Hibernated", LIFE_WARMING, "InService", LIFE_WARMING, "Warmed:Hibernated",
                  LIFE_POOLED },
                { "Warmed:Terminated", LIFE_LEAVING, "Warmed:Stopped", LIFE_LEAVING, "Warmed:Terminated",
                  LIFE_LEAVING },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                LifeFacts facts = { .target_known = true, .target = cases[i].target };

                assert_int_equal(view_of(facts).life, cases[i].unasked);
                facts.view = GROUP_ASKED;
                assert_int_equal(view_of(facts).life, cases[i].on_the_way);
                facts.view = GROUP_NONE;
                assert_int_equal(view_of(facts).life, cases[i].unasked);
                facts.view = GROUP_MEMBER;
                facts.in_group = instance_state_from_string(cases[i].before);
                assert_int_equal(view_of(facts).life, cases[i].on_the_way);
                facts.in_group = instance_state_from_string(cases[i].steady);
                assert_int_equal(view_of(facts).life, cases[i].there);
        }
}

static void test_without_group(_unused_ void **state) {
        assert_int_equal(view_of((LifeFacts){}).life, LIFE_UNKNOWN);
        assert_int_equal(view_of((LifeFacts){ .target_known = true }).life, LIFE_ALONE);
        assert_int_equal(view_of((LifeFacts){ .target_known = true, .view = GROUP_NONE }).life, LIFE_ALONE);
        assert_int_equal(view_of((LifeFacts){ .view = GROUP_NONE }).life, LIFE_ALONE);
}

static void test_spot(_unused_ void **state) {
        LifeFacts facts = { .target_known = true, .spot_action = "terminate", .spot_at = NOW + 2 * MINUTE };
        LifeView view = view_of(facts);

        assert_int_equal(view.life, LIFE_LEAVING);
        assert_int_equal(view.cause, LEAVE_SPOT);
        assert_int_equal(view.deadline, NOW + 2 * MINUTE);
        assert_false(view.may_return);
        assert_string_equal(view.reason, "EC2 takes this spot instance back: terminate");
        facts.spot_action = "stop";
        assert_true(view_of(facts).may_return);
        /* The group terminates it, too: that is why, but the time is EC2's. */
        facts.target = "Terminated";
        view = view_of(facts);
        assert_int_equal(view.cause, LEAVE_TERMINATION);
        assert_int_equal(view.deadline, NOW + 2 * MINUTE);
        assert_false(view.may_return);
        /* In whatever state it is, and whatever else EC2 warns of. */
        facts.target = "Teleported";
        assert_int_equal(view_of(facts).cause, LEAVE_SPOT);
        facts.target = "InService";
        facts.rebalance = facts.drain_on_rebalance = true;
        assert_int_equal(view_of(facts).cause, LEAVE_SPOT);
}

static void test_rebalance(_unused_ void **state) {
        LifeFacts facts = { .target_known = true, .target = "InService", .rebalance = true };
        LifeView view;

        assert_int_equal(view_of(facts).life, LIFE_IN_SERVICE);
        facts.drain_on_rebalance = true;
        view = view_of(facts);
        assert_int_equal(view.cause, LEAVE_REBALANCE);
        assert_int_equal(view.deadline, USEC_INFINITY);
        assert_true(view.may_return);
        facts.target = "Warmed:Running";
        assert_int_equal(view_of(facts).life, LIFE_WARMING);
        facts.target = "Terminated";
        assert_int_equal(view_of(facts).cause, LEAVE_TERMINATION);
}

static void test_maintenance(_unused_ void **state) {
        LifeFacts facts = { .target_known = true,
                            .target = "InService",
                            .maintenance = "system-reboot",
                            .maintenance_at = NOW + 5 * MINUTE,
                            .maintenance_ahead = 5 * MINUTE };
        LifeView view;

        assert_int_equal(view_of(facts).life, LIFE_IN_SERVICE);
        facts.drain_for_maintenance = true;
        view = view_of(facts);
        assert_int_equal(view.cause, LEAVE_MAINTENANCE);
        assert_int_equal(view.deadline, NOW + 5 * MINUTE);
        assert_true(view.may_return);
        assert_non_null(strstr(view.reason, "system-reboot for 1970-01-12T13:51:40Z"));
        facts.maintenance_at++;
        assert_int_equal(view_of(facts).life, LIFE_IN_SERVICE);
        facts.maintenance_at = NOW - MINUTE; /* within its window */
        assert_int_equal(view_of(facts).cause, LEAVE_MAINTENANCE);
        facts.target = "Standby";
        assert_int_equal(view_of(facts).life, LIFE_ENTERING_STANDBY);
}

static void test_postures(_unused_ void **state) {
        static const LifePosture postures[LIFE_COUNT] = {
                [LIFE_UNKNOWN] = POSTURE_HOLD,          [LIFE_ALONE] = POSTURE_SERVE,
                [LIFE_LAUNCHING] = POSTURE_SERVE,       [LIFE_IN_SERVICE] = POSTURE_SERVE,
                [LIFE_WARMING] = POSTURE_PREPARE,       [LIFE_POOLED] = POSTURE_PREPARE,
                [LIFE_ENTERING_STANDBY] = POSTURE_HOLD, [LIFE_STANDBY] = POSTURE_HOLD,
                [LIFE_DETACHED] = POSTURE_HOLD,         [LIFE_LEAVING] = POSTURE_LEAVE,
        };

        for (InstanceLife life = 0; life < LIFE_COUNT; life++)
                assert_int_equal(instance_life_posture(life), postures[life]);
}

static void test_names(_unused_ void **state) {
        LifePosture posture;

        for (LifePosture i = POSTURE_SERVE; i <= POSTURE_LEAVE; i++) {
                assert_int_equal(life_posture_from_string(life_posture_to_string(i), &posture), 0);
                assert_int_equal(posture, i);
        }
        assert_int_equal(life_posture_from_string("gone", &posture), -EINVAL);
        for (InstanceLife i = 0; i < LIFE_COUNT; i++)
                assert_non_null(instance_life_to_string(i));
        for (LeaveCause i = LEAVE_NOT; i <= LEAVE_MAINTENANCE; i++)
                assert_non_null(leave_cause_to_string(i));
}

/* What is not known yet is told apart from what nobody knows. */
static void test_unknown(_unused_ void **state) {
        LifeFacts facts = { .view = GROUP_ASKED };

        assert_string_equal(view_of(facts).reason, "its lifecycle state is not known yet");
        facts.view = GROUP_MEMBER;
        facts.in_group = INSTANCE_UNKNOWN;
        assert_string_equal(view_of(facts).reason,
                            "its lifecycle state is one that this muster does not know");
        facts = (LifeFacts){ .target_known = true, .target = "Teleported" };
        assert_string_equal(view_of(facts).reason,
                            "its lifecycle state is one that this muster does not know");
}

/* Nobody is put back into a load balancer that the group has taken it out of, or is about to. */
static void test_traffic(_unused_ void **state) {
        for (InstanceLife life = 0; life < LIFE_COUNT; life++) {
                bool has = life == LIFE_UNKNOWN || life == LIFE_ALONE || life == LIFE_LAUNCHING ||
                           life == LIFE_IN_SERVICE;

                assert_int_equal(instance_life_has_traffic(life), has);
        }
}

/* Launch hooks may wait where the group itself says that the instance is on its way in. */
static void test_pending(_unused_ void **state) {
        LifeFacts facts = { .target_known = true, .target = "InService", .view = GROUP_ASKED };
        LifeView view;

        instance_life(&facts, &view);
        assert_int_equal(view.life, LIFE_LAUNCHING);
        assert_false(view.pending);
        facts.view = GROUP_MEMBER;
        facts.in_group = INSTANCE_STANDBY; /* of a moment ago */
        instance_life(&facts, &view);
        assert_int_equal(view.life, LIFE_LAUNCHING);
        assert_false(view.pending);
        facts.in_group = INSTANCE_PENDING_WAIT;
        instance_life(&facts, &view);
        assert_true(view.pending);
        facts.in_group = INSTANCE_IN_SERVICE;
        instance_life(&facts, &view);
        assert_false(view.pending);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_unknown),     cmocka_unit_test(test_traffic),
                cmocka_unit_test(test_pending),     cmocka_unit_test(test_states),
                cmocka_unit_test(test_targets),     cmocka_unit_test(test_without_group),
                cmocka_unit_test(test_spot),        cmocka_unit_test(test_rebalance),
                cmocka_unit_test(test_maintenance), cmocka_unit_test(test_postures),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
