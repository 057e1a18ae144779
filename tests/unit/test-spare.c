#include <fcntl.h>
#include <sys/stat.h>

#include "tests/unit/test.h"

#include "agent/base/cleanup.h"
#include "agent/spare.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, test_folder_setup, test_folder_teardown)

/* Bytes of the disk that the first file has; -1 where it is not there. */
static long kept(const TestFolder *folder) {
        struct stat st;

        return fstatat(folder->fd, SPARE_FOLDER "/0", &st, AT_SYMLINK_NOFOLLOW) < 0
                       ? -1
                       : (long) st.st_blocks * 512;
}

static void test_given_up_once(void **state) {
        const TestFolder *folder = *state;

        assert_false(spare_helps(folder->fd, -ENOSPC));
        spare_keep(folder->fd);
        spare_keep(folder->fd);
        assert_true(kept(folder) >= (long) SPARE_FILE_SIZE);
        assert_false(spare_helps(folder->fd, -EIO));
        assert_false(spare_helps(folder->fd, 0));
        assert_true(spare_helps(folder->fd, -EDQUOT));
        assert_int_equal(kept(folder), -1);
        assert_false(spare_helps(folder->fd, -ENOSPC));
}

/* A file that nothing was written for is made whole. */
static void test_made_whole(void **state) {
        const TestFolder *folder = *state;
        _cleanup_close_ int fd = -1;

        spare_keep(folder->fd);
        fd = openat(folder->fd, SPARE_FOLDER "/0", O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(kept(folder), 0);
        spare_keep(folder->fd);
        assert_true(kept(folder) >= (long) SPARE_FILE_SIZE);
}

int main(void) {
        const struct CMUnitTest tests[] = { TEST(test_given_up_once), TEST(test_made_whole) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
