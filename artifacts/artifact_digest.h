#pragma once

/* The digests that a release says of an artifact: of the whole, and of its consecutive chunks, so that no byte is
 * used before it has been checked. */

#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/net/digest.h"

#define ARTIFACT_CHUNKS_MAX 4096U
#define ARTIFACT_CHUNK_SIZE_MIN (UINT64_C(1) << 20)
#define ARTIFACT_CHUNK_SIZE_MAX (UINT64_C(16) << 20) /* so an artifact has at most 64 GiB */

typedef struct ArtifactDigest {
        uint64_t size;
        uint8_t sha256[DIGEST_SIZE];
        uint64_t chunk_size;
        uint8_t (*chunks)[DIGEST_SIZE]; /* ceil(size / chunk_size) of them */
        size_t chunk_count;
} ArtifactDigest;

void artifact_digest_deinit(ArtifactDigest *digest);
#define _cleanup_artifact_digest_ _cleanup_(artifact_digest_deinit)

/* ARTIFACT_CHUNK_SIZE_MIN, doubled until ARTIFACT_CHUNKS_MAX chunks cover the artifact or it is the largest. */
uint64_t artifact_chunk_size(uint64_t size);

/* Reads the file FD from its beginning to its end, without moving its position. CHUNK_SIZE 0: artifact_chunk_size(). */
int artifact_digest_file(int fd, uint64_t chunk_size, ArtifactDigest *ret, Error *error);
