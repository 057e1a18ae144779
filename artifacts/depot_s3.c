#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/hex.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/net/digest.h"
#include "agent/net/s3.h"
#include "artifacts/depot_s3.h"

#define HASH_STEP ((size_t) 1 << 20)        /* bytes hashed in one turn of the event loop */
#define CONFLICT_PAUSE (50 * USEC_PER_MSEC) /* before the first repetition, doubled for each further one */

typedef struct S3Depot {
        AwsContext *aws;
        char *bucket;
        char *prefix; /* "" or ends with a slash */
} S3Depot;

typedef struct S3Work {
        DepotOp *op;
        char *key; /* of the object; list: the prefix */
        S3Request *request;
        sd_event_source *timer;
        DigestContext *digest; /* put from a file: of what has been read */
        char sha256[DIGEST_HEX_SIZE];
        uint64_t hashed, compared;
        unsigned conflicts;
        bool is_explained; /* op->error says why the sink refused */
        bool differs;      /* what was read back is not what was to be written */
        int put_result;    /* while reading back: what the put ended with */
        Error put_error;
} S3Work;

static const S3Depot *depot_of(const S3Work *work) {
        return work->op->depot->data;
}

static S3Work *work_free(S3Work *work) {
        if (!work)
                return NULL;
        s3_request_free(work->request);
        sd_event_source_disable_unref(work->timer);
        digest_free(work->digest);
        free(work->key);
        free(work);
        return NULL;
}
DEFINE_CLEANUP(S3Work *, work_free)

static void finish(S3Work *work, int result, const Error *error) {
        if (result < 0 && error)
                work->op->error = *error;
        depot_op_finish(work->op, result);
}

static void finish_oom(S3Work *work) {
        Error error;

        finish(work, error_oom(&error), &error);
}

static void finish_with(S3Work *work, DepotOutcome outcome) {
        work->op->reply.outcome = outcome;
        finish(work, 0, NULL);
}

/* What no operation expects of S3. */
static void finish_strange(S3Work *work, int outcome) {
        Error error;

        error_set_fault(&error, -EBADMSG, FAULT_HOST,
                        "%s/%s: S3 gave an answer that does not fit the request (%d)", work->op->depot->uri,
                        work->op->request.key, outcome);
        finish(work, -EBADMSG, &error);
}

/* Keeps what every answer brings. */
static int take_reply(S3Work *work) {
        S3Reply reply = s3_request_reply(work->request);

        work->op->reply.server_time = reply.server_time;
        work->op->reply.size = reply.size;
        return reply.etag ? string_set(&work->op->reply.etag, reply.etag) : 0;
}

/* Where nothing but success or a failure can come. */
static void finish_expected(S3Work *work, int result, const Error *error) {
        if (result < 0)
                finish(work, result, error);
        else if (result != S3_OK)
                finish_strange(work, result);
        else if (take_reply(work) < 0)
                finish_oom(work);
        else
                finish_with(work, DEPOT_OK);
}

static int copy_body(S3Work *work) {
        S3Reply reply = s3_request_reply(work->request);

        work->op->reply.body = malloc(reply.body_size + 1);
        if (!work->op->reply.body)
                return -ENOMEM;
        memcpy(work->op->reply.body, reply.body, reply.body_size);
        work->op->reply.body[reply.body_size] = 0;
        work->op->reply.body_size = reply.body_size;
        return 0;
}

static void on_get(_unused_ S3Request *request, int result, const Error *error, void *userdata) {
        S3Work *work = userdata;

        if (result < 0)
                finish(work, result, error);
        else if (take_reply(work) < 0 || (result == S3_OK && copy_body(work) < 0))
                finish_oom(work);
        else if (result == S3_OK)
                finish_with(work, DEPOT_OK);
        else if (result == S3_NOT_MODIFIED)
                finish_with(work, DEPOT_NOT_MODIFIED);
        else if (result == S3_NOT_FOUND)
                finish_with(work, DEPOT_NOT_FOUND);
        else
                finish_strange(work, result);
}

static int start_get(S3Work *work, Error *error) {
        const DepotRequest *request = &work->op->request;
        const S3GetOptions options = {
                .if_none_match = request->etag,
                .limit = (size_t) MAX(request->limit, UINT64_C(1)),
        };

        return s3_get_start(depot_of(work)->aws, depot_of(work)->bucket, work->key, &options, on_get, work,
                            &work->request, error);
}

static int on_range_bytes(HttpTransfer *transfer, const void *data, size_t size, void *userdata) {
        S3Work *work = userdata;

        int r;

        if (http_transfer_sunk(transfer) == 0 && take_reply(work) < 0)
                return -ENOMEM;
        r = depot_op_deliver(work->op, data, size);
        if (r < 0 && work->op->error.message[0]) {
                work->is_explained = true;
                error_prefix(&work->op->error, "%s/%s", work->op->depot->uri, work->op->request.key);
        }
        return r;
}

static void finish_outside(S3Work *work) {
        const DepotRequest *request = &work->op->request;
        Error error;

        error_set(&error, -ERANGE, "%s/%s: it ends before byte %ju, which was asked for",
                  work->op->depot->uri, request->key, (uintmax_t) (request->offset + request->size - 1));
        finish(work, -ERANGE, &error);
}

static void on_range(_unused_ S3Request *request, int result, const Error *error, void *userdata) {
        S3Work *work = userdata;

        if (result < 0) {
                finish(work, result, work->is_explained ? NULL : error);
                return;
        }
        if (take_reply(work) < 0) {
                finish_oom(work);
                return;
        }
        switch ((S3Outcome) result) {
        case S3_OK:
                if (work->op->reply.size < work->op->request.offset + work->op->request.size)
                        finish_outside(work);
                else
                        finish_with(work, DEPOT_OK);
                return;
        case S3_NOT_FOUND:
                finish_with(work, DEPOT_NOT_FOUND);
                return;
        case S3_PRECONDITION_FAILED:
                finish_with(work, DEPOT_PRECONDITION_FAILED);
                return;
        case S3_RANGE_OUTSIDE:
                finish_outside(work);
                return;
        case S3_NOT_MODIFIED:
        case S3_CONFLICT:
                break;
        }
        finish_strange(work, result);
}

static int start_range(S3Work *work, Error *error) {
        const DepotRequest *request = &work->op->request;
        const S3GetOptions options = {
                .if_match = request->etag,
                .range_offset = request->offset,
                .range_size = request->size,
                .sink = on_range_bytes,
                .sink_userdata = work,
                .timeout = HTTP_TOTAL_TIMEOUT + request->size * USEC_PER_SEC / DEPOT_S3_LOWEST_RATE,
        };

        return s3_get_start(depot_of(work)->aws, depot_of(work)->bucket, work->key, &options, on_range, work,
                            &work->request, error);
}

/* put, and what an unclear answer to it was */

static int start_put(S3Work *work, Error *error);

/* Is what was to be written the same there, at OFFSET? 1 if it is, 0 if not. */
static int is_ours(const DepotRequest *request, uint64_t offset, const void *data, size_t size) {
        _cleanup_free_ uint8_t *own = NULL;

        if (offset + size > request->size)
                return 0;
        if (request->data)
                return memcmp((const uint8_t *) request->data + offset, data, size) == 0;
        own = malloc(size);
        if (!own)
                return -ENOMEM;
        if (pread(request->fd, own, size, (off_t) offset) != (ssize_t) size)
                return 0;
        return memcmp(own, data, size) == 0;
}

static int on_own_bytes(_unused_ HttpTransfer *transfer, const void *data, size_t size, void *userdata) {
        S3Work *work = userdata;
        int r;

        r = is_ours(&work->op->request, work->compared, data, size);
        if (r < 0)
                return r;
        work->compared += size;
        work->differs = r == 0;
        return work->differs ? -ESTALE : 0;
}

/* The write was not ours: what the put said stands. */
static void finish_not_ours(S3Work *work) {
        if (work->put_result == S3_PRECONDITION_FAILED)
                finish_with(work, DEPOT_PRECONDITION_FAILED);
        else
                finish(work, work->put_result, &work->put_error);
}

static void on_read_back(_unused_ S3Request *request, int result, const Error *error, void *userdata) {
        S3Work *work = userdata;

        if (work->differs || result == S3_NOT_FOUND ||
            (result == S3_OK && work->compared != work->op->request.size))
                finish_not_ours(work);
        else
                finish_expected(work, result, error);
}

static int read_back(S3Work *work, int put_result, const Error *put_error, Error *error) {
        const S3GetOptions options = {
                .sink = on_own_bytes,
                .sink_userdata = work,
                .timeout = HTTP_TOTAL_TIMEOUT + work->op->request.size * USEC_PER_SEC / DEPOT_S3_LOWEST_RATE,
        };

        work->put_result = put_result;
        work->put_error = *put_error;
        work->request = s3_request_free(work->request);
        return s3_get_start(depot_of(work)->aws, depot_of(work)->bucket, work->key, &options, on_read_back,
                            work, &work->request, error);
}

static int on_conflict_over(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        S3Work *work = userdata;
        Error error;
        int r;

        work->timer = sd_event_source_disable_unref(work->timer);
        r = start_put(work, &error);
        if (r < 0)
                finish(work, r, &error);
        return 0;
}

/* Another conditional write was under way: once more after a pause. */
static int repeat_put(S3Work *work, Error *error) {
        uint64_t pause = CONFLICT_PAUSE << work->conflicts;
        int r;

        if (++work->conflicts > DEPOT_S3_CONFLICTS_MAX)
                return error_set_fault(error, -EBUSY, FAULT_HOST,
                                       "%s/%s: other writers were in the way %u times", work->op->depot->uri,
                                       work->op->request.key, work->conflicts);
        work->request = s3_request_free(work->request);
        r = sd_event_add_time_relative(work->op->depot->event, &work->timer, CLOCK_BOOTTIME,
                                       pause / 2 + random_below(pause), TIMER_ACCURACY_EXACT,
                                       on_conflict_over, work);
        return r < 0 ? error_set_errno(error, r, "cannot set a timer") : 0;
}

/* Failures after which nobody knows whether S3 has written. */
static bool is_unclear(int result) {
        return result == -ETIMEDOUT || result == -ECONNRESET || result == -ECONNABORTED ||
               result == -EAGAIN || result == -EBADMSG;
}

static void on_put(S3Request *request, int result, const Error *error, void *userdata) {
        S3Work *work = userdata;
        bool conditional = work->op->request.condition != DEPOT_ALWAYS;
        Error failure;
        int r = 0;

        if (result == S3_OK && take_reply(work) < 0)
                finish_oom(work);
        else if (result == S3_OK)
                finish_with(work, DEPOT_OK);
        else if (result == S3_CONFLICT)
                r = repeat_put(work, &failure);
        else if (conditional &&
                 ((result == S3_PRECONDITION_FAILED && s3_request_reply(request).attempts > 1) ||
                  is_unclear(result)))
                r = read_back(work, result, error, &failure);
        else if (result == S3_PRECONDITION_FAILED || result == S3_NOT_FOUND)
                finish_with(work, DEPOT_PRECONDITION_FAILED);
        else if (result < 0)
                finish(work, result, error);
        else
                finish_strange(work, result);
        if (r < 0)
                finish(work, r, &failure);
}

static void on_sent(uint64_t sent, uint64_t total, void *userdata) {
        S3Work *work = userdata;

        work->op->request.progress(work->op, sent, total, work->op->userdata);
}

static int start_put(S3Work *work, Error *error) {
        const DepotRequest *request = &work->op->request;
        const S3PutOptions options = {
                .body = { .data = request->data, .size = request->size, .fd = request->fd },
                .sha256 = request->data ? NULL : work->sha256,
                .if_none_match = request->condition == DEPOT_CREATE,
                .if_match = request->condition == DEPOT_MATCH ? request->etag : NULL,
                .content_type = string_ends_with(request->key, ".json") ? "application/json" : NULL,
                .progress = request->progress ? on_sent : NULL,
                .progress_userdata = work,
        };

        return s3_put_start(depot_of(work)->aws, depot_of(work)->bucket, work->key, &options, on_put, work,
                            &work->request, error);
}

/* 1: there is more to hash. */
static int hash_step(S3Work *work, Error *error) {
        _cleanup_free_ uint8_t *piece = malloc(HASH_STEP);
        const DepotRequest *request = &work->op->request;
        uint8_t digest[DIGEST_SIZE];
        ssize_t n;

        if (!piece)
                return error_oom(error);
        n = pread(request->fd, piece, (size_t) MIN((uint64_t) HASH_STEP, request->size - work->hashed),
                  (off_t) work->hashed);
        if (n < 0)
                return error_set_errno(error, -errno, "cannot read what is to be written");
        if (digest_update(work->digest, piece, (size_t) n) < 0)
                return error_oom(error);
        work->hashed += (uint64_t) n;
        if (n > 0 && work->hashed < request->size)
                return 1;
        if (digest_final(work->digest, digest) < 0)
                return error_oom(error);
        hex_encode(digest, sizeof(digest), work->sha256);
        return 0;
}

static int on_hash_turn(_unused_ sd_event_source *source, void *userdata) {
        S3Work *work = userdata;
        Error error;
        int r;

        r = hash_step(work, &error);
        if (r > 0)
                return 0;
        work->timer = sd_event_source_disable_unref(work->timer);
        if (r == 0)
                r = start_put(work, &error);
        if (r < 0)
                finish(work, r, &error);
        return 0;
}

/* The signature of a request covers the digest of its body, so a file is read twice. */
static int start_put_any(S3Work *work, Error *error) {
        int r;

        if (work->op->request.data)
                return start_put(work, error);
        if (digest_new(&work->digest) < 0)
                return error_oom(error);
        r = sd_event_add_defer(work->op->depot->event, &work->timer, on_hash_turn, work);
        if (r >= 0)
                r = sd_event_source_set_enabled(work->timer, SD_EVENT_ON);
        return r < 0 ? error_set_errno(error, r, "cannot add to the event loop") : 0;
}

static int on_object(const S3Object *object, void *userdata) {
        S3Work *work = userdata;
        const char *key = object->key + strlen(depot_of(work)->prefix);

        if (!string_starts_with(object->key, depot_of(work)->prefix) || depot_key_problem(key))
                return 0;
        return depot_op_add_entry(work->op, key, object->etag, object->size, object->last_modified,
                                  &work->op->error);
}

static void on_listed(_unused_ S3Request *request, int result, const Error *error, void *userdata) {
        finish_expected(userdata, result, error);
}

static int start_list(S3Work *work, Error *error) {
        const S3ListOptions options = { .prefix = work->key };

        return s3_list_start(depot_of(work)->aws, depot_of(work)->bucket, &options, on_object, on_listed,
                             work, &work->request, error);
}

static void on_deleted(_unused_ S3Request *request, int result, const Error *error, void *userdata) {
        S3Work *work = userdata;

        if (result < 0)
                finish(work, result, error);
        else
                finish_with(work, DEPOT_OK);
}

static int start_delete(S3Work *work, Error *error) {
        return s3_delete_start(depot_of(work)->aws, depot_of(work)->bucket, work->key, on_deleted, work,
                               &work->request, error);
}

static int s3_start(DepotOp *op, Error *error) {
        static int (*const starts[_DEPOT_VERB_MAX])(S3Work * work, Error * error) = {
                [DEPOT_VERB_GET] = start_get,       [DEPOT_VERB_GET_RANGE] = start_range,
                [DEPOT_VERB_PUT] = start_put_any,   [DEPOT_VERB_LIST] = start_list,
                [DEPOT_VERB_DELETE] = start_delete,
        };
        S3Work *work;

        work = calloc(1, sizeof(*work));
        if (!work)
                return error_oom(error);
        op->work = work;
        work->op = op;
        if (asprintf(&work->key, "%s%s", depot_of(work)->prefix, op->request.key) < 0) {
                work->key = NULL;
                return error_oom(error);
        }
        return starts[op->request.verb](work, error);
}

static void s3_cancel(DepotOp *op) {
        op->work = work_free(op->work);
}

static void s3_close(Depot *depot) {
        S3Depot *data = depot->data;

        if (!data)
                return;
        free(data->bucket);
        free(data->prefix);
        free(data);
        depot->data = NULL;
}

static int set_address(S3Depot *data, const char *rest, Error *error) {
        const char *slash = strchrnul(rest, '/'), *prefix = *slash ? slash + 1 : slash, *wrong;
        int r;

        data->bucket = strndup(rest, (size_t) (slash - rest));
        if (!data->bucket || asprintf(&data->prefix, "%s%s", prefix, *prefix ? "/" : "") < 0) {
                data->prefix = NULL;
                return error_oom(error);
        }
        r = s3_bucket_check(data->bucket, error);
        if (r < 0)
                return r;
        wrong = *prefix ? depot_key_problem(prefix) : NULL;
        if (wrong)
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "invalid prefix: %s", wrong);
        return 0;
}

static int s3_open(Depot *depot, const char *rest, const DepotOptions *options, Error *error) {
        S3Depot *data;
        int r;

        if (!options->aws)
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "a depot in S3 cannot be used here");
        data = depot->data = calloc(1, sizeof(*data));
        if (!data)
                return error_oom(error);
        data->aws = options->aws;
        r = set_address(data, rest, error);
        if (r < 0)
                s3_close(depot);
        return r;
}

const DepotKind depot_kind_s3 = {
        .scheme = "s3://",
        .names_uri = true,
        .open = s3_open,
        .close = s3_close,
        .start = s3_start,
        .cancel = s3_cancel,
};
