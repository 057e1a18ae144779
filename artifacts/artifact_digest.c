#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "artifacts/artifact_digest.h"

#define READ_SIZE (256U << 10)

typedef struct Digester {
        int fd;
        uint64_t offset;
        DigestContext *whole;
        DigestContext *chunk;
        uint8_t buffer[READ_SIZE];
} Digester;

static Digester *digester_free(Digester *d) {
        digest_free(d->whole);
        digest_free(d->chunk);
        free(d);
        return NULL;
}
DEFINE_CLEANUP(Digester *, digester_free)

void artifact_digest_deinit(ArtifactDigest *digest) {
        free(digest->chunks);
        *digest = (ArtifactDigest){};
}

uint64_t artifact_chunk_size(uint64_t size) {
        uint64_t chunk_size = ARTIFACT_CHUNK_SIZE_MIN;

        while (size > chunk_size * ARTIFACT_CHUNKS_MAX && chunk_size < ARTIFACT_CHUNK_SIZE_MAX)
                chunk_size *= 2;
        return chunk_size;
}

static int digest_chunk(Digester *d, uint64_t size, uint8_t ret[static DIGEST_SIZE], Error *error) {
        while (size > 0) {
                ssize_t n =
                        pread(d->fd, d->buffer, (size_t) MIN(size, (uint64_t) READ_SIZE), (off_t) d->offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set_errno(error, -errno, "cannot read the artifact");
                if (n == 0)
                        return error_set_fault(error, -EBADMSG, FAULT_INPUT,
                                               "the artifact changed while it was read");
                if (digest_update(d->whole, d->buffer, (size_t) n) < 0 ||
                    digest_update(d->chunk, d->buffer, (size_t) n) < 0)
                        return error_oom(error);
                d->offset += (uint64_t) n;
                size -= (uint64_t) n;
        }
        return digest_final(d->chunk, ret) < 0 ? error_oom(error) : 0;
}

static int digest_chunks(Digester *d, ArtifactDigest *digest, Error *error) {
        for (size_t i = 0; i < digest->chunk_count; i++) {
                uint64_t left = digest->size - (uint64_t) i * digest->chunk_size;
                int r = digest_chunk(d, MIN(left, digest->chunk_size), digest->chunks[i], error);

                if (r < 0)
                        return r;
        }
        return digest_final(d->whole, digest->sha256) < 0 ? error_oom(error) : 0;
}

static int measure(int fd, uint64_t chunk_size, ArtifactDigest *ret, Error *error) {
        uint64_t count;
        struct stat st;

        if (fstat(fd, &st) < 0)
                return error_set_errno(error, -errno, "cannot read the artifact");
        if (!S_ISREG(st.st_mode) || st.st_size == 0)
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "the artifact is empty or no file");
        ret->size = (uint64_t) st.st_size;
        ret->chunk_size = chunk_size > 0 ? chunk_size : artifact_chunk_size(ret->size);
        count = (ret->size - 1) / ret->chunk_size + 1;
        if (count > ARTIFACT_CHUNKS_MAX)
                return error_set_fault(error, -E2BIG, FAULT_INPUT,
                                       "the artifact is too large: more than %u chunks of %" PRIu64 " MiB",
                                       ARTIFACT_CHUNKS_MAX, ret->chunk_size >> 20);
        ret->chunk_count = (size_t) count;
        ret->chunks = calloc(ret->chunk_count, sizeof(*ret->chunks));
        return ret->chunks ? 0 : error_oom(error);
}

int artifact_digest_file(int fd, uint64_t chunk_size, ArtifactDigest *ret, Error *error) {
        _cleanup_artifact_digest_ ArtifactDigest digest = {};
        _cleanup_(digester_freep) Digester *d = NULL;
        int r;

        r = measure(fd, chunk_size, &digest, error);
        if (r < 0)
                return r;
        d = calloc(1, sizeof(*d));
        if (!d || digest_new(&d->whole) < 0 || digest_new(&d->chunk) < 0)
                return error_oom(error);
        d->fd = fd;
        r = digest_chunks(d, &digest, error);
        if (r < 0)
                return r;
        *ret = digest;
        digest.chunks = NULL;
        return 0;
}
