#pragma once

/* A sink that hands what it is given to another sink, in a thread of its own: files are written while the archive is
 * still being read. Between the two are at most UNPACK_THREAD_BATCHES batches of UNPACK_THREAD_BATCH_SIZE bytes: 2 MiB,
 * so little that one thread still finds in the processor's cache what the other put there. */

#include "artifacts/unpack_reader.h"

#define UNPACK_THREAD_BATCHES 8U
#define UNPACK_THREAD_BATCH_SIZE (256U << 10)

typedef struct UnpackThread UnpackThread;

/* TARGET is only used by the thread, from now until unpack_thread_finish() or unpack_thread_free() returns. */
int unpack_thread_start(const UnpackSink *target, UnpackThread **ret, Error *error);

/* Once TARGET fails it is not called again, and this sink fails with the same result and error. */
UnpackSink unpack_thread_sink(UnpackThread *thread);

/* Waits until the target has got everything, and ends the thread. What the target returned if it failed. */
int unpack_thread_finish(UnpackThread *thread, Error *error);

/* Ends the thread as soon as the target returns, whatever has not been handed over. */
UnpackThread *unpack_thread_free(UnpackThread *thread);
DEFINE_CLEANUP(UnpackThread *, unpack_thread_free)
