#pragma once

/* Many operations on a depot, some of them at a time: what takes seconds in place of minutes where there are thousands of
 * instances. For programs that do one thing at a time: runs the event loop until all have ended. */

#include "artifacts/depot.h"

#define DEPOT_BATCH_RUNNING_MAX 32U

typedef struct DepotBatch {
        size_t n; /* operations, numbered from 0 and begun in this order */

        /* Begins number INDEX. */
        int (*start)(size_t index, DepotDone done, void *done_userdata, DepotOp **ret, void *userdata,
                     Error *error);

        /* Number INDEX has ended, with RESULT and PROBLEM if that is negative; parts of REPLY may be taken. What is negative
         * ends the batch with that and ERROR. */
        int (*take)(size_t index, int result, DepotReply *reply, const Error *problem, void *userdata,
                    Error *error);

        void *userdata;
} DepotBatch;

/* 0, or what start() or take() returned; then what still runs is cancelled. */
int depot_batch_run(Depot *depot, const DepotBatch *batch, Error *error);

/* For take(): RESULT ends the batch, and PROBLEM is the reason. */
int depot_batch_fail(int result, const Error *problem, Error *error);
