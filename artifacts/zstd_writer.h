#pragma once

/* Compresses what is written into a descriptor, with a checksum. The same bytes, however cut, give the same stream, also
 * with several threads; another version of libzstd may give another one. */

#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"

typedef struct ZstdWriter ZstdWriter;

int zstd_writer_new(int fd, int level, ZstdWriter **ret, Error *error);
ZstdWriter *zstd_writer_free(ZstdWriter *writer);
DEFINE_CLEANUP(ZstdWriter *, zstd_writer_free)

/* Negative once something failed: zstd_writer_error() says what. */
int zstd_writer_write(ZstdWriter *writer, const void *data, size_t size);

/* Ends the stream. RET: its bytes. */
int zstd_writer_finish(ZstdWriter *writer, uint64_t *ret, Error *error);

/* What failed, 0 if nothing did. */
int zstd_writer_error(const ZstdWriter *writer, Error *error);
