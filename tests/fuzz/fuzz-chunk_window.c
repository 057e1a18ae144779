/* Transfers that come, break and lie in any order: what leaves the window is the artifact, in order, and no
 * memory is lost. */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "artifacts/chunk_window.h"

#define CHUNK 100U
#define CHUNKS 23U
#define SIZE (CHUNK * (CHUNKS - 1) + 1)
#define RANGES 4U
#define SLOTS 7U

typedef struct Model {
        uint8_t content[SIZE];
        uint8_t digests[CHUNKS][DIGEST_SIZE];
        ChunkWindow *window;
        ChunkRange ranges[RANGES];
        size_t consumed; /* bytes */
} Model;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_free(const ChunkRange *range) {
        return range->end == 0;
}

/* SIZE more bytes of the range; one of them is wrong if LIE. */
static void receive(Model *model, ChunkRange *range, size_t size, bool lie) {
        uint64_t offset = chunk_range_offset(model->window, range);
        uint8_t bytes[SIZE];
        int r;

        if (is_free(range))
                return;
        size = (size_t) MIN((uint64_t) size, chunk_range_length(model->window, range));
        memcpy(bytes, model->content + offset, size);
        if (lie && size > 0)
                bytes[size / 2] ^= 1;
        r = chunk_window_receive(model->window, range, bytes, size);
        assert(r == 0 || r == -EBADMSG);
        if (r < 0)
                chunk_window_release(model->window, range);
}

static void consume(Model *model) {
        const uint8_t *data;
        size_t size;

        if (!chunk_window_peek(model->window, &data, &size))
                return;
        assert(memcmp(data, model->content + model->consumed, size) == 0);
        model->consumed += size;
        chunk_window_consume(model->window);
}

static void act(Model *model, uint8_t verb, uint8_t amount) {
        ChunkRange *range = &model->ranges[verb % RANGES];

        switch (verb / RANGES % 5) {
        case 0:
                if (is_free(range))
                        (void) chunk_window_assign(model->window, (uint64_t) amount * 8, range);
                break;
        case 1:
                receive(model, range, amount, false);
                break;
        case 2:
                receive(model, range, (size_t) amount * 8, false);
                break;
        case 3:
                receive(model, range, amount, true);
                break;
        default:
                if (amount % 2)
                        consume(model);
                else if (!is_free(range))
                        chunk_window_release(model->window, range);
        }
}

/* However it went, an honest transfer can still bring the rest. */
static void complete(Model *model) {
        for (size_t i = 0; i < RANGES; i++)
                chunk_window_release(model->window, &model->ranges[i]);
        while (!chunk_window_finished(model->window)) {
                if (chunk_window_assign(model->window, UINT64_MAX, &model->ranges[0])) {
                        receive(model, &model->ranges[0], SIZE, false);
                        chunk_window_release(model->window, &model->ranges[0]);
                }
                consume(model);
        }
        assert(model->consumed == SIZE && chunk_window_wanted(model->window) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static Model model;

        model = (Model){};
        for (size_t i = 0; i < SIZE; i++)
                model.content[i] = (uint8_t) (i * 31 + i / 251);
        for (size_t i = 0; i < CHUNKS; i++)
                if (digest_sha256(model.content + i * CHUNK, MIN((size_t) CHUNK, SIZE - i * CHUNK),
                                  model.digests[i]) < 0)
                        return 0;
        if (chunk_window_new(SIZE, CHUNK, (const uint8_t(*)[DIGEST_SIZE]) model.digests, SLOTS * CHUNK,
                             &model.window) < 0)
                return 0;
        for (size_t i = 0; i + 1 < size; i += 2)
                act(&model, data[i], data[i + 1]);
        complete(&model);
        chunk_window_free(model.window);
        return 0;
}
