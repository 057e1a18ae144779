#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "artifacts/depot_operation.h"
#include "artifacts/fetch.h"
#include "tests/unit/depot-promises.h"

#define CHUNK (32U << 10)
#define CHUNKS 203U
#define SIZE (CHUNK * (CHUNKS - 1) + 12345) /* some 6.6 MB */

typedef struct Fixture {
        TestFolder *folder;
        sd_event *event;
        Depot *depot;
        uint8_t *content;
        uint8_t (*digests)[DIGEST_SIZE];
        char sha256[DIGEST_HEX_SIZE];
        FetchArtifact artifact;
        uint64_t last_progress;
        bool finished;
        int result;
        Error error;
        FetchStatistics statistics;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        assert_true(sd_event_new(&f->event) >= 0);
        f->depot = test_depot_open(f->folder, f->event);
        f->content = malloc(SIZE);
        f->digests = calloc(CHUNKS, DIGEST_SIZE);
        for (size_t i = 0; i < SIZE; i++)
                f->content[i] = (uint8_t) (i * 31 + i / 65521);
        for (size_t i = 0; i < CHUNKS; i++)
                digest_sha256(f->content + i * CHUNK, MIN((size_t) CHUNK, SIZE - i * CHUNK), f->digests[i]);
        digest_sha256_hex(f->content, SIZE, f->sha256);
        assert_int_equal(file_replace_at(f->folder->fd, "artifact", f->content, SIZE, 0600), 0);
        f->artifact = (FetchArtifact){
                .size = SIZE,
                .chunk_size = CHUNK,
                .chunks = (const uint8_t(*)[DIGEST_SIZE]) f->digests,
                .n_chunks = CHUNKS,
                .sha256 = f->sha256,
        };
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        depot_free(f->depot);
        sd_event_unref(f->event);
        assert_int_equal(test_folder_teardown((void **) &f->folder), 0);
        free(f->content);
        free(f->digests);
        free(f);
        return 0;
}

static void on_progress(_unused_ Fetch *fetch, uint64_t written, uint64_t total, void *userdata) {
        Fixture *f = userdata;

        assert_true(written > f->last_progress && written <= total);
        assert_int_equal(total, SIZE);
        f->last_progress = written;
}

static void on_done(Fetch *fetch, int result, const Error *error, void *userdata) {
        Fixture *f = userdata;

        assert_false(f->finished);
        f->finished = true;
        f->result = result;
        if (result < 0)
                f->error = *error;
        f->statistics = fetch_statistics(fetch);
        fetch_free(fetch);
}

static void run(Fixture *f) {
        while (!f->finished)
                assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
}

/* The beginning of what was published, and of that AT_MOST so much. */
static size_t assert_prefix(Fixture *f, int fd, size_t at_most) {
        _cleanup_buffer_ Buffer buffer = {};

        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        assert_int_equal(file_read_fd(fd, SIZE, &buffer), 0);
        assert_true(buffer.size <= at_most);
        assert_memory_equal(buffer.data, f->content, buffer.size);
        return buffer.size;
}

static void start(Fixture *f, Depot *depot, int fd, Fetch **ret) {
        assert_int_equal(fetch_start(depot, "artifact", &f->artifact, fd, on_progress, on_done, f, ret, NULL),
                         0);
        assert_false(f->finished);
        fetch_set_patience(*ret, 4, 2 * USEC_PER_MSEC);
}

/* Into a file, until it ends. What was written must be right as far as it goes, which is at most AT_MOST
 * bytes. */
static void fetch_file(Fixture *f, Depot *depot, size_t at_most) {
        _cleanup_close_ int fd = memfd_create("out", MFD_CLOEXEC);
        Fetch *fetch;

        f->finished = false;
        f->last_progress = 0;
        start(f, depot, fd, &fetch);
        run(f);
        assert_int_equal(assert_prefix(f, fd, at_most), f->statistics.written);
}

static void fetch_all(Fixture *f, Depot *depot) {
        fetch_file(f, depot, SIZE);
        assert_int_equal(f->result, 0);
        assert_int_equal(f->statistics.written, SIZE);
}

static void test_into_file(void **state) {
        Fixture *f = *state;

        fetch_all(f, f->depot);
        assert_int_equal(f->last_progress, SIZE);
        assert_int_equal(f->statistics.received, SIZE);
        assert_int_equal(f->statistics.failures, 0);
}

static void test_from_descriptor(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
        Fetch *fetch;

        assert_int_equal(file_write_fd(in, f->content, SIZE), 0); /* its offset is at the end */
        assert_int_equal(fetch_from_fd_start(f->event, in, "the archive", &f->artifact, out, on_progress,
                                             on_done, f, &fetch, NULL),
                         0);
        in = close_fd(in);
        run(f);
        assert_int_equal(f->result, 0);
        assert_int_equal(assert_prefix(f, out, SIZE), SIZE);
}

static void test_from_descriptor_wrong(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
        Fetch *fetch;

        f->content[3 * CHUNK] ^= 0x80;
        assert_int_equal(file_write_fd(in, f->content, SIZE), 0);
        assert_int_equal(fetch_from_fd_start(f->event, in, "the archive", &f->artifact, out, on_progress,
                                             on_done, f, &fetch, NULL),
                         0);
        run(f);
        assert_int_equal(f->result, -EBADMSG);
        assert_string_equal(
                f->error.message,
                "the archive: chunk 3 (at byte 98304) is not what the release says: its SHA-256 differs");
        assert_prefix(f, out, 3 * CHUNK);
}

/* A reader that is slower than the depot: everything still comes, in order, and little is held. */

typedef struct Reader {
        Fixture *fixture;
        int fd;
        size_t read;
        bool differs;
        bool ended;
        size_t stop_after; /* and close; 0: never */
} Reader;

static int on_readable(sd_event_source *source, int fd, _unused_ uint32_t events, void *userdata) {
        Reader *reader = userdata;
        uint8_t piece[100000];
        ssize_t n = read(fd, piece, sizeof(piece));

        assert_true(n >= 0);
        reader->differs |= memcmp(piece, reader->fixture->content + reader->read, (size_t) n) != 0;
        reader->read += (size_t) n;
        reader->ended = n == 0;
        if (n == 0 || (reader->stop_after && reader->read >= reader->stop_after)) {
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
                reader->fd = close_fd(fd);
        }
        return 0;
}

static sd_event_source *start_reader(Fixture *f, Reader *reader, int *ret_write_fd) {
        sd_event_source *source;
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        reader->fixture = f;
        reader->fd = fds[0];
        assert_true(sd_event_add_io(f->event, &source, fds[0], EPOLLIN, on_readable, reader) >= 0);
        *ret_write_fd = fds[1];
        return source;
}

static void test_into_pipe(void **state) {
        Fixture *f = *state;
        Reader reader = {};
        sd_event_source *source;
        Fetch *fetch;
        int fd;

        source = start_reader(f, &reader, &fd);
        start(f, f->depot, fd, &fetch);
        close_fd(fd); /* the fetch has a duplicate */
        run(f);
        assert_int_equal(f->result, 0);
        while (!reader.ended)
                assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
        assert_int_equal(reader.read, SIZE);
        assert_false(reader.differs);
        sd_event_source_unref(source);
}

static void test_reader_gone(void **state) {
        Fixture *f = *state;
        Reader reader = { .stop_after = 300000 };
        sd_event_source *source;
        Fetch *fetch;
        int fd;

        source = start_reader(f, &reader, &fd);
        start(f, f->depot, fd, &fetch);
        close_fd(fd);
        run(f);
        assert_int_equal(f->result, -EPIPE);
        assert_non_null(strstr(f->error.message, "/artifact: its reader has stopped reading"));
        sd_event_source_unref(source);
}

/* What a depot may hold that is not what was signed. */

static void replace_artifact(Fixture *f, const uint8_t *data, size_t size) {
        assert_int_equal(file_replace_at(f->folder->fd, "artifact", data, size, 0600), 0);
}

static void test_wrong_chunk(void **state) {
        Fixture *f = *state;

        f->content[100 * CHUNK + 17] ^= 1;
        replace_artifact(f, f->content, SIZE);
        fetch_file(f, f->depot, 100 * CHUNK);
        assert_int_equal(f->result, -EBADMSG);
        assert_int_equal(f->error.fault, FAULT_HOST);
        assert_non_null(strstr(f->error.message,
                               "/artifact: chunk 100 (at byte 3276800) is not what the release says"));
        assert_int_equal(f->statistics.failures, 2);
}

static void test_wrong_last_chunk(void **state) {
        Fixture *f = *state;

        f->content[SIZE - 1] ^= 1;
        replace_artifact(f, f->content, SIZE);
        fetch_file(f, f->depot, (CHUNKS - 1) * CHUNK);
        assert_int_equal(f->result, -EBADMSG);
}

static void test_wrong_size(void **state) {
        static const size_t sizes[] = { 1, CHUNK, SIZE - 1, SIZE + 1 };
        Fixture *f = *state;
        _cleanup_free_ uint8_t *larger = calloc(1, SIZE + 1);

        memcpy(larger, f->content, SIZE);
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                replace_artifact(f, larger, sizes[i]);
                fetch_file(f, f->depot, 0);
                assert_int_equal(f->result, -EBADMSG);
                assert_int_equal(f->error.fault, FAULT_HOST);
        }
        assert_non_null(strstr(f->error.message, "it has 6631482 bytes, but 6631481 in the release"));
}

static void test_missing(void **state) {
        Fixture *f = *state;

        assert_int_equal(file_remove_at(f->folder->fd, "artifact"), 0);
        fetch_file(f, f->depot, 0);
        assert_int_equal(f->result, -ENOENT);
        assert_int_equal(f->error.fault, FAULT_HOST);
        assert_non_null(strstr(f->error.message, "/artifact: the depot does not have this artifact"));
        assert_int_equal(f->statistics.requests, 1);
}

static void test_wrong_whole(void **state) {
        Fixture *f = *state;

        f->sha256[0] = f->sha256[0] == '0' ? '1' : '0';
        fetch_file(f, f->depot, SIZE);
        assert_int_equal(f->result, -EBADMSG);
        assert_int_equal(f->error.fault, FAULT_RELEASE);
}

/* Without the digest of the whole the chunks decide, all of them: also the last, which is smaller. */
static void test_chunks_alone(void **state) {
        Fixture *f = *state;

        f->artifact.sha256 = NULL;
        fetch_file(f, f->depot, SIZE);
        assert_int_equal(f->result, 0);
        f->digests[f->artifact.n_chunks - 1][0] ^= 1;
        fetch_file(f, f->depot, (f->artifact.n_chunks - 1) * CHUNK);
        assert_int_equal(f->result, -EBADMSG);
        assert_int_equal(f->error.fault, FAULT_HOST);
}

static void test_bad_artifacts(void **state) {
        Fixture *f = *state;
        FetchArtifact bad[] = {
                f->artifact, f->artifact, f->artifact, f->artifact, f->artifact, f->artifact
        };
        Error error = {};
        Fetch *fetch;

        bad[0].size = 0;
        bad[1].chunk_size = 0;
        bad[2].n_chunks--;
        bad[3].size = UINT64_MAX;
        bad[4].sha256 = "abc";
        bad[5].chunk_size = FETCH_CHUNK_SIZE_MAX + 1;
        bad[5].n_chunks = 1;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(
                        fetch_start(f->depot, "artifact", &bad[i], 1, NULL, on_done, f, &fetch, &error),
                        -EINVAL);
                assert_int_equal(error.fault, FAULT_RELEASE);
        }
        assert_int_equal(
                fetch_start(f->depot, "artifact", &f->artifact, -1, NULL, on_done, f, &fetch, &error),
                -EBADF);
}

static void test_cancel(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = memfd_create("out", MFD_CLOEXEC);

        for (int turns = 0; turns < 40; turns++) {
                Fetch *fetch;

                start(f, f->depot, fd, &fetch);
                for (int i = 0; i < turns && !f->finished; i++)
                        assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
                if (f->finished)
                        break;
                assert_null(fetch_free(fetch));
                f->last_progress = 0;
        }
        assert_true(sd_event_run(f->event, 1000) >= 0);
}

/* A depot that misbehaves as a test wants it to. */

typedef struct Fake Fake;

/* What becomes of a request: how many of its bytes are sent before it ends with *RET_RESULT. */
typedef uint64_t (*Fault)(Fake *fake, const DepotRequest *request, int *ret_result);

struct Fake {
        Depot depot;
        Fixture *fixture;
        Fault fault;
        const char *etag;
        unsigned requests;
        unsigned running, most_running;
        uint64_t sent;
        uint64_t size;     /* that it claims */
        uint64_t wrong_at; /* that byte is sent wrong ... */
        unsigned wrong_times;
        useconds_t pause;        /* before each piece */
        unsigned silent_request; /* the number of the one that never gets an answer */
};

typedef struct FakeWork {
        DepotOp *op;
        sd_event_source *turn;
        uint64_t done, end;
        int result;
} FakeWork;

static int on_fake_turn(_unused_ sd_event_source *source, void *userdata) {
        FakeWork *work = userdata;
        DepotOp *op = work->op;
        Fake *fake = op->depot->data;
        uint64_t offset = op->request.offset + work->done;
        uint8_t piece[20000];
        size_t n = (size_t) MIN((uint64_t) sizeof(piece), work->end - work->done);
        int r = 0;

        if (fake->pause > 0)
                (void) usleep(fake->pause);
        memcpy(piece, fake->fixture->content + offset, n);
        if (fake->wrong_times > 0 && offset <= fake->wrong_at && fake->wrong_at < offset + n) {
                piece[fake->wrong_at - offset] ^= 4;
                fake->wrong_times--;
        }
        op->reply.size = fake->size;
        if (n > 0)
                r = depot_op_deliver(op, piece, n);
        fake->sent += n;
        work->done += n;
        if (r == 0 && work->done < work->end)
                return 0;
        depot_op_finish(op, r < 0 ? r : work->result);
        return 0;
}

static void fake_cancel(DepotOp *op) {
        FakeWork *work = op->work;
        Fake *fake = op->depot->data;

        op->work = NULL;
        if (!work)
                return;
        fake->running--;
        sd_event_source_disable_unref(work->turn);
        free(work);
}

static int fake_start(DepotOp *op, _unused_ Error *error) {
        FakeWork *work = calloc(1, sizeof(*work));
        Fake *fake = op->depot->data;

        fake->requests++;
        fake->most_running = MAX(fake->most_running, ++fake->running);
        work->op = op;
        work->end = op->request.size;
        if (fake->fault)
                work->end = MIN(work->end, fake->fault(fake, &op->request, &work->result));
        op->work = work;
        if (fake->etag)
                assert_non_null(op->reply.etag = strdup(fake->etag));
        if (fake->etag && op->request.etag && strcmp(fake->etag, op->request.etag) != 0) {
                work->end = 0;
                op->reply.outcome = DEPOT_PRECONDITION_FAILED;
        }
        if (work->result < 0)
                error_set(&op->error, work->result, "injected");
        assert_true(sd_event_add_defer(fake->fixture->event, &work->turn, on_fake_turn, work) >= 0);
        assert_true(sd_event_source_set_enabled(work->turn, fake->requests == fake->silent_request
                                                                    ? SD_EVENT_OFF
                                                                    : SD_EVENT_ON) >= 0);
        return 0;
}

static const DepotKind kind_fake = { .scheme = "fake://", .start = fake_start, .cancel = fake_cancel };

static Fake fake_depot(Fixture *f, Fault fault) {
        return (Fake){
                .depot = { .kind = &kind_fake, .uri = (char *) "fake://depot", .event = f->event },
                .fixture = f,
                .fault = fault,
                .size = SIZE,
        };
}

static Depot *fake_open(Fake *fake) {
        fake->depot.data = fake;
        return &fake->depot;
}

/* Every transfer breaks at another place; each brings something. */
static uint64_t break_somewhere(Fake *fake, _unused_ const DepotRequest *request, int *ret_result) {
        *ret_result = fake->requests % 2 ? -ECONNRESET : -ECONNABORTED;
        return CHUNK + (fake->requests * 7919) % (2 * CHUNK);
}

static void test_breaks(void **state) {
        Fixture *f = *state;
        Fake fake = fake_depot(f, break_somewhere);

        fetch_all(f, fake_open(&fake));
        assert_true(f->statistics.failures > 50);
        assert_int_equal(f->statistics.requests, fake.requests);
        assert_true(f->statistics.received > SIZE);
        assert_int_equal(fake.running, 0);
}

static uint64_t refuse(_unused_ Fake *fake, _unused_ const DepotRequest *request, int *ret_result) {
        *ret_result = -EAGAIN;
        return 0;
}

static void test_gives_up(void **state) {
        Fixture *f = *state;
        Fake fake = fake_depot(f, refuse);
        uint64_t begin = clock_boottime(&clock_system);

        fetch_file(f, fake_open(&fake), 0);
        assert_int_equal(f->result, -EAGAIN);
        assert_int_equal(f->error.fault, FAULT_HOST);
        assert_string_equal(f->error.message, "failed 4 times: fake://depot/artifact: injected");
        assert_int_equal(fake.requests, 4);
        assert_true(clock_boottime(&clock_system) - begin >= (1 + 2 + 4) * USEC_PER_MSEC);
}

static uint64_t deny(_unused_ Fake *fake, _unused_ const DepotRequest *request, int *ret_result) {
        *ret_result = -EACCES;
        return 0;
}

static void test_does_not_insist(void **state) {
        Fixture *f = *state;
        Fake fake = fake_depot(f, deny);

        fetch_file(f, fake_open(&fake), 0);
        assert_int_equal(f->result, -EACCES);
        assert_int_equal(fake.requests, 1);
}

/* A transfer that brings something before it breaks, after two that bring nothing: never four in a row for
 * nothing. */
static uint64_t rarely(Fake *fake, _unused_ const DepotRequest *request, int *ret_result) {
        *ret_result = -ETIMEDOUT;
        return fake->requests % 3 == 0 ? 40 * CHUNK : 100;
}

static void test_progress_is_rewarded(void **state) {
        Fixture *f = *state;
        Fake fake = fake_depot(f, rarely);

        fetch_all(f, fake_open(&fake));
}

static void test_wrong_once(void **state) {
        Fixture *f = *state;
        Fake fake = fake_depot(f, NULL);

        fake.wrong_at = 5 * CHUNK + 100;
        fake.wrong_times = 1;
        fetch_all(f, fake_open(&fake));
        assert_int_equal(f->statistics.failures, 1);
}

static void test_wrong_twice(void **state) {
        Fixture *f = *state;
        Fake fake = fake_depot(f, NULL);

        fake.wrong_at = 5 * CHUNK + 100;
        fake.wrong_times = 2;
        fetch_file(f, fake_open(&fake), 5 * CHUNK);
        assert_int_equal(f->result, -EBADMSG);
}

static uint64_t replace_meanwhile(Fake *fake, _unused_ const DepotRequest *request, int *ret_result) {
        if (fake->requests == 2)
                fake->etag = "\"two\"";
        *ret_result = 0;
        return UINT64_MAX;
}

/* Written again with the same content: nothing is wrong with that. */
static void test_replaced(void **state) {
        Fixture *f = *state;
        Fake fake = fake_depot(f, replace_meanwhile);

        fake.etag = "\"one\"";
        fetch_all(f, fake_open(&fake));
        assert_true(f->statistics.failures >= 1);
}

static char changing_etag[8];

static uint64_t replace_always(Fake *fake, _unused_ const DepotRequest *request, int *ret_result) {
        (void) snprintf(changing_etag, sizeof(changing_etag), "%u", fake->requests);
        fake->etag = changing_etag;
        *ret_result = -ECONNRESET;
        return 10;
}

static void test_replaced_always(void **state) {
        Fixture *f = *state;
        Fake fake = fake_depot(f, replace_always);

        fetch_file(f, fake_open(&fake), 0);
        assert_true(f->result < 0);
}

/* A connection that says nothing any more, where others had been fast, is given up: else this would not end. */
static void test_straggler(void **state) {
        Fixture *f = *state;
        Fake fake = fake_depot(f, NULL);

        fake.silent_request = 3;
        fake.pause = 300;
        fetch_all(f, fake_open(&fake));
        assert_true(f->statistics.failures > 0); /* on a machine that is busy others may seem slow, too */
}

/* However slow the reader, what is held has its limit. */
static void test_memory_is_bounded(void **state) {
        Fixture *f = *state;
        Fake fake = fake_depot(f, NULL);
        int fds[2];
        Fetch *fetch;

        /* The artifact has to be larger than the limit: the same chunk many times. */
        f->artifact.chunk_size = CHUNK;
        f->artifact.n_chunks = FETCH_CHUNKS_MAX;
        f->artifact.size = (uint64_t) CHUNK * FETCH_CHUNKS_MAX;
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        free(f->content);
        f->content = calloc(FETCH_CHUNKS_MAX, CHUNK);
        free(f->digests);
        f->digests = calloc(FETCH_CHUNKS_MAX, DIGEST_SIZE);
        digest_sha256(f->content, CHUNK, f->digests[0]);
        for (size_t i = 1; i < FETCH_CHUNKS_MAX; i++)
                memcpy(f->digests[i], f->digests[0], DIGEST_SIZE);
        f->artifact.chunks = (const uint8_t(*)[DIGEST_SIZE]) f->digests;
        fake.size = f->artifact.size;
        assert_int_equal(fetch_start(fake_open(&fake), "artifact", &f->artifact, fds[1], NULL, on_done, f,
                                     &fetch, NULL),
                         0);
        while (sd_event_run(f->event, 20000) > 0) /* until nothing happens any more */
                ;
        assert_false(f->finished);
        assert_true(fake.sent > FETCH_MEMORY_MAX / 2);
        assert_true(fake.sent <= FETCH_MEMORY_MAX + (2U << 20)); /* and what the pipe holds */
        assert_int_equal(fake.running, 0);
        fetch_free(fetch);
        close_fd(fds[0]);
        close_fd(fds[1]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_into_file),
                TEST(test_from_descriptor),
                TEST(test_from_descriptor_wrong),
                TEST(test_into_pipe),
                TEST(test_reader_gone),
                TEST(test_wrong_chunk),
                TEST(test_wrong_last_chunk),
                TEST(test_wrong_size),
                TEST(test_missing),
                TEST(test_wrong_whole),
                TEST(test_chunks_alone),
                TEST(test_bad_artifacts),
                TEST(test_cancel),
                TEST(test_breaks),
                TEST(test_gives_up),
                TEST(test_does_not_insist),
                TEST(test_progress_is_rewarded),
                TEST(test_wrong_once),
                TEST(test_wrong_twice),
                TEST(test_replaced),
                TEST(test_replaced_always),
                TEST(test_straggler),
                TEST(test_memory_is_bounded),
        };

        (void) signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
