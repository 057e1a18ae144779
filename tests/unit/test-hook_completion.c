#include <string.h>

#include "agent/base/clock.h"
#include "agent/hook_completion.h"
#include "tests/unit/scaling-group.h"
#include "tests/unit/test.h"

typedef struct Outcome {
        bool done;
        LifecycleSettled settled;
        size_t heard;
        unsigned news;
        bool alarmed;
        char problem[ERROR_MESSAGE_MAX];
} Outcome;

static int setup(void **state) {
        *state = test_group_new();
        return 0;
}

static int teardown(void **state) {
        test_group_free(*state);
        return 0;
}

static void on_done(HookCompletion *completion, LifecycleSettled settled, void *userdata) {
        Outcome *outcome = userdata;

        assert_false(outcome->done);
        outcome->done = true;
        outcome->settled = settled;
        outcome->heard = hook_completion_heard(completion);
        assert_string_equal(hook_completion_problem(completion), "");
}

static void on_news(HookCompletion *completion, void *userdata) {
        Outcome *outcome = userdata;

        outcome->news++;
        outcome->alarmed |= hook_completion_is_alarming(completion);
        (void) snprintf(outcome->problem, sizeof(outcome->problem), "%s",
                        hook_completion_problem(completion));
}

static Outcome complete(TestGroup *group, AutoScalingVerdict verdict, size_t first) {
        char one[] = "muster", two[] = "muster-b", *hooks[] = { one, two, NULL };
        const HookCompletionSpec spec = {
                .event = group->client.event,
                .aws = group->client.aws,
                .transition = LIFECYCLE_LAUNCHING,
                .verdict = verdict,
                .group = "g",
                .instance = "i-1",
                .hooks = hooks,
                .first = first,
        };
        HookCompletion *completion;
        Outcome outcome = {};

        assert_int_equal(hook_completion_start(&spec, on_done, on_news, &outcome, &completion, NULL), 0);
        test_wait(group->client.event, &outcome.done);
        hook_completion_free(completion);
        return outcome;
}

static void test_each_hook_once(void **state) {
        TestGroup *group = *state;
        Outcome outcome = complete(group, AUTOSCALING_CONTINUE, 0);

        assert_int_equal(outcome.settled, LIFECYCLE_HEARD);
        assert_int_equal(outcome.heard, 2);
        assert_string_equal(group->asked, "complete muster CONTINUE\ncomplete muster-b CONTINUE\n");
}

static void test_only_the_rest(void **state) {
        TestGroup *group = *state;

        (void) complete(group, AUTOSCALING_CONTINUE, 1);
        assert_string_equal(group->asked, "complete muster-b CONTINUE\n");
}

/* The first one ends the others. */
static void test_abandon(void **state) {
        TestGroup *group = *state;

        assert_int_equal(complete(group, AUTOSCALING_ABANDON, 0).settled, LIFECYCLE_HEARD);
        assert_string_equal(group->asked, "complete muster ABANDON\n");
}

/* Nothing waits any more: what the instance's state says decides. */
static void test_no_action(void **state) {
        TestGroup *group = *state;

        group->outcomes = "0";
        group->state = "InService";
        assert_int_equal(complete(group, AUTOSCALING_CONTINUE, 1).settled, LIFECYCLE_HEARD);
        assert_string_equal(group->asked, "complete muster-b CONTINUE\ndescribe\n");
        group->state = "Terminating:Wait";
        assert_int_equal(complete(group, AUTOSCALING_CONTINUE, 1).settled, LIFECYCLE_TOO_LATE);
}

/* Too early first, then accepted. */
static void test_too_early(void **state) {
        TestGroup *group = *state;
        Outcome outcome;

        group->outcomes = "0+";
        group->state = "Pending";
        outcome = complete(group, AUTOSCALING_CONTINUE, 1);
        assert_int_equal(outcome.settled, LIFECYCLE_HEARD);
        assert_string_equal(outcome.problem, "the lifecycle action is not active yet");
        assert_false(outcome.alarmed);
        assert_string_equal(group->asked,
                            "complete muster-b CONTINUE\ndescribe\ncomplete muster-b CONTINUE\n");
}

/* What is refused again and again is an alarm, and tried all the same. */
static void test_alarm(void **state) {
        TestGroup *group = *state;
        Outcome outcome;

        group->outcomes = "---+";
        outcome = complete(group, AUTOSCALING_CONTINUE, 1);
        assert_int_equal(outcome.settled, LIFECYCLE_HEARD);
        assert_true(outcome.alarmed);
        assert_int_equal(outcome.news, 2); /* the problem, then the alarm */
        assert_non_null(strstr(outcome.problem, "You may not."));
}

/* 200, and no answer of Auto Scaling's: nobody has heard anything. */
static void test_portal(void **state) {
        TestGroup *group = *state;
        Outcome outcome;

        group->outcomes = "p+";
        outcome = complete(group, AUTOSCALING_CONTINUE, 1);
        assert_int_equal(outcome.settled, LIFECYCLE_HEARD);
        assert_non_null(strstr(outcome.problem, "expected CompleteLifecycleActionResponse"));
        assert_string_equal(group->asked, "complete muster-b CONTINUE\ncomplete muster-b CONTINUE\n");
}

static void test_no_hook(void **state) {
        TestGroup *group = *state;
        char *none[] = { NULL };
        const HookCompletionSpec spec = { .event = group->client.event,
                                          .aws = group->client.aws,
                                          .hooks = none };
        HookCompletion *completion;

        assert_int_equal(hook_completion_start(&spec, on_done, on_news, NULL, &completion, NULL), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_each_hook_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_only_the_rest, setup, teardown),
                cmocka_unit_test_setup_teardown(test_abandon, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_action, setup, teardown),
                cmocka_unit_test_setup_teardown(test_too_early, setup, teardown),
                cmocka_unit_test_setup_teardown(test_alarm, setup, teardown),
                cmocka_unit_test_setup_teardown(test_portal, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_hook, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
