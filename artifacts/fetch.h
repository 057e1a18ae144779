#pragma once

/* Brings an artifact from a depot into a descriptor: in ranges, several at a time where that is faster, each
 * chunk checked against the digests of the signed release before any byte of it is written, written in order
 * and without gaps. So whoever reads the descriptor sees nothing that was not signed.
 *
 * A transfer that breaks, stalls or ends early is taken up again at the chunk it was in, after a pause that
 * grows, until FETCH_FAILURES_MAX failures in a row brought nothing new. A chunk with another digest is asked
 * for once more; if it is wrong again, what lies in the depot is wrong, and the fetch fails with FAULT_HOST,
 * naming chunk and key.
 *
 * The chunks' digests alone decide: they stand in the signed release, they cover the artifact from its first
 * byte to its last without gap or overlap (fetch_start() refuses what does not add up to SIZE), and every
 * chunk is written once, in order. Two artifacts that pass would collide in SHA-256 in some chunk. So the
 * digest of the whole, which names the artifact in the depot, can tell nothing about the bytes that the
 * chunks have not told; it takes the same time once more, and is for whoever wants to know whether a release
 * contradicts itself (`muster verify`).
 *
 * A transfer that is far slower than the others were gives way to a new one.
 *
 * What has been received and not yet been written is held in memory: FETCH_MEMORY_MAX bytes at most, taken as
 * they are needed and given back at the end. With the process that holds them they stay under 64 MiB. Writing
 * waits for its reader: then nothing more is asked for than fits. */

#include <systemd/sd-event.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/net/digest.h"
#include "artifacts/depot.h"

#define FETCH_CHUNKS_MAX 4096U
#define FETCH_CHUNK_SIZE_MAX (16U << 20)
#define FETCH_MEMORY_MAX (40U << 20) /* bytes */
#define FETCH_STREAMS_MAX 14U        /* ranges that are asked for or received at the same time */
#define FETCH_FAILURES_MAX 8U        /* in a row, without a new chunk between them */
#define FETCH_BACKOFF_FIRST (100 * USEC_PER_MSEC)

typedef struct Fetch Fetch;

/* What a signed release says of an artifact. */
typedef struct FetchArtifact {
        uint64_t size;       /* at least 1 */
        uint64_t chunk_size; /* of all chunks but the last, which may be smaller; 1 to FETCH_CHUNK_SIZE_MAX */
        const uint8_t (*chunks)[DIGEST_SIZE]; /* SHA-256 of each */
        size_t n_chunks;                      /* 1 to FETCH_CHUNKS_MAX, as many as SIZE has */
        const char *sha256; /* of the whole, lower-case hex; NULL: only the chunks are checked */
} FetchArtifact;

/* RESULT is 0 once every byte has been written and every digest was right; or a negative errno:
 *
 *      -EBADMSG    a chunk or the size is not what the release says (FAULT_HOST, since it is put right in the depot and
 *                  not by another release); the chunks are, and the whole is not (FAULT_RELEASE)
 *      -ENOENT     the depot does not have the key, or is not there itself (FAULT_HOST)
 *      -EPIPE      the reader of the descriptor has closed it
 *      others      of the depot, the last one after retries; of write(2)
 */
typedef void (*FetchDone)(Fetch *fetch, int result, const Error *error, void *userdata);

/* So many of TOTAL bytes are verified and written. Must not free the fetch. */
typedef void (*FetchProgress)(Fetch *fetch, uint64_t written, uint64_t total, void *userdata);

/* FD is a pipe or socket, which is made non-blocking, or a regular file; it is duplicated, and the duplicate
 * closed before DONE is called. The program must ignore SIGPIPE. DEPOT must outlive the fetch. PROGRESS may
 * be NULL. -EINVAL for an artifact that contradicts itself. DONE is called from the event loop, once, and may
 * free the fetch. */
int fetch_start(Depot *depot, const char *key, const FetchArtifact *artifact, int fd, FetchProgress progress,
                FetchDone done, void *userdata, Fetch **ret, Error *error);

/* The same from the file SOURCE, from its beginning; its offset is not used. NAME is for messages. */
int fetch_from_fd_start(sd_event *event, int source, const char *name, const FetchArtifact *artifact, int fd,
                        FetchProgress progress, FetchDone done, void *userdata, Fetch **ret, Error *error);

/* Instead of FETCH_FAILURES_MAX (at least 1) and FETCH_BACKOFF_FIRST. */
void fetch_set_patience(Fetch *fetch, unsigned failures_max, uint64_t backoff_first);

/* How it went, or goes. */
typedef struct FetchStatistics {
        uint64_t written;  /* bytes */
        uint64_t received; /* bytes, those that came twice included */
        unsigned requests;
        unsigned failures;    /* transfers that broke or were too slow, chunks that were wrong */
        unsigned streams_max; /* ranges that were received at the same time */
} FetchStatistics;
FetchStatistics fetch_statistics(const Fetch *fetch);

/* Cancels a fetch that is still running: DONE is never called. Returns NULL. */
Fetch *fetch_free(Fetch *fetch);
DEFINE_CLEANUP(Fetch *, fetch_free)
