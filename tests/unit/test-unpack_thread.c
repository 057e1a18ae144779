#include <string.h>
#include <unistd.h>

#include "tests/unit/test.h"

#include "artifacts/unpack_thread.h"

/* What the target got, as a sum that depends on order and content. */
typedef struct Target {
        uint64_t sum;
        unsigned calls;
        unsigned fail_at; /* 0: never */
        useconds_t pause;
} Target;

static void add(Target *target, const void *data, size_t size) {
        const uint8_t *p = data;

        for (size_t i = 0; i < size; i++)
                target->sum = target->sum * 31 + p[i];
}

static int count_call(Target *target, Error *error) {
        if (target->pause > 0)
                (void) usleep(target->pause);
        if (++target->calls == target->fail_at)
                return error_set_fault(error, -ENOSPC, FAULT_HOST, "the target is full");
        return 0;
}

static int get_entry(const UnpackEntry *entry, void *userdata, Error *error) {
        Target *target = userdata;

        add(target, entry->path, strlen(entry->path));
        if (entry->target)
                add(target, entry->target, strlen(entry->target));
        add(target, &entry->type, sizeof(entry->type));
        add(target, &entry->mode, sizeof(entry->mode));
        add(target, &entry->size, sizeof(entry->size));
        return count_call(target, error);
}

static int get_data(const void *data, size_t size, void *userdata, Error *error) {
        Target *target = userdata;

        add(target, data, size);
        return count_call(target, error);
}

static UnpackSink sink_of(Target *target) {
        return (UnpackSink){ .entry = get_entry, .data = get_data, .userdata = target };
}

/* Entries with and without targets, and data from nothing to more than a batch. */
static int give(const UnpackSink *sink, unsigned rounds, Error *error) {
        static uint8_t data[3 * UNPACK_THREAD_BATCH_SIZE / 2];

        for (unsigned i = 0; i < rounds; i++) {
                char path[300];
                UnpackEntry entry = { .type = ENTRY_FILE, .path = path, .mode = i & 0777, .size = i };
                size_t size = i % 17 == 0 ? sizeof(data) : i * 31 % 5000;
                int r;

                memset(path, 'a' + (int) (i % 26), sizeof(path));
                path[i % 299] = '\0';
                if (i % 5 == 0) {
                        entry.type = ENTRY_LINK;
                        entry.target = "somewhere/else";
                }
                r = sink->entry(&entry, sink->userdata, error);
                if (r < 0)
                        return r;
                memset(data, (int) i, size);
                r = size > 0 ? sink->data(data, size, sink->userdata, error) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static void test_all_arrives(_unused_ void **state) {
        _cleanup_(unpack_thread_freep) UnpackThread *thread = NULL;
        Target direct = {}, target = {};
        UnpackSink sink = sink_of(&direct);

        assert_int_equal(give(&sink, 500, NULL), 0);
        sink = sink_of(&target);
        assert_int_equal(unpack_thread_start(&sink, &thread, NULL), 0);
        sink = unpack_thread_sink(thread);
        assert_int_equal(give(&sink, 500, NULL), 0);
        assert_int_equal(unpack_thread_finish(thread, NULL), 0);
        assert_true(target.sum == direct.sum);
        assert_int_equal(unpack_thread_finish(thread, NULL), 0);
}

static void test_nothing(_unused_ void **state) {
        _cleanup_(unpack_thread_freep) UnpackThread *thread = NULL;
        Target target = {};
        UnpackSink sink = sink_of(&target);

        assert_int_equal(unpack_thread_start(&sink, &thread, NULL), 0);
        assert_int_equal(unpack_thread_finish(thread, NULL), 0);
        assert_int_equal(target.calls, 0);
}

static void test_target_fails(_unused_ void **state) {
        for (unsigned fail_at = 1; fail_at < 900; fail_at += 89) {
                _cleanup_(unpack_thread_freep) UnpackThread *thread = NULL;
                Target target = { .fail_at = fail_at };
                UnpackSink sink = sink_of(&target);
                Error error = {}, given = {};
                int r;

                assert_int_equal(unpack_thread_start(&sink, &thread, NULL), 0);
                sink = unpack_thread_sink(thread);
                r = give(&sink, 500, &given);
                if (r < 0)
                        assert_string_equal(given.message, "the target is full");
                assert_int_equal(unpack_thread_finish(thread, &error), -ENOSPC);
                assert_int_equal(error.fault, FAULT_HOST);
                assert_string_equal(error.message, "the target is full");
                assert_int_equal(target.calls, fail_at);
        }
}

/* One that is freed early neither hangs nor waits for the rest. */
static void test_freed_early(_unused_ void **state) {
        UnpackThread *thread = NULL;
        Target target = { .pause = 1000 };
        UnpackSink sink = sink_of(&target);

        assert_int_equal(unpack_thread_start(&sink, &thread, NULL), 0);
        sink = unpack_thread_sink(thread);
        assert_int_equal(give(&sink, 100, NULL), 0);
        assert_null(unpack_thread_free(thread));
        assert_true(target.calls < 200);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_arrives),
                cmocka_unit_test(test_nothing),
                cmocka_unit_test(test_target_fails),
                cmocka_unit_test(test_freed_early),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
