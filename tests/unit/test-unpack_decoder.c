#include <lzma.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "tests/unit/test.h"

#include "agent/base/buffer.h"
#include "artifacts/unpack_decoder.h"

#define MEMORY_MAX (UINT64_C(96) << 20)
#define PLAIN_SIZE (1U << 20)

static const ArchiveFormat formats[] = { ARCHIVE_TAR, ARCHIVE_TAR_GZ, ARCHIVE_TAR_XZ, ARCHIVE_TAR_ZST };

/* Bytes in memory, given out in pieces. */
typedef struct Memory {
        const uint8_t *data;
        size_t size, at, piece;
        int result; /* at the end: 0, or what reading fails with */
} Memory;

static ssize_t read_memory(void *userdata, void *data, size_t size) {
        Memory *memory = userdata;
        size_t n = MIN(size, memory->piece);

        n = MIN(n, memory->size - memory->at);
        if (n == 0)
                return memory->result;
        memcpy(data, memory->data + memory->at, n);
        memory->at += n;
        return (ssize_t) n;
}

static void add_gzip(Buffer *buffer, const void *data, size_t size) {
        uint8_t *in = malloc(size), *out = malloc(size + 1024);
        z_stream z = { .next_in = in, .avail_in = (unsigned) size };

        memcpy(in, data, size);
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        z.next_out = out;
        z.avail_out = (unsigned) size + 1024;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        assert_int_equal(buffer_append(buffer, out, z.total_out, SIZE_MAX), 0);
        (void) deflateEnd(&z);
        free(in);
        free(out);
}

static void add_xz(Buffer *buffer, const void *data, size_t size) {
        uint8_t *out = malloc(size + 1024);
        size_t n = 0;

        assert_int_equal(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC64, NULL, data, size, out, &n, size + 1024),
                         LZMA_OK);
        assert_int_equal(buffer_append(buffer, out, n, SIZE_MAX), 0);
        free(out);
}

static void add_zstd(Buffer *buffer, const void *data, size_t size) {
        size_t bound = ZSTD_compressBound(size), n;
        uint8_t *out = malloc(bound);

        n = ZSTD_compress(out, bound, data, size, 3);
        assert_false(ZSTD_isError(n));
        assert_int_equal(buffer_append(buffer, out, n, SIZE_MAX), 0);
        free(out);
}

static void add_compressed(Buffer *buffer, ArchiveFormat format, const void *data, size_t size) {
        switch (format) {
        case ARCHIVE_TAR_GZ:
                add_gzip(buffer, data, size);
                break;
        case ARCHIVE_TAR_XZ:
                add_xz(buffer, data, size);
                break;
        case ARCHIVE_TAR_ZST:
                add_zstd(buffer, data, size);
                break;
        default:
                assert_int_equal(buffer_append(buffer, data, size, SIZE_MAX), 0);
        }
}

static uint8_t *plain_bytes(void) {
        uint8_t *plain = malloc(PLAIN_SIZE);

        for (uint32_t i = 0; i < PLAIN_SIZE; i++)
                plain[i] = (uint8_t) ((i * i) >> 7 ^ i >> 12);
        return plain;
}

/* Decodes all; the result of the last step. */
static int decode(ArchiveFormat format, Memory *memory, uint64_t size, uint64_t memory_max, Buffer *ret,
                  Error *error) {
        _cleanup_(unpack_decoder_freep) UnpackDecoder *decoder = NULL;
        const UnpackSource source = { .read = read_memory, .userdata = memory };
        int r;

        assert_int_equal(unpack_decoder_new(format, &source, size, memory_max, &decoder, error), 0);
        for (;;) {
                const void *data;
                size_t n;

                r = unpack_decoder_next(decoder, &data, &n, error);
                if (r <= 0)
                        return r;
                assert_true(n > 0);
                assert_int_equal(buffer_append(ret, data, n, SIZE_MAX), 0);
        }
}

static int decode_bytes(ArchiveFormat format, const void *data, size_t size, Buffer *ret, Error *error) {
        Memory memory = { .data = data, .size = size, .piece = SIZE_MAX };

        return decode(format, &memory, size, MEMORY_MAX, ret, error);
}

static void test_pieces(_unused_ void **state) {
        static const size_t pieces[] = { 1, 7, 4096, 65537, SIZE_MAX };
        _cleanup_free_ uint8_t *plain = plain_bytes();

        for (size_t f = 0; f < ELEMENTSOF(formats); f++) {
                _cleanup_buffer_ Buffer packed = {};

                add_compressed(&packed, formats[f], plain, PLAIN_SIZE);
                for (size_t p = 0; p < ELEMENTSOF(pieces); p++) {
                        _cleanup_buffer_ Buffer got = {};
                        Memory memory = { .data = packed.data, .size = packed.size, .piece = pieces[p] };

                        assert_int_equal(decode(formats[f], &memory, packed.size, MEMORY_MAX, &got, NULL), 0);
                        assert_int_equal(got.size, PLAIN_SIZE);
                        assert_memory_equal(got.data, plain, PLAIN_SIZE);
                }
        }
}

/* Also where one ends exactly with the decoder's output. */
static void test_several_streams(_unused_ void **state) {
        _cleanup_free_ uint8_t *plain = plain_bytes();

        for (size_t f = 0; f < ELEMENTSOF(formats); f++) {
                _cleanup_buffer_ Buffer packed = {}, got = {};

                for (unsigned i = 0; i < 4; i++)
                        add_compressed(&packed, formats[f], plain + i * (256 << 10), 256 << 10);
                assert_int_equal(decode_bytes(formats[f], packed.data, packed.size, &got, NULL), 0);
                assert_int_equal(got.size, PLAIN_SIZE);
                assert_memory_equal(got.data, plain, PLAIN_SIZE);
        }
}

/* Cut anywhere, it is the release's fault; a plain tar has no end that could be missed here. */
static void test_cut(_unused_ void **state) {
        _cleanup_free_ uint8_t *plain = plain_bytes();

        for (size_t f = 1; f < ELEMENTSOF(formats); f++) {
                _cleanup_buffer_ Buffer packed = {};

                add_compressed(&packed, formats[f], plain, 1000);
                for (size_t n = 1; n < packed.size; n++) {
                        _cleanup_buffer_ Buffer got = {};
                        Error error = {};

                        assert_int_equal(decode_bytes(formats[f], packed.data, n, &got, &error), -EBADMSG);
                        assert_int_equal(error.fault, FAULT_RELEASE);
                        assert_string_equal(error.message, "the archive ends early");
                }
        }
}

static void test_something_follows(_unused_ void **state) {
        for (size_t f = 1; f < ELEMENTSOF(formats); f++) {
                _cleanup_buffer_ Buffer packed = {}, got = {};
                Error error = {};

                add_compressed(&packed, formats[f], "text", 4);
                assert_int_equal(buffer_append(&packed, "garbage that is none of them", 28, SIZE_MAX), 0);
                assert_int_equal(decode_bytes(formats[f], packed.data, packed.size, &got, &error), -EBADMSG);
                assert_int_equal(error.fault, FAULT_RELEASE);
        }
}

static void test_damage(_unused_ void **state) {
        _cleanup_free_ uint8_t *plain = plain_bytes();

        for (size_t f = 1; f < ELEMENTSOF(formats); f++) {
                _cleanup_buffer_ Buffer packed = {}, got = {};

                add_compressed(&packed, formats[f], plain, PLAIN_SIZE);
                packed.data[0] ^= 1;
                assert_int_equal(decode_bytes(formats[f], packed.data, packed.size, &got, NULL), -EBADMSG);
        }
}

static void test_feed(_unused_ void **state) {
        for (size_t f = 0; f < ELEMENTSOF(formats); f++) {
                _cleanup_buffer_ Buffer packed = {}, got = {};
                Memory memory;
                Error error = {};

                add_compressed(&packed, formats[f], "text", 4);
                memory = (Memory){ .data = packed.data, .size = packed.size, .piece = 5 };
                assert_int_equal(decode(formats[f], &memory, packed.size + 1, MEMORY_MAX, &got, &error),
                                 -EPIPE);
                assert_int_equal(error.fault, FAULT_HOST);
                memory.at = 0;
                assert_int_equal(decode(formats[f], &memory, packed.size - 1, MEMORY_MAX, &got, &error),
                                 -EPROTO);
                assert_int_equal(error.fault, FAULT_HOST);
                memory = (Memory){ .data = packed.data, .size = 2, .piece = 5, .result = -EIO };
                assert_int_equal(decode(formats[f], &memory, packed.size, MEMORY_MAX, &got, &error), -EIO);
                assert_int_equal(error.fault, FAULT_HOST);
        }
}

static void test_memory(_unused_ void **state) {
        _cleanup_free_ uint8_t *plain = plain_bytes();

        for (size_t f = 2; f < ELEMENTSOF(formats); f++) {
                _cleanup_buffer_ Buffer packed = {}, got = {};
                Memory memory;
                Error error = {};

                add_compressed(&packed, formats[f], plain, PLAIN_SIZE);
                memory = (Memory){ .data = packed.data, .size = packed.size, .piece = SIZE_MAX };
                assert_int_equal(decode(formats[f], &memory, packed.size, 16 << 10, &got, &error), -EBADMSG);
                assert_int_equal(error.fault, FAULT_RELEASE);
                assert_non_null(strstr(error.message, "of memory to decompress"));
        }
}

static void test_no_decoder_for_zip(_unused_ void **state) {
        const UnpackSource source = { .read = read_memory };
        UnpackDecoder *decoder;

        assert_int_equal(unpack_decoder_new(ARCHIVE_ZIP, &source, 1, MEMORY_MAX, &decoder, NULL), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pieces), cmocka_unit_test(test_several_streams),
                cmocka_unit_test(test_cut),    cmocka_unit_test(test_something_follows),
                cmocka_unit_test(test_damage), cmocka_unit_test(test_feed),
                cmocka_unit_test(test_memory), cmocka_unit_test(test_no_decoder_for_zip),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
