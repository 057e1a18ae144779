#include <string.h>

#include "agent/base/parse.h"
#include "agent/launch_beat.h"
#include "tests/unit/scaling-group.h"
#include "tests/unit/test.h"

#define BEGIN (1000 * USEC_PER_SEC)
#define INTERVAL (20 * USEC_PER_MSEC)

typedef struct Fixture {
        TestGroup *group;
        LaunchBeat *beat;
        LifecycleHooks hooks;
        Clock clock;
        uint64_t now;
} Fixture;

static uint64_t boottime(void *userdata) {
        const Fixture *f = userdata;

        return f->now;
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        LaunchBeatContext context;

        assert_non_null(f);
        f->group = test_group_new();
        f->now = BEGIN;
        f->clock = (Clock){ .boottime = boottime, .userdata = f };
        context = (LaunchBeatContext){ .event = f->group->client.event,
                                       .clock = &f->clock,
                                       .aws = f->group->client.aws,
                                       .instance = "i-1",
                                       .interval = INTERVAL };
        assert_int_equal(launch_beat_new(&context, &f->beat, NULL), 0);
        assert_int_equal(lifecycle_hooks_add(&f->hooks, "muster"), 0);
        assert_int_equal(lifecycle_hooks_add(&f->hooks, "muster-b"), 0);
        f->hooks.items[0].heartbeat_timeout = 30 * USEC_PER_SEC;
        f->hooks.items[0].global_timeout = 3000 * USEC_PER_SEC;
        launch_beat_begin(f->beat, "g", &f->hooks, BEGIN);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        launch_beat_free(f->beat);
        lifecycle_hooks_deinit(&f->hooks);
        test_group_free(f->group);
        free(f);
        return 0;
}

static void deploy(Fixture *f, uint64_t bytes) {
        const LaunchWork work = {
                .release_sha256 = "aa", .deployment = "d-1", .step = STEP_FETCH, .bytes = bytes
        };

        launch_beat_note(f->beat, 0, &work);
}

/* Some rounds go by. */
static void run(Fixture *f) {
        uint64_t until = clock_boottime(&clock_system) + 10 * INTERVAL;

        f->group->asked[0] = '\0';
        while (clock_boottime(&clock_system) < until)
                assert_true(sd_event_run(f->group->client.event, INTERVAL / 4) >= 0);
}

/* Goes on until something was asked. */
static void run_until_asked(Fixture *f, const char *text) {
        uint64_t until = clock_boottime(&clock_system) + TEST_WAIT_MAX;

        f->group->asked[0] = '\0';
        while (!strstr(f->group->asked, text) && clock_boottime(&clock_system) < until)
                assert_true(sd_event_run(f->group->client.event, INTERVAL) >= 0);
        assert_non_null(strstr(f->group->asked, text));
}

static void test_every_hook(void **state) {
        Fixture *f = *state;

        deploy(f, 1);
        run_until_asked(f, "heartbeat muster\nheartbeat muster-b\n");
        assert_string_equal(launch_beat_remark(f->beat), "");
}

/* A heartbeat that is refused takes none from the other hook, and is sent again. */
static void test_failed_heartbeat(void **state) {
        Fixture *f = *state;

        f->group->outcomes = "-+";
        deploy(f, 1);
        run_until_asked(f, "heartbeat muster\nheartbeat muster-b\nheartbeat muster\nheartbeat muster-b\n");
}

/* Nothing that hangs is held for ever, and who makes progress again is. */
static void test_no_progress(void **state) {
        Fixture *f = *state;

        run(f);
        assert_string_equal(f->group->asked, "");
        assert_string_equal(launch_beat_remark(f->beat), "");
        deploy(f, 1);
        run_until_asked(f, "heartbeat muster\n");
        f->now += LAUNCH_SILENCE_MAX;
        run(f); /* what was under way arrives */
        run(f);
        assert_string_equal(f->group->asked, "");
        assert_true(launch_beat_is_silent(f->beat));
        assert_non_null(strstr(launch_beat_remark(f->beat), "no deployment has made progress for 5m"));
        deploy(f, 2);
        run_until_asked(f, "heartbeat muster\n");
        assert_string_equal(launch_beat_remark(f->beat), "");
}

/* One that holds on purpose does so without a deployment. */
static void test_hold(void **state) {
        Fixture *f = *state;

        launch_beat_hold(f->beat, true);
        run_until_asked(f, "heartbeat muster\n");
        launch_beat_end(f->beat);
        run(f);
        assert_string_equal(f->group->asked, "");
}

static void test_global_timeout(void **state) {
        Fixture *f = *state;

        launch_beat_hold(f->beat, true);
        f->now = BEGIN + 2699 * USEC_PER_SEC;
        run_until_asked(f, "heartbeat muster-b\n");
        assert_string_equal(launch_beat_remark(f->beat), "");
        f->now = BEGIN + 2700 * USEC_PER_SEC;
        run_until_asked(f, "heartbeat muster\nheartbeat muster-b\n");
        assert_string_equal(
                launch_beat_remark(f->beat),
                "the global time-out of lifecycle hook muster ends in 5m, whatever is done; its default "
                "result is ABANDON");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_every_hook, setup, teardown),
                cmocka_unit_test_setup_teardown(test_failed_heartbeat, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_progress, setup, teardown),
                cmocka_unit_test_setup_teardown(test_hold, setup, teardown),
                cmocka_unit_test_setup_teardown(test_global_timeout, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
