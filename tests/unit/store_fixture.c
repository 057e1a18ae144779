#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/store_fixture.h"

int store_test_setup(void **state) {
        StoreFixture *f = calloc(1, sizeof(*f));
        Error error = {};

        strcpy(f->folder, "/tmp/test-store-XXXXXX");
        assert_non_null(mkdtemp(f->folder));
        if (store_open(f->folder, "api", &f->store, &error) < 0)
                fail_msg("%s", error.message);
        *state = f;
        return 0;
}

int store_test_teardown(void **state) {
        StoreFixture *f = *state;

        store_free(f->store);
        assert_int_equal(file_remove_tree_at(AT_FDCWD, f->folder), 0);
        free(f);
        return 0;
}

void store_test_write(int dirfd, const char *path, const char *content, mode_t mode) {
        _cleanup_close_ int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL, 0600);

        assert_true(fd >= 0);
        assert_int_equal(file_write_fd(fd, content, strlen(content)), 0);
        assert_int_equal(fchmod(fd, mode), 0);
}

StoreStaging *store_test_stage(StoreFixture *f) {
        StoreStaging *staging = NULL;
        Error error = {};

        if (store_stage(f->store, getuid(), getgid(), &staging, &error) < 0)
                fail_msg("%s", error.message);
        assert_int_equal(mkdirat(staging->fd, "bin", 0755), 0);
        store_test_write(staging->fd, "bin/app", "12345678", 0755);
        store_test_write(staging->fd, "appspec.yml", "90", 0644);
        assert_int_equal(symlinkat("../appspec.yml", staging->fd, "bin/link"), 0);
        return staging;
}

bool store_test_exists(int fd, const char *path) {
        return faccessat(fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

StoreRelease store_test_release(const char *version, const char *sha256) {
        return (StoreRelease){
                .version = version,
                .sha256 = sha256,
                .envelope = "{}",
                .envelope_size = 2,
                .entries = 4,
                .unpacked_size = 10,
                .unpacker = getuid(),
                .owner = getuid(),
                .group = getgid(),
        };
}

void store_test_commit(StoreFixture *f, const char *version, const char *sha256) {
        _cleanup_(store_staging_freep) StoreStaging *staging = store_test_stage(f);
        StoreRelease release = store_test_release(version, sha256);
        Error error = {};

        if (store_commit(f->store, staging, &release, &error) < 0)
                fail_msg("%s", error.message);
}

sd_event *store_test_event(void) {
        sd_event *event = NULL;
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        assert_int_equal(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
        assert_int_equal(sd_event_new(&event), 0);
        return event;
}

void store_test_ended(StoreOutcome *outcome, int result, const Error *error) {
        outcome->result = result;
        outcome->error = *error;
        (void) sd_event_exit(outcome->event, 0);
}
