#pragma once

/* A depot: where releases, artifacts, targets and reports are kept, as a flat set of keys and immutable
 * values that are replaced whole. s3://bucket/prefix (depot_s3.h) and file:///folder (depot_file.h) keep the
 * same promises:
 *
 *  - Who reads a key sees one whole value, the old one or the new one, and what was last written.
 *  - A write with a condition is one atomic step: of all who race with DEPOT_CREATE, or with DEPOT_MATCH on
 *    the same etag, exactly one gets DEPOT_OK. A write that has been answered is durable.
 *  - An etag names the content. It is opaque: kept and sent back as it came.
 *
 * A URI is taken literally, as the AWS command line does: nothing in it is percent-decoded.
 *
 * Keys are relative to the depot: 1 to DEPOT_KEY_MAX bytes of UTF-8 without control characters, components
 * separated by single slashes, none empty and none beginning with a dot. Anything else is -EINVAL from the
 * _start function.
 *
 * Everything is asynchronous: the _start function copies its arguments and returns; DONE is called from the
 * event loop, never from inside _start, exactly once, and may free the operation. */

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "agent/base/error.h"

#define DEPOT_KEY_MAX 1024U       /* bytes, with the prefix of an s3:// depot: S3's limit */
#define DEPOT_LIST_MAX 100000U    /* entries of one list, where DepotOptions does not say it; -E2BIG */
#define DEPOT_LARGE_SIZE 4194304U /* a list of a file:// depot gives no etag for values above this size */

typedef struct AwsContext AwsContext;
typedef struct Depot Depot;
typedef struct DepotOp DepotOp;

typedef enum DepotOutcome {
        DEPOT_OK,
        DEPOT_NOT_MODIFIED,        /* get: the etag is still IF_NONE_MATCH */
        DEPOT_NOT_FOUND,           /* get, get_range: no such key */
        DEPOT_PRECONDITION_FAILED, /* put: the key exists, is gone, has another etag; get_range: the last */
} DepotOutcome;

typedef struct DepotEntry {
        char *key;         /* relative to the depot */
        char *etag;        /* NULL where not known, see DEPOT_LARGE_SIZE */
        uint64_t size;     /* bytes */
        uint64_t modified; /* microseconds since 1970 */
} DepotEntry;

typedef struct DepotReply {
        DepotOutcome outcome;
        char *etag;           /* get: of the value; put: of what was written; NULL where not known */
        uint8_t *body;        /* get, and get_range without a sink; a zero byte that does not count follows */
        size_t body_size;     /* bytes */
        uint64_t size;        /* get, get_range: of the whole value */
        uint64_t server_time; /* the depot's clock as it answered, microseconds since 1970; 0: not known */
        DepotEntry *entries;  /* list: in the order of their keys' bytes */
        size_t n_entries;
} DepotReply;

void depot_reply_deinit(DepotReply *reply);
#define _cleanup_depot_reply_ _cleanup_(depot_reply_deinit)

/* RESULT is 0, and depot_op_reply() says how it came out, or a negative errno with ERROR, whose sentence
 * begins with the full URI of the key: -EACCES (not allowed), -ENOENT (the bucket or the folder of the depot
 * itself is missing), -E2BIG (larger than the limit), -ENAMETOOLONG, -ENOSPC, -ETIMEDOUT, -ECONNRESET and
 * others. After an error a write may or may not have happened. */
typedef void (*DepotDone)(DepotOp *op, int result, const Error *error, void *userdata);

/* Gets the bytes of a range as they arrive, in order, when the etag and size of the reply are known already;
 * a negative errno ends the operation with that. Must not free the operation. */
typedef int (*DepotSink)(DepotOp *op, const void *data, size_t size, void *userdata);

/* How many of TOTAL bytes have been sent. Must not free the operation. */
typedef void (*DepotProgress)(DepotOp *op, uint64_t sent, uint64_t total, void *userdata);

typedef struct DepotOptions {
        sd_event *event;
        AwsContext *aws; /* for s3://; must outlive the depot; may be NULL where only file:// is to be used */
        size_t list_max; /* entries of one list; 0: DEPOT_LIST_MAX */
} DepotOptions;

/* Checks the URI and contacts nobody. -EINVAL (URI, or s3:// without an AwsContext), -EPROTONOSUPPORT. */
int depot_open(const char *uri, const DepotOptions *options, Depot **ret, Error *error);

/* All operations must have been freed. Returns NULL. */
Depot *depot_free(Depot *depot);
DEFINE_CLEANUP(Depot *, depot_free)

/* As it was given to depot_open(), without slashes at its end. */
const char *depot_uri(const Depot *depot);

sd_event *depot_event(const Depot *depot);

/* URI and key in one, for messages. New memory. -ENOMEM. */
int depot_key_uri(const Depot *depot, const char *key, char **ret);

/* Reads a whole value into memory. IF_NONE_MATCH may be NULL. A value above LIMIT bytes is -E2BIG. */
int depot_get_start(Depot *depot, const char *key, const char *if_none_match, size_t limit, DepotDone done,
                    void *userdata, DepotOp **ret, Error *error);

/* Reads LENGTH (at least 1) bytes at OFFSET, all of which must be there: an answer that ends early fails with
 * -ECONNRESET or -ECONNABORTED, a range beyond the value's end with -ERANGE. IF_MATCH may be NULL. The bytes
 * go to SINK, or into the reply if SINK is NULL; after a failure the sink may have had some of them. Nothing
 * is tried again after the first byte. */
int depot_get_range_start(Depot *depot, const char *key, uint64_t offset, size_t length, const char *if_match,
                          DepotSink sink, DepotDone done, void *userdata, DepotOp **ret, Error *error);

typedef enum DepotCondition {
        DEPOT_ALWAYS, /* ETAG is NULL */
        DEPOT_CREATE, /* only if there is no such key; ETAG is NULL */
        DEPOT_MATCH,  /* only if its etag is ETAG */
} DepotCondition;

/* Writes a value. An answer that was lost is cleared up by reading back: if the key holds these very bytes,
 * the write counts as ours. So a value that claims something for its writer must hold something of its
 * writer's own. */
int depot_put_start(Depot *depot, const char *key, const void *data, size_t size, DepotCondition condition,
                    const char *etag, DepotDone done, void *userdata, DepotOp **ret, Error *error);

/* The same from a regular file, from its beginning to its end as it is now. FD is duplicated; its offset is
 * not used. PROGRESS may be NULL. */
int depot_put_file_start(Depot *depot, const char *key, int fd, DepotCondition condition, const char *etag,
                         DepotProgress progress, DepotDone done, void *userdata, DepotOp **ret, Error *error);

/* All keys that begin with PREFIX, which is "" or ends with a slash. None is no error. */
int depot_list_start(Depot *depot, const char *prefix, DepotDone done, void *userdata, DepotOp **ret,
                     Error *error);

/* DEPOT_OK whether or not the key was there. */
int depot_delete_start(Depot *depot, const char *key, DepotDone done, void *userdata, DepotOp **ret,
                       Error *error);

/* Valid from the call of DONE until the operation is freed; parts may be taken out with TAKE_PTR. */
DepotReply *depot_op_reply(DepotOp *op);

/* The key (or prefix) that the operation is about. */
const char *depot_op_key(const DepotOp *op);

/* Cancels a running operation, whose DONE is then never called. Returns NULL. */
DepotOp *depot_op_free(DepotOp *op);
DEFINE_CLEANUP(DepotOp *, depot_op_free)

/* For programs that do one thing at a time: runs the event loop until OP, started with DONE NULL, has ended;
 * frees it; hands over the reply and returns the result. -ECANCELED if the loop was asked to exit.
 *
 *         r = depot_get_start(depot, key, NULL, LIMIT, NULL, NULL, &op, error);
 *         if (r >= 0)
 *                 r = depot_wait(op, &reply, error);
 */
int depot_wait(DepotOp *op, DepotReply *ret, Error *error);
