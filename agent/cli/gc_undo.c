#include <stdlib.h>

#include "agent/base/cleanup.h"
#include "agent/cli/depot_batch.h"
#include "agent/cli/gc_undo.h"
#include "artifacts/dsse.h"

void gc_undo_deinit(GcUndo *undo) {
        for (size_t i = 0; i < undo->n; i++)
                free(undo->items[i].body);
        free(undo->items);
        *undo = (GcUndo){};
}

typedef struct Batch {
        Depot *depot;
        GcUndo *undo;
        int failure; /* the first of them */
} Batch;

static int start_get(size_t index, DepotDone done, void *done_userdata, DepotOp **ret, void *userdata,
                     Error *error) {
        const Batch *batch = userdata;

        return depot_get_start(batch->depot, batch->undo->items[index].key, NULL, DSSE_ENVELOPE_SIZE_MAX,
                               done, done_userdata, ret, error);
}

static int take_got(size_t index, int result, DepotReply *reply, const Error *problem, void *userdata,
                    Error *error) {
        GcDocument *document = &((const Batch *) userdata)->undo->items[index];

        if (result < 0)
                return depot_batch_fail(result, problem, error);
        if (reply->outcome == DEPOT_OK) {
                document->body = TAKE_PTR(reply->body);
                document->size = reply->body_size;
        }
        return 0;
}

int gc_undo_read(Depot *depot, const DepotEntry *const *victims, size_t n, GcUndo *undo, Error *error) {
        Batch all = { .depot = depot, .undo = undo };
        const DepotBatch batch = { .n = n, .start = start_get, .take = take_got, .userdata = &all };

        undo->items = calloc(n + 1, sizeof(*undo->items));
        if (!undo->items)
                return error_oom(error);
        for (undo->n = 0; undo->n < n; undo->n++)
                undo->items[undo->n].key = victims[undo->n]->key;
        return depot_batch_run(depot, &batch, error);
}

static int start_put(size_t index, DepotDone done, void *done_userdata, DepotOp **ret, void *userdata,
                     Error *error) {
        const Batch *batch = userdata;
        const GcDocument *document = &batch->undo->items[index];

        return depot_put_start(batch->depot, document->key, document->body, document->size, DEPOT_CREATE,
                               NULL, done, done_userdata, ret, error);
}

/* One that cannot be put back keeps no other one away. */
static int take_put(size_t index, int result, DepotReply *reply, const Error *problem, void *userdata,
                    Error *error) {
        Batch *batch = userdata;
        GcUndo *undo = batch->undo;

        if (result < 0 && batch->failure == 0)
                batch->failure = depot_batch_fail(result, problem, error);
        if (result >= 0 && reply->outcome == DEPOT_OK) { /* else it was never removed */
                undo->restored++;
                undo->restored_bytes += undo->items[index].size;
        }
        return 0;
}

/* What was not there any more is nobody's to bring back. */
static void leave_out_missing(GcUndo *undo) {
        size_t n = 0;

        for (size_t i = 0; i < undo->n; i++)
                if (undo->items[i].body)
                        undo->items[n++] = undo->items[i];
        undo->n = n;
}

int gc_undo_write(Depot *depot, GcUndo *undo, Error *error) {
        Batch all = { .depot = depot, .undo = undo };
        DepotBatch batch = { .start = start_put, .take = take_put, .userdata = &all };
        int r;

        leave_out_missing(undo);
        batch.n = undo->n;
        r = depot_batch_run(depot, &batch, error);
        return r < 0 ? r : all.failure;
}
