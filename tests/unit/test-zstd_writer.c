#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "artifacts/zstd_writer.h"

#define PLAIN_SIZE (3U << 20)

static void write_stream(int dirfd, const char *name, const uint8_t *data, size_t piece, Buffer *ret) {
        _cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        _cleanup_(zstd_writer_freep) ZstdWriter *writer = NULL;
        uint64_t size = 0;

        assert_int_equal(zstd_writer_new(fd, 3, &writer, NULL), 0);
        for (size_t at = 0; at < PLAIN_SIZE; at += piece)
                assert_int_equal(zstd_writer_write(writer, data + at, MIN(piece, PLAIN_SIZE - at)), 0);
        assert_int_equal(zstd_writer_finish(writer, &size, NULL), 0);
        assert_int_equal(file_read_at(dirfd, name, SIZE_MAX, ret), 0);
        assert_int_equal(ret->size, size);
}

static void test_same_stream(void **state) {
        TestFolder *folder = *state;
        _cleanup_buffer_ Buffer one = {}, two = {};
        uint8_t *plain = malloc(PLAIN_SIZE), *again = malloc(PLAIN_SIZE);

        for (uint32_t i = 0; i < PLAIN_SIZE; i++)
                plain[i] = (uint8_t) ((i * i) >> 9);
        write_stream(folder->fd, "one", plain, 1000, &one);
        write_stream(folder->fd, "two", plain, 1 << 20, &two);
        assert_int_equal(one.size, two.size);
        assert_memory_equal(one.data, two.data, one.size);
        assert_int_equal(ZSTD_decompress(again, PLAIN_SIZE, one.data, one.size), PLAIN_SIZE);
        assert_memory_equal(plain, again, PLAIN_SIZE);
        /* The checksum is there: RFC 8878, 3.1.1.1.1.5. */
        assert_true(one.data[4] & 0x04);
        free(plain);
        free(again);
}

static void test_full(_unused_ void **state) {
        _cleanup_close_ int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
        _cleanup_(zstd_writer_freep) ZstdWriter *writer = NULL;
        uint64_t size = 77;
        Error error = {};

        assert_int_equal(zstd_writer_new(fd, 3, &writer, NULL), 0);
        assert_int_equal(zstd_writer_error(writer, &error), 0);
        (void) zstd_writer_write(writer, "text", 4);
        assert_int_equal(zstd_writer_finish(writer, &size, &error), -ENOSPC);
        assert_int_equal(size, 77);
        assert_string_equal(error.message, "cannot write the archive: No space left on device");
        assert_int_equal(zstd_writer_write(writer, "text", 4), -ENOSPC);
        assert_int_equal(zstd_writer_error(writer, &error), -ENOSPC);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_same_stream, test_folder_setup, test_folder_teardown),
                cmocka_unit_test(test_full),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
