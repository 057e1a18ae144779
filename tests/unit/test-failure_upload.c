#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/failure_upload.h"
#include "tests/unit/depot-promises.h"

#define SHA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define FOLDER "apps/api/groups/prod/failures/" SHA
#define PATIENCE (60 * USEC_PER_SEC)

typedef struct Fixture {
        TestFolder *folder;
        sd_event *event;
        Depot *depot;
        bool done, hold;
        uint64_t patience;
        char remark[ERROR_MESSAGE_MAX];
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        assert_true(sd_event_new(&f->event) >= 0);
        f->depot = test_depot_open(f->folder, f->event);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        depot_free(f->depot);
        sd_event_unref(f->event);
        test_folder_teardown((void **) &f->folder);
        free(f);
        return 0;
}

static void on_done(FailureUpload *upload, bool hold, void *userdata) {
        Fixture *f = userdata;

        f->done = true;
        f->hold = hold;
        (void) snprintf(f->remark, sizeof(f->remark), "%s", failure_upload_remark(upload));
}

static FailureUpload *start(Fixture *f, const char *instance, const char *sha256, uint64_t window) {
        const FailureUploadSpec spec = { .event = f->event,
                                         .depot = f->depot,
                                         .report_id = instance,
                                         .limit = 2,
                                         .window = window,
                                         .patience = f->patience };
        FailureNote note = { "api", "prod", "1.0", sha256, strdup("{\"why\": 1}") };
        FailureUpload *upload;

        f->done = false;
        assert_int_equal(failure_upload_start(&spec, &note, 1, on_done, f, &upload, NULL), 0);
        assert_null(note.text);
        return upload;
}

/* Whether the instance is to hold. */
static bool tell(Fixture *f, const char *instance, const char *sha256, uint64_t window) {
        _cleanup_(failure_upload_freep) _unused_ FailureUpload *upload = start(f, instance, sha256, window);
        uint64_t until = clock_boottime(&clock_system) + PATIENCE;

        while (!f->done && clock_boottime(&clock_system) < until)
                assert_true(sd_event_run(f->event, USEC_PER_SEC) >= 0);
        assert_true(f->done);
        return f->hold;
}

static void test_limit(void **state) {
        Fixture *f = *state;

        assert_false(tell(f, "i-1", SHA, 3600 * USEC_PER_SEC));
        assert_int_equal(faccessat(f->folder->fd, FOLDER "/i-1.json", F_OK, 0), 0);
        assert_false(tell(f, "i-2", SHA, 3600 * USEC_PER_SEC));
        assert_true(tell(f, "i-3", SHA, 3600 * USEC_PER_SEC));
        assert_non_null(strstr(f->remark, "2 other instances failed with release 1.0 of api within 1h"));
        assert_int_equal(faccessat(f->folder->fd, FOLDER "/i-3.json", F_OK, 0), 0);
        assert_false(tell(f, "i-3", OTHER, 3600 * USEC_PER_SEC));
}

/* What happened before the window does not count. */
static void test_window(void **state) {
        static const struct timespec old[] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
        Fixture *f = *state;

        assert_false(tell(f, "i-1", SHA, 3600 * USEC_PER_SEC));
        assert_false(tell(f, "i-2", SHA, 3600 * USEC_PER_SEC));
        assert_int_equal(utimensat(f->folder->fd, FOLDER "/i-1.json", old, 0), 0);
        assert_false(tell(f, "i-3", SHA, 3600 * USEC_PER_SEC));
        assert_true(tell(f, "i-4", SHA, 3600 * USEC_PER_SEC));
}

/* Nothing is delivered, and that holds nothing up. */
static void test_no_depot(void **state) {
        Fixture *f = *state;
        uint64_t began = clock_boottime(&clock_system);

        f->patience = USEC_PER_SEC;
        assert_int_equal(file_replace_at(f->folder->fd, "apps", "no folder", 9, 0600), 0);
        assert_false(tell(f, "i-1", SHA, 3600 * USEC_PER_SEC));
        assert_true(clock_boottime(&clock_system) - began >= f->patience);
        assert_true(strlen(f->remark) > 0);
}

static void test_no_app(void **state) {
        Fixture *f = *state;
        const FailureUploadSpec spec = { .event = f->event, .depot = f->depot, .report_id = "i-1" };
        FailureNote bad = { "api", "prod", "1.0", "no digest", strdup("{}") };
        FailureUpload *upload;

        assert_int_equal(failure_upload_start(&spec, &bad, 0, on_done, f, &upload, NULL), -EINVAL);
        assert_int_equal(failure_upload_start(&spec, &bad, 1, on_done, f, &upload, NULL), -EINVAL);
        assert_null(bad.text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
                cmocka_unit_test_setup_teardown(test_window, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_depot, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_app, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
