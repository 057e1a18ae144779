#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "agent/unpack_watch.h"

#define NOBODYS ((uid_t) 4242) /* whose open files nobody else has a part in */
#define MEBIBYTE (UINT64_C(1) << 20)

static int count(const TestFolder *f, uint64_t entries, uint64_t bytes) {
        const UnpackWatchSpec spec = { .fd = f->fd, .uid = NOBODYS, .entries = entries, .bytes = bytes };
        Error error = {};
        int r = unpack_watch_count(&spec, &error);

        if (r < 0)
                assert_int_equal(error.fault, FAULT_RELEASE);
        return r;
}

static int make_file(int dirfd, const char *path, int flags, uint64_t size) {
        int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | flags, 0600);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t) size), 0);
        return fd;
}

/* What was signed is never too much, however it is spread; one name more is. */
static void test_entries(void **state) {
        TestFolder *f = *state;

        assert_int_equal(count(f, 0, 0), 0);
        assert_int_equal(mkdirat(f->fd, "a", 0755), 0);
        assert_int_equal(mkdirat(f->fd, "a/b", 0755), 0);
        close(make_file(f->fd, "a/b/c", O_CREAT, 0));
        assert_int_equal(symlinkat("c", f->fd, "a/b/d"), 0);
        assert_int_equal(count(f, 4, 0), 0);
        assert_int_equal(count(f, 3, 0), -EBADMSG);
}

static void test_bytes(void **state) {
        TestFolder *f = *state;

        close(make_file(f->fd, "a", O_CREAT, 8 * MEBIBYTE));
        assert_int_equal(count(f, 9, 8 * MEBIBYTE), 0);
        /* Another name of a file is no other file. */
        assert_int_equal(linkat(f->fd, "a", f->fd, "b", 0), 0);
        assert_int_equal(linkat(f->fd, "a", f->fd, "c", 0), 0);
        assert_int_equal(count(f, 9, 8 * MEBIBYTE), 0);
        assert_int_equal(count(f, 9, 4 * MEBIBYTE), -EBADMSG);
}

/* A file without a name takes room as well. */
static void test_hidden(void **state) {
        TestFolder *f = *state;
        int fd;

        if (geteuid() != 0)
                skip(); /* it takes root to give a file away */
        fd = make_file(f->fd, ".", O_TMPFILE, 8 * MEBIBYTE);
        assert_int_equal(fchown(fd, NOBODYS, (gid_t) -1), 0);
        assert_int_equal(count(f, 9, 8 * MEBIBYTE), 0);
        assert_int_equal(count(f, 9, 4 * MEBIBYTE), -EBADMSG);
        close(fd);
        assert_int_equal(count(f, 9, 4 * MEBIBYTE), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_entries, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_bytes, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_hidden, test_folder_setup, test_folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
