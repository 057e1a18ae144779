#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "artifacts/store_clean.h"
#include "tests/unit/store_fixture.h"

/* Stands between the code and the disk: a name that an app removes while its release is measured. */
int __real_fstatat(int dirfd, const char *path, struct stat *st, int flags);
int __wrap_fstatat(int dirfd, const char *path, struct stat *st, int flags);
int __wrap_fstatat(int dirfd, const char *path, struct stat *st, int flags) {
        if (strcmp(path, "vanishes") == 0) {
                errno = ENOENT;
                return -1;
        }
        return __real_fstatat(dirfd, path, st, flags);
}

static bool is_first(const char *name, _unused_ void *userdata) {
        return strcmp(name, NAME_1) == 0;
}

static void on_clean(_unused_ StoreClean *op, int result, const Error *error, void *userdata) {
        store_test_ended(userdata, result, error);
}

/* Whether something was left because it is used. */
static bool clean(StoreFixture *f, const char *in_staging, uint64_t releases, uint64_t bytes) {
        _cleanup_(store_clean_freep) StoreClean *op = NULL;
        StoreRetention retention = { .releases = releases, .bytes = bytes };
        StoreOutcome outcome = { .event = store_test_event(), .result = 99 };
        bool left;

        assert_int_equal(store_clean_start(f->store, outcome.event, in_staging, &retention, is_first,
                                           on_clean, &outcome, &op, NULL),
                         0);
        assert_int_equal(sd_event_loop(outcome.event), 0);
        if (outcome.result < 0)
                fail_msg("%s", outcome.error.message);
        left = store_clean_left_some(op);
        op = store_clean_free(op);
        sd_event_unref(outcome.event);
        return left;
}

static void test_clean_retention(void **state) {
        StoreFixture *f = *state;

        store_test_commit(f, "1.0", SHA_1);
        usleep(20000);
        store_test_commit(f, "2.0", SHA_2);
        store_test_commit(f, "3.0", "3333333333333333333333333333333333333333333333333333333333333333");
        clean(f, NULL, 3, STORE_KEEP_ALL);
        assert_true(store_has(f->store, NAME_2));
        clean(f, NULL, 1, STORE_KEEP_ALL);
        assert_true(store_has(f->store, NAME_1)); /* in use */
        assert_false(store_test_exists(f->store->releases_fd, NAME_2));
        assert_false(store_test_exists(f->store->releases_fd, NAME_2 ".json"));
        assert_false(store_test_exists(f->store->releases_fd, "3.0-333333333333"));
        store_test_commit(f, "2.0", SHA_2);
        clean(f, NULL, 5, 1 << 30);
        assert_true(store_has(f->store, NAME_2));
        clean(f, NULL, 5, 5);
        assert_false(store_has(f->store, NAME_2));
        assert_true(store_has(f->store, NAME_1));
}

static void test_clean_while_an_app_writes(void **state) {
        StoreFixture *f = *state;

        store_test_commit(f, "1.0", SHA_1);
        store_test_commit(f, "2.0", SHA_2);
        store_test_write(f->store->releases_fd, NAME_1 "/bin/vanishes", "x", 0600);
        clean(f, NULL, 5, 5);
        assert_true(store_has(f->store, NAME_1));
        assert_false(store_has(f->store, NAME_2));
}

static void test_clean_leftovers(void **state) {
        StoreFixture *f = *state;
        _cleanup_(store_staging_freep) StoreStaging *dead = store_test_stage(f), *live = store_test_stage(f);
        int releases = f->store->releases_fd;

        store_test_commit(f, "1.0", SHA_1);
        assert_int_equal(mkdirat(releases, NAME_2, 0755), 0);
        store_test_write(releases, "5.0-555555555555.json", "{}", 0600);
        store_test_write(releases, "." NAME_2 ".json.77.tmp", "{", 0600);
        clean(f, live->name, 5, STORE_KEEP_ALL);
        assert_false(store_test_exists(f->store->staging_fd, dead->name));
        assert_true(store_test_exists(f->store->staging_fd, live->name));
        assert_true(
                store_test_exists(releases, "5.0-555555555555.json")); /* it may just be being committed */
        clean(f, NULL, 5, STORE_KEEP_ALL);
        assert_false(store_test_exists(f->store->staging_fd, live->name));
        assert_false(store_test_exists(releases, NAME_2));
        assert_false(store_test_exists(releases, "5.0-555555555555.json"));
        assert_false(store_test_exists(releases, "." NAME_2 ".json.77.tmp"));
        assert_true(store_has(f->store, NAME_1));
}

/* What is in use stays, whatever somebody has done to it. */
static void test_clean_spares_halves_in_use(void **state) {
        StoreFixture *f = *state;
        int releases = f->store->releases_fd;

        store_test_commit(f, "1.0", SHA_1);
        store_test_write(releases, NAME_1 ".tree", "x", 0600);
        assert_int_equal(unlinkat(releases, NAME_1 ".json", 0), 0);
        clean(f, NULL, 5, STORE_KEEP_ALL);
        assert_true(store_test_exists(releases, NAME_1 "/bin/app"));
        assert_true(store_test_exists(releases, NAME_1 ".tree"));
}

/* A process that works in a release, as an old one does that drains after a reload. */
static pid_t start_in(int dirfd, const char *name) {
        int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fds[2];
        pid_t pid;
        char byte;

        assert_true(fd >= 0);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (fchdir(fd) == 0)
                        close(fds[1]);
                pause();
                _exit(0);
        }
        close(fd);
        close(fds[1]);
        assert_int_equal(read(fds[0], &byte, 1), 0);
        close(fds[0]);
        return pid;
}

static void stop(pid_t pid) {
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_clean_spares_live(void **state) {
        StoreFixture *f = *state;
        pid_t one, two;

        store_test_commit(f, "1.0", SHA_1);
        store_test_commit(f, "2.0", SHA_2);
        assert_int_equal(mkdirat(f->store->staging_fd, "removed-1", 0755), 0);
        assert_int_equal(mkdirat(f->store->staging_fd, "removed-2", 0755), 0);
        one = start_in(f->store->releases_fd, NAME_2);
        two = start_in(f->store->staging_fd, "removed-1");
        assert_true(clean(f, NULL, 1, STORE_KEEP_ALL));
        assert_true(store_has(f->store, NAME_1));
        assert_true(store_has(f->store, NAME_2));
        assert_true(store_test_exists(f->store->staging_fd, "removed-1"));
        assert_false(store_test_exists(f->store->staging_fd, "removed-2"));
        stop(one);
        stop(two);
        assert_false(clean(f, NULL, 1, STORE_KEEP_ALL));
        assert_false(store_has(f->store, NAME_2));
        assert_int_equal(test_count_entries(f->store->staging_fd), 0);
}

/* What lies beside a release goes with it, and without it. */
static void test_clean_manifests(void **state) {
        StoreFixture *f = *state;

        store_test_commit(f, "1.0", SHA_1);
        store_test_write(f->store->releases_fd, NAME_1 ".tree", "x", 0600);
        assert_int_equal(file_replace_at(f->store->releases_fd, NAME_2 ".tree", "x", 1, 0600), 0);
        assert_false(clean(f, NULL, 5, STORE_KEEP_ALL));
        assert_true(store_test_exists(f->store->releases_fd, NAME_1 ".tree"));
        assert_false(store_test_exists(f->store->releases_fd, NAME_2 ".tree"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                STORE_TEST(test_clean_retention),   STORE_TEST(test_clean_while_an_app_writes),
                STORE_TEST(test_clean_leftovers),   STORE_TEST(test_clean_spares_halves_in_use),
                STORE_TEST(test_clean_spares_live), STORE_TEST(test_clean_manifests),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
