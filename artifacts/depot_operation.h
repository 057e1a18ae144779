#pragma once

/* What depot.c and the kinds of depot have in common: the operation, and the functions that a kind provides.
 * Included by nobody else. */

#include <stdbool.h>

#include "artifacts/depot.h"

typedef enum DepotVerb {
        DEPOT_VERB_GET,
        DEPOT_VERB_GET_RANGE,
        DEPOT_VERB_PUT,
        DEPOT_VERB_LIST,
        DEPOT_VERB_DELETE,
        _DEPOT_VERB_MAX,
} DepotVerb;

/* Checked and owned; what a verb does not use is zero. */
typedef struct DepotRequest {
        DepotVerb verb;
        char *key;  /* list: the prefix */
        char *etag; /* get: If-None-Match; get_range and put: If-Match; may be NULL */
        DepotCondition condition;
        uint64_t limit;  /* get */
        uint64_t offset; /* get_range */
        uint64_t size;   /* get_range: length; put: of the value */
        void *data;      /* put from memory */
        int fd;          /* put from a file, otherwise -1 */
        DepotSink sink;
        DepotProgress progress;
} DepotRequest;

struct DepotOp {
        Depot *depot;
        DepotRequest request;
        DepotReply reply;
        uint64_t delivered; /* bytes */
        void *work;         /* of the kind, from start to cancel; NULL once ended */
        DepotDone done;
        void *userdata;
        bool finished;
        int result;
        Error error;
};

typedef struct DepotKind {
        const char *scheme; /* "file://"; "" for a single value that has a name in place of a URI */

        bool names_uri; /* its sentences name the URI themselves */

        /* Takes apart what follows the scheme, which has no slash at its end. */
        int (*open)(Depot *depot, const char *rest, const DepotOptions *options, Error *error);
        void (*close)(Depot *depot);

        /* Sets op->work and arranges that depot_op_finish() is called from the event loop. */
        int (*start)(DepotOp *op, Error *error);

        /* Stops whatever goes on, releases op->work and sets it to NULL. */
        void (*cancel)(DepotOp *op);
} DepotKind;

struct Depot {
        const DepotKind *kind;
        char *uri;
        sd_event *event;
        size_t list_max;
        void *data; /* of the kind */
};

/* Why KEY is no valid key (see depot.h); NULL if it is one. */
const char *depot_key_problem(const char *key);

/* Checks REQUEST's key and starts it; its strings, data and descriptor are borrowed and copied here. */
int depot_op_start(Depot *depot, const DepotRequest *request, DepotDone done, void *userdata, DepotOp **ret,
                   Error *error);

/* The operation has ended with RESULT (a range that is not complete is made a failure here); the sentence of
 * op->error gets the URI put before it. Releases op->work and calls DONE last: OP may be gone afterwards. */
void depot_op_finish(DepotOp *op, int result);

/* Adds SIZE bytes to a range: to the sink or to the reply's body. -EBADMSG if those are more than were asked
 * for. */
int depot_op_deliver(DepotOp *op, const void *data, size_t size);

/* Adds an entry to the reply of a list. ETAG may be NULL. -E2BIG beyond the depot's limit, -ENOMEM. */
int depot_op_add_entry(DepotOp *op, const char *key, const char *etag, uint64_t size, uint64_t modified,
                       Error *error);
