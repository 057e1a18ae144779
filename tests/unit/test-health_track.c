#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "hooks/health_track.h"
#include "tests/unit/test.h"

#define S USEC_PER_SEC

static HealthTrack track_of(unsigned healthy, uint64_t interval, uint64_t deadline, uint64_t now) {
        const HealthCheck check = { .healthy = healthy,
                                    .interval_usec = interval,
                                    .deadline_usec = deadline };
        HealthTrack track;

        health_track_init(&track, &check, now);
        return track;
}

static void attempt(HealthTrack *track, uint64_t now, const char *problem) {
        Error error = {};

        assert_true(health_track_is_due(track, now));
        health_track_begin(track, now);
        assert_false(health_track_is_due(track, now + 1000 * S));
        if (problem)
                error_set_fault(&error, 0, FAULT_RELEASE, "%s", problem);
        health_track_end(track, problem ? &error : NULL);
}

static void test_defaults(void **state) {
        HealthTrack track = track_of(0, 0, 0, 5 * S);

        (void) state;
        assert_int_equal(track.needed, 1);
        assert_int_equal(track.interval, HEALTH_INTERVAL_USEC);
        assert_int_equal(track.deadline, 5 * S + HEALTH_DEADLINE_USEC);
        assert_true(health_track_is_due(&track, 5 * S));
        track = track_of(1, S, USEC_INFINITY, 5 * S);
        assert_int_equal(track.deadline, USEC_INFINITY);
}

static void test_consecutive_successes(void **state) {
        HealthTrack track = track_of(3, S, 60 * S, 0);

        (void) state;
        attempt(&track, 0, NULL);
        attempt(&track, 1 * S, NULL);
        assert_false(health_track_is_healthy(&track));
        attempt(&track, 2 * S, "status 503, expected 200");
        attempt(&track, 3 * S, NULL);
        attempt(&track, 4 * S, NULL);
        assert_int_equal(health_judge(&track, 1, 4 * S), HEALTH_GOES_ON);
        attempt(&track, 5 * S, NULL);
        assert_int_equal(health_judge(&track, 1, 5 * S), HEALTH_ALL_HEALTHY);
}

/* The next attempt begins an interval after the last one began, or at once if that one took longer. */
static void test_interval(void **state) {
        HealthTrack track = track_of(3, 2 * S, 60 * S, 0);

        (void) state;
        health_track_begin(&track, 0);
        health_track_end(&track, NULL);
        assert_false(health_track_is_due(&track, 2 * S - 1));
        assert_int_equal(health_next_wakeup(&track, 1, S), 2 * S);
        assert_true(health_track_is_due(&track, 2 * S));
        health_track_begin(&track, 2 * S);
        assert_int_equal(health_next_wakeup(&track, 1, 3 * S),
                         60 * S); /* it runs: nothing to do but the deadline */
        health_track_end(&track, NULL);
        assert_true(health_track_is_due(&track, 9 * S));
}

static void test_deadline(void **state) {
        HealthTrack track = track_of(2, S, 3 * S, 0);
        char text[128];

        (void) state;
        attempt(&track, 0, "no");
        attempt(&track, 1 * S, "status 503, expected 200");
        attempt(&track, 2 * S, NULL);
        assert_int_equal(health_judge(&track, 1, 3 * S - 1), HEALTH_GOES_ON);
        assert_int_equal(health_judge(&track, 1, 3 * S), HEALTH_DEADLINE_MISSED);
        health_track_describe(&track, text, sizeof(text));
        assert_string_equal(text, "status 503, expected 200; 2 of 3 attempts failed, the last one did not");
}

/* All must be healthy at the same time: one that was, and is not when the others are, does not count. */
static void test_side_by_side(void **state) {
        HealthTrack tracks[] = { track_of(1, S, 2 * S, 0), track_of(1, S, 60 * S, 0) };

        (void) state;
        attempt(&tracks[0], 0, NULL);
        attempt(&tracks[1], 0, "no");
        assert_int_equal(health_judge(tracks, 2, 0), HEALTH_GOES_ON);
        assert_int_equal(health_judge(tracks, 2, 10 * S),
                         HEALTH_GOES_ON); /* healthy, its deadline is behind it */
        assert_int_equal(health_next_wakeup(tracks, 2, 10 * S), 1 * S);
        attempt(&tracks[0], 10 * S, "no more");
        assert_int_equal(health_judge(tracks, 2, 10 * S), HEALTH_DEADLINE_MISSED);
        attempt(&tracks[0], 11 * S, NULL);
        attempt(&tracks[1], 11 * S, NULL);
        assert_int_equal(health_judge(tracks, 2, 11 * S), HEALTH_ALL_HEALTHY);
        assert_int_equal(health_judge(tracks, 0, 0), HEALTH_ALL_HEALTHY); /* no checks at all */
}

static void test_description(void **state) {
        HealthTrack track = track_of(3, S, 60 * S, 0);
        Error error = {};
        char text[128];

        (void) state;
        health_track_describe(&track, text, sizeof(text));
        assert_string_equal(text, "no attempt has ended yet");
        attempt(&track, 0, NULL);
        health_track_describe(&track, text, sizeof(text));
        assert_string_equal(text, "1 of 3 successes in a row so far");
        health_track_begin(&track, S);
        error_set_fault(&error, 0, FAULT_HOST, "%01000d", 7);
        health_track_end(&track, &error);
        assert_int_equal(track.fault, FAULT_HOST);
        assert_int_equal(strlen(track.reason), HEALTH_REASON_MAX - 1);
        error_set(&error, 0, "%0*d\xe2\x82\xac", (int) HEALTH_REASON_MAX - 2, 7);
        health_track_end(&track, &error);
        assert_int_equal(strlen(track.reason), HEALTH_REASON_MAX - 2); /* cut between two characters */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),     cmocka_unit_test(test_consecutive_successes),
                cmocka_unit_test(test_interval),     cmocka_unit_test(test_deadline),
                cmocka_unit_test(test_side_by_side), cmocka_unit_test(test_description),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
