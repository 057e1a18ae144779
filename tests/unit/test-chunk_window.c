#include <string.h>

#include "artifacts/chunk_window.h"
#include "tests/unit/test.h"

#define CHUNK 1000U
#define CHUNKS 10U
#define SIZE (CHUNK * (CHUNKS - 1) + 7) /* the last one is short */
#define SLOTS 4U

typedef struct Fixture {
        uint8_t content[SIZE];
        uint8_t digests[CHUNKS][DIGEST_SIZE];
        ChunkWindow *window;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        for (size_t i = 0; i < SIZE; i++)
                f->content[i] = (uint8_t) (i * 31 + i / 251);
        for (size_t i = 0; i < CHUNKS; i++)
                assert_int_equal(
                        digest_sha256(f->content + i * CHUNK, MIN(CHUNK, SIZE - i * CHUNK), f->digests[i]),
                        0);
        assert_int_equal(chunk_window_new(SIZE, CHUNK, (const uint8_t(*)[DIGEST_SIZE]) f->digests,
                                          SLOTS * CHUNK + CHUNK / 2, &f->window),
                         0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        chunk_window_free(f->window);
        free(f);
        return 0;
}

/* Gives the range its next SIZE bytes, in pieces of STEP. */
static int feed(Fixture *f, ChunkRange *range, size_t size, size_t step) {
        while (size > 0) {
                size_t n = MIN(step, size);
                int r;

                r = chunk_window_receive(f->window, range, f->content + chunk_range_offset(f->window, range),
                                         n);
                if (r < 0)
                        return r;
                size -= n;
        }
        return 0;
}

static void consume(Fixture *f, size_t chunk) {
        const uint8_t *data;
        size_t size;

        assert_true(chunk_window_peek(f->window, &data, &size));
        assert_int_equal(size, chunk == CHUNKS - 1 ? 7 : CHUNK);
        assert_memory_equal(data, f->content + chunk * CHUNK, size);
        chunk_window_consume(f->window);
}

static bool is_ready(const Fixture *f) {
        const uint8_t *data;
        size_t size;

        return chunk_window_peek(f->window, &data, &size);
}

static void test_in_order(void **state) {
        Fixture *f = *state;

        for (size_t chunk = 0; chunk < CHUNKS;) {
                ChunkRange range;

                assert_int_equal(chunk_window_wanted(f->window), SIZE - chunk * CHUNK);
                assert_true(chunk_window_assign(f->window, 2 * CHUNK, &range));
                assert_int_equal(chunk_range_offset(f->window, &range), chunk * CHUNK);
                assert_int_equal(feed(f, &range, chunk_range_length(f->window, &range), 333), 0);
                assert_int_equal(chunk_range_length(f->window, &range), 0);
                assert_int_equal(chunk_window_receive(f->window, &range, "x", 1), -EOVERFLOW);
                chunk_window_release(f->window, &range);
                for (int i = 0; i < 2; i++)
                        consume(f, chunk++);
        }
        assert_true(chunk_window_finished(f->window));
        assert_false(is_ready(f));
}

static void test_out_of_order(void **state) {
        Fixture *f = *state;
        ChunkRange first, second, none;

        assert_true(chunk_window_assign(f->window, 2 * CHUNK + 1, &first));
        assert_true(chunk_window_assign(f->window, UINT64_MAX, &second));
        assert_int_equal(second.next, 2);
        assert_int_equal(second.end, SLOTS); /* the window ends there, not the artifact */
        assert_false(chunk_window_assign(f->window, CHUNK, &none));
        assert_int_equal(feed(f, &second, 2 * CHUNK, 2 * CHUNK), 0);
        assert_false(is_ready(f));
        assert_int_equal(feed(f, &first, CHUNK + 1, 100), 0);
        consume(f, 0);
        assert_false(is_ready(f));
        assert_true(chunk_window_assign(f->window, UINT64_MAX, &none)); /* the window has moved by one */
        assert_int_equal(none.next, SLOTS);
        assert_int_equal(none.end, SLOTS + 1);
        assert_int_equal(feed(f, &first, CHUNK - 1, CHUNK), 0);
        for (size_t i = 1; i < SLOTS; i++)
                consume(f, i);
        chunk_window_release(f->window, &first);
        chunk_window_release(f->window, &second);
        chunk_window_release(f->window, &none);
}

/* A broken transfer: whole chunks are kept, the rest is wanted again. */
static void test_broken(void **state) {
        Fixture *f = *state;
        ChunkRange range;
        uint64_t wanted;

        assert_true(chunk_window_assign(f->window, 3 * CHUNK, &range));
        wanted = chunk_window_wanted(f->window);
        assert_int_equal(feed(f, &range, CHUNK + 500, 77), 0);
        chunk_window_release(f->window, &range);
        assert_int_equal(chunk_window_wanted(f->window), wanted + 2 * CHUNK);
        consume(f, 0);
        assert_true(chunk_window_assign(f->window, 3 * CHUNK, &range));
        assert_int_equal(range.next, 1);
        assert_int_equal(chunk_range_offset(f->window, &range), CHUNK);
        assert_int_equal(feed(f, &range, 3 * CHUNK, 1), 0);
        consume(f, 1);
        consume(f, 2);
        consume(f, 3);
        chunk_window_release(f->window, &range);
}

static void test_wrong_bytes(void **state) {
        Fixture *f = *state;
        ChunkRange range;

        f->content[CHUNK + 999] ^= 1;
        assert_true(chunk_window_assign(f->window, 3 * CHUNK, &range));
        assert_int_equal(feed(f, &range, 3 * CHUNK, 3 * CHUNK), -EBADMSG);
        assert_int_equal(range.next, 1);
        chunk_window_release(f->window, &range);
        consume(f, 0);
        assert_false(is_ready(f));
        f->content[CHUNK + 999] ^= 1;
        assert_true(chunk_window_assign(f->window, 1, &range)); /* at least one chunk */
        assert_int_equal(range.end, 2);
        assert_int_equal(feed(f, &range, CHUNK, CHUNK), 0);
        consume(f, 1);
        chunk_window_release(f->window, &range);
}

/* Whatever happens, no more than the window's memory is used and all slots come back. */
static void test_slots_return(void **state) {
        Fixture *f = *state;

        for (int round = 0; round < 50; round++) {
                ChunkRange a, b;

                assert_true(chunk_window_assign(f->window, 2 * CHUNK, &a));
                assert_true(chunk_window_assign(f->window, 2 * CHUNK, &b));
                assert_int_equal(feed(f, &b, CHUNK / 2, CHUNK), 0);
                assert_int_equal(feed(f, &a, CHUNK / 2, CHUNK), 0);
                chunk_window_release(f->window, &a);
                chunk_window_release(f->window, &b);
        }
        assert_int_equal(chunk_window_wanted(f->window), SIZE);
}

/* A large chunk size: two chunks are held even if the memory is meant to be less. */
static void test_least_slots(void **state) {
        Fixture *f = *state;
        _cleanup_(chunk_window_freep) ChunkWindow *window = NULL;
        ChunkRange range;

        assert_int_equal(
                chunk_window_new(SIZE, CHUNK, (const uint8_t(*)[DIGEST_SIZE]) f->digests, 1, &window), 0);
        assert_true(chunk_window_assign(window, UINT64_MAX, &range));
        assert_int_equal(range.end, 2);
        chunk_window_release(window, &range);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_in_order),    TEST(test_out_of_order), TEST(test_broken),
                TEST(test_wrong_bytes), TEST(test_slots_return), TEST(test_least_slots),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
