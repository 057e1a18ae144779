#include <string.h>
#include <sys/mman.h>

#include "agent/engine.h"
#include "tests/unit/test.h"

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

typedef struct Fixture {
        TestFolder *folder;
        sd_event *event;
        ReleaseStore *store;
        Record record;
        EngineContext context;
} Fixture;

static void fill(Record *record) {
        *record = (Record){ .app = strdup("api"), .instance = strdup("i-1") };
        record->deployment = (Deployment){
                .id = strdup("d-20261121T090000Z-1"),
                .to = { strdup("1.0"), SHA_A },
                .boot_id = strdup("boot"),
                .env_sha256 = SHA_A,
                .started = 1,
                .step = STEP_FETCH,
                .step_started = true,
                .attempt = 1,
        };
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        assert_int_equal(store_open(f->folder->path, "api", &f->store, NULL), 0);
        assert_true(sd_event_new(&f->event) >= 0);
        fill(&f->record);
        f->context = (EngineContext){
                .event = f->event,
                .clock = &clock_system,
                .store = f->store,
                .record = &f->record,
                .app = "api",
                .boot_id = "boot",
        };
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        record_deinit(&f->record);
        store_free(f->store);
        sd_event_unref(f->event);
        assert_int_equal(test_folder_teardown((void **) &f->folder), 0);
        free(f);
        return 0;
}

static void on_done(_unused_ Engine *engine, _unused_ void *userdata) {
        fail();
}

/* It is taken up all the same, whether or not the caller wants to know of an error; and there was none. */
static void test_resume_without_a_disk(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int no_folder = memfd_create("no folder", MFD_CLOEXEC);
        ReleaseStore broken = *f->store;
        Error error = {};
        Engine *engine;

        assert_return_code(no_folder, errno);
        broken.app_fd = no_folder;
        f->context.store = &broken;
        assert_int_equal(engine_resume(&f->context, on_done, on_done, NULL, &engine, NULL), 0);
        assert_null(engine_free(engine));
        assert_int_equal(engine_resume(&f->context, on_done, on_done, NULL, &engine, &error), 0);
        assert_string_equal(error.message, "");
        assert_null(engine_free(engine));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_resume_without_a_disk, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
