#include "agent/base/clock.h"
#include "agent/base/timer.h"
#include "tests/unit/test.h"

static int count(sd_event_source *source, uint64_t usec, void *userdata) {
        (void) source;
        (void) usec;
        (*(unsigned *) userdata)++;
        return 0;
}

/* Off until it is set, although its time is long past; then once for each setting. */
static void test_timer(void **state) {
        sd_event_source *timer = NULL;
        sd_event *event = NULL;
        uint64_t accuracy;
        unsigned n = 0;

        (void) state;
        assert_true(sd_event_new(&event) >= 0);
        assert_true(timer_new(event, CLOCK_BOOTTIME, count, &n, &timer) >= 0);
        assert_int_equal(sd_event_run(event, 0), 0);
        assert_int_equal(n, 0);
        assert_true(sd_event_source_get_time_accuracy(timer, &accuracy) >= 0);
        assert_int_equal(accuracy, TIMER_ACCURACY_EXACT);
        for (unsigned set = 1; set <= 2; set++) {
                assert_true(sd_event_source_set_time(timer, 1) >= 0);
                assert_true(sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT) >= 0);
                assert_true(sd_event_run(event, TEST_WAIT_MAX) > 0);
                assert_int_equal(sd_event_run(event, 0), 0);
                assert_int_equal(n, set);
        }
        sd_event_source_disable_unref(timer);
        sd_event_unref(event);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_timer) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
