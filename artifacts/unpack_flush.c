#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#include "artifacts/unpack_flush.h"

#define STACK_SIZE (64U << 10)

struct UnpackFlush {
        int fd;
        uint64_t total;
        uint64_t next; /* the writing side's: when to flush again */
        pthread_t thread;
        bool running;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool wanted; /* under the lock, these: there is something to flush, */
        bool ended;  /* nothing more will be, */
        int result;  /* and what the first that failed gave */
};

static void *run(void *userdata) {
        UnpackFlush *flush = userdata;

        (void) pthread_mutex_lock(&flush->lock);
        for (;;) {
                int r;

                while (!flush->wanted && !flush->ended)
                        (void) pthread_cond_wait(&flush->changed, &flush->lock);
                if (flush->ended)
                        break;
                flush->wanted = false;
                (void) pthread_mutex_unlock(&flush->lock);
                r = syncfs(flush->fd) < 0 ? -errno : 0;
                (void) pthread_mutex_lock(&flush->lock);
                if (r < 0 && flush->result >= 0)
                        flush->result = r;
        }
        (void) pthread_mutex_unlock(&flush->lock);
        return NULL;
}

static void tell(UnpackFlush *flush, bool *what) {
        (void) pthread_mutex_lock(&flush->lock);
        *what = true;
        (void) pthread_cond_signal(&flush->changed);
        (void) pthread_mutex_unlock(&flush->lock);
}

static int start_thread(UnpackFlush *flush) {
        pthread_attr_t attributes;
        int r;

        r = pthread_attr_init(&attributes);
        if (r == 0) {
                (void) pthread_attr_setstacksize(&attributes, STACK_SIZE);
                r = pthread_create(&flush->thread, &attributes, run, flush);
                (void) pthread_attr_destroy(&attributes);
        }
        flush->running = r == 0;
        return -r;
}

int unpack_flush_start(int fd, uint64_t total, UnpackFlush **ret, Error *error) {
        _cleanup_(unpack_flush_freep) UnpackFlush *flush = calloc(1, sizeof(*flush));
        int r;

        if (!flush)
                return error_oom(error);
        flush->fd = fd;
        flush->total = total;
        flush->next = UNPACK_FLUSH_STEP;
        (void) pthread_mutex_init(&flush->lock, NULL);
        (void) pthread_cond_init(&flush->changed, NULL);
        r = start_thread(flush);
        if (r < 0)
                return error_set_errno(error, r, "cannot start a thread");
        *ret = TAKE_PTR(flush);
        return 0;
}

void unpack_flush_now(UnpackFlush *flush) {
        tell(flush, &flush->wanted);
}

void unpack_flush_written(UnpackFlush *flush, uint64_t bytes) {
        if (bytes < flush->next || flush->total - bytes < UNPACK_FLUSH_STEP)
                return;
        flush->next = bytes + UNPACK_FLUSH_STEP;
        unpack_flush_now(flush);
}

static void end(UnpackFlush *flush) {
        if (!flush->running)
                return;
        tell(flush, &flush->ended);
        (void) pthread_join(flush->thread, NULL);
        flush->running = false;
}

int unpack_flush_finish(UnpackFlush *flush, Error *error) {
        end(flush);
        if (flush->result >= 0)
                return 0;
        (void) error_set_errno(error, flush->result, "cannot make the files durable");
        error_blame(error, FAULT_HOST);
        return flush->result;
}

UnpackFlush *unpack_flush_free(UnpackFlush *flush) {
        if (!flush)
                return NULL;
        end(flush);
        (void) pthread_cond_destroy(&flush->changed);
        (void) pthread_mutex_destroy(&flush->lock);
        free(flush);
        return NULL;
}
