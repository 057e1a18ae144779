#include <string.h>

#include "agent/base/clock.h"
#include "agent/launch_find.h"
#include "tests/unit/scaling-group.h"
#include "tests/unit/test.h"

#define FINDINGS_MAX 16

typedef struct Setup {
        TestGroup *group;
        LaunchFind *find;
        LaunchFinding findings[FINDINGS_MAX];
        size_t n;
        bool asking; /* when it was told last */
        bool told;
} Setup;

static void on_found(LaunchFind *find, LaunchFinding finding, void *userdata) {
        Setup *setup = userdata;

        assert_true(setup->n < FINDINGS_MAX);
        setup->findings[setup->n++] = finding;
        setup->asking = launch_find_is_asking(find);
        setup->told = true;
}

static int set_up(void **state) {
        Setup *setup = calloc(1, sizeof(*setup));

        assert_non_null(setup);
        setup->group = test_group_new();
        setup->group->launch_hook = "muster-launch";
        *state = setup;
        return 0;
}

static int tear_down(void **state) {
        Setup *setup = *state;

        launch_find_free(setup->find);
        test_group_free(setup->group);
        free(setup);
        return 0;
}

static void look(Setup *setup, const char *state, const char *hook, const char *group) {
        const LaunchFindContext context = { .event = setup->group->client.event,
                                            .aws = setup->group->client.aws,
                                            .instance = "i-1",
                                            .hook = hook,
                                            .group = group };

        setup->group->state = state;
        setup->n = 0;
        setup->find = launch_find_free(setup->find);
        assert_int_equal(launch_find_new(&context, on_found, setup, &setup->find, NULL), 0);
        assert_false(launch_find_is_asking(setup->find));
        launch_find_look(setup->find);
        assert_true(launch_find_is_asking(setup->find));
}

/* Until the N-th finding, which is to be that. */
static void expect(Setup *setup, size_t n, LaunchFinding finding) {
        while (setup->n < n) {
                setup->told = false;
                test_wait(setup->group->client.event, &setup->told);
        }
        assert_int_equal(setup->findings[n - 1], finding);
}

static void test_not_held(void **state) {
        static const char *const free_states[] = { "InService", "Pending:Proceed", "Standby",
                                                   "Terminating:Wait" };
        Setup *setup = *state;

        for (size_t i = 0; i < ELEMENTSOF(free_states); i++) {
                look(setup, free_states[i], "auto", NULL);
                expect(setup, 1, LAUNCH_FOUND_FREE);
                assert_false(setup->asking);
                assert_string_equal(launch_find_problem(setup->find), "");
        }
        assert_string_equal(setup->group->asked, "describe\ndescribe\ndescribe\ndescribe\n");
}

/* It is told before the hooks are known, which are being asked for then. */
static void test_held(void **state) {
        static const char *const held_states[] = { "Pending", "Pending:Wait" };
        Setup *setup = *state;

        for (size_t i = 0; i < ELEMENTSOF(held_states); i++) {
                LifecycleHooks hooks;

                look(setup, held_states[i], "auto", NULL);
                expect(setup, 1, LAUNCH_FOUND_HELD);
                assert_true(setup->asking);
                assert_string_equal(launch_find_group(setup->find), "g");
                expect(setup, 2, LAUNCH_FOUND_HOOKS);
                assert_false(setup->asking);
                hooks = launch_find_take_hooks(setup->find);
                assert_int_equal(hooks.n, 1);
                assert_string_equal(hooks.items[0].name, "muster-launch");
                lifecycle_hooks_deinit(&hooks);
        }
        assert_string_equal(setup->group->asked, "describe\nhooks\ndescribe\nhooks\n");
        look(setup, "Pending:Wait", "auto", "configured");
        expect(setup, 1, LAUNCH_FOUND_HELD);
        assert_string_equal(launch_find_group(setup->find), "configured");
}

static void test_no_hooks(void **state) {
        Setup *setup = *state;

        setup->group->launch_hook = "somebody";
        look(setup, "Pending:Wait", "auto", NULL);
        expect(setup, 2, LAUNCH_FOUND_NO_HOOKS);
        assert_non_null(strstr(launch_find_remark(setup->find), "somebody"));
        assert_false(launch_find_is_asking(setup->find));
}

/* A refusal is told once, and once more when it has become an alarm; then it is asked on. */
static void test_refused(void **state) {
        Setup *setup = *state;

        setup->group->hook_failures = LAUNCH_FIND_FAILURES_MAX;
        look(setup, "Pending:Wait", "auto", NULL);
        expect(setup, 2, LAUNCH_FOUND_PROBLEM);
        assert_false(setup->asking);
        assert_false(launch_find_is_alarming(setup->find));
        assert_non_null(strstr(launch_find_problem(setup->find), "AccessDenied"));
        assert_true(launch_find_failing_since(setup->find) > 0);
        expect(setup, 3, LAUNCH_FOUND_PROBLEM);
        assert_true(launch_find_is_alarming(setup->find));
        assert_string_equal(setup->group->asked, "describe\nhooks\nhooks\nhooks\n");
        expect(setup, 4, LAUNCH_FOUND_HOOKS);
        assert_false(launch_find_is_alarming(setup->find));
        assert_string_equal(launch_find_problem(setup->find), "");
}

/* An instance that its group does not know yet is no failure. */
static void test_unknown(void **state) {
        static const char *const unknown[] = { NULL, "Teleporting" };
        Setup *setup = *state;

        for (size_t i = 0; i < ELEMENTSOF(unknown); i++) {
                look(setup, unknown[i], "auto", NULL);
                expect(setup, 1, LAUNCH_FOUND_PROBLEM);
                assert_false(setup->asking);
                assert_non_null(strstr(launch_find_problem(setup->find), "does not know this instance yet"));
                assert_false(launch_find_is_alarming(setup->find));
        }
        setup->group->state = "InService";
        expect(setup, 2, LAUNCH_FOUND_FREE);
}

static void test_stop(void **state) {
        Setup *setup = *state;
        uint64_t until;

        look(setup, NULL, "auto", NULL);
        expect(setup, 1, LAUNCH_FOUND_PROBLEM);
        launch_find_stop(setup->find);
        assert_string_equal(launch_find_problem(setup->find), "");
        until = clock_boottime(&clock_system) + LAUNCH_FIND_RETRY_FIRST + LAUNCH_FIND_RETRY_FIRST / 4;
        while (clock_boottime(&clock_system) < until)
                assert_true(sd_event_run(setup->group->client.event, LAUNCH_FIND_RETRY_FIRST / 8) >= 0);
        assert_string_equal(setup->group->asked, "describe\n");
        assert_int_equal(setup->n, 1);
}

static void test_is_named(_unused_ void **state) {
        assert_true(launch_find_is_named("mine"));
        assert_false(launch_find_is_named("auto"));
        assert_false(launch_find_is_named("none"));
        assert_false(launch_find_is_named(NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_not_held),
                TEST(test_held),
                TEST(test_no_hooks),
                TEST(test_refused),
                TEST(test_unknown),
                TEST(test_stop),
                cmocka_unit_test(test_is_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
