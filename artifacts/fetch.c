#include <string.h>
#include <time.h>

#include "agent/base/clock.h"
#include "agent/base/hex.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "artifacts/chunk_window.h"
#include "artifacts/depot_descriptor.h"
#include "artifacts/fetch.h"
#include "artifacts/fetch_output.h"
#include "artifacts/fetch_pace.h"
#include "artifacts/fetch_retry.h"

/* Everything is decided in one place, pump(), which runs in a turn of the event loop of its own after
 * something has happened: it writes, asks for more, and ends the fetch. The callbacks of the depot only take
 * in what came. */

#define WRITE_TURN (8U << 20) /* bytes written in one turn of the event loop */
#define WATCH_INTERVAL (500 * USEC_PER_MSEC)

typedef struct Stream {
        Fetch *fetch;
        DepotOp *op; /* NULL: not in use */
        ChunkRange range;
        uint64_t length; /* of the range when it was asked for */
        uint64_t asked;  /* when, boot time */
        bool receiving;  /* the first byte has come */
        bool is_wrong;   /* the chunk that was completed last has another digest */
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
        DigestContext *digest; /* of all that has been written, if somebody wants to know */
        bool *was_wrong;       /* by chunk: one wrong digest is forgiven */
        Stream streams[FETCH_STREAMS_MAX];
        FetchPace pace;

        FetchRetry retry;
        FetchOutput *output;
        size_t head_written; /* bytes of the first chunk in the window */
        sd_event_source *turn;
        sd_event_source *backoff;
        sd_event_source *watch; /* for stragglers, now and then */
        unsigned cut;           /* stragglers, since a chunk was written */

        int result; /* negative: it has failed, and pump() ends it */
        Error error;
        FetchStatistics statistics;
        FetchProgress progress;
        FetchDone done;
        void *userdata;
};

static uint64_t boottime(void) {
        return clock_boottime(&clock_system);
}

static uint64_t cpu_time(void) {
        struct timespec ts;

        if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) < 0)
                return 0;
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
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

/* What lies in the depot is not what was signed. That is put right there, and not with another release: nothing is held
 * against this one. */
static void fail_depot(Fetch *fetch, int r, const char *what) {
        Error error;

        error_set_fault(&error, r, FAULT_HOST, "%s: %s", fetch->uri, what);
        fail_with(fetch, r, &error);
}

static int on_backoff(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Fetch *fetch = userdata;

        fetch->backoff = sd_event_source_disable_unref(fetch->backoff);
        arm(fetch);
        return 0;
}

static void fail_for_good(Fetch *fetch, int r, const Error *error) {
        fail_with(fetch, r, error);
        if (fetch->retry.failures > 1)
                error_prefix(&fetch->error, "failed %u times", fetch->retry.failures);
}

static void note_failure(Fetch *fetch, int r, const Error *error) {
        fetch->statistics.failures++;
        if (!fetch_retry_is_of_use(r)) {
                fail_with(fetch, r, error);
                return;
        }
        if (!fetch_retry_failed(&fetch->retry, boottime(), (uint32_t) random_u64())) {
                fail_for_good(fetch, r, error);
                return;
        }
        fetch->backoff = sd_event_source_disable_unref(fetch->backoff);
        r = sd_event_add_time(fetch->event, &fetch->backoff, CLOCK_BOOTTIME, fetch->retry.not_before,
                              TIMER_ACCURACY_EXACT, on_backoff, fetch);
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
                fail_depot(fetch, -EBADMSG, what);
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
        fetch_pace_first_byte(&fetch->pace, boottime() - stream->asked);
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
                fetch_retry_progress(&fetch->retry);
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
        fail_depot(fetch, -EBADMSG, what);
}

/* The answer was complete, but was it the bytes that were asked for? */
static void take_outcome(Stream *stream, const DepotReply *reply) {
        Fetch *fetch = stream->fetch;
        Error error;

        switch (reply->outcome) {
        case DEPOT_OK:
                return;
        case DEPOT_NOT_FOUND:
                fail_depot(fetch, -ENOENT, "the depot does not have this artifact");
                return;
        case DEPOT_PRECONDITION_FAILED: /* replaced meanwhile, perhaps by the same content */
                free(TAKE_PTR(fetch->etag));
                error_set_fault(&error, -EBUSY, FAULT_HOST, "%s: it is being replaced again and again",
                                fetch->uri);
                note_failure(fetch, -EBUSY, &error);
                return;
        case DEPOT_NOT_MODIFIED:
                break;
        }
        fail_depot(fetch, -EBADMSG, "the depot gave a strange answer");
}

static void on_range_done(DepotOp *op, int result, const Error *error, void *userdata) {
        Stream *stream = userdata;
        Fetch *fetch = stream->fetch;

        if (stream->is_wrong)
                note_wrong_chunk(fetch, stream->range.next);
        else if (result == -ERANGE)
                fail_depot(fetch, -EBADMSG, "it is shorter than the release says");
        else if (result < 0)
                note_failure(fetch, result, error);
        else
                take_outcome(stream, depot_op_reply(op));
        stream->op = depot_op_free(op);
        chunk_window_release(fetch->window, &stream->range);
        arm(fetch);
}

/* The first chunk has been written whole. */
static int leave_chunk(Fetch *fetch, const uint8_t *data, size_t size) {
        if (fetch->digest && digest_update(fetch->digest, data, size) < 0)
                return error_oom(&fetch->error);
        chunk_window_consume(fetch->window);
        fetch->head_written = 0;
        fetch->cut = 0;
        fetch->statistics.written += size;
        if (fetch->progress)
                fetch->progress(fetch, fetch->statistics.written, fetch->size, fetch->userdata);
        return 0;
}

/* Writes what is verified and in order, as far as the reader takes it. */
static int write_out(Fetch *fetch) {
        const uint8_t *data;
        size_t size, budget = WRITE_TURN;

        while (!fetch_output_is_blocked(fetch->output) && chunk_window_peek(fetch->window, &data, &size)) {
                ssize_t n;
                int r;

                n = fetch_output_write(fetch->output, data + fetch->head_written, size - fetch->head_written);
                if (n == -EPIPE)
                        return error_set_fault(&fetch->error, -EPIPE, FAULT_UNKNOWN,
                                               "%s: its reader has stopped reading", fetch->uri);
                if (n < 0)
                        return error_set_errno(&fetch->error, (int) n, "%s: cannot write what was fetched",
                                               fetch->uri);
                fetch->head_written += (size_t) n;
                if (fetch->head_written == size) {
                        r = leave_chunk(fetch, data, size);
                        if (r < 0)
                                return r;
                }
                if ((size_t) n >= budget) { /* others on the loop have their turn too */
                        arm(fetch);
                        return 0;
                }
                budget -= (size_t) n;
        }
        /* Also an unpacker that is only being started: until it reads, what one connection brings is enough for it. */
        if (fetch_output_is_blocked(fetch->output))
                fetch_pace_held_up(&fetch->pace);
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
        *stream = (Stream){
                .fetch = fetch,
                .range = range,
                .length = chunk_range_length(fetch->window, &range),
                .asked = boottime(),
        };
        r = depot_get_range_start(fetch->depot, fetch->key, chunk_range_offset(fetch->window, &range),
                                  (size_t) stream->length, fetch->etag, on_bytes, on_range_done, stream,
                                  &stream->op, &fetch->error);
        if (r < 0) {
                chunk_window_release(fetch->window, &stream->range);
                return r;
        }
        fetch->statistics.requests++;
        return 1;
}

static int start_streams(Fetch *fetch) {
        int r = 1;

        fetch_pace_update(&fetch->pace, boottime(), cpu_time(), count_receiving(fetch), remaining(fetch));
        if (boottime() < fetch->retry.not_before)
                return 0;
        while (r > 0 && count_lasting(fetch) < fetch->pace.streams)
                r = start_stream(fetch);
        return MIN(r, 0);
}

/* A stream that crawls holds all others up, since chunks are written in order: another one takes over. */
static void cut_if_straggling(Fetch *fetch, Stream *stream) {
        uint64_t left = chunk_range_length(fetch->window, &stream->range);

        if (!fetch_pace_is_straggling(&fetch->pace, boottime() - stream->asked, stream->length - left, left,
                                      fetch->cut))
                return;
        stream->op = depot_op_free(stream->op);
        chunk_window_release(fetch->window, &stream->range);
        fetch->cut++;
        fetch->statistics.failures++;
        arm(fetch);
}

static int on_watch(sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Fetch *fetch = userdata;
        int r;

        for (size_t i = 0; i < FETCH_STREAMS_MAX; i++)
                if (fetch->streams[i].op)
                        cut_if_straggling(fetch, &fetch->streams[i]);
        r = sd_event_source_set_time_relative(source, WATCH_INTERVAL);
        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int check_whole(Fetch *fetch) {
        uint8_t digest[DIGEST_SIZE];

        if (!fetch->digest)
                return 0;
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
        fetch->watch = sd_event_source_disable_unref(fetch->watch);
        fetch->turn = sd_event_source_disable_unref(fetch->turn);
        fetch->window = chunk_window_free(fetch->window);
        fetch->output = fetch_output_free(fetch->output);
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

static int expect_whole(Fetch *fetch, const char *sha256, Error *error) {
        if (hex_decode(sha256, fetch->sha256, DIGEST_SIZE) < 0)
                return error_set_fault(error, -EINVAL, FAULT_RELEASE,
                                       "%s: its SHA-256 is not 64 hexadecimal digits", fetch->uri);
        return digest_new(&fetch->digest) < 0 ? error_oom(error) : 0;
}

static int set_artifact(Fetch *fetch, const FetchArtifact *artifact, Error *error) {
        int r;

        r = check_artifact(artifact, fetch->uri, error);
        if (r < 0)
                return r;
        if (artifact->sha256) {
                r = expect_whole(fetch, artifact->sha256, error);
                if (r < 0)
                        return r;
        }
        fetch->size = artifact->size;
        fetch->was_wrong = calloc(artifact->n_chunks, sizeof(*fetch->was_wrong));
        r = chunk_window_new(artifact->size, (size_t) artifact->chunk_size, artifact->chunks,
                             FETCH_MEMORY_MAX, &fetch->window);
        return r < 0 || !fetch->was_wrong ? error_oom(error) : 0;
}

static void on_output_ready(void *userdata) {
        arm(userdata);
}

int fetch_start(Depot *depot, const char *key, const FetchArtifact *artifact, int fd, FetchProgress progress,
                FetchDone done, void *userdata, Fetch **ret, Error *error) {
        _cleanup_(fetch_freep) Fetch *fetch = NULL;
        int r;

        fetch = calloc(1, sizeof(*fetch));
        if (!fetch)
                return error_oom(error);
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
                r = fetch_output_new(fetch->event, fd, on_output_ready, fetch, &fetch->output, error);
        if (r < 0)
                return r;
        r = sd_event_add_defer(fetch->event, &fetch->turn, pump, fetch);
        if (r >= 0)
                r = sd_event_add_time_relative(fetch->event, &fetch->watch, CLOCK_BOOTTIME, WATCH_INTERVAL,
                                               TIMER_ACCURACY_EXACT, on_watch, fetch);
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
        fetch_retry_init(&fetch->retry, failures_max, backoff_first);
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
