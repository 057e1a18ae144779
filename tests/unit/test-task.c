#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/unit/test.h"

#include "agent/base/task.h"

#define WAIT_USEC UINT64_C(10000000)

typedef struct Outcome {
        int calls;
        int result;
        ErrorFault fault;
        char message[ERROR_MESSAGE_MAX];
        bool free_task;
} Outcome;

static int setup(void **state) {
        sigset_t mask;
        sd_event *event = NULL;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        if (sd_event_new(&event) < 0)
                return -1;
        *state = event;
        return 0;
}

static int teardown(void **state) {
        sd_event_unref(*state);
        return 0;
}

static void on_done(Task *task, int result, const Error *error, void *userdata) {
        Outcome *outcome = userdata;

        outcome->calls++;
        outcome->result = result;
        outcome->fault = error->fault;
        memcpy(outcome->message, error->message, sizeof(outcome->message));
        if (outcome->free_task)
                task_free(task);
}

static void run_until_done(sd_event *event, const Outcome *outcome) {
        while (outcome->calls == 0)
                assert_true(sd_event_run(event, WAIT_USEC) > 0);
        while (sd_event_run(event, 0) > 0)
                ;
        assert_int_equal(outcome->calls, 1);
}

static int give_seven(void *userdata, _unused_ Error *error) {
        return *(int *) userdata + 7;
}

static void test_result(void **state) {
        _cleanup_(task_freep) Task *task = NULL;
        Outcome outcome = {};
        int value = 35;

        assert_int_equal(task_start(*state, "add", give_seven, &value, on_done, &outcome, &task, NULL), 0);
        assert_int_equal(outcome.calls, 0);
        run_until_done(*state, &outcome);
        assert_int_equal(outcome.result, 42);
}

static int refuse(_unused_ void *userdata, Error *error) {
        return error_set_fault(error, -EBADMSG, FAULT_RELEASE, "the archive is bad");
}

static void test_error(void **state) {
        Outcome outcome = { .free_task = true };
        Task *task;

        assert_int_equal(task_start(*state, "fail", refuse, NULL, on_done, &outcome, &task, NULL), 0);
        run_until_done(*state, &outcome);
        assert_int_equal(outcome.result, -EBADMSG);
        assert_int_equal(outcome.fault, FAULT_RELEASE);
        assert_string_equal(outcome.message, "the archive is bad");
}

static int kill_oneself(_unused_ void *userdata, _unused_ Error *error) {
        (void) kill(getpid(), SIGKILL);
        return 0;
}

static void test_killed(void **state) {
        _cleanup_(task_freep) Task *task = NULL;
        Outcome outcome = {};

        assert_int_equal(task_start(*state, "sync", kill_oneself, NULL, on_done, &outcome, &task, NULL), 0);
        run_until_done(*state, &outcome);
        assert_int_equal(outcome.result, -EIO);
        assert_int_equal(outcome.fault, FAULT_HOST);
        assert_string_equal(outcome.message, "sync: the process that does it ended by signal 9");
}

static int leave_early(_unused_ void *userdata, _unused_ Error *error) {
        _exit(3);
}

static void test_exits(void **state) {
        _cleanup_(task_freep) Task *task = NULL;
        Outcome outcome = {};

        assert_int_equal(task_start(*state, "sync", leave_early, NULL, on_done, &outcome, &task, NULL), 0);
        run_until_done(*state, &outcome);
        assert_int_equal(outcome.result, -EIO);
        assert_string_equal(outcome.message, "sync: the process that does it ended by exit status 3");
}

static int sleep_long(_unused_ void *userdata, _unused_ Error *error) {
        sleep(600);
        return 0;
}

static void test_cancelled(void **state) {
        Outcome outcome = {};
        Task *task;

        assert_int_equal(task_start(*state, "sleep", sleep_long, NULL, on_done, &outcome, &task, NULL), 0);
        assert_null(task_free(task));
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
        while (sd_event_run(*state, 0) > 0)
                ;
        assert_int_equal(outcome.calls, 0);
        assert_null(task_free(NULL));
}

/* The child takes signals again, whatever its parent blocks. */
static int signals_blocked(_unused_ void *userdata, _unused_ Error *error) {
        sigset_t mask;

        sigprocmask(SIG_SETMASK, NULL, &mask);
        return sigismember(&mask, SIGCHLD);
}

static void test_signals(void **state) {
        _cleanup_(task_freep) Task *task = NULL;
        Outcome outcome = {};

        assert_int_equal(task_start(*state, "mask", signals_blocked, NULL, on_done, &outcome, &task, NULL),
                         0);
        run_until_done(*state, &outcome);
        assert_int_equal(outcome.result, 0);
}

/* sd-event watches children only where SIGCHLD is blocked: then the error says so, and no process is left. */
static void test_sigchld_must_be_blocked(void **state) {
        Task *task = NULL;
        sigset_t mask;
        Error error = {};

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        sigprocmask(SIG_UNBLOCK, &mask, NULL);
        assert_int_equal(task_start(*state, "x", sleep_long, NULL, on_done, NULL, &task, &error), -EBUSY);
        assert_null(task);
        assert_string_equal(error.message, "x: cannot watch a process: Device or resource busy");
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_result),
                TEST(test_error),
                TEST(test_killed),
                TEST(test_exits),
                TEST(test_cancelled),
                TEST(test_signals),
                TEST(test_sigchld_must_be_blocked),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
