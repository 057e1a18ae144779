#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/base/file.h"
#include "artifacts/fetch.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/test.h"

/* A fetch from an S3 whose every answer can be spoiled. */

#define CHUNK (32U << 10)
#define CHUNKS 201U
#define SIZE (CHUNK * CHUNKS - 321)

typedef enum Spoil {
        SPOIL_NOT,
        SPOIL_CUT,         /* the body ends in the middle */
        SPOIL_RESET,       /* the same by a reset */
        SPOIL_NOTHING,     /* reset before any answer */
        SPOIL_BUSY,        /* 503 */
        SPOIL_WRONG_BYTE,  /* in the first chunk of the range */
        SPOIL_ALL,         /* 200 and everything, whatever was asked for */
        SPOIL_OTHER_RANGE, /* other bytes than were asked for */
        SPOIL_OTHER_SIZE,  /* of the whole object */
        SPOIL_SHORT_RANGE, /* a shorter range than was asked for, properly labelled */
        SPOIL_LONG_RANGE,  /* more than was asked for, likewise */
        SPOIL_GARBAGE,     /* no HTTP */
        SPOIL_REDIRECT,    /* somewhere else */
        _SPOIL_COUNT,
} Spoil;

typedef struct Fixture {
        TestClient client;
        Depot *depot;
        uint8_t *content;
        uint8_t (*digests)[DIGEST_SIZE];
        char sha256[DIGEST_HEX_SIZE];
        Spoil spoil;
        unsigned spoil_from, spoil_to; /* the numbers of the requests that are spoiled */
        bool etag;
        bool finished;
        int result;
        Error error;
        FetchStatistics statistics;
} Fixture;

static void answer(Fixture *f, TestReply *reply, unsigned long first, unsigned long last, Spoil spoil) {
        size_t length = last + 1 - first, body = reply->text.size;

        if (spoil == SPOIL_SHORT_RANGE)
                last = first + length / 2;
        if (spoil == SPOIL_LONG_RANGE)
                last = MIN(last + 5 * CHUNK, SIZE - 1UL);
        if (spoil == SPOIL_OTHER_RANGE)
                first += CHUNK, last = MIN(last + CHUNK, SIZE - 1);
        buffer_printf(
                &reply->text,
                "HTTP/1.1 206 Partial Content\r\n%sContent-Length: %lu\r\nContent-Range: bytes %lu-%lu/%u\r\n\r\n",
                f->etag ? "ETag: \"1\"\r\n" : "", last + 1 - first, first, last,
                spoil == SPOIL_OTHER_SIZE ? SIZE + 1 : SIZE);
        body = reply->text.size;
        buffer_append(&reply->text, f->content + first, last + 1 - first, SIZE_MAX);
        if (spoil == SPOIL_WRONG_BYTE)
                reply->text.data[body + 10] ^= 1;
        if (spoil == SPOIL_CUT || spoil == SPOIL_RESET) {
                reply->fault = spoil == SPOIL_CUT ? TEST_FAULT_CLOSE : TEST_FAULT_RESET;
                reply->text.size = body + (last + 1 - first) * 2 / 3;
        }
}

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        Fixture *f = userdata;
        _cleanup_free_ char *range = test_request_header(request, "Range");
        bool spoiled = request->number >= f->spoil_from && request->number <= f->spoil_to;
        Spoil spoil = spoiled ? f->spoil : SPOIL_NOT;
        unsigned long first, last;

        if (strcmp(request->target, "/bucket/") == 0) { /* where it is, after a redirection */
                test_reply(reply, 403, "", "");
                return;
        }
        assert_string_equal(request->target, "/bucket/a%20b/artifact");
        assert_non_null(range);
        assert_int_equal(sscanf(range, "bytes=%lu-%lu", &first, &last), 2);
        assert_true(first <= last && last < SIZE);
        assert_int_equal(first % CHUNK, 0);
        switch (spoil) {
        case SPOIL_NOTHING:
                reply->fault = TEST_FAULT_RESET;
                break;
        case SPOIL_BUSY:
                test_reply(reply, 503, "", "<Error><Code>SlowDown</Code><Message>no</Message></Error>");
                break;
        case SPOIL_ALL:
                buffer_printf(&reply->text, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", SIZE);
                buffer_append(&reply->text, f->content, SIZE, SIZE_MAX);
                break;
        case SPOIL_GARBAGE:
                buffer_printf(&reply->text, "SSH-2.0-OpenSSH_9.2p1\r\n\r\n");
                reply->fault = TEST_FAULT_CLOSE;
                break;
        case SPOIL_REDIRECT:
                test_reply(reply, 307, "Location: http://127.0.0.1:1/elsewhere\r\n", "");
                break;
        default:
                answer(f, reply, first, last, spoil);
        }
}

static int setup(void **state) {
        const AwsOptions options = { .region = "eu-central-1", .attempts_max = 1 };
        Fixture *f = calloc(1, sizeof(*f));

        test_client_init(&f->client, &options, handle, f);
        assert_int_equal(depot_open("s3://bucket/a b",
                                    &(DepotOptions){ .event = f->client.event, .aws = f->client.aws },
                                    &f->depot, NULL),
                         0);
        f->etag = true;
        f->content = malloc(SIZE);
        f->digests = calloc(CHUNKS, DIGEST_SIZE);
        for (size_t i = 0; i < SIZE; i++)
                f->content[i] = (uint8_t) (i * 31 + i / 65521);
        for (size_t i = 0; i < CHUNKS; i++)
                digest_sha256(f->content + i * CHUNK, MIN((size_t) CHUNK, SIZE - i * CHUNK), f->digests[i]);
        digest_sha256_hex(f->content, SIZE, f->sha256);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        depot_free(f->depot);
        test_client_deinit(&f->client);
        free(f->content);
        free(f->digests);
        free(f);
        return 0;
}

static void on_done(Fetch *fetch, int result, const Error *error, void *userdata) {
        Fixture *f = userdata;

        f->finished = true;
        f->result = result;
        if (result < 0)
                f->error = *error;
        f->statistics = fetch_statistics(fetch);
        fetch_free(fetch);
}

static void start(Fixture *f, int fd, Fetch **ret) {
        const FetchArtifact artifact = {
                .size = SIZE,
                .chunk_size = CHUNK,
                .chunks = (const uint8_t(*)[DIGEST_SIZE]) f->digests,
                .n_chunks = CHUNKS,
                .sha256 = f->sha256,
        };

        f->finished = false;
        assert_int_equal(fetch_start(f->depot, "artifact", &artifact, fd, NULL, on_done, f, ret, NULL), 0);
        fetch_set_patience(*ret, 4, USEC_PER_MSEC);
}

/* To the end; whatever came of it, nothing wrong has been written. */
static void run(Fixture *f) {
        _cleanup_close_ int fd = memfd_create("out", MFD_CLOEXEC);
        _cleanup_buffer_ Buffer written = {};
        Fetch *fetch;

        start(f, fd, &fetch);
        test_wait(f->client.event, &f->finished);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        assert_int_equal(file_read_fd(fd, SIZE, &written), 0);
        assert_int_equal(written.size, f->statistics.written);
        if (written.size > 0)
                assert_memory_equal(written.data, f->content, written.size);
        assert_true(written.size == SIZE || f->result < 0);
}

static void test_good(void **state) {
        Fixture *f = *state;

        run(f);
        assert_int_equal(f->result, 0);
        assert_int_equal(f->statistics.received, SIZE);
        f->etag = false; /* nothing to compare with: the chunks are enough */
        run(f);
        assert_int_equal(f->result, 0);
}

/* Spoiled once: it goes on. */
static void test_spoiled_once(void **state) {
        Fixture *f = *state;

        for (f->spoil = SPOIL_CUT; f->spoil < _SPOIL_COUNT; f->spoil++) {
                f->spoil_from = f->spoil_to = test_server_requests(f->client.server) + 2;
                run(f);
                if (f->spoil == SPOIL_OTHER_SIZE)
                        continue; /* no use in trying again */
                assert_int_equal(f->result, 0);
                assert_true(f->statistics.failures <= 2);
                assert_true(f->statistics.failures >= 1 || f->spoil == SPOIL_NOTHING); /* curl's own retry */
        }
}

/* Spoiled for ever: it ends, with one sentence. */
static void test_spoiled_always(void **state) {
        Fixture *f = *state;

        f->spoil_from = 1;
        f->spoil_to = UINT_MAX;
        for (f->spoil = SPOIL_NOTHING; f->spoil < _SPOIL_COUNT; f->spoil++) {
                run(f);
                if (f->spoil == SPOIL_LONG_RANGE && f->result == 0)
                        continue; /* what ends with the object cannot be too long */
                assert_true(f->result < 0);
                assert_non_null(strstr(f->error.message, "s3://bucket/a b/artifact: "));
                assert_int_equal(f->error.fault, FAULT_HOST);
                assert_true(f->statistics.written == 0 || f->spoil == SPOIL_SHORT_RANGE ||
                            f->spoil == SPOIL_LONG_RANGE);
        }
}

/* Every transfer is cut, but each brings something. */
static void test_cut_always(void **state) {
        Fixture *f = *state;

        f->spoil_from = 1;
        f->spoil_to = UINT_MAX;
        f->spoil = SPOIL_CUT;
        run(f);
        assert_true(f->result < 0); /* the last chunk never comes whole */
        assert_in_range(f->statistics.written, SIZE / 2, SIZE - 1);
}

static void test_cancel(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = memfd_create("out", MFD_CLOEXEC);

        for (int turns = 0; turns < 30; turns++) {
                Fetch *fetch;

                start(f, fd, &fetch);
                for (int i = 0; i < turns && !f->finished; i++)
                        assert_true(sd_event_run(f->client.event, 1000) >= 0);
                if (!f->finished)
                        fetch_free(fetch);
        }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_good),       TEST(test_spoiled_once), TEST(test_spoiled_always),
                TEST(test_cut_always), TEST(test_cancel),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
