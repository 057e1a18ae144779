#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/target_watch.h"
#include "tests/unit/depot-promises.h"
#include "tests/unit/documents.h"

#define TARGET_KEY "apps/api/groups/prod/target.json"
#define FRESHNESS_KEY "apps/api/groups/prod/freshness.json"

/* A watch on the golden target, of serial 18, in a depot of files; the record lies in a folder of its own. */
typedef struct Fixture {
        DepotFixture base;
        TestFolder *depot_folder;
        TestFolder *app_folder;
        Buffer target, freshness;
        TrustRoot *root;
        Record record;
        Clock clock;
        TargetWatch *watch;
        unsigned looks;
} Fixture;

static uint64_t golden_now(_unused_ void *userdata) {
        return DOCUMENTS_NOW;
}

static void on_changed(_unused_ TargetWatch *watch, void *userdata) {
        Fixture *f = userdata;

        f->looks++;
}

static int setup(void **state) {
        _cleanup_buffer_ Buffer root = {};
        Fixture *f = calloc(1, sizeof(*f));

        assert_int_equal(test_folder_setup((void **) &f->depot_folder), 0);
        assert_int_equal(test_folder_setup((void **) &f->app_folder), 0);
        assert_true(sd_event_new(&f->base.event) >= 0);
        f->base.depot = test_depot_open(f->depot_folder, f->base.event);
        documents_read("root.envelope.json", &root);
        assert_int_equal(trust_root_load("root.json", root.data, root.size, &f->root, NULL), 0);
        documents_read("target.envelope.json", &f->target);
        documents_read("freshness.envelope.json", &f->freshness);
        f->clock = (Clock){ .boottime = clock_system.boottime, .realtime = golden_now };
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        target_watch_free(f->watch);
        record_deinit(&f->record);
        trust_root_free(f->root);
        buffer_deinit(&f->target);
        buffer_deinit(&f->freshness);
        depot_free(f->base.depot);
        sd_event_unref(f->base.event);
        assert_int_equal(test_folder_teardown((void **) &f->depot_folder), 0);
        assert_int_equal(test_folder_teardown((void **) &f->app_folder), 0);
        free(f);
        return 0;
}

static void put_documents(Fixture *f) {
        free(test_depot_put_etag(f->base.depot, TARGET_KEY, buffer_string(&f->target)));
        free(test_depot_put_etag(f->base.depot, FRESHNESS_KEY, buffer_string(&f->freshness)));
}

/* One look, from its beginning to its end. */
static void look(Fixture *f) {
        const TargetWatchContext context = {
                .event = f->base.event,
                .clock = &f->clock,
                .depot = f->base.depot,
                .root = f->root,
                .record = &f->record,
                .app_fd = f->app_folder->fd,
                .app = "api",
                .group = "prod",
                .instance = "i-1",
                .interval = 3600 * USEC_PER_SEC,
        };
        unsigned before = f->looks;

        if (f->watch)
                target_watch_poll(f->watch);
        else
                assert_int_equal(target_watch_new(&context, on_changed, f, &f->watch, NULL), 0);
        while (f->looks == before)
                assert_true(sd_event_run(f->base.event, UINT64_MAX) >= 0);
        assert_int_equal(f->looks, before + 1);
}

static void assert_refused(Fixture *f, const char *why) {
        assert_non_null(target_watch_problem(f->watch));
        if (!strstr(target_watch_problem(f->watch), why))
                fail_msg("expected \"%s\" in \"%s\"", why, target_watch_problem(f->watch));
}

static void assert_in_force(Fixture *f) {
        assert_non_null(target_watch_target(f->watch));
        assert_int_equal(target_watch_target(f->watch)->serial, 18);
}

static uint64_t saved_serial(Fixture *f) {
        Record record = {};
        uint64_t serial;

        assert_true(record_load(f->app_folder->fd, &record, NULL) >= 0);
        serial = record.serial;
        record_deinit(&record);
        return serial;
}

static void test_accepted_durably(void **state) {
        Fixture *f = *state;

        look(f);
        assert_null(target_watch_target(f->watch));
        assert_refused(f, "group prod of api has no target in the depot");
        put_documents(f);
        look(f);
        assert_in_force(f);
        assert_null(target_watch_problem(f->watch));
        assert_int_equal(saved_serial(f), 18);
        look(f); /* it has not changed */
        assert_in_force(f);
}

/* What could not be written down is not acted on, neither now nor at the next look. */
static void test_record_cannot_be_written(void **state) {
        Fixture *f = *state;

        put_documents(f);
        assert_int_equal(mkdirat(f->app_folder->fd, "record.json", 0700), 0);
        for (int i = 0; i < 2; i++) {
                look(f);
                assert_null(target_watch_target(f->watch));
                assert_refused(f, "cannot write the deploy record");
                assert_int_equal(f->record.serial, 0);
                assert_null(f->record.group);
        }
        assert_int_equal(file_remove_tree_at(f->app_folder->fd, "record.json"), 0);
        look(f);
        assert_in_force(f);
        assert_int_equal(saved_serial(f), 18);
}

static void test_serial_never_goes_down(void **state) {
        Fixture *f = *state;

        f->record.serial = 19;
        put_documents(f);
        look(f);
        assert_null(target_watch_target(f->watch));
        assert_refused(f, "a serial never goes down");
        assert_int_equal(f->record.serial, 19);
}

/* An instance that has come from another group, or was made from the image of one there. */
static void test_serial_of_another_group(void **state) {
        Fixture *f = *state;

        f->record.serial = f->record.good_serial = 19;
        assert_int_equal(string_set(&f->record.group, "blue"), 0);
        put_documents(f);
        look(f);
        assert_in_force(f);
        assert_int_equal(saved_serial(f), 18);
        assert_string_equal(f->record.group, "prod");
        assert_int_equal(f->record.good_serial, 0); /* nor does what root has put there outrank it */
}

static void test_same_serial_other_content(void **state) {
        Fixture *f = *state;

        f->record.serial = 18;
        memset(f->record.target_sha256, 'a', DIGEST_HEX_SIZE - 1);
        put_documents(f);
        look(f);
        assert_null(target_watch_target(f->watch));
        assert_refused(f, "a change needs a new serial");
}

static void test_rubbish_changes_nothing(void **state) {
        Fixture *f = *state;

        put_documents(f);
        look(f);
        free(test_depot_put_etag(f->base.depot, TARGET_KEY, "rubbish"));
        look(f);
        assert_refused(f, "target");
        assert_in_force(f);
        assert_int_equal(test_depot_delete(f->base.depot, TARGET_KEY), 0);
        look(f);
        assert_refused(f, "has no target");
        assert_in_force(f);
}

static void test_freshness_is_asked_for(void **state) {
        Fixture *f = *state;

        free(test_depot_put_etag(f->base.depot, TARGET_KEY, buffer_string(&f->target)));
        look(f);
        assert_null(target_watch_target(f->watch));
        assert_refused(f, "has no freshness in the depot");
        put_documents(f);
        look(f);
        assert_in_force(f);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_accepted_durably, setup, teardown),
                cmocka_unit_test_setup_teardown(test_record_cannot_be_written, setup, teardown),
                cmocka_unit_test_setup_teardown(test_serial_never_goes_down, setup, teardown),
                cmocka_unit_test_setup_teardown(test_serial_of_another_group, setup, teardown),
                cmocka_unit_test_setup_teardown(test_same_serial_other_content, setup, teardown),
                cmocka_unit_test_setup_teardown(test_rubbish_changes_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_freshness_is_asked_for, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
