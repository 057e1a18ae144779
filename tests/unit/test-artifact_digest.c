#include <fcntl.h>
#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "agent/base/hex.h"
#include "artifacts/artifact_digest.h"

static void assert_hex(const uint8_t *digest, const char *expected) {
        char hex[DIGEST_HEX_SIZE];

        hex_encode(digest, DIGEST_SIZE, hex);
        assert_string_equal(hex, expected);
}

static int open_with(void **state, const char *content) {
        TestFolder *folder = *state;
        int fd = openat(folder->fd, "artifact", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(file_write_fd(fd, content, strlen(content)), 0);
        return fd;
}

/* Digests by sha256sum. */
static void test_chunks(void **state) {
        _cleanup_artifact_digest_ ArtifactDigest digest = {};
        _cleanup_close_ int fd = open_with(state, "abcabcab");

        assert_int_equal(artifact_digest_file(fd, 3, &digest, NULL), 0);
        assert_int_equal(digest.size, 8);
        assert_int_equal(digest.chunk_size, 3);
        assert_int_equal(digest.chunk_count, 3);
        assert_hex(digest.chunks[0], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_memory_equal(digest.chunks[0], digest.chunks[1], DIGEST_SIZE);
        assert_hex(digest.chunks[2], "fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603");
        assert_hex(digest.sha256, "c212e6e3f814fb29117327c2f11661b116e015d5348d1b8aacf97e648ace5638");
        assert_int_equal(lseek(fd, 0, SEEK_CUR), 8); /* not moved */
}

static void test_one_chunk(void **state) {
        _cleanup_artifact_digest_ ArtifactDigest digest = {}, exact = {};
        _cleanup_close_ int fd = open_with(state, "abc");

        assert_int_equal(artifact_digest_file(fd, 0, &digest, NULL), 0);
        assert_int_equal(digest.chunk_size, 1 << 20);
        assert_int_equal(digest.chunk_count, 1);
        assert_memory_equal(digest.chunks[0], digest.sha256, DIGEST_SIZE);
        assert_int_equal(artifact_digest_file(fd, 3, &exact, NULL), 0);
        assert_int_equal(exact.chunk_count, 1);
}

static void test_refused(void **state) {
        TestFolder *folder = *state;
        ArtifactDigest digest = {};
        _cleanup_close_ int empty = open_with(state, "");

        assert_int_equal(artifact_digest_file(empty, 0, &digest, NULL), -EINVAL);
        assert_int_equal(artifact_digest_file(folder->fd, 0, &digest, NULL), -EINVAL);
        assert_int_equal(ftruncate(empty, 4097), 0);
        assert_int_equal(artifact_digest_file(empty, 1, &digest, NULL), -E2BIG);
}

static void test_chunk_size(_unused_ void **state) {
        const uint64_t mib = 1 << 20;

        assert_int_equal(artifact_chunk_size(0), mib);
        assert_int_equal(artifact_chunk_size(4095 * mib), mib);
        assert_int_equal(artifact_chunk_size(4096 * mib), mib);
        assert_int_equal(artifact_chunk_size(4096 * mib + 1), 2 * mib);
        assert_int_equal(artifact_chunk_size(UINT64_C(1) << 40), 16 * mib);
}

#define FOLDER_TEST(test) cmocka_unit_test_setup_teardown(test, test_folder_setup, test_folder_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                FOLDER_TEST(test_chunks),
                FOLDER_TEST(test_one_chunk),
                FOLDER_TEST(test_refused),
                cmocka_unit_test(test_chunk_size),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
