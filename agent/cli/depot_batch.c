#include "agent/cli/depot_batch.h"

typedef struct Run Run;

typedef struct Slot {
        Run *run;
        DepotOp *op; /* NULL: free */
        size_t index;
} Slot;

struct Run {
        const DepotBatch *batch;
        Slot slots[DEPOT_BATCH_RUNNING_MAX];
        size_t next, n_running;
        int result;
        Error *error;
};

static void on_done(DepotOp *op, int result, const Error *problem, void *userdata) {
        Slot *slot = userdata;
        Run *run = slot->run;
        int r;

        r = run->batch->take(slot->index, result, depot_op_reply(op), problem, run->batch->userdata,
                             run->result < 0 ? NULL : run->error);
        if (r < 0 && run->result >= 0)
                run->result = r;
        slot->op = depot_op_free(op);
        run->n_running--;
}

static void fill(Run *run) {
        for (size_t i = 0; i < ELEMENTSOF(run->slots) && run->next < run->batch->n && run->result >= 0; i++) {
                Slot *slot = &run->slots[i];

                if (slot->op)
                        continue;
                slot->index = run->next++;
                run->result = run->batch->start(slot->index, on_done, slot, &slot->op, run->batch->userdata,
                                                run->error);
                if (run->result >= 0)
                        run->n_running++;
        }
}

int depot_batch_run(Depot *depot, const DepotBatch *batch, Error *error) {
        Run run = { .batch = batch, .error = error };

        for (size_t i = 0; i < ELEMENTSOF(run.slots); i++)
                run.slots[i].run = &run;
        for (fill(&run); run.n_running > 0 && run.result >= 0; fill(&run)) {
                int r = sd_event_run(depot_event(depot), UINT64_MAX);

                if (r < 0)
                        run.result = error_set_errno(error, r, "cannot use the event loop");
        }
        for (size_t i = 0; i < ELEMENTSOF(run.slots); i++)
                depot_op_free(run.slots[i].op);
        return run.result < 0 ? run.result : 0;
}

int depot_batch_fail(int result, const Error *problem, Error *error) {
        if (error)
                *error = *problem;
        return result;
}
