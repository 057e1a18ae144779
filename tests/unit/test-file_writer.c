#include <string.h>

#include "agent/base/file.h"
#include "artifacts/file_writer.h"
#include "tests/unit/test.h"

static void write_new(FileWriter *writer, const TestFolder *folder, const char *text) {
        assert_int_equal(file_writer_open(writer, folder->fd), 0);
        assert_int_equal(file_write_fd(writer->fd, text, strlen(text)), 0);
        assert_int_equal(file_writer_sync(writer), 0);
}

static void test_commit(void **state) {
        const TestFolder *folder = *state;
        FileWriter writer;

        write_new(&writer, folder, "one");
        assert_int_equal(faccessat(folder->fd, "name", F_OK, 0), -1);
        assert_int_equal(file_writer_commit(&writer, "name", true), 0);
        file_writer_deinit(&writer);
        test_assert_content(folder->fd, "name", "one");
        assert_int_equal(test_count_entries(folder->fd), 1);

        write_new(&writer, folder, "two");
        assert_int_equal(file_writer_commit(&writer, "name", true), -EEXIST);
        test_assert_content(folder->fd, "name", "one");
        assert_int_equal(file_writer_commit(&writer, "name", false), 0);
        file_writer_deinit(&writer);
        test_assert_content(folder->fd, "name", "two");
        assert_int_equal(test_count_entries(folder->fd), 1);
}

static void test_abandon(void **state) {
        const TestFolder *folder = *state;
        FileWriter writer = FILE_WRITER_INIT;

        file_writer_deinit(&writer);
        write_new(&writer, folder, "one");
        assert_int_equal(test_count_entries(folder->fd), 1);
        file_writer_deinit(&writer);
        assert_int_equal(test_count_entries(folder->fd), 0);
}

/* Leftovers go, what is being written stays, and so does everything that only looks a little like it. */
static void test_sweep(void **state) {
        const TestFolder *folder = *state;
        FileWriter writer;

        write_new(&writer, folder, "alive");
        assert_int_equal(file_replace_at(folder->fd, FILE_WRITER_PREFIX "0123456789abcdef", "dead", 4, 0600),
                         0);
        assert_int_equal(file_replace_at(folder->fd, ".tmp", "other", 5, 0600), 0);
        assert_int_equal(symlinkat("writer", folder->fd, FILE_WRITER_PREFIX "link"), 0);
        file_writer_sweep(folder->fd);
        assert_int_equal(test_count_entries(folder->fd), 3);
        assert_int_equal(file_writer_commit(&writer, "name", true), 0);
        test_assert_content(folder->fd, "name", "alive");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_folder_setup, test_folder_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_commit),
                TEST(test_abandon),
                TEST(test_sweep),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
