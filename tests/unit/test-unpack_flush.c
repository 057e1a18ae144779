#include <pthread.h>
#include <unistd.h>

#include "tests/unit/test.h"

#include "artifacts/unpack_flush.h"

/* syncfs(2), which the linker puts in the place of the C library's. */
static struct {
        pthread_mutex_t lock;
        unsigned calls;
        unsigned fail_at;
        useconds_t takes;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

int __wrap_syncfs(int fd);
int __wrap_syncfs(int fd) {
        unsigned calls;

        assert_int_equal(fd, 77);
        (void) usleep(disk.takes);
        (void) pthread_mutex_lock(&disk.lock);
        calls = ++disk.calls;
        (void) pthread_mutex_unlock(&disk.lock);
        errno = EIO;
        return calls == disk.fail_at ? -1 : 0;
}

static unsigned calls_until(unsigned wanted) {
        unsigned calls = 0;

        for (unsigned i = 0; i < 500 && calls < wanted; i++) {
                (void) usleep(1000);
                (void) pthread_mutex_lock(&disk.lock);
                calls = disk.calls;
                (void) pthread_mutex_unlock(&disk.lock);
        }
        return calls;
}

static int setup(_unused_ void **state) {
        disk.calls = disk.fail_at = 0;
        disk.takes = 0;
        return 0;
}

static void test_steps(_unused_ void **state) {
        _cleanup_(unpack_flush_freep) UnpackFlush *flush = NULL;

        assert_int_equal(unpack_flush_start(77, 10 * UNPACK_FLUSH_STEP, &flush, NULL), 0);
        unpack_flush_written(flush, UNPACK_FLUSH_STEP - 1);
        (void) usleep(5000);
        assert_int_equal(disk.calls, 0);
        for (unsigned i = 1; i <= 3; i++) {
                unpack_flush_written(flush, i * UNPACK_FLUSH_STEP);
                unpack_flush_written(flush, i * UNPACK_FLUSH_STEP + 1);
                assert_int_equal(calls_until(i), i);
        }
        assert_int_equal(unpack_flush_finish(flush, NULL), 0);
        assert_int_equal(disk.calls, 3);
}

/* What is left at the end is left to whoever makes everything durable. */
static void test_end(_unused_ void **state) {
        _cleanup_(unpack_flush_freep) UnpackFlush *flush = NULL;

        assert_int_equal(unpack_flush_start(77, 2 * UNPACK_FLUSH_STEP, &flush, NULL), 0);
        unpack_flush_written(flush, UNPACK_FLUSH_STEP + 1);
        unpack_flush_written(flush, 2 * UNPACK_FLUSH_STEP);
        assert_int_equal(unpack_flush_finish(flush, NULL), 0);
        assert_int_equal(disk.calls, 0);
}

static void test_now(_unused_ void **state) {
        _cleanup_(unpack_flush_freep) UnpackFlush *flush = NULL;

        assert_int_equal(unpack_flush_start(77, 1, &flush, NULL), 0);
        unpack_flush_now(flush);
        assert_int_equal(calls_until(1), 1);
        disk.fail_at = 2;
        unpack_flush_now(flush);
        assert_int_equal(calls_until(2), 2);
        assert_int_equal(unpack_flush_finish(flush, NULL), -EIO);
}

/* A slow disk holds nobody up, and does not get a queue. */
static void test_slow(_unused_ void **state) {
        _cleanup_(unpack_flush_freep) UnpackFlush *flush = NULL;

        disk.takes = 50000;
        assert_int_equal(unpack_flush_start(77, 1000 * UNPACK_FLUSH_STEP, &flush, NULL), 0);
        for (unsigned i = 1; i < 900; i++)
                unpack_flush_written(flush, i * UNPACK_FLUSH_STEP);
        assert_int_equal(unpack_flush_finish(flush, NULL), 0);
        assert_in_range(disk.calls, 0, 3);
}

static void test_failure(_unused_ void **state) {
        _cleanup_(unpack_flush_freep) UnpackFlush *flush = NULL;
        Error error = {};

        disk.fail_at = 2;
        assert_int_equal(unpack_flush_start(77, 1000 * UNPACK_FLUSH_STEP, &flush, NULL), 0);
        for (unsigned i = 1; i <= 3; i++) {
                unpack_flush_written(flush, i * UNPACK_FLUSH_STEP);
                assert_int_equal(calls_until(i), i);
        }
        assert_int_equal(unpack_flush_finish(flush, &error), -EIO);
        assert_int_equal(error.fault, FAULT_HOST);
        assert_string_equal(error.message, "cannot make the files durable: Input/output error");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_steps, setup),   cmocka_unit_test_setup(test_end, setup),
                cmocka_unit_test_setup(test_now, setup),     cmocka_unit_test_setup(test_slow, setup),
                cmocka_unit_test_setup(test_failure, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
