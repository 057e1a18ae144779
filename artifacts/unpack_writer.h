#pragma once

/* Makes the files of an archive beneath a folder: the sink of muster-unpack. Paths are walked on descriptors, each folder
 * opened beneath the one before with O_NOFOLLOW and kept open while entries lie in it; files are made with O_EXCL. So
 * nothing follows a link, and nothing that is there is touched, even if what came before had missed something. Every
 * failure is the host's. The process's umask must be 0. */

#include <stdbool.h>

#include "artifacts/unpack_reader.h"

typedef struct UnpackWriter UnpackWriter;

/* ROOT_FD stays the caller's, and open. */
int unpack_writer_new(int root_fd, UnpackWriter **ret, Error *error);
UnpackWriter *unpack_writer_free(UnpackWriter *writer);
DEFINE_CLEANUP(UnpackWriter *, unpack_writer_free)

UnpackSink unpack_writer_sink(UnpackWriter *writer);

/* After the last entry: sets what times are left to set, and makes everything durable if SYNC. */
int unpack_writer_finish(UnpackWriter *writer, bool sync, Error *error);

/* What has been written so far: entries begun, bytes. */
UnpackCounts unpack_writer_counts(const UnpackWriter *writer);

/* The bytes of these that the disk has not been told to take yet. */
uint64_t unpack_writer_unsent(const UnpackWriter *writer);

/* The path of the entry that was written last. */
const char *unpack_writer_path(const UnpackWriter *writer);
