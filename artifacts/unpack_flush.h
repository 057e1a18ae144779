#pragma once

/* Sends what has been written to the disk while more is being written, from a thread of its own, so that little is left
 * to wait for when everything must be durable. It is syncfs(2) now and then: for many small files a fraction of the cost of
 * telling the kernel file by file. Where little is written, or little is left, nothing is done. */

#include <stdint.h>

#include "agent/base/error.h"

#define UNPACK_FLUSH_STEP (UINT64_C(16) << 20) /* bytes from one time to the next */

typedef struct UnpackFlush UnpackFlush;

/* FD: any on the file system; stays the caller's, and open. TOTAL: bytes that are going to be written. */
int unpack_flush_start(int fd, uint64_t total, UnpackFlush **ret, Error *error);

/* So many bytes have been written so far, without those that somebody else has sent to the disk. Never waits. */
void unpack_flush_written(UnpackFlush *flush, uint64_t bytes);

/* What has been written so far goes to the disk now. Never waits. */
void unpack_flush_now(UnpackFlush *flush);

/* Waits for what is under way and ends the thread; what was wanted and has not begun is left out. What failed, once:
 * who syncs FD later is not told again. */
int unpack_flush_finish(UnpackFlush *flush, Error *error);

UnpackFlush *unpack_flush_free(UnpackFlush *flush);
DEFINE_CLEANUP(UnpackFlush *, unpack_flush_free)
