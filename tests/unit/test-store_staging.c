#include <stdatomic.h>
#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "artifacts/store_staging.h"

#define SHA "1111111111111111111111111111111111111111111111111111111111111111"

static atomic_bool disk_fails_once;

int __real_syncfs(int fd);
int __wrap_syncfs(int fd);
int __wrap_syncfs(int fd) {
        if (!atomic_exchange(&disk_fails_once, false))
                return __real_syncfs(fd);
        errno = EIO;
        return -1;
}

/* What is sealed last waits for the disk to have failed. */
int __real_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchown(int fd, uid_t uid, gid_t gid) {
        for (unsigned i = 0; i < 1000 && atomic_load(&disk_fails_once); i++)
                (void) usleep(1000);
        return __real_fchown(fd, uid, gid);
}

/* A tree of many entries is sent to the disk ahead; what fails there is told only once, and must count. */
static void test_large_tree_on_a_bad_disk(void **state) {
        TestFolder *folder = *state;
        _cleanup_(store_freep) ReleaseStore *store = NULL;
        _cleanup_(store_staging_freep) StoreStaging *staging = NULL;
        const StoreRelease release = {
                .version = "1.0",
                .sha256 = SHA,
                .envelope = "{}",
                .envelope_size = 2,
                .entries = STORE_FLUSH_ENTRIES,
                .unpacker = getuid(),
                .owner = getuid(),
                .group = getgid(),
        };
        Error error = {};

        assert_int_equal(store_open(folder->path, "api", &store, NULL), 0);
        assert_int_equal(store_stage(store, getuid(), getgid(), &staging, NULL), 0);
        for (unsigned i = 0; i < STORE_FLUSH_ENTRIES; i++) {
                char name[16];
                int fd;

                (void) snprintf(name, sizeof(name), "%u", i);
                fd = file_open_at(staging->fd, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
                assert_true(fd >= 0);
                close_fd(fd);
        }
        atomic_store(&disk_fails_once, true);
        assert_int_equal(store_commit(store, staging, &release, &error), -EIO);
        assert_int_equal(error.fault, FAULT_HOST);
        assert_false(store_has(store, "1.0-111111111111"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_large_tree_on_a_bad_disk, test_folder_setup,
                                                test_folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
