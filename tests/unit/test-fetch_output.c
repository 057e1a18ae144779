#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "artifacts/fetch_output.h"
#include "tests/unit/test.h"

#define PIECE (256U << 10)

static void count(void *userdata) {
        (*(unsigned *) userdata)++;
}

static void test_file(_unused_ void **state) {
        _cleanup_close_ int fd = memfd_create("out", MFD_CLOEXEC);
        _cleanup_(fetch_output_freep) FetchOutput *output = NULL;
        sd_event *event = NULL;
        char text[8] = {};

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(fetch_output_new(event, fd, count, NULL, &output, NULL), 0);
        assert_int_equal(fetch_output_write(output, "hello", 5), 5);
        assert_false(fetch_output_is_blocked(output));
        assert_int_equal(pread(fd, text, sizeof(text), 0), 5);
        assert_string_equal(text, "hello");
        assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
        sd_event_unref(event);
}

/* No room left in the middle of a write: an error, not a wait for room that never comes. */
static void test_file_full(_unused_ void **state) {
        _cleanup_close_ int fd = memfd_create("out", MFD_CLOEXEC);
        _cleanup_(fetch_output_freep) FetchOutput *output = NULL;
        struct rlimit before, limit;
        sd_event *event = NULL;
        ssize_t n;

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(fetch_output_new(event, fd, count, NULL, &output, NULL), 0);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        limit = (struct rlimit){ .rlim_cur = 3, .rlim_max = before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        n = fetch_output_write(output, "hello", 5);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(n, -EFBIG);
        assert_false(fetch_output_is_blocked(output));
        sd_event_unref(event);
}

/* Fills FDS[1], then reads from FDS[0], until everything has gone through. */
static void through(int fds[2]) {
        _cleanup_(fetch_output_freep) FetchOutput *output = NULL;
        static uint8_t data[PIECE], read_back[PIECE];
        size_t written = 0, got = 0;
        unsigned ready = 0;
        sd_event *event = NULL;

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(fetch_output_new(event, fds[1], count, &ready, &output, NULL), 0);
        assert_true(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
        for (unsigned turn = 0; got < 16 * sizeof(data); turn++) {
                ssize_t n;

                while (written < 16 * sizeof(data) && !fetch_output_is_blocked(output)) {
                        n = fetch_output_write(output, data, MIN(sizeof(data), 16 * sizeof(data) - written));
                        assert_true(n >= 0);
                        written += (size_t) n;
                }
                if (fetch_output_is_blocked(output))
                        assert_int_equal(fetch_output_write(output, data, 1), 0);
                n = read(fds[0], read_back, sizeof(read_back));
                if (n > 0)
                        got += (size_t) n;
                assert_true(sd_event_run(event, 0) >= 0);
                assert_true(turn < 100000);
        }
        assert_int_equal(written, got);
        assert_true(ready > 0);
        sd_event_unref(event);
}

static void test_pipe(_unused_ void **state) {
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        through(fds);
        close_fd(fds[0]);
        close_fd(fds[1]);
}

static void test_socket(_unused_ void **state) {
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        through(fds);
        close_fd(fds[0]);
        close_fd(fds[1]);
}

/* The reader goes while we wait for it: that wakes us up, and the next write says so. */
static void test_reader_gone(_unused_ void **state) {
        _cleanup_(fetch_output_freep) FetchOutput *output = NULL;
        static uint8_t data[8U << 20];
        unsigned ready = 0;
        sd_event *event = NULL;
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(fetch_output_new(event, fds[1], count, &ready, &output, NULL), 0);
        close_fd(fds[1]);
        assert_in_range(fetch_output_write(output, data, sizeof(data)), 1, sizeof(data) - 1);
        assert_true(fetch_output_is_blocked(output));
        close_fd(fds[0]);
        assert_true(sd_event_run(event, 1000000) > 0);
        assert_int_equal(ready, 1);
        assert_int_equal(fetch_output_write(output, data, 1), -EPIPE);
        sd_event_unref(event);
}

static void test_bad_descriptor(_unused_ void **state) {
        FetchOutput *output;
        Error error = {};

        assert_int_equal(fetch_output_new(NULL, -1, count, NULL, &output, &error), -EBADF);
        assert_non_null(strstr(error.message, "cannot use the descriptor"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_file),        cmocka_unit_test(test_file_full),
                cmocka_unit_test(test_pipe),        cmocka_unit_test(test_socket),
                cmocka_unit_test(test_reader_gone), cmocka_unit_test(test_bad_descriptor),
        };

        (void) signal(SIGPIPE, SIG_IGN);
        (void) signal(SIGXFSZ, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
