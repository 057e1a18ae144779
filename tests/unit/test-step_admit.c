#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/test.h"

#include "agent/engine_step.h"
#include "tests/unit/stored-release.h"

/* There is room as soon as so many releases, and no more, are in the store; and an engine that only takes the result. */

static struct {
        size_t releases;
        StoreNeed need; /* what was asked for last */
} disk;

static struct {
        bool done;
        int result;
        Error error;
} ended;

int __wrap_store_admit(const ReleaseStore *store, const StoreNeed *need, const StoreReserve *reserve,
                       Error *error);
int __wrap_store_admit(const ReleaseStore *store, const StoreNeed *need, _unused_ const StoreReserve *reserve,
                       Error *error) {
        _cleanup_free_ StoreEntry *entries = NULL;
        size_t n = 0;

        assert_int_equal(store_list(store, &entries, &n, NULL), 0);
        disk.need = *need;
        return n <= disk.releases ? 0 : error_set_fault(error, -ENOSPC, FAULT_HOST, "there is no room");
}

void __wrap_engine_step_done(Engine *engine, int result, const Error *error);
void __wrap_engine_step_done(_unused_ Engine *engine, int result, const Error *error) {
        assert_false(ended.done);
        ended.done = true;
        ended.result = result;
        ended.error = *error;
}

typedef struct Fixture {
        TestFolder *folder;
        Config config;
        Record record;
        Release *old[3], *to;
        Engine engine;
} Fixture;

/* The first is the one used longest ago. */
static void make_old(Fixture *f, size_t i) {
        const struct timespec used[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = (time_t) (1000 + i) } };
        char version[16], name[STORE_NAME_SIZE], envelope[STORE_ENVELOPE_NAME_SIZE];

        snprintf(version, sizeof(version), "0.%zu", i);
        f->old[i] = test_store_release(f->engine.context.store, version, "");
        assert_int_equal(store_name(version, f->old[i]->sha256, name), 0);
        store_envelope_name(name, envelope); /* its time is that of the last use */
        assert_int_equal(utimensat(f->engine.context.store->releases_fd, envelope, used, 0), 0);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        EngineContext *context = &f->engine.context;
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        assert_int_equal(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
        memset(&ended, 0, sizeof(ended));
        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        assert_int_equal(store_open(f->folder->path, "api", &context->store, NULL), 0);
        assert_true(sd_event_new(&context->event) >= 0);
        context->config = &f->config;
        context->record = &f->record;
        context->app = "api";
        for (size_t i = 0; i < ELEMENTSOF(f->old); i++)
                make_old(f, i);
        f->to = test_store_release(context->store, "1.0", "");
        f->engine.to = f->to;
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        store_clean_free(f->engine.work.clean);
        for (size_t i = 0; i < ELEMENTSOF(f->old); i++)
                release_free(f->old[i]);
        release_free(f->to);
        record_deinit(&f->record);
        store_free(f->engine.context.store);
        sd_event_unref(f->engine.context.event);
        test_folder_teardown((void **) &f->folder);
        free(f);
        return 0;
}

static void need(const Release *release, ReleaseRef *ref) {
        const ReleaseRef borrowed = test_release_ref(release);

        assert_int_equal(release_ref_copy(ref, &borrowed), 0);
}

static bool is_there(const Fixture *f, const Release *release) {
        char name[STORE_NAME_SIZE];

        assert_int_equal(store_name(release->version, release->sha256, name), 0);
        return store_has(f->engine.context.store, name);
}

static void admit(Fixture *f, size_t releases) {
        Error error = {};

        disk.releases = releases;
        assert_int_equal(step_admit(&f->engine, &error), STEP_STARTED);
        while (!ended.done)
                assert_true(sd_event_run(f->engine.context.event, UINT64_MAX) >= 0);
}

static void test_room(void **state) {
        Fixture *f = *state;
        Error error = {};

        disk.releases = 4;
        assert_int_equal(step_admit(&f->engine, &error), STEP_FINISHED);
        assert_true(disk.need.bytes == 1 && disk.need.entries == 1);
        assert_false(ended.done);
}

/* A zip is there twice for a time: received, and unpacked. */
static void test_zip(void **state) {
        Fixture *f = *state;
        Error error = {};

        f->to->artifacts.items[0].format = ARCHIVE_ZIP;
        disk.releases = 4;
        assert_int_equal(step_admit(&f->engine, &error), STEP_FINISHED);
        assert_true(disk.need.bytes == 2);
}

/* One after the other goes, the one used longest ago first, and no more than must. */
static void test_makes_room(void **state) {
        Fixture *f = *state;

        need(f->to, &f->record.good);
        admit(f, 2);
        assert_int_equal(ended.result, 0);
        assert_false(is_there(f, f->old[0]) || is_there(f, f->old[1]));
        assert_true(is_there(f, f->old[2]) && is_there(f, f->to));
}

/* What is needed stays, whoever else needs the room; that there is none is the host's fault. */
static void test_keeps_what_is_needed(void **state) {
        Fixture *f = *state;

        need(f->to, &f->record.good);
        need(f->old[0], &f->record.previous);
        need(f->old[2], &f->record.pin.release);
        admit(f, 0);
        assert_int_equal(ended.result, -ENOSPC);
        assert_int_equal(ended.error.fault, FAULT_HOST);
        assert_true(is_there(f, f->old[0]) && is_there(f, f->old[2]) && is_there(f, f->to));
        assert_false(is_there(f, f->old[1]));
}

/* It is in the store, has drifted, and cannot be fetched anew for want of room: nothing is missing, so it is used. */
static void test_uses_what_is_stored(void **state) {
        Fixture *f = *state;

        need(f->to, &f->record.deployment.to);
        f->engine.replace = f->engine.usable = true;
        admit(f, 0);
        assert_int_equal(ended.result, 0);
        assert_false(f->engine.replace);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_room),
                TEST(test_zip),
                TEST(test_makes_room),
                TEST(test_keeps_what_is_needed),
                TEST(test_uses_what_is_stored),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
