#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/placement.h"
#include "tests/unit/stored-release.h"

#define ENV_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define ENV_2 "2222222222222222222222222222222222222222222222222222222222222222"

typedef struct Fixture {
        TestFolder *folder;
        ReleaseStore *store;
        UnitFiles files;
        Placement placement;
        Record record; /* of an app whose good release is 1.0 */
        Release *v1, *v2;
} Fixture;

static Release *install(const Fixture *f, const char *version) {
        char more[64];

        snprintf(more, sizeof(more), "\"env\":{\"OF_RELEASE\":\"%s\"},", version);
        return test_store_release(f->store, version, more);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        ReleaseRef good;

        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        assert_int_equal(store_open(f->folder->path, "api", &f->store, NULL), 0);
        assert_int_equal(mkdirat(f->folder->fd, "units", 0755), 0);
        f->files.dirfd = file_open_at(f->folder->fd, "units", O_DIRECTORY | O_RDONLY, 0);
        f->placement = (Placement){ .store = f->store, .files = &f->files, .app = "api" };
        f->v1 = install(f, "1.0");
        f->v2 = install(f, "2.0");
        good = test_release_ref(f->v1);
        assert_int_equal(release_ref_copy(&f->record.good, &good), 0);
        assert_int_equal(strv_append(&f->record.good_environment, "OF_GROUP=then"), 0);
        memcpy(f->record.good_env_sha256, ENV_1, sizeof(ENV_1));
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        record_deinit(&f->record);
        release_free(f->v1);
        release_free(f->v2);
        store_free(f->store);
        close_fd(f->files.dirfd);
        test_folder_teardown((void **) &f->folder);
        free(f);
        return 0;
}

static void put(Fixture *f, const Release *release, const char *env_sha256) {
        const ReleaseRef ref = test_release_ref(release);
        Error error = {};

        assert_int_equal(placement_write_environment(&f->placement, &ref, release, NULL, env_sha256, &error),
                         0);
        assert_int_equal(placement_put(&f->placement, &ref, release, env_sha256, &error), 0);
}

/* What the units of the app see now; "" where there is nothing. */
static void check_environment(const Fixture *f, const char *expected) {
        _cleanup_free_ char *target = NULL;
        _cleanup_buffer_ Buffer text = {};

        if (file_read_link_at(f->store->app_fd, "environment", &target) >= 0)
                (void) file_read_at(f->store->app_fd, target, 4096, &text);
        assert_string_equal(buffer_string(&text), expected);
}

static size_t count_environments(const Fixture *f) {
        _cleanup_close_ int fd = file_open_at(f->store->app_fd, "environments", O_DIRECTORY | O_RDONLY, 0);

        assert_true(fd >= 0);
        return test_count_entries(fd);
}

static void check_current(const Fixture *f, const Release *release) {
        char expected[STORE_NAME_SIZE], name[STORE_NAME_SIZE];

        assert_int_equal(store_name(release->version, release->sha256, expected), 0);
        assert_int_equal(store_current(f->store, name, NULL), 1);
        assert_string_equal(name, expected);
}

static void test_put_and_back(void **state) {
        Fixture *f = *state;
        Error error = {};

        put(f, f->v2, ENV_2);
        check_current(f, f->v2);
        check_environment(f, "OF_RELEASE=\"2.0\"\n");
        assert_int_equal(placement_put_back(&f->placement, &f->record, f->v1, &error), 0);
        check_current(f, f->v1);
        check_environment(f, "OF_GROUP=\"then\"\nOF_RELEASE=\"1.0\"\n");
        assert_int_equal(placement_clear(&f->placement, &error), 0);
        assert_int_equal(store_current(f->store, (char[STORE_NAME_SIZE]){}, NULL), 0);
        check_environment(f, "");
}

/* What the good release ran with is taken as it is: nothing is written on the way back. */
static void test_back_writes_nothing(void **state) {
        Fixture *f = *state;
        Error error = {};

        put(f, f->v1, ENV_1);
        put(f, f->v2, ENV_2);
        assert_int_equal(placement_put_back(&f->placement, &f->record, f->v1, &error), 0);
        check_environment(f, "OF_RELEASE=\"1.0\"\n"); /* as put() wrote it, without the group's */
}

/* A way back that failed once finds what it needs when it is tried again. */
static void test_prune_keeps_the_way_back(void **state) {
        Fixture *f = *state;
        Error error = {};

        put(f, f->v1, ENV_2);
        put(f, f->v1, ENV_1);
        put(f, f->v2, ENV_2);
        placement_prune_environments(f->store, &f->record);
        check_environment(f, "OF_RELEASE=\"2.0\"\n");
        assert_int_equal(count_environments(f), 2);
        assert_int_equal(placement_put_back(&f->placement, &f->record, f->v1, &error), 0);
        check_environment(f, "OF_RELEASE=\"1.0\"\n");
        placement_prune_environments(f->store, &f->record);
        assert_int_equal(count_environments(f), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_put_and_back),
                TEST(test_back_writes_nothing),
                TEST(test_prune_keeps_the_way_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
