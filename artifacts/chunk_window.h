#pragma once

/* The chunks of an artifact on their way: which are wanted, which are being received by whom, which are
 * verified, and the bounded memory they lie in. Does no input or output and knows no time.
 *
 * Chunks may come in any order inside the window, which begins at the first chunk that has not been consumed
 * and is as long as the memory allows. They leave it in order, verified. */

#include <stdbool.h>

#include "agent/base/error.h"
#include "agent/net/digest.h"

typedef struct ChunkWindow ChunkWindow;

/* A run of chunks that one transfer brings. Zero-initialised is none. */
typedef struct ChunkRange {
        size_t next;   /* the chunk that is being received */
        size_t end;    /* the first one behind the range */
        size_t filled; /* bytes of NEXT that are there */
        DigestContext *digest;
} ChunkRange;

/* MEMORY in bytes is the limit for chunks held; if not even two fit in it, two are held. The digests are
 * copied. CHUNK_SIZE and SIZE are at least 1, DIGESTS has one entry for each chunk. -ENOMEM. */
int chunk_window_new(uint64_t size, size_t chunk_size, const uint8_t (*digests)[DIGEST_SIZE], size_t memory,
                     ChunkWindow **ret);
ChunkWindow *chunk_window_free(ChunkWindow *window);
DEFINE_CLEANUP(ChunkWindow *, chunk_window_free)

/* Hands out the first run of wanted chunks, of about SIZE bytes and at least one chunk: false if the window
 * has none. */
bool chunk_window_assign(ChunkWindow *window, uint64_t size, ChunkRange *ret);

/* Where the rest of the range lies in the artifact. */
uint64_t chunk_range_offset(const ChunkWindow *window, const ChunkRange *range);
uint64_t chunk_range_length(const ChunkWindow *window, const ChunkRange *range);

/* Takes the next bytes of the range. -EBADMSG if that completed a chunk whose digest is another one: it is
 * range->next, and what of the data lies behind it has not been taken. -EOVERFLOW if the range is full;
 * -ENOMEM. */
int chunk_window_receive(ChunkWindow *window, ChunkRange *range, const void *data, size_t size);

/* Ends a range: what it has not brought whole is wanted again. */
void chunk_window_release(ChunkWindow *window, ChunkRange *range);

/* The next chunk in order if it is verified; false if it is not here yet or all have been consumed. The data
 * stays valid until it is consumed. */
bool chunk_window_peek(const ChunkWindow *window, const uint8_t **ret, size_t *ret_size);
void chunk_window_consume(ChunkWindow *window);

/* Bytes that nobody has asked for yet, within the window or behind it. */
uint64_t chunk_window_wanted(const ChunkWindow *window);

/* Every chunk has been consumed. */
bool chunk_window_finished(const ChunkWindow *window);
