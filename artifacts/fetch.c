#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/hex.h"
#include "agent/base/strv.h"
#include "artifacts/chunk_window.h"
#include "artifacts/depot_descriptor.h"
#include "artifacts/fetch.h"
#include "artifacts/fetch_pace.h"

/* Everything is decided in one place, pump(), which runs in a turn of the event loop of its own after something has
 * happened: it writes, asks for more, and ends the fetch. The callbacks of the depot only take in what came. */

#define WRITE_TURN (8U << 20) /* bytes written in one turn of the event loop */
#define FETCH_PIPE_SIZE (1 << 20)

typedef struct Stream {
        Fetch *fetch;
        DepotOp *op; /* NULL: not in use */
        ChunkRange range;
        uint64_t asked; /* when, boot time */
        bool receiving; /* the first byte has come */
        bool is_wrong;  /* the chunk that was completed last has another digest */
} Stream;

struct Fetch {
        sd_event *event;
        Depot *depot;
        Depot *own_depot; /* of fetch_from_fd_start() */
        char *key;
        char *uri;
        char *etag; /* of the first answer that has one */
        uint64_t size;
        uint8_t sha256[DIGEST_SIZE];
        ChunkWindow *window;
        DigestContext *digest; /* of all that has been written */
        bool *was_wrong;       /* by chunk: one wrong digest is forgiven */
        Stream streams[FETCH_STREAMS_MAX];
        FetchPace pace;

        int fd;
        size_t head_written; /* bytes of the first chunk in the window */
        sd_event_source *turn;
        sd_event_source *writable; /* NULL until the reader was slower than we */
        bool is_blocked;           /* it has not read what the descriptor holds */

        unsigned failures_max;
        uint64_t backoff_first;
        unsigned failures;   /* in a row */
        uint64_t not_before; /* boot time of the next request */
        sd_event_source *backoff;

        int result; /* negative: it has failed, and pump() ends it */
        Error error;
        FetchStatistics statistics;
        FetchProgress progress;
        FetchDone done;
        void *userdata;
};

static uint64_t now_of(_unused_ const Fetch *fetch) {
        return clock_boottime(&clock_system);
}

static void arm(Fetch *fetch) {
        if (sd_event_source_set_enabled(fetch->turn, SD_EVENT_ONESHOT) < 0)
                fetch->result = -ENOMEM;
}

/* The fetch ends with this; the first reason stands. */
static void fail_with(Fetch *fetch, int r, const Error *error) {
        if (fetch->result == 0) {
                fetch->result = r;
                fetch->error = *error;
        }
        arm(fetch);
}

static void fail_release(Fetch *fetch, int r, const char *what) {
        Error error;

        error_set_fault(&error, r, FAULT_RELEASE, "%s: %s", fetch->uri, what);
        fail_with(fetch, r, &error);
}

/* Failures that another attempt may not meet: of the connection, or of a service that is busy. */
static bool is_passing(int r) {
        static const int passing[] = { EAGAIN,    EBUSY,        ECONNABORTED, ECONNREFUSED, ECONNRESET,
                                       EHOSTDOWN, EHOSTUNREACH, ENETUNREACH,  ENETDOWN,     ETIMEDOUT,
                                       EPROTO,    EREMOTEIO,    EBADMSG };

        for (size_t i = 0; i < ELEMENTSOF(passing); i++)
                if (r == -passing[i])
                        return true;
        return false;
}

static int on_backoff(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Fetch *fetch = userdata;

        fetch->backoff = sd_event_source_disable_unref(fetch->backoff);
        arm(fetch);
        return 0;
}

/* Half of it fixed, half of it random, so that a fleet does not come back in step. */
static uint64_t next_backoff(const Fetch *fetch) {
        uint64_t whole = fetch->backoff_first;
        uint32_t random = 0;

        for (unsigned i = 1; i < fetch->failures && whole < FETCH_BACKOFF_MAX; i++)
                whole *= 2;
        whole = MIN(whole, FETCH_BACKOFF_MAX);
        if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
                random = 0;
        return whole / 2 + random % (whole / 2 + 1);
}

/* A transfer broke. Those that break while a pause is on belong to the same failure. */
static void note_failure(Fetch *fetch, int r, const Error *error) {
        uint64_t now = now_of(fetch);

        fetch->statistics.failures++;
        if (now < fetch->not_before)
                return;
        if (++fetch->failures >= fetch->failures_max || !is_passing(r)) {
                fail_with(fetch, r, error);
                if (fetch->failures > 1)
                        error_prefix(&fetch->error, "failed %u times", fetch->failures);
                return;
        }
        fetch->not_before = now + next_backoff(fetch);
        fetch->backoff = sd_event_source_disable_unref(fetch->backoff);
        r = sd_event_add_time(fetch->event, &fetch->backoff, CLOCK_BOOTTIME, fetch->not_before, 1, on_backoff,
                              fetch);
        if (r < 0)
                fail_with(fetch, r, error);
}

/* What is known of the value before its first byte is looked at. */
static int check_reply(Fetch *fetch, const DepotReply *reply) {
        if (!fetch->etag && reply->etag && string_set(&fetch->etag, reply->etag) < 0)
                return -ENOMEM;
        if (reply->size != fetch->size) {
                char what[128];

                (void) snprintf(what, sizeof(what), "it has %ju bytes, but %ju in the release",
                                (uintmax_t) reply->size, (uintmax_t) fetch->size);
                fail_release(fetch, -EBADMSG, what);
                return -EBADMSG;
        }
        return 0;
}

static unsigned count_receiving(const Fetch *fetch) {
        unsigned n = 0;

        for (size_t i = 0; i < FETCH_STREAMS_MAX; i++)
                n += fetch->streams[i].op && fetch->streams[i].receiving;
        return n;
}

static int begin_receiving(Stream *stream) {
        Fetch *fetch = stream->fetch;

        stream->receiving = true;
        fetch_pace_first_byte(&fetch->pace, now_of(fetch) - stream->asked);
        fetch->statistics.streams_max = MAX(fetch->statistics.streams_max, count_receiving(fetch));
        return check_reply(fetch, depot_op_reply(stream->op));
}

static uint64_t remaining(const Fetch *fetch) {
        uint64_t bytes = chunk_window_wanted(fetch->window);

        for (size_t i = 0; i < FETCH_STREAMS_MAX; i++)
                if (fetch->streams[i].op)
                        bytes += chunk_range_length(fetch->window, &fetch->streams[i].range);
        return bytes;
}

static int on_bytes(_unused_ DepotOp *op, const void *data, size_t size, void *userdata) {
        Stream *stream = userdata;
        Fetch *fetch = stream->fetch;
        size_t chunk = stream->range.next;
        int r;

        if (!stream->receiving) {
                r = begin_receiving(stream);
                if (r < 0)
                        return r;
        }
        fetch->statistics.received += size;
        fetch_pace_received(&fetch->pace, size);
        r = chunk_window_receive(fetch->window, &stream->range, data, size);
        stream->is_wrong = r == -EBADMSG;
        if (stream->range.next > chunk)
                fetch->failures = 0;
        arm(fetch);
        return r;
}

static void note_wrong_chunk(Fetch *fetch, size_t chunk) {
        char what[128];

        fetch->statistics.failures++;
        if (!fetch->was_wrong[chunk]) {
                fetch->was_wrong[chunk] = true;
                return;
        }
        (void) snprintf(what, sizeof(what),
                        "chunk %zu (at byte %ju) is not what the release says: its SHA-256 differs", chunk,
                        (uintmax_t) chunk_range_offset(fetch->window, &(ChunkRange){ .next = chunk }));
        fail_release(fetch, -EBADMSG, what);
}

/* The answer was complete, but was it the bytes that were asked for? */
static void take_outcome(Stream *stream, const DepotReply *reply) {
        Fetch *fetch = stream->fetch;
        Error error;

        switch (reply->outcome) {
        case DEPOT_OK:
                return;
        case DEPOT_NOT_FOUND:
                fail_release(fetch, -ENOENT, "the depot does not have this artifact");
                return;
        case DEPOT_PRECONDITION_FAILED: /* replaced meanwhile, perhaps by the same content */
                free(TAKE_PTR(fetch->etag));
                error_set_fault(&error, -EBUSY, FAULT_RELEASE, "%s: it is being replaced again and again",
                                fetch->uri);
                note_failure(fetch, -EBUSY, &error);
                return;
        case DEPOT_NOT_MODIFIED:
                break;
        }
        fail_release(fetch, -EBADMSG, "the depot gave a strange answer");
}

static void on_range_done(DepotOp *op, int result, const Error *error, void *userdata) {
        Stream *stream = userdata;
        Fetch *fetch = stream->fetch;

        if (stream->is_wrong)
                note_wrong_chunk(fetch, stream->range.next);
        else if (result == -ERANGE)
                fail_release(fetch, -EBADMSG, "it is shorter than the release says");
        else if (result < 0)
                note_failure(fetch, result, error);
        else
                take_outcome(stream, depot_op_reply(op));
        stream->op = depot_op_free(op);
        chunk_window_release(fetch->window, &stream->range);
        arm(fetch);
}

static int on_writable(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t events,
                       void *userdata) {
        Fetch *fetch = userdata;

        fetch->is_blocked = false;
        arm(fetch);
        return 0;
}

static int wait_writable(Fetch *fetch) {
        int r;

        fetch->is_blocked = true;
        if (fetch->writable)
                r = sd_event_source_set_enabled(fetch->writable, SD_EVENT_ONESHOT);
        else {
                r = sd_event_add_io(fetch->event, &fetch->writable, fetch->fd, EPOLLOUT, on_writable, fetch);
                if (r >= 0)
                        r = sd_event_source_set_enabled(fetch->writable, SD_EVENT_ONESHOT);
        }
        return r < 0 ? error_set_errno(&fetch->error, r, "cannot wait for the reader of %s", fetch->uri) : 0;
}

/* The first chunk has been written whole. */
static int leave_chunk(Fetch *fetch, const uint8_t *data, size_t size) {
        if (digest_update(fetch->digest, data, size) < 0)
                return error_oom(&fetch->error);
        chunk_window_consume(fetch->window);
        fetch->head_written = 0;
        fetch->statistics.written += size;
        if (fetch->progress)
                fetch->progress(fetch, fetch->statistics.written, fetch->size, fetch->userdata);
        return 0;
}

/* Writes what is verified and in order, as far as the reader takes it. */
static int write_out(Fetch *fetch) {
        const uint8_t *data;
        size_t size, budget = WRITE_TURN;

        while (!fetch->is_blocked && chunk_window_peek(fetch->window, &data, &size)) {
                ssize_t n;
                int r = 0;

                n = write(fetch->fd, data + fetch->head_written, size - fetch->head_written);
                if (n < 0 && errno == EAGAIN)
                        r = wait_writable(fetch);
                else if (n < 0 && errno == EPIPE)
                        r = error_set_fault(&fetch->error, -EPIPE, FAULT_UNKNOWN,
                                            "%s: its reader has stopped reading", fetch->uri);
                else if (n < 0 && errno != EINTR)
                        r = error_set_errno(&fetch->error, -errno, "%s: cannot write what was fetched",
                                            fetch->uri);
                else if (n > 0)
                        fetch->head_written += (size_t) n;
                if (r >= 0 && fetch->head_written == size)
                        r = leave_chunk(fetch, data, size);
                if (r < 0)
                        return r;
                if (n > 0 && (size_t) n >= budget) { /* others on the loop have their turn too */
                        arm(fetch);
                        return 0;
                }
                budget -= n > 0 ? (size_t) n : 0;
        }
        return 0;
}

/* Streams at work, without those whose successors must be asked for already. */
static unsigned count_lasting(const Fetch *fetch) {
        unsigned n = 0;

        for (size_t i = 0; i < FETCH_STREAMS_MAX; i++) {
                const Stream *stream = &fetch->streams[i];

                if (stream->op &&
                    !(stream->receiving &&
                      fetch_pace_is_ending(&fetch->pace, chunk_range_length(fetch->window, &stream->range))))
                        n++;
        }
        return n;
}

static Stream *find_idle(Fetch *fetch) {
        for (size_t i = 0; i < FETCH_STREAMS_MAX; i++)
                if (!fetch->streams[i].op)
                        return &fetch->streams[i];
        return NULL;
}

/* 1 if another range was asked for, 0 if there is none to ask for. */
static int start_stream(Fetch *fetch) {
        Stream *stream = find_idle(fetch);
        uint64_t wanted = chunk_window_wanted(fetch->window);
        ChunkRange range;
        int r;

        if (!stream || !chunk_window_assign(fetch->window, fetch_pace_piece(&fetch->pace, wanted), &range))
                return 0;
        *stream = (Stream){ .fetch = fetch, .range = range, .asked = now_of(fetch) };
        r = depot_get_range_start(fetch->depot, fetch->key, chunk_range_offset(fetch->window, &range),
                                  (size_t) chunk_range_length(fetch->window, &range), fetch->etag, on_bytes,
                                  on_range_done, stream, &stream->op, &fetch->error);
        if (r < 0) {
                chunk_window_release(fetch->window, &stream->range);
                return r;
        }
        fetch->statistics.requests++;
        return 1;
}

static int start_streams(Fetch *fetch) {
        int r = 1;

        fetch_pace_update(&fetch->pace, now_of(fetch), count_receiving(fetch), remaining(fetch));
        if (now_of(fetch) < fetch->not_before)
                return 0;
        while (r > 0 && count_lasting(fetch) < fetch->pace.streams)
                r = start_stream(fetch);
        return MIN(r, 0);
}

static int check_whole(Fetch *fetch) {
        uint8_t digest[DIGEST_SIZE];

        if (digest_final(fetch->digest, digest) < 0)
                return error_oom(&fetch->error);
        if (memcmp(digest, fetch->sha256, sizeof(digest)) == 0)
                return 0;
        return error_set_fault(
                &fetch->error, -EBADMSG, FAULT_RELEASE,
                "%s: every chunk is what the release says, but the SHA-256 of the whole is not", fetch->uri);
}

static void stop(Fetch *fetch) {
        for (size_t i = 0; i < FETCH_STREAMS_MAX; i++) {
                fetch->streams[i].op = depot_op_free(fetch->streams[i].op);
                if (fetch->window)
                        chunk_window_release(fetch->window, &fetch->streams[i].range);
        }
        fetch->backoff = sd_event_source_disable_unref(fetch->backoff);
        fetch->writable = sd_event_source_disable_unref(fetch->writable);
        fetch->turn = sd_event_source_disable_unref(fetch->turn);
        fetch->window = chunk_window_free(fetch->window);
        fetch->fd = close_fd(fetch->fd);
}

static int pump(_unused_ sd_event_source *source, void *userdata) {
        Fetch *fetch = userdata;
        bool finished;
        int r = fetch->result;

        if (r == 0)
                r = write_out(fetch);
        finished = r == 0 && chunk_window_finished(fetch->window);
        if (finished)
                r = check_whole(fetch);
        else if (r == 0)
                r = start_streams(fetch);
        if (r == 0 && !finished)
                return 0;
        stop(fetch);
        fetch->done(fetch, r, &fetch->error, fetch->userdata);
        return 0;
}

static int check_artifact(const FetchArtifact *artifact, const char *uri, Error *error) {
        if (artifact->size == 0 || artifact->chunk_size == 0 || artifact->chunk_size > FETCH_CHUNK_SIZE_MAX ||
            artifact->n_chunks == 0 || artifact->n_chunks > FETCH_CHUNKS_MAX ||
            (artifact->size - 1) / artifact->chunk_size + 1 != artifact->n_chunks)
                return error_set_fault(error, -EINVAL, FAULT_RELEASE,
                                       "%s: %zu chunks of %ju bytes do not make an artifact of %ju bytes",
                                       uri, artifact->n_chunks, (uintmax_t) artifact->chunk_size,
                                       (uintmax_t) artifact->size);
        return 0;
}

static int set_output(Fetch *fetch, int fd, Error *error) {
        struct stat st;
        int flags;

        fetch->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (fetch->fd < 0 || fstat(fetch->fd, &st) < 0)
                return error_set_errno(error, -errno, "cannot use the descriptor for %s", fetch->uri);
        if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
                return 0;
        flags = fcntl(fetch->fd, F_GETFL);
        if (flags < 0 || fcntl(fetch->fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return error_set_errno(error, -errno, "cannot make the descriptor for %s non-blocking",
                                       fetch->uri);
        /* Fewer turns of both sides; where it is not allowed the pipe stays as it is. */
        (void) fcntl(fetch->fd, F_SETPIPE_SZ, FETCH_PIPE_SIZE);
        return 0;
}

static int set_artifact(Fetch *fetch, const FetchArtifact *artifact, Error *error) {
        int r;

        r = check_artifact(artifact, fetch->uri, error);
        if (r < 0)
                return r;
        if (hex_decode(artifact->sha256, fetch->sha256, DIGEST_SIZE) < 0)
                return error_set_fault(error, -EINVAL, FAULT_RELEASE,
                                       "%s: its SHA-256 is not 64 hexadecimal digits", fetch->uri);
        fetch->size = artifact->size;
        fetch->was_wrong = calloc(artifact->n_chunks, sizeof(*fetch->was_wrong));
        r = chunk_window_new(artifact->size, (size_t) artifact->chunk_size, artifact->chunks,
                             FETCH_MEMORY_MAX, &fetch->window);
        return r < 0 || !fetch->was_wrong || digest_new(&fetch->digest) < 0 ? error_oom(error) : 0;
}

int fetch_start(Depot *depot, const char *key, const FetchArtifact *artifact, int fd, FetchProgress progress,
                FetchDone done, void *userdata, Fetch **ret, Error *error) {
        _cleanup_(fetch_freep) Fetch *fetch = NULL;
        int r;

        fetch = calloc(1, sizeof(*fetch));
        if (!fetch)
                return error_oom(error);
        fetch->fd = -1;
        fetch_set_patience(fetch, FETCH_FAILURES_MAX, FETCH_BACKOFF_FIRST);
        fetch->depot = depot;
        fetch->event = sd_event_ref(depot_event(depot));
        fetch->progress = progress;
        fetch->done = done;
        fetch->userdata = userdata;
        fetch_pace_init(&fetch->pace);
        fetch->key = strdup(key);
        if (!fetch->key || depot_key_uri(depot, key, &fetch->uri) < 0)
                return error_oom(error);
        r = set_artifact(fetch, artifact, error);
        if (r >= 0)
                r = set_output(fetch, fd, error);
        if (r < 0)
                return r;
        r = sd_event_add_defer(fetch->event, &fetch->turn, pump, fetch);
        if (r < 0)
                return error_set_errno(error, r, "%s: cannot add to the event loop", fetch->uri);
        *ret = TAKE_PTR(fetch);
        return 0;
}

int fetch_from_fd_start(sd_event *event, int source, const char *name, const FetchArtifact *artifact, int fd,
                        FetchProgress progress, FetchDone done, void *userdata, Fetch **ret, Error *error) {
        _cleanup_(depot_freep) Depot *depot = NULL;
        int r;

        r = depot_open_descriptor(event, source, name, &depot, error);
        if (r < 0)
                return r;
        r = fetch_start(depot, "content", artifact, fd, progress, done, userdata, ret, error);
        if (r < 0)
                return r;
        (*ret)->own_depot = TAKE_PTR(depot);
        return 0;
}

void fetch_set_patience(Fetch *fetch, unsigned failures_max, uint64_t backoff_first) {
        fetch->failures_max = failures_max;
        fetch->backoff_first = backoff_first;
}

FetchStatistics fetch_statistics(const Fetch *fetch) {
        return fetch->statistics;
}

Fetch *fetch_free(Fetch *fetch) {
        if (!fetch)
                return NULL;
        stop(fetch);
        digest_free(fetch->digest);
        depot_free(fetch->own_depot);
        sd_event_unref(fetch->event);
        free(fetch->was_wrong);
        free(fetch->etag);
        free(fetch->key);
        free(fetch->uri);
        free(fetch);
        return NULL;
}
