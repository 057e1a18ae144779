#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/test.h"

#include "agent/app_audit.h"
#include "agent/base/file.h"
#include "tests/unit/stored-release.h"

#define UNITS "\"units\":[{\"name\":\"api.service\",\"file\":\"file\",\"on_deploy\":\"restart\"}],"

/* An app that serves 2.0, with 1.0 as the release before it. */
typedef struct Fixture {
        TestFolder *folder;
        ReleaseStore *store;
        Release *good, *previous;
        Record record;
        sd_event *event;
        AppAudit *audit;
        bool done;
} Fixture;

static void on_done(_unused_ AppAudit *audit, void *userdata) {
        Fixture *f = userdata;

        f->done = true;
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        AppAuditContext context;
        ReleaseRef ref;
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        assert_int_equal(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        assert_int_equal(store_open(f->folder->path, "api", &f->store, NULL), 0);
        assert_true(sd_event_new(&f->event) >= 0);
        f->previous = test_store_release(f->store, "1.0", UNITS);
        f->good = test_store_release(f->store, "2.0", UNITS);
        ref = test_release_ref(f->good);
        assert_int_equal(release_ref_copy(&f->record.good, &ref), 0);
        ref = test_release_ref(f->previous);
        assert_int_equal(release_ref_copy(&f->record.previous, &ref), 0);
        context = (AppAuditContext){
                .event = f->event, .store = f->store, .record = &f->record, .fields = { .app = "api" }
        };
        assert_int_equal(app_audit_new(&context, on_done, f, &f->audit), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        app_audit_free(f->audit);
        sd_event_unref(f->event);
        record_deinit(&f->record);
        release_free(f->good);
        release_free(f->previous);
        store_free(f->store);
        test_folder_teardown((void **) &f->folder);
        free(f);
        return 0;
}

static void look(Fixture *f, bool thorough) {
        f->done = false;
        app_audit_start(f->audit, thorough);
        while (!f->done)
                assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
}

static void expect_state(const Fixture *f, const ReleaseRef *release, InstalledState state) {
        const InstalledFinding *finding = app_audit_find(f->audit, release);

        assert_non_null(finding);
        assert_int_equal(finding->state, state);
}

/* NULL: the way back is open. */
static void expect_way_back(const Fixture *f, const char *reason) {
        const char *found = NULL;

        assert_int_equal(app_audit_rollback_is_ready(f->audit, &found), reason == NULL);
        if (reason && !strstr(found, reason))
                fail_msg("%s", found);
}

static void test_whole(void **state) {
        Fixture *f = *state;
        json_auto_t *status = json_object();
        const json_t *installed;

        expect_way_back(f, "has not been looked at yet");
        assert_null(app_audit_find(f->audit, &f->record.good));
        look(f, false);
        expect_state(f, &f->record.good, INSTALLED_KEPT);
        expect_state(f, &f->record.previous, INSTALLED_KEPT);
        expect_way_back(f, NULL);
        assert_int_equal(app_audit_to_json(f->audit, status), 0);
        installed = json_object_get(status, "installed");
        assert_int_equal(json_array_size(installed), 2);
        assert_string_equal(json_string_value(json_object_get(json_array_get(installed, 0), "role")),
                            "current");
        assert_true(json_is_true(json_object_get(json_object_get(status, "rollback"), "ready")));
}

static void test_no_release_before(void **state) {
        Fixture *f = *state;

        release_ref_deinit(&f->record.previous);
        look(f, false);
        expect_way_back(f, "there is no release before this one");
}

/* What has changed since it was looked at; what is left of the way back is not enough. */
static void test_drift(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int folder = test_open_release(f->store, f->previous);

        look(f, false);
        assert_int_equal(file_replace_at(folder, "file", "y", 1, 0644), 0);
        look(f, false);
        expect_state(f, &f->record.good, INSTALLED_KEPT);
        expect_state(f, &f->record.previous, INSTALLED_DRIFTED);
        expect_way_back(f, "release 1.0 is not as it was published: 1 changed");
        assert_int_equal(file_replace_at(folder, "file", "x", 1, 0644), 0);
        look(f, false);
        expect_way_back(f, NULL);
}

/* More than was published is told, and in nobody's way. */
static void test_something_beside_it(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int folder = test_open_release(f->store, f->previous);

        look(f, false);
        assert_int_equal(mkdirat(folder, "cache", 0755), 0);
        look(f, true);
        expect_state(f, &f->record.previous, INSTALLED_DRIFTED);
        expect_way_back(f, NULL);
}

static void test_unit_file_is_gone(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int folder = test_open_release(f->store, f->previous);

        assert_int_equal(unlinkat(folder, "file", 0), 0);
        look(f, false);
        expect_way_back(f, "release 1.0: its unit file file");
}

static void test_previous_is_gone(void **state) {
        Fixture *f = *state;
        char name[STORE_NAME_SIZE];

        assert_int_equal(store_name("1.0", f->previous->sha256, name), 0);
        assert_int_equal(file_remove_tree_at(f->store->releases_fd, name), 0);
        look(f, false);
        assert_null(app_audit_find(f->audit, &f->record.previous));
        expect_way_back(f, "release 1.0 is not on the disk any more");
}

/* A look that is ended leaves what was known before. */
static void test_stop(void **state) {
        Fixture *f = *state;

        look(f, false);
        f->done = false;
        app_audit_start(f->audit, true);
        app_audit_stop(f->audit);
        assert_true(sd_event_run(f->event, 0) >= 0);
        assert_false(f->done);
        expect_state(f, &f->record.good, INSTALLED_KEPT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_whole),
                TEST(test_no_release_before),
                TEST(test_drift),
                TEST(test_something_beside_it),
                TEST(test_unit_file_is_gone),
                TEST(test_previous_is_gone),
                TEST(test_stop),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
