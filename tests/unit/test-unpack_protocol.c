#include <string.h>

#include "tests/unit/test.h"

#include "artifacts/unpack_protocol.h"

static UnpackLimits some_limits(void) {
        UnpackLimits limits = unpack_limits(ARCHIVE_TAR_ZST, 21003921, 53, 61200384);

        limits.sync = true;
        limits.path_max = 77;
        limits.depth_max = 7;
        limits.decoder_memory_max = 12345;
        limits.time = 1700000000;
        return limits;
}

static void test_header(_unused_ void **state) {
        UnpackLimits limits = some_limits(), decoded = {};
        uint8_t header[UNPACK_HEADER_SIZE];

        assert_int_equal(unpack_header_encode(&limits, header, NULL), 0);
        assert_memory_equal(header, "MUSTERUP\x01\0\0\0\x01\0\0\0tar.zst\0", 24);
        assert_int_equal(unpack_header_decode(header, &decoded, NULL), 0);
        assert_int_equal(decoded.format, ARCHIVE_TAR_ZST);
        assert_int_equal(decoded.size, 21003921);
        assert_int_equal(decoded.entries, 53);
        assert_int_equal(decoded.unpacked_size, 61200384);
        assert_int_equal(decoded.decoder_memory_max, 12345);
        assert_int_equal(decoded.path_max, 77);
        assert_int_equal(decoded.depth_max, 7);
        assert_int_equal(decoded.time, 1700000000);
        assert_true(decoded.sync);
        assert_false(decoded.wrapped);
        limits.wrapped = true;
        assert_int_equal(unpack_header_encode(&limits, header, NULL), 0);
        assert_int_equal(unpack_header_decode(header, &decoded, NULL), 0);
        assert_true(decoded.wrapped);
        assert_true(decoded.sync);
}

/* No byte of the header can be another and mean the same. */
static void test_header_strict(_unused_ void **state) {
        UnpackLimits limits = some_limits();
        uint8_t header[UNPACK_HEADER_SIZE], again[UNPACK_HEADER_SIZE];

        assert_int_equal(unpack_header_encode(&limits, header, NULL), 0);
        for (size_t i = 0; i < sizeof(header); i++) {
                uint8_t was = header[i];

                for (unsigned bit = 0; bit < 8; bit++) {
                        UnpackLimits decoded;

                        header[i] = (uint8_t) (was ^ (1U << bit));
                        if (unpack_header_decode(header, &decoded, NULL) < 0)
                                continue;
                        assert_int_equal(unpack_header_encode(&decoded, again, NULL), 0);
                        assert_memory_equal(header, again, sizeof(header));
                        assert_in_range(i, 12, 75);
                }
                header[i] = was;
        }
}

static void assert_refused(UnpackLimits limits, const char *word) {
        uint8_t header[UNPACK_HEADER_SIZE];
        Error error = {};

        assert_int_equal(unpack_header_encode(&limits, header, &error), -EINVAL);
        assert_non_null(strstr(error.message, word));
}

static void test_header_limits(_unused_ void **state) {
        UnpackLimits good = some_limits(), bad;

        assert_refused((bad = good, bad.size = 0, bad), "archive size");
        assert_refused((bad = good, bad.entries = UNPACK_ENTRIES_MAX + 1, bad), "entries");
        assert_refused((bad = good, bad.unpacked_size = UNPACK_BYTES_MAX + 1, bad), "unpacked size");
        assert_refused((bad = good, bad.decoder_memory_max = 0, bad), "decoder");
        assert_refused((bad = good, bad.path_max = 0, bad), "path");
        assert_refused((bad = good, bad.path_max = UNPACK_PATH_MAX + 1, bad), "path");
        assert_refused((bad = good, bad.depth_max = UNPACK_DEPTH_MAX + 1, bad), "depth");
        assert_refused((bad = good, bad.format = _ARCHIVE_FORMAT_COUNT, bad), "format");
}

static void test_counts(_unused_ void **state) {
        UnpackReply reply = { .type = UNPACK_PROGRESS, .entries = 3, .bytes = UINT64_MAX }, decoded = {};
        char line[UNPACK_LINE_MAX];

        unpack_reply_encode(&reply, line);
        assert_string_equal(line, "progress 3 18446744073709551615\n");
        assert_int_equal(unpack_reply_decode(line, strlen(line) - 1, &decoded), 0);
        assert_int_equal(decoded.type, UNPACK_PROGRESS);
        assert_int_equal(decoded.entries, 3);
        assert_true(decoded.bytes == UINT64_MAX);
        reply.type = UNPACK_DONE;
        unpack_reply_encode(&reply, line);
        assert_string_equal(line, "done 3 18446744073709551615\n");
}

static void test_errors(_unused_ void **state) {
        UnpackReply reply = { .type = UNPACK_ERROR, .fault = FAULT_RELEASE }, decoded = {};
        char line[UNPACK_LINE_MAX];
        Error error = {};

        strcpy(reply.entry, "bin/a b%c\xc3\xa9\n\xff");
        strcpy(reply.reason, "its name is bad");
        unpack_reply_encode(&reply, line);
        assert_string_equal(line, "error release bin/a%20b%25c%c3%a9?? its%20name%20is%20bad\n");
        assert_int_equal(unpack_reply_decode(line, strlen(line) - 1, &decoded), 0);
        assert_string_equal(decoded.entry, "bin/a b%c\xc3\xa9??");
        assert_string_equal(decoded.reason, "its name is bad");
        assert_int_equal(unpack_reply_to_error(&decoded, &error), -EBADMSG);
        assert_int_equal(error.fault, FAULT_RELEASE);
        assert_string_equal(error.message, "archive entry \"bin/a b%c\xc3\xa9??\": its name is bad");

        reply = (UnpackReply){ .type = UNPACK_ERROR, .fault = FAULT_HOST, .reason = "-" };
        unpack_reply_encode(&reply, line);
        assert_string_equal(line, "error host - %2d\n");
        assert_int_equal(unpack_reply_decode(line, strlen(line) - 1, &decoded), 0);
        assert_string_equal(decoded.entry, "");
        assert_string_equal(decoded.reason, "-");
        assert_int_equal(unpack_reply_to_error(&decoded, &error), -EIO);
        assert_int_equal(error.fault, FAULT_HOST);
        assert_string_equal(error.message, "-");
}

static void test_longest_error(_unused_ void **state) {
        UnpackReply reply = { .type = UNPACK_ERROR, .fault = FAULT_HOST }, decoded = {};
        char line[UNPACK_LINE_MAX];

        memset(reply.entry, '%', UNPACK_ENTRY_SHOWN_MAX);
        memset(reply.reason, ' ', UNPACK_REASON_MAX);
        unpack_reply_encode(&reply, line);
        assert_int_equal(unpack_reply_decode(line, strlen(line) - 1, &decoded), 0);
        assert_string_equal(decoded.entry, reply.entry);
        assert_string_equal(decoded.reason, reply.reason);
}

static void test_bad_lines(_unused_ void **state) {
        static const char *const lines[] = {
                "",
                "progress",
                "progress 1",
                "progress 1 2 3",
                "progress 1  2",
                "progress -1 2",
                "done 1 2 ",
                " done 1 2",
                "Done 1 2",
                "error host a",
                "error host a b c",
                "error nobody a b",
                "error host a %",
                "error host a %4",
                "error host a %4G",
                "error host a %0a",
                "error host a %ff",
                "error host  b",
                "error host a ",
                "done 99999999999999999999 1",
                "error host a %00",
        };
        UnpackReply reply;

        for (size_t i = 0; i < ELEMENTSOF(lines); i++)
                assert_int_equal(unpack_reply_decode(lines[i], strlen(lines[i]), &reply), -EBADMSG);
        assert_int_equal(unpack_reply_decode("done 1 2\0", 9, &reply), -EBADMSG);
}

static void test_feed(_unused_ void **state) {
        static const char text[] = "progress 1 2\nprogress 3 4\ndone 5 6\n";
        UnpackReply reply = {};
        const void *data;
        size_t size;

        for (size_t piece = 1; piece < sizeof(text); piece++) {
                UnpackReplies replies = {};
                unsigned seen = 0;

                for (size_t at = 0; at < strlen(text); at += piece) {
                        data = text + at;
                        size = MIN(piece, strlen(text) - at);
                        for (;;) {
                                int r = unpack_replies_feed(&replies, &data, &size, &reply);

                                assert_true(r >= 0);
                                if (r == 0)
                                        break;
                                assert_int_equal(reply.entries, 2 * seen + 1);
                                seen++;
                        }
                        assert_int_equal(size, 0);
                }
                assert_int_equal(seen, 3);
                assert_true(replies.finished);
                data = "x";
                size = 1;
                assert_int_equal(unpack_replies_feed(&replies, &data, &size, &reply), -EBADMSG);
        }
}

static void test_feed_endless_line(_unused_ void **state) {
        UnpackReplies replies = {};
        UnpackReply reply;
        char many[1000];
        int r = 0;

        memset(many, 'x', sizeof(many));
        for (unsigned i = 0; i < 5 && r == 0; i++) {
                const void *data = many;
                size_t size = sizeof(many);

                r = unpack_replies_feed(&replies, &data, &size, &reply);
        }
        assert_int_equal(r, -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_header),
                cmocka_unit_test(test_header_strict),
                cmocka_unit_test(test_header_limits),
                cmocka_unit_test(test_counts),
                cmocka_unit_test(test_errors),
                cmocka_unit_test(test_longest_error),
                cmocka_unit_test(test_bad_lines),
                cmocka_unit_test(test_feed),
                cmocka_unit_test(test_feed_endless_line),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
