#include <pthread.h>
#include <stdalign.h>
#include <string.h>

#include "artifacts/unpack_thread.h"

#define STACK_SIZE (256U << 10)

/* In a batch: this, and behind it an entry's path and target, each with its zero byte, or SIZE bytes of data. */
typedef struct Record {
        bool is_data;
        size_t size; /* of what is behind it */
        size_t path_size;
        UnpackEntry entry; /* its pointers mean nothing */
} Record;

typedef struct Batch {
        size_t used;
        alignas(max_align_t) uint8_t bytes[UNPACK_THREAD_BATCH_SIZE];
} Batch;

struct UnpackThread {
        UnpackSink target;
        pthread_t thread;
        bool running;
        Batch *batches;
        uint64_t filled; /* only the giving side uses this batch, */
        pthread_mutex_t lock;
        pthread_cond_t changed;
        uint64_t given; /* and under the lock: batches handed over, */
        uint64_t taken; /* batches that the target is done with, */
        bool ended;     /* no more will be given, */
        bool stopped;   /* nobody waits for the rest, */
        int result;     /* and what the target returned */
        Error error;
};

static size_t aligned(size_t size) {
        return (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

static int give_record(const UnpackThread *thread, const Record *record, Error *error) {
        const char *behind = (const char *) (record + 1);
        UnpackEntry entry = record->entry;

        if (record->is_data)
                return thread->target.data(behind, record->size, thread->target.userdata, error);
        entry.path = behind;
        entry.target = record->size > record->path_size ? behind + record->path_size : NULL;
        return thread->target.entry(&entry, thread->target.userdata, error);
}

static int give_batch(const UnpackThread *thread, const Batch *batch, Error *error) {
        for (size_t at = 0; at < batch->used;) {
                const Record *record = (const Record *) (batch->bytes + at);
                int r = give_record(thread, record, error);

                if (r < 0)
                        return r;
                at += aligned(sizeof(*record) + record->size);
        }
        return 0;
}

static void *run(void *userdata) {
        UnpackThread *thread = userdata;
        Error error = {};

        (void) pthread_mutex_lock(&thread->lock);
        for (;;) {
                const Batch *batch = thread->batches + thread->taken % UNPACK_THREAD_BATCHES;
                int r;

                while (thread->taken == thread->given && !thread->ended && !thread->stopped)
                        (void) pthread_cond_wait(&thread->changed, &thread->lock);
                if (thread->stopped || thread->taken == thread->given)
                        break;
                (void) pthread_mutex_unlock(&thread->lock);
                r = give_batch(thread, batch, &error);
                (void) pthread_mutex_lock(&thread->lock);
                thread->taken++;
                (void) pthread_cond_signal(&thread->changed);
                if (r < 0) {
                        thread->result = r;
                        thread->error = error;
                        break;
                }
        }
        (void) pthread_mutex_unlock(&thread->lock);
        return NULL;
}

static int get_result(const UnpackThread *thread, Error *error) {
        if (thread->result < 0 && error)
                *error = thread->error;
        return thread->result;
}

/* Hands over the batch that is being filled, and waits until there is a free one. */
static int hand_over(UnpackThread *thread, Error *error) {
        int r;

        (void) pthread_mutex_lock(&thread->lock);
        thread->given = ++thread->filled;
        (void) pthread_cond_signal(&thread->changed);
        while (thread->given - thread->taken == UNPACK_THREAD_BATCHES && thread->result >= 0)
                (void) pthread_cond_wait(&thread->changed, &thread->lock);
        r = get_result(thread, error);
        (void) pthread_mutex_unlock(&thread->lock);
        thread->batches[thread->filled % UNPACK_THREAD_BATCHES].used = 0;
        return r;
}

/* How much there is room for behind a record, at most SIZE; with less than LEAST, another batch is begun. */
static int reserve(UnpackThread *thread, size_t size, size_t least, Record **ret, size_t *ret_size,
                   Error *error) {
        Batch *batch = thread->batches + thread->filled % UNPACK_THREAD_BATCHES;
        size_t left;
        int r;

        if (batch->used + sizeof(Record) + least > sizeof(batch->bytes)) {
                r = hand_over(thread, error);
                if (r < 0)
                        return r;
                batch = thread->batches + thread->filled % UNPACK_THREAD_BATCHES;
        }
        left = sizeof(batch->bytes) - batch->used - sizeof(Record);
        *ret = (Record *) (batch->bytes + batch->used);
        *ret_size = MIN(size, left);
        batch->used = MIN(batch->used + aligned(sizeof(Record) + *ret_size), sizeof(batch->bytes));
        return 0;
}

static int take_entry(const UnpackEntry *entry, void *userdata, Error *error) {
        UnpackThread *thread = userdata;
        size_t path_size = strlen(entry->path) + 1,
               target_size = entry->target ? strlen(entry->target) + 1 : 0, size;
        Record *record;
        int r;

        r = reserve(thread, path_size + target_size, path_size + target_size, &record, &size, error);
        if (r < 0)
                return r;
        *record = (Record){ .size = size, .path_size = path_size, .entry = *entry };
        memcpy(record + 1, entry->path, path_size);
        if (target_size > 0)
                memcpy((char *) (record + 1) + path_size, entry->target, target_size);
        return 0;
}

static int take_data(const void *data, size_t size, void *userdata, Error *error) {
        UnpackThread *thread = userdata;

        while (size > 0) {
                Record *record;
                size_t n;
                int r = reserve(thread, size, 1, &record, &n, error);

                if (r < 0)
                        return r;
                *record = (Record){ .is_data = true, .size = n };
                memcpy(record + 1, data, n);
                data = (const uint8_t *) data + n;
                size -= n;
        }
        return 0;
}

UnpackSink unpack_thread_sink(UnpackThread *thread) {
        return (UnpackSink){ .entry = take_entry, .data = take_data, .userdata = thread };
}

static int start(UnpackThread *thread) {
        pthread_attr_t attributes;
        int r;

        r = pthread_attr_init(&attributes);
        if (r == 0) {
                (void) pthread_attr_setstacksize(&attributes, STACK_SIZE);
                r = pthread_create(&thread->thread, &attributes, run, thread);
                (void) pthread_attr_destroy(&attributes);
        }
        thread->running = r == 0;
        return -r;
}

int unpack_thread_start(const UnpackSink *target, UnpackThread **ret, Error *error) {
        _cleanup_(unpack_thread_freep) UnpackThread *thread = calloc(1, sizeof(*thread));
        int r;

        if (!thread)
                return error_oom(error);
        thread->target = *target;
        (void) pthread_mutex_init(&thread->lock, NULL);
        (void) pthread_cond_init(&thread->changed, NULL);
        thread->batches = malloc(UNPACK_THREAD_BATCHES * sizeof(*thread->batches));
        if (!thread->batches)
                return error_oom(error);
        thread->batches[0].used = 0;
        r = start(thread);
        if (r < 0)
                return error_set_errno(error, r, "cannot start a thread");
        *ret = TAKE_PTR(thread);
        return 0;
}

static void end(UnpackThread *thread, bool stop) {
        if (!thread->running)
                return;
        (void) pthread_mutex_lock(&thread->lock);
        thread->given = ++thread->filled;
        thread->ended = true;
        thread->stopped = stop;
        (void) pthread_cond_signal(&thread->changed);
        (void) pthread_mutex_unlock(&thread->lock);
        (void) pthread_join(thread->thread, NULL);
        thread->running = false;
}

int unpack_thread_finish(UnpackThread *thread, Error *error) {
        end(thread, false);
        return get_result(thread, error);
}

UnpackThread *unpack_thread_free(UnpackThread *thread) {
        if (!thread)
                return NULL;
        end(thread, true);
        free(thread->batches);
        (void) pthread_cond_destroy(&thread->changed);
        (void) pthread_mutex_destroy(&thread->lock);
        free(thread);
        return NULL;
}
