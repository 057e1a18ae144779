#include <limits.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/strv.h"
#include "agent/launch.h"
#include "tests/unit/scaling-group.h"
#include "tests/unit/test.h"

/* launch.c against a group that answers, and a depot in a folder. */

#define SHA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define PATIENCE (20 * USEC_PER_SEC)

typedef struct Fixture {
        TestGroup *group;
        TestFolder *state, *folder;
        Depot *depot;
        Config *config;
        Identity identity;
        Launch *launch;
        LaunchApp app;
        unsigned uploads;
        uint64_t limit;
} Fixture;

static int on_upload(void *userdata, FailureUploadDone done, void *done_userdata, FailureUpload **ret,
                     Error *error) {
        Fixture *f = userdata;
        const FailureUploadSpec spec = {
                .event = f->group->client.event,
                .depot = f->depot,
                .report_id = "i-1",
                .limit = f->limit,
                .window = 3600 * USEC_PER_SEC,
        };
        FailureNote note = { "api", "prod", "1.0", SHA, strdup("{}") };

        f->uploads++;
        return failure_upload_start(&spec, &note, 1, done, done_userdata, ret, error);
}

/* As the agent does: whatever changes has it look at the apps again. */
static void on_changed(void *userdata) {
        Fixture *f = userdata;

        if (f->launch)
                launch_update(f->launch, &f->app, 1);
}

static void begin(Fixture *f) {
        const LaunchContext context = {
                .event = f->group->client.event,
                .config = f->config,
                .identity = &f->identity,
                .aws = f->group->client.aws,
                .state_fd = f->state->fd,
                .boot_id = "boot-1",
                .upload = on_upload,
        };

        assert_int_equal(launch_new(&context, on_changed, f, &f->launch, NULL), 0);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        char uri[TEST_PATH_MAX + 8];
        DepotOptions options;

        assert_non_null(f);
        f->group = test_group_new();
        f->group->state = "Pending:Wait";
        f->group->launch_hook = "muster";
        f->limit = 3;
        assert_int_equal(test_folder_setup((void **) &f->state), 0);
        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        options = (DepotOptions){ .event = f->group->client.event };
        (void) snprintf(uri, sizeof(uri), "file://%s", f->folder->path);
        assert_int_equal(depot_open(uri, &options, &f->depot, NULL), 0);
        assert_int_equal(config_new(&f->config), 0);
        assert_int_equal(string_set(&f->identity.instance, "i-1"), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        launch_free(f->launch);
        config_free(f->config);
        identity_deinit(&f->identity);
        depot_free(f->depot);
        test_folder_teardown((void **) &f->folder);
        test_folder_teardown((void **) &f->state);
        test_group_free(f->group);
        free(f);
        return 0;
}

static void wait_state(Fixture *f, LaunchState state) {
        uint64_t until = clock_boottime(&clock_system) + PATIENCE;

        while (launch_state(f->launch) != state && clock_boottime(&clock_system) < until)
                assert_true(sd_event_run(f->group->client.event, USEC_PER_SEC / 10) >= 0);
        assert_string_equal(launch_state_to_string(launch_state(f->launch)), launch_state_to_string(state));
}

static void app_is(Fixture *f, AppReadiness readiness) {
        f->app = (LaunchApp){ .readiness = readiness, .reason = "it is broken" };
        launch_update(f->launch, &f->app, 1);
}

static unsigned completions(const Fixture *f) {
        unsigned n = 0;

        for (const char *p = f->group->asked; (p = strstr(p, "complete ")); p++)
                n++;
        return n;
}

/* The app may have been healthy before it was known that the instance is held. */
static void test_ready_before(void **state) {
        Fixture *f = *state;

        begin(f);
        app_is(f, APP_READY);
        wait_state(f, LAUNCH_CONTINUED);
        assert_non_null(strstr(f->group->asked, "describe\nhooks\n"));
        assert_non_null(strstr(f->group->asked, "complete muster CONTINUE\n"));
        assert_int_equal(completions(f), 1);
        assert_string_equal(launch_hooks(f->launch)[0], "muster");
        assert_string_equal(launch_group(f->launch), "g");
}

/* What was decided is told again after a restart, and once it was heard never again. */
static void test_restart(void **state) {
        Fixture *f = *state;

        f->group->outcomes = "-";
        begin(f);
        app_is(f, APP_READY);
        wait_state(f, LAUNCH_CONTINUE);
        f->launch = launch_free(f->launch);
        f->group->outcomes = "+";
        begin(f);
        assert_int_equal(launch_state(f->launch), LAUNCH_CONTINUE);
        wait_state(f, LAUNCH_CONTINUED);
        f->launch = launch_free(f->launch);
        f->group->asked[0] = '\0';
        begin(f);
        for (unsigned i = 0; i < 5; i++)
                assert_true(sd_event_run(f->group->client.event, USEC_PER_SEC / 20) >= 0);
        assert_string_equal(f->group->asked, "");
}

/* It cannot even be asked whether the instance is held: an alarm where there is a group. */
static void test_group_cannot_be_asked(void **state) {
        Fixture *f = *state;
        bool alarm = false;
        uint64_t since;

        f->group->state_failures = UINT_MAX;
        begin(f);
        app_is(f, APP_READY);
        while (!strstr(f->group->asked, "describe\ndescribe\ndescribe\ndescribe\n"))
                assert_true(sd_event_run(f->group->client.event, USEC_PER_SEC / 10) >= 0);
        assert_null(launch_undelivered(f->launch, &since, &alarm));
        assert_false(alarm);
        launch_expect_group(f->launch);
        assert_non_null(strstr(launch_undelivered(f->launch, &since, &alarm), "You may not."));
        assert_true(alarm && since > 0);
        f->group->state_failures = 0;
        launch_look_again(f->launch); /* the group brings it in, as somebody says */
        wait_state(f, LAUNCH_CONTINUED);
        assert_null(launch_undelivered(f->launch, &since, &alarm));
        assert_false(alarm);
}

/* The hook's name was misspelt: nobody is told anything, which is not to be taken for a completion. */
static void test_hook_that_the_group_does_not_have(void **state) {
        Fixture *f = *state;

        assert_int_equal(string_set(&f->config->launch_hook, "mustr"), 0);
        f->group->outcomes = "0";
        begin(f);
        while (!strstr(f->group->asked, "hooks\n"))
                assert_true(sd_event_run(f->group->client.event, USEC_PER_SEC / 10) >= 0);
        for (unsigned i = 0; i < 5; i++) /* the answer */
                assert_true(sd_event_run(f->group->client.event, USEC_PER_SEC / 20) >= 0);
        app_is(f, APP_READY);
        wait_state(f, LAUNCH_OVER);
        assert_string_equal(launch_reason(f->launch), "the group has no launch hook mustr, only: muster");
}

/* While musterd was down the instance went into standby and comes out of it again, in the same boot. */
static void test_held_once_more(void **state) {
        Fixture *f = *state;

        begin(f);
        app_is(f, APP_READY);
        wait_state(f, LAUNCH_CONTINUED);
        f->launch = launch_free(f->launch);
        f->group->asked[0] = '\0';
        begin(f);
        launch_look_again(f->launch);
        while (completions(f) == 0)
                assert_true(sd_event_run(f->group->client.event, USEC_PER_SEC / 10) >= 0);
        wait_state(f, LAUNCH_CONTINUED);
}

static void test_abandoned_once(void **state) {
        Fixture *f = *state;

        begin(f);
        wait_state(f, LAUNCH_WAITING);
        app_is(f, APP_FAILED);
        assert_int_equal(launch_state(f->launch), LAUNCH_WAITING); /* the depot comes first */
        wait_state(f, LAUNCH_ABANDONED);
        assert_int_equal(f->uploads, 1);
        assert_int_equal(completions(f), 1);
        assert_string_equal(launch_reason(f->launch), "it is broken");
}

/* One too many is held, and goes on with a better release. */
static void test_held(void **state) {
        Fixture *f = *state;

        f->limit = 0;
        begin(f);
        wait_state(f, LAUNCH_WAITING);
        app_is(f, APP_FAILED);
        wait_state(f, LAUNCH_HOLDING);
        assert_int_equal(completions(f), 0);
        assert_non_null(
                strstr(launch_reason(f->launch), "it is broken; the instance is not replaced but held"));
        app_is(f, APP_ON_ITS_WAY);
        assert_int_equal(launch_state(f->launch), LAUNCH_WAITING);
        app_is(f, APP_READY);
        wait_state(f, LAUNCH_CONTINUED);
        assert_int_equal(f->uploads, 1);
        assert_int_equal(completions(f), 1);
}

/* The group takes it away before anything has come of it: whatever the apps come to then is nobody's business. */
static void test_taken_away(void **state) {
        Fixture *f = *state;

        begin(f);
        launch_end(f->launch, "too early to say so");
        wait_state(f, LAUNCH_WAITING);
        launch_end(f->launch, "it is terminated");
        assert_int_equal(launch_state(f->launch), LAUNCH_OVER);
        assert_string_equal(launch_reason(f->launch), "it is terminated");
        app_is(f, APP_FAILED);
        app_is(f, APP_READY);
        f->launch = launch_free(f->launch);
        begin(f);
        app_is(f, APP_READY);
        assert_true(sd_event_run(f->group->client.event, USEC_PER_SEC / 10) >= 0);
        assert_int_equal(launch_state(f->launch), LAUNCH_OVER);
        assert_int_equal(completions(f), 0);
        assert_int_equal(f->uploads, 0);
}

/* A better target while the depot is told why. */
static void test_recovers_meanwhile(void **state) {
        Fixture *f = *state;

        begin(f);
        wait_state(f, LAUNCH_WAITING);
        app_is(f, APP_FAILED);
        app_is(f, APP_READY);
        wait_state(f, LAUNCH_CONTINUED);
        assert_non_null(strstr(f->group->asked, "CONTINUE"));
        assert_null(strstr(f->group->asked, "ABANDON"));
}

/* The group is told nothing, the depot once. */
static void test_on_failure_wait(void **state) {
        Fixture *f = *state;

        f->config->launch_failure = LAUNCH_FAILURE_WAIT;
        begin(f);
        wait_state(f, LAUNCH_WAITING);
        app_is(f, APP_FAILED);
        for (unsigned i = 0; i < 20; i++) {
                app_is(f, APP_FAILED);
                assert_true(sd_event_run(f->group->client.event, USEC_PER_SEC / 50) >= 0);
        }
        assert_int_equal(launch_state(f->launch), LAUNCH_WAITING);
        assert_int_equal(f->uploads, 1);
        assert_int_equal(completions(f), 0);
}

/* Hooks of others, none, and an instance that EC2 did not name. */
static void test_nothing_to_complete(void **state) {
        Fixture *f = *state;

        f->group->launch_hook = "warm-cache";
        begin(f);
        while (!strstr(f->group->asked, "hooks\n") || !*launch_reason(f->launch))
                assert_true(sd_event_run(f->group->client.event, USEC_PER_SEC) >= 0);
        assert_non_null(strstr(launch_reason(f->launch), "warm-cache"));
        app_is(f, APP_READY);
        assert_int_equal(launch_state(f->launch), LAUNCH_NONE);
        f->launch = launch_free(f->launch);
        f->group->asked[0] = '\0';
        assert_int_equal(string_set(&f->config->launch_hook, "none"), 0);
        begin(f);
        f->launch = launch_free(f->launch);
        assert_int_equal(string_set(&f->config->launch_hook, "auto"), 0);
        assert_int_equal(string_set(&f->identity.instance, "0123456789abcdef"), 0);
        begin(f);
        assert_true(sd_event_run(f->group->client.event, USEC_PER_SEC / 20) >= 0);
        assert_string_equal(f->group->asked, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_ready_before, setup, teardown),
                cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
                cmocka_unit_test_setup_teardown(test_group_cannot_be_asked, setup, teardown),
                cmocka_unit_test_setup_teardown(test_held_once_more, setup, teardown),
                cmocka_unit_test_setup_teardown(test_hook_that_the_group_does_not_have, setup, teardown),
                cmocka_unit_test_setup_teardown(test_abandoned_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_held, setup, teardown),
                cmocka_unit_test_setup_teardown(test_taken_away, setup, teardown),
                cmocka_unit_test_setup_teardown(test_recovers_meanwhile, setup, teardown),
                cmocka_unit_test_setup_teardown(test_on_failure_wait, setup, teardown),
                cmocka_unit_test_setup_teardown(test_nothing_to_complete, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
