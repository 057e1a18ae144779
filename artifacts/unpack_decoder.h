#pragma once

/* Decompresses an archive as it comes. libarchive could, but it neither caps what a zstd or xz stream makes its decoder
 * allocate, nor says whether anything follows the end of a stream. Here a stream is exactly as long as was announced, is
 * complete, has nothing after it, and takes no more memory than it may. */

#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "artifacts/archive_format.h"
#include "artifacts/unpack_source.h"

typedef struct UnpackDecoder UnpackDecoder;

/* SIZE: how many bytes the source holds. MEMORY_MAX: what the decompressor may allocate. Not for zip. -ENOMEM, -EINVAL.
 * The source must stay. */
int unpack_decoder_new(ArchiveFormat format, const UnpackSource *source, uint64_t size, uint64_t memory_max,
                       UnpackDecoder **ret, Error *error);
UnpackDecoder *unpack_decoder_free(UnpackDecoder *decoder);
DEFINE_CLEANUP(UnpackDecoder *, unpack_decoder_free)

/* 1: *RET points to the next bytes, valid until the next call. 0: that was all, and the stream was whole. -EBADMSG: the
 * release's fault. Others are the host's: reading failed, or the feed broke off before SIZE bytes. */
int unpack_decoder_next(UnpackDecoder *decoder, const void **ret, size_t *ret_size, Error *error);
