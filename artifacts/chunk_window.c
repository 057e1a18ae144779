#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "artifacts/chunk_window.h"

#define SLOTS_MIN 2U
#define NO_SLOT UINT32_MAX

typedef enum ChunkState {
        CHUNK_WANTED,
        CHUNK_ASSIGNED,
        CHUNK_VERIFIED,
        CHUNK_CONSUMED,
} ChunkState;

typedef struct Chunk {
        ChunkState state;
        uint32_t slot; /* where its bytes lie, NO_SLOT before the first has come */
} Chunk;

struct ChunkWindow {
        uint64_t size;
        size_t chunk_size;
        size_t n_chunks;
        size_t head;     /* the first chunk that has not been consumed */
        uint64_t wanted; /* bytes */
        Chunk *chunks;
        uint8_t (*digests)[DIGEST_SIZE];
        uint8_t *memory;
        size_t n_slots;
        uint32_t *free_slots; /* a stack, so that few pages are touched while few chunks are held */
        size_t n_free;
};

static size_t length_of(const ChunkWindow *window, size_t chunk) {
        uint64_t offset = (uint64_t) chunk * window->chunk_size;

        return (size_t) MIN((uint64_t) window->chunk_size, window->size - offset);
}

static size_t window_end(const ChunkWindow *window) {
        return MIN(window->n_chunks, window->head + window->n_slots);
}

static uint8_t *slot_data(const ChunkWindow *window, size_t chunk) {
        return window->memory + window->chunks[chunk].slot * window->chunk_size;
}

static void take_slot(ChunkWindow *window, size_t chunk) {
        if (window->chunks[chunk].slot != NO_SLOT)
                return;
        assert(window->n_free > 0); /* no more chunks are in the window than there are slots */
        window->chunks[chunk].slot = window->free_slots[--window->n_free];
}

static void give_slot_back(ChunkWindow *window, size_t chunk) {
        if (window->chunks[chunk].slot == NO_SLOT)
                return;
        window->free_slots[window->n_free++] = window->chunks[chunk].slot;
        window->chunks[chunk].slot = NO_SLOT;
}

static int allocate(ChunkWindow *window, const uint8_t (*digests)[DIGEST_SIZE]) {
        window->chunks = calloc(window->n_chunks, sizeof(*window->chunks));
        window->digests = calloc(window->n_chunks, sizeof(*window->digests));
        window->free_slots = calloc(window->n_slots, sizeof(*window->free_slots));
        if (!window->chunks || !window->digests || !window->free_slots)
                return -ENOMEM;
        /* A mapping of its own, so that what was touched goes back to the system at the end. */
        window->memory = mmap(NULL, window->n_slots * window->chunk_size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (window->memory == MAP_FAILED) {
                window->memory = NULL;
                return -ENOMEM;
        }
        /* All of it is filled once and more; page by page that would cost as much as to check it. */
        (void) madvise(window->memory, window->n_slots * window->chunk_size, MADV_HUGEPAGE);
        memcpy(window->digests, digests, window->n_chunks * sizeof(*window->digests));
        for (size_t i = 0; i < window->n_chunks; i++)
                window->chunks[i].slot = NO_SLOT;
        while (window->n_free < window->n_slots) {
                window->free_slots[window->n_free] = (uint32_t) (window->n_slots - 1 - window->n_free);
                window->n_free++;
        }
        return 0;
}

int chunk_window_new(uint64_t size, size_t chunk_size, const uint8_t (*digests)[DIGEST_SIZE], size_t memory,
                     ChunkWindow **ret) {
        _cleanup_(chunk_window_freep) ChunkWindow *window = NULL;
        int r;

        window = calloc(1, sizeof(*window));
        if (!window)
                return -ENOMEM;
        window->size = window->wanted = size;
        window->chunk_size = chunk_size;
        window->n_chunks = (size_t) ((size + chunk_size - 1) / chunk_size);
        window->n_slots = MIN(window->n_chunks, MAX((size_t) SLOTS_MIN, memory / chunk_size));
        r = allocate(window, digests);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(window);
        return 0;
}

ChunkWindow *chunk_window_free(ChunkWindow *window) {
        if (!window)
                return NULL;
        if (window->memory)
                (void) munmap(window->memory, window->n_slots * window->chunk_size);
        free(window->free_slots);
        free(window->digests);
        free(window->chunks);
        free(window);
        return NULL;
}

bool chunk_window_assign(ChunkWindow *window, uint64_t size, ChunkRange *ret) {
        size_t begin = window->head, end = window_end(window), i;
        uint64_t taken = 0;

        while (begin < end && window->chunks[begin].state != CHUNK_WANTED)
                begin++;
        if (begin == end)
                return false;
        for (i = begin; i < end && window->chunks[i].state == CHUNK_WANTED; i++) {
                if (i > begin && taken + length_of(window, i) > size)
                        break;
                taken += length_of(window, i);
                window->chunks[i].state = CHUNK_ASSIGNED;
        }
        window->wanted -= taken;
        *ret = (ChunkRange){ .next = begin, .end = i };
        return true;
}

uint64_t chunk_range_offset(const ChunkWindow *window, const ChunkRange *range) {
        return MIN((uint64_t) range->next * window->chunk_size + range->filled, window->size);
}

uint64_t chunk_range_length(const ChunkWindow *window, const ChunkRange *range) {
        uint64_t end = MIN((uint64_t) range->end * window->chunk_size, window->size);

        return end - chunk_range_offset(window, range);
}

/* The chunk that is being received is whole. */
static int verify(ChunkWindow *window, ChunkRange *range) {
        Chunk *chunk = &window->chunks[range->next];
        uint8_t digest[DIGEST_SIZE];

        if (digest_final(range->digest, digest) < 0)
                return -ENOMEM;
        range->filled = 0;
        if (memcmp(digest, window->digests[range->next], DIGEST_SIZE) != 0) {
                give_slot_back(window, range->next);
                return -EBADMSG;
        }
        chunk->state = CHUNK_VERIFIED;
        range->next++;
        return 0;
}

int chunk_window_receive(ChunkWindow *window, ChunkRange *range, const void *data, size_t size) {
        const uint8_t *p = data;

        if (!range->digest && digest_new(&range->digest) < 0)
                return -ENOMEM;
        while (size > 0) {
                size_t length, n;
                int r;

                if (range->next == range->end)
                        return -EOVERFLOW;
                length = length_of(window, range->next);
                n = MIN(size, length - range->filled);
                take_slot(window, range->next);
                memcpy(slot_data(window, range->next) + range->filled, p, n);
                if (digest_update(range->digest, p, n) < 0)
                        return -ENOMEM;
                range->filled += n;
                p += n;
                size -= n;
                if (range->filled < length)
                        continue;
                r = verify(window, range);
                if (r < 0)
                        return r;
        }
        return 0;
}

void chunk_window_release(ChunkWindow *window, ChunkRange *range) {
        for (; range->next < range->end; range->next++) {
                give_slot_back(window, range->next);
                window->chunks[range->next].state = CHUNK_WANTED;
                window->wanted += length_of(window, range->next);
        }
        range->digest = digest_free(range->digest);
        *range = (ChunkRange){};
}

bool chunk_window_peek(const ChunkWindow *window, const uint8_t **ret, size_t *ret_size) {
        if (chunk_window_finished(window) || window->chunks[window->head].state != CHUNK_VERIFIED)
                return false;
        *ret = slot_data(window, window->head);
        *ret_size = length_of(window, window->head);
        return true;
}

void chunk_window_consume(ChunkWindow *window) {
        assert(window->chunks[window->head].state == CHUNK_VERIFIED);
        give_slot_back(window, window->head);
        window->chunks[window->head].state = CHUNK_CONSUMED;
        window->head++;
}

uint64_t chunk_window_wanted(const ChunkWindow *window) {
        return window->wanted;
}

bool chunk_window_finished(const ChunkWindow *window) {
        return window->head == window->n_chunks;
}
