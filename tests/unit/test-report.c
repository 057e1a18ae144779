#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/report.h"
#include "tests/unit/depot-promises.h"

#define KEY "apps/api/groups/prod/instances/i-1.json"
#define LOOK (50 * USEC_PER_MSEC)

typedef struct Fixture {
        TestFolder *folder;
        sd_event *event;
        Depot *depot;
        Report *report;
        sd_event_source *look;
        unsigned n_looks;
        bool changes; /* at every look */
} Fixture;

static json_t *content(unsigned version) {
        return json_pack("{s:s, s:i}", "app", "api", "version", (int) version);
}

/* What the app does at every look at its target. */
static int on_look(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Fixture *f = userdata;

        f->n_looks++;
        report_set(f->report, content(f->changes ? f->n_looks : 1));
        (void) sd_event_source_set_time_relative(f->look, LOOK);
        return sd_event_source_set_enabled(f->look, SD_EVENT_ONESHOT);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        assert_true(sd_event_new(&f->event) >= 0);
        f->depot = test_depot_open(f->folder, f->event);
        assert_int_equal(report_new(f->event, f->depot, KEY, 3600 * USEC_PER_SEC, &f->report, NULL), 0);
        assert_true(sd_event_add_time_relative(f->event, &f->look, CLOCK_BOOTTIME, 0, TIMER_ACCURACY_EXACT,
                                               on_look, f) >= 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        sd_event_source_unref(f->look);
        report_free(f->report);
        depot_free(f->depot);
        sd_event_unref(f->event);
        test_folder_teardown((void **) &f->folder);
        free(f);
        return 0;
}

static bool is_written(const Fixture *f) {
        return faccessat(f->folder->fd, KEY, F_OK, 0) == 0;
}

static bool is_written_within(const Fixture *f, uint64_t usec) {
        uint64_t until = clock_boottime(&clock_system) + usec;

        while (!is_written(f) && clock_boottime(&clock_system) < until)
                assert_true(sd_event_run(f->event, LOOK) >= 0);
        return is_written(f);
}

/* Looks that follow each other faster than a report is written do not put it off for ever. */
static void test_changes_without_end(void **state) {
        Fixture *f = *state;

        f->changes = true;
        assert_true(is_written_within(f, TEST_WAIT_MAX));
}

static void test_what_has_not_changed_is_not_written_again(void **state) {
        Fixture *f = *state;

        assert_true(is_written_within(f, TEST_WAIT_MAX));
        assert_int_equal(unlinkat(f->folder->fd, KEY, 0), 0);
        assert_false(is_written_within(f, USEC_PER_SEC / 2));
        f->changes = true;
        assert_true(is_written_within(f, TEST_WAIT_MAX));
}

static void test_says_when(void **state) {
        _cleanup_buffer_ Buffer text = {};
        Fixture *f = *state;

        assert_true(is_written_within(f, TEST_WAIT_MAX));
        assert_int_equal(file_read_at(f->folder->fd, KEY, 4096, &text), 0);
        assert_non_null(strstr(buffer_string(&text), "\"reported\":\"20"));
        assert_non_null(strstr(buffer_string(&text), "\"version\":1"));
        assert_non_null(strstr(buffer_string(&text), "\"report_interval\":\"1h\""));
}

/* What the depot answered is told, and it is tried again. */
static void test_depot_refuses(void **state) {
        Fixture *f = *state;
        const char *problem = NULL;
        uint64_t since = 0;

        assert_int_equal(file_replace_at(f->folder->fd, "apps", "x", 1, 0600), 0);
        for (uint64_t until = clock_boottime(&clock_system) + TEST_WAIT_MAX;
             !problem && clock_boottime(&clock_system) < until;) {
                assert_true(sd_event_run(f->event, LOOK) >= 0);
                problem = report_undelivered(f->report, &since);
        }
        assert_non_null(problem);
        assert_non_null(strstr(problem, KEY ": cannot open or make its folder"));
        assert_true(since > 0);
        assert_int_equal(unlinkat(f->folder->fd, "apps", 0), 0);
        f->changes = true; /* not only after a while */
        assert_true(is_written_within(f, TEST_WAIT_MAX));
        assert_null(report_undelivered(f->report, &since));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_changes_without_end, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_has_not_changed_is_not_written_again, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_says_when, setup, teardown),
                cmocka_unit_test_setup_teardown(test_depot_refuses, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
