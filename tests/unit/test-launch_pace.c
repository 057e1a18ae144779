#include "agent/base/clock.h"
#include "agent/launch_pace.h"
#include "tests/unit/test.h"

#define START (5000 * USEC_PER_SEC)
#define SHORT (10 * USEC_PER_SEC)
#define A "aaaa"
#define B "bbbb"

static LaunchWork work(const char *release, const char *deployment, Step step, unsigned part,
                       uint64_t bytes) {
        return (LaunchWork){ .release_sha256 = release,
                             .deployment = deployment,
                             .step = step,
                             .part = part,
                             .bytes = bytes };
}

static void note(LaunchPace *pace, LaunchWork w, uint64_t now) {
        launch_pace_note(pace, 0, &w, now);
}

static void test_nothing_runs(_unused_ void **state) {
        _cleanup_(launch_pace_deinit) LaunchPace pace = {};
        uint64_t quiet = 1;

        assert_false(launch_pace_is_alive(&pace, START, &quiet));
        assert_int_equal(quiet, 0);
        note(&pace, work(A, "d-1", STEP_FETCH, 0, 0), START);
        assert_true(launch_pace_is_alive(&pace, START, NULL));
        note(&pace, (LaunchWork){}, START + 1);
        assert_false(launch_pace_is_alive(&pace, START + 1, NULL));
}

/* Bytes, hooks and steps are progress; the same again is not. */
static void test_progress(_unused_ void **state) {
        static const struct {
                Step step;
                unsigned part;
                uint64_t bytes;
                bool advances;
        } rows[] = {
                { STEP_FETCH, 0, 1, true },          { STEP_FETCH, 0, 1, false },
                { STEP_FETCH, 0, 9, true },          { STEP_BEFORE_INSTALL, 0, 0, true },
                { STEP_BEFORE_INSTALL, 1, 0, true }, { STEP_BEFORE_INSTALL, 1, 0, false },
                { STEP_HEALTH, 0, 0, true },         { STEP_ROLLBACK_UNITS, 0, 0, true },
        };
        _cleanup_(launch_pace_deinit) LaunchPace pace = {};
        uint64_t now = START;

        note(&pace, work(A, "d-1", STEP_FETCH, 0, 0), now);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                now += LAUNCH_SILENCE_MAX;
                assert_false(launch_pace_is_alive(&pace, now, NULL));
                note(&pace, work(A, "d-1", rows[i].step, rows[i].part, rows[i].bytes), now);
                assert_int_equal(launch_pace_is_alive(&pace, now, NULL), rows[i].advances);
                if (!rows[i].advances)
                        note(&pace, work(A, "d-1", rows[i].step, rows[i].part, rows[i].bytes + 1), now);
        }
}

static void test_silence(_unused_ void **state) {
        _cleanup_(launch_pace_deinit) LaunchPace pace = {};
        LaunchWork hook = work(A, "d-1", STEP_AFTER_INSTALL, 0, 0);
        uint64_t quiet;

        note(&pace, hook, START);
        assert_true(launch_pace_is_alive(&pace, START + LAUNCH_SILENCE_MAX - 1, NULL));
        assert_false(launch_pace_is_alive(&pace, START + LAUNCH_SILENCE_MAX, &quiet));
        assert_int_equal(quiet, LAUNCH_SILENCE_MAX);
        hook.allowance = 2 * LAUNCH_SILENCE_MAX; /* a hook with so long a time-out may be silent for it */
        note(&pace, hook, START + LAUNCH_SILENCE_MAX);
        assert_true(launch_pace_is_alive(&pace, START + 2 * LAUNCH_SILENCE_MAX, NULL));
        assert_false(
                launch_pace_is_alive(&pace, START + 2 * LAUNCH_SILENCE_MAX + LAUNCH_SILENCE_MARGIN, NULL));
}

/* Attempts that come no further than the ones before do not hold an instance for ever; another release starts anew. */
static void test_fruitless_attempts(_unused_ void **state) {
        _cleanup_(launch_pace_deinit) LaunchPace pace = {};
        uint64_t now = START;
        char id[16];

        for (unsigned i = 0; i <= LAUNCH_FRUITLESS_MAX; i++, now += LAUNCH_SILENCE_MAX) {
                (void) snprintf(id, sizeof(id), "d-%u", i);
                note(&pace, work(A, id, STEP_FETCH, 0, 0), now);
                note(&pace, work(A, id, STEP_FETCH, 0, 100), now + SHORT);
                assert_true(launch_pace_is_alive(&pace, now + SHORT, NULL));
        }
        note(&pace, work(A, "d-last", STEP_FETCH, 0, 100), now);
        note(&pace, work(A, "d-last", STEP_FETCH, 0, 100), now + SHORT);
        assert_false(launch_pace_is_alive(&pace, now + SHORT, NULL));
        note(&pace, work(A, "d-last", STEP_FETCH, 0, 101), now + SHORT);
        assert_true(launch_pace_is_alive(&pace, now + SHORT, NULL));
        now += LAUNCH_SILENCE_MAX + SHORT;
        assert_false(launch_pace_is_alive(&pace, now, NULL));
        note(&pace, work(B, "d-other", STEP_VERIFY, 0, 0), now);
        assert_true(launch_pace_is_alive(&pace, now, NULL));
}

/* So many attempts in a row count from their beginning on, and one more does not; an attempt at another release does. */
static void test_last_fruitless_attempt(_unused_ void **state) {
        _cleanup_(launch_pace_deinit) LaunchPace pace = {};
        uint64_t now = START;
        char id[16];

        for (unsigned i = 0; i <= LAUNCH_FRUITLESS_MAX; i++) {
                (void) snprintf(id, sizeof(id), "d-%u", i);
                note(&pace, work(A, id, STEP_FETCH, 0, 0), now);
                assert_true(launch_pace_is_alive(&pace, now, NULL));
                now += LAUNCH_SILENCE_MAX;
                assert_false(launch_pace_is_alive(&pace, now, NULL));
                note(&pace, work(A, id, STEP_FETCH, 0, 100), now);
                assert_true(launch_pace_is_alive(&pace, now, NULL));
                now += LAUNCH_SILENCE_MAX;
        }
        note(&pace, work(A, "d-last", STEP_FETCH, 0, 0), now);
        assert_false(launch_pace_is_alive(&pace, now, NULL));
        note(&pace, work(B, "d-other", STEP_VERIFY, 0, 0), now);
        assert_true(launch_pace_is_alive(&pace, now, NULL));
        now += LAUNCH_SILENCE_MAX;
        note(&pace, work(B, "d-other", STEP_FETCH, 0, 1), now); /* less than A came to */
        assert_true(launch_pace_is_alive(&pace, now, NULL));
}

/* One of several apps is enough. */
static void test_several_apps(_unused_ void **state) {
        _cleanup_(launch_pace_deinit) LaunchPace pace = {};
        LaunchWork first = work(A, "d-1", STEP_FETCH, 0, 1), second = work(B, "d-2", STEP_FETCH, 0, 1);
        uint64_t quiet;

        launch_pace_note(&pace, 0, &first, START);
        launch_pace_note(&pace, 1, &second, START);
        second.bytes = 2;
        launch_pace_note(&pace, 1, &second, START + LAUNCH_SILENCE_MAX);
        assert_true(launch_pace_is_alive(&pace, START + LAUNCH_SILENCE_MAX + SHORT, &quiet));
        assert_int_equal(quiet, SHORT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_runs), cmocka_unit_test(test_progress),
                cmocka_unit_test(test_silence),      cmocka_unit_test(test_fruitless_attempts),
                cmocka_unit_test(test_several_apps), cmocka_unit_test(test_last_fruitless_attempt),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
