#include <limits.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/leave.h"
#include "tests/unit/scaling-group.h"
#include "tests/unit/test.h"

typedef struct Setup {
        TestGroup *group;
        Leave *leave;
        bool changed;
} Setup;

static void on_changed(void *userdata) {
        ((Setup *) userdata)->changed = true;
}

static void begin(Setup *setup, const char *hook) {
        const LeaveContext context = { .event = setup->group->client.event,
                                       .aws = setup->group->client.aws,
                                       .instance = "i-1",
                                       .hook = hook };

        assert_int_equal(leave_new(&context, on_changed, setup, &setup->leave, NULL), 0);
        assert_int_equal(leave_state(setup->leave), LEAVE_STAYS);
}

static int set_up(void **state) {
        Setup *setup = calloc(1, sizeof(*setup));

        setup->group = test_group_new();
        setup->group->state = "Terminating:Wait";
        setup->group->hook = "muster-leave";
        *state = setup;
        return 0;
}

static int tear_down(void **state) {
        Setup *setup = *state;

        leave_free(setup->leave);
        test_group_free(setup->group);
        free(setup);
        return 0;
}

static void wait_state(Setup *setup, LeaveState state) {
        while (leave_state(setup->leave) != state) {
                setup->changed = false;
                test_wait(setup->group->client.event, &setup->changed);
        }
}

static void wait_asked(const Setup *setup, const char *what) {
        while (!strstr(setup->group->asked, what))
                assert_true(sd_event_run(setup->group->client.event, 20 * USEC_PER_SEC) >= 0);
}

static void test_drained_and_let_go(void **state) {
        Setup *setup = *state;
        json_auto_t *status = NULL;

        begin(setup, "auto");
        leave_drained(setup->leave); /* of one that stays it says nothing */
        assert_int_equal(leave_state(setup->leave), LEAVE_STAYS);
        leave_begin(setup->leave, LIFECYCLE_TERMINATING, NULL);
        assert_int_equal(leave_state(setup->leave), LEAVE_DRAINING);
        leave_begin(setup->leave, LIFECYCLE_TERMINATING, "g");
        leave_begin(setup->leave, LIFECYCLE_TERMINATING, "g");
        wait_asked(setup, "hooks\n");
        leave_drained(setup->leave);
        wait_state(setup, LEAVE_LET_GO);
        leave_drained(setup->leave);
        assert_string_equal(setup->group->asked, "hooks\ncomplete muster-leave CONTINUE\n");
        assert_int_equal(leave_status(setup->leave, &status), 0);
        assert_string_equal(json_string_value(json_object_get(status, "state")), "let-go");
        assert_string_equal(json_string_value(json_array_get(json_object_get(status, "hooks"), 0)),
                            "muster-leave");
}

/* Long drains are held. */
static void test_heartbeats(void **state) {
        Setup *setup = *state;

        begin(setup, "auto");
        leave_begin(setup->leave, LIFECYCLE_TERMINATING, "g");
        wait_asked(setup, "heartbeat muster-leave\n");
        assert_null(strstr(setup->group->asked, "complete"));
        leave_drained(setup->leave);
        wait_state(setup, LEAVE_LET_GO);
        assert_string_equal(setup->group->asked,
                            "hooks\nheartbeat muster-leave\ncomplete muster-leave CONTINUE\n");
}

/* Whatever is somebody else's is left alone, and so is all where the configuration says so. */
static void test_no_hook_of_ours(void **state) {
        Setup *setup = *state;

        setup->group->hook = NULL;
        begin(setup, "auto");
        leave_begin(setup->leave, LIFECYCLE_TERMINATING, "g");
        leave_drained(setup->leave);
        wait_state(setup, LEAVE_LET_GO);
        assert_string_equal(setup->group->asked, "hooks\n");
}

static void test_hook_by_name(void **state) {
        Setup *setup = *state;

        begin(setup, "theirs");
        leave_begin(setup->leave, LIFECYCLE_TERMINATING, "g");
        leave_drained(setup->leave);
        wait_state(setup, LEAVE_LET_GO);
        assert_string_equal(setup->group->asked, "hooks\ncomplete theirs CONTINUE\n");
}

static void test_hooks_are_asked_for_again(void **state) {
        Setup *setup = *state;

        setup->group->hook_failures = 1;
        begin(setup, "auto");
        leave_begin(setup->leave, LIFECYCLE_TERMINATING, "g");
        leave_drained(setup->leave);
        wait_state(setup, LEAVE_LET_GO);
        assert_string_equal(setup->group->asked, "hooks\nhooks\ncomplete muster-leave CONTINUE\n");
}

/* Whoever may not ask for the hooks does not hear of the end either, which somebody must see. */
static void test_hooks_cannot_be_asked_for(void **state) {
        Setup *setup = *state;
        json_auto_t *status = NULL;
        bool alarm = false;
        uint64_t since;

        setup->group->hook_failures = UINT_MAX;
        begin(setup, "auto");
        leave_begin(setup->leave, LIFECYCLE_TERMINATING, "g");
        wait_asked(setup, "hooks\n");
        assert_null(leave_undelivered(setup->leave, &since, &alarm));
        leave_drained(setup->leave);
        wait_asked(setup, "hooks\nhooks\nhooks\nhooks\n");
        assert_non_null(strstr(leave_undelivered(setup->leave, &since, &alarm), "You may not."));
        assert_true(alarm && since > 0);
        assert_int_equal(leave_status(setup->leave, &status), 0);
        assert_true(json_is_true(json_object_get(status, "alarm")));
        setup->group->hook_failures = 0;
        wait_state(setup, LEAVE_LET_GO);
        assert_null(leave_undelivered(setup->leave, &since, &alarm));
        assert_false(alarm);
}

/* One that is named needs no asking. */
static void test_named_hook_without_asking(void **state) {
        Setup *setup = *state;

        setup->group->hook_failures = UINT_MAX;
        begin(setup, "theirs");
        leave_begin(setup->leave, LIFECYCLE_TERMINATING, "g");
        leave_drained(setup->leave);
        wait_state(setup, LEAVE_LET_GO);
        assert_string_equal(setup->group->asked, "hooks\ncomplete theirs CONTINUE\n");
}

/* A completion that was heard before musterd ended, and one that comes too late. */
static void test_repeat_is_settled(void **state) {
        Setup *setup = *state;

        setup->group->outcomes = "0";
        setup->group->state = "Terminating:Proceed";
        begin(setup, "auto");
        leave_begin(setup->leave, LIFECYCLE_TERMINATING, "g");
        leave_drained(setup->leave);
        wait_state(setup, LEAVE_LET_GO);
        assert_string_equal(setup->group->asked, "hooks\ncomplete muster-leave CONTINUE\ndescribe\n");
}

/* The metadata speak of the end while the group has the instance in standby yet, launches it or has it in its warm pool. */
static void test_end_is_known_before_the_group_waits(void **state) {
        static const char *const before[] = { "Standby", "Pending:Wait", "Warmed:Running", "Warmed:Stopped" };
        Setup *setup = *state;

        setup->group->outcomes = "0+";
        begin(setup, "auto");
        for (size_t i = 0; i < ELEMENTSOF(before); i++) {
                setup->group->asked[0] = '\0';
                setup->group->outcomes = "0+";
                setup->group->state = before[i];
                leave_begin(setup->leave, LIFECYCLE_TERMINATING, "g");
                leave_drained(setup->leave);
                wait_state(setup, LEAVE_LET_GO);
                assert_string_equal(
                        setup->group->asked,
                        "hooks\ncomplete muster-leave CONTINUE\ndescribe\ncomplete muster-leave CONTINUE\n");
                leave_end(setup->leave);
        }
}

/* Back into the warm pool, and terminated there: the hooks wait twice. */
static void test_terminated_on_its_way_into_the_pool(void **state) {
        Setup *setup = *state;

        begin(setup, "auto");
        leave_begin(setup->leave, LIFECYCLE_RETURNING, "g");
        leave_drained(setup->leave);
        wait_state(setup, LEAVE_LET_GO);
        leave_begin(setup->leave, LIFECYCLE_RETURNING, "g");
        assert_int_equal(leave_state(setup->leave), LEAVE_LET_GO);
        leave_begin(setup->leave, LIFECYCLE_TERMINATING, "g");
        assert_int_equal(leave_state(setup->leave), LEAVE_DRAINING);
        leave_drained(setup->leave);
        wait_state(setup, LEAVE_LET_GO);
        assert_string_equal(setup->group->asked,
                            "hooks\ncomplete muster-leave CONTINUE\nhooks\ncomplete muster-leave CONTINUE\n");
}

static void test_stays_after_all(void **state) {
        Setup *setup = *state;

        begin(setup, "auto");
        leave_begin(setup->leave, LIFECYCLE_TERMINATING, "g");
        wait_asked(setup, "hooks\n");
        leave_end(setup->leave);
        leave_end(setup->leave);
        assert_int_equal(leave_state(setup->leave), LEAVE_STAYS);
        setup->group->asked[0] = '\0';
        leave_begin(setup->leave, LIFECYCLE_TERMINATING, "g");
        leave_drained(setup->leave);
        wait_state(setup, LEAVE_LET_GO);
        assert_string_equal(setup->group->asked, "hooks\ncomplete muster-leave CONTINUE\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_hooks_cannot_be_asked_for, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_named_hook_without_asking, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_drained_and_let_go, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_heartbeats, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_hook_of_ours, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_hook_by_name, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_hooks_are_asked_for_again, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_repeat_is_settled, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_end_is_known_before_the_group_waits, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_terminated_on_its_way_into_the_pool, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_stays_after_all, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
