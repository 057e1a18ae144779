#pragma once

/* What every unit test includes first: cmocka with what it wants before it, and a folder of one's own. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define TEST_PATH_MAX 256

/* How long a test waits for what must come, microseconds: under valgrind on a busy machine that may be late; what never
 * comes is as wrong a minute later. */
#define TEST_WAIT_MAX (60 * UINT64_C(1000000))

/* A new, empty folder below $TMPDIR (or /tmp), which is removed again with all it holds. */
typedef struct TestFolder {
        char path[TEST_PATH_MAX];
        int fd;
} TestFolder;

/* cmocka setup and teardown: *STATE is a TestFolder. */
int test_folder_setup(void **state);

/* For tests of a depot in that folder: ends where files cannot be opened beneath one (valgrind before 3.21), since the depot
 * would be tried again and again. */
int test_depot_folder_setup(TestFolder **ret);
int test_folder_teardown(void **state);

/* The content of a file in the folder is TEXT; fails the test if not. */
void test_assert_content(int dirfd, const char *path, const char *text);

/* How many entries the folder has. */
size_t test_count_entries(int dirfd);
