#include <signal.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "tests/unit/test.h"
#include "units/unit_judge.h"

#define UNIT "api.service"
#define SECOND UINT64_C(1000000)

static const sd_id128_t first_run = { .qwords = { 1, 1 } }, second_run = { .qwords = { 2, 2 } };

static UnitState running(void) {
        return (UnitState){ .load = UNIT_LOADED,
                            .active = UNIT_ACTIVE,
                            .sub = "running",
                            .result = "success",
                            .reload_result = "success",
                            .type = "simple",
                            .invocation = first_run,
                            .main_pid = 100,
                            .can_reload = true };
}

static UnitState down(UnitActive active, const char *sub, const char *result, int code, int status) {
        UnitState state = running();

        state.active = active;
        snprintf(state.sub, sizeof(state.sub), "%s", sub);
        snprintf(state.result, sizeof(state.result), "%s", result);
        state.main_pid = 0;
        state.exec_code = code;
        state.exec_status = status;
        return state;
}

static UnitState loads(UnitLoad load) {
        UnitState state = { .load = load, .active = UNIT_INACTIVE, .result = "success" };

        return state;
}

static void check_before(UnitState state, UnitVerb verb, UnitVerdict verdict, const char *method) {
        const char *chosen = "?";
        Error error = {};

        assert_int_equal(unit_judge_before(UNIT, &state, verb, &chosen, &error), verdict);
        assert_int_equal(verdict == VERDICT_GOOD, *error.message == '\0');
        if (method)
                assert_string_equal(chosen, method);
        else
                assert_null(chosen);
}

static void test_before(void **state) {
        UnitState stopped = down(UNIT_INACTIVE, "dead", "success", 0, 0);
        UnitState failed = down(UNIT_FAILED, "failed", "exit-code", CLD_EXITED, 1);
        UnitState looping = down(UNIT_ACTIVATING, "auto-restart", "exit-code", CLD_EXITED, 1);
        UnitState rigid = running();

        (void) state;
        rigid.can_reload = false;
        check_before(running(), UNIT_VERB_START, VERDICT_GOOD, "StartUnit");
        check_before(running(), UNIT_VERB_STOP, VERDICT_GOOD, "StopUnit");
        check_before(running(), UNIT_VERB_RESTART, VERDICT_GOOD, "RestartUnit");
        check_before(running(), UNIT_VERB_TRY_RESTART, VERDICT_GOOD, "TryRestartUnit");
        check_before(running(), UNIT_VERB_RELOAD, VERDICT_GOOD, "ReloadUnit");
        check_before(running(), UNIT_VERB_RELOAD_OR_RESTART, VERDICT_GOOD, "ReloadUnit");
        check_before(rigid, UNIT_VERB_RELOAD, VERDICT_CANNOT_RELOAD, NULL);
        check_before(rigid, UNIT_VERB_RELOAD_OR_RESTART, VERDICT_GOOD, "RestartUnit");
        check_before(stopped, UNIT_VERB_STOP, VERDICT_GOOD, NULL);
        check_before(stopped, UNIT_VERB_TRY_RESTART, VERDICT_GOOD, NULL);
        check_before(stopped, UNIT_VERB_RELOAD, VERDICT_GOOD, "StartUnit");
        check_before(failed, UNIT_VERB_RELOAD_OR_RESTART, VERDICT_GOOD, "StartUnit");
        check_before(failed, UNIT_VERB_STOP, VERDICT_GOOD, "StopUnit");
        check_before(looping, UNIT_VERB_START, VERDICT_GOOD, "RestartUnit");
        check_before(looping, UNIT_VERB_RELOAD, VERDICT_GOOD, "RestartUnit");
        check_before(looping, UNIT_VERB_STOP, VERDICT_GOOD, "StopUnit");
}

static void test_before_without_a_unit(void **state) {
        (void) state;
        check_before(loads(UNIT_NOT_FOUND), UNIT_VERB_START, VERDICT_NO_UNIT, NULL);
        check_before(loads(UNIT_NOT_FOUND), UNIT_VERB_RELOAD, VERDICT_NO_UNIT, NULL);
        check_before(loads(UNIT_NOT_FOUND), UNIT_VERB_STOP, VERDICT_GOOD, NULL);
        check_before(loads(UNIT_NOT_FOUND), UNIT_VERB_TRY_RESTART, VERDICT_GOOD, NULL);
        check_before(loads(UNIT_MASKED), UNIT_VERB_RESTART, VERDICT_NO_UNIT, NULL);
        check_before(loads(UNIT_BAD), UNIT_VERB_RESTART, VERDICT_NO_UNIT, NULL);
}

static void check_job(UnitState state, UnitVerb verb, const char *result, UnitVerdict verdict,
                      const char *says) {
        Error error = {};

        assert_int_equal(unit_judge_job(UNIT, &state, verb, result, &error), verdict);
        if (says)
                assert_non_null(strstr(error.message, says));
}

static void test_job(void **state) {
        UnitState failed = down(UNIT_FAILED, "failed", "exit-code", CLD_EXITED, 7), slow = running();
        UnitState closed = down(UNIT_INACTIVE, "dead", "success", 0, 0);
        Error error = {};

        (void) state;
        snprintf(slow.reload_result, sizeof(slow.reload_result), "timeout");
        check_job(running(), UNIT_VERB_RESTART, "done", VERDICT_GOOD, NULL);
        check_job(running(), UNIT_VERB_RESTART, NULL, VERDICT_GOOD, NULL);
        check_job(failed, UNIT_VERB_STOP, "failed", VERDICT_GOOD, NULL);
        check_job(slow, UNIT_VERB_RELOAD, "failed", VERDICT_JOB_FAILED,
                  "failed (timeout), the old process goes on");
        check_job(failed, UNIT_VERB_START, "failed", VERDICT_JOB_FAILED, "exit status 7");
        check_job(failed, UNIT_VERB_START, "dependency", VERDICT_JOB_FAILED, "requires");
        check_job(failed, UNIT_VERB_START, "canceled", VERDICT_JOB_FAILED, "cancelled by somebody else");
        check_job(failed, UNIT_VERB_START, "assert", VERDICT_JOB_FAILED, "'assert'");
        assert_int_equal(unit_judge_job("api.socket", &closed, UNIT_VERB_RESTART, "failed", &error),
                         VERDICT_JOB_FAILED);
        assert_non_null(strstr(error.message, "api.socket: its restart was refused: its service"));
}

static void check_settling(UnitState base, UnitState now, UnitVerb verb, bool final, UnitVerdict verdict,
                           const char *says) {
        Error error = {};

        assert_int_equal(unit_judge_settling(UNIT, &base, &now, verb, SECOND * 3 / 2, final, &error),
                         verdict);
        assert_int_equal(verdict == VERDICT_GOOD, *error.message == '\0');
        if (says)
                assert_non_null(strstr(error.message, says));
}

static void test_settling_well(void **state) {
        UnitState new_main = running(), exited = running(), leaving = running();

        (void) state;
        new_main.main_pid = 200; /* a graceful successor, within the same run */
        snprintf(exited.type, sizeof(exited.type), "oneshot");
        exited.main_pid = 0;
        leaving.active = UNIT_DEACTIVATING;
        check_settling(running(), running(), UNIT_VERB_RESTART, true, VERDICT_GOOD, NULL);
        check_settling(running(), new_main, UNIT_VERB_RELOAD, true, VERDICT_GOOD, NULL);
        check_settling(exited, exited, UNIT_VERB_RESTART, true, VERDICT_GOOD, NULL);
        check_settling(running(), leaving, UNIT_VERB_RESTART, false, VERDICT_GOOD, NULL);
}

static void test_settling_badly(void **state) {
        UnitState failed = down(UNIT_FAILED, "failed", "exit-code", CLD_EXITED, 7);
        UnitState killed = down(UNIT_FAILED, "failed", "oom-kill", CLD_KILLED, 9);
        UnitState looping = down(UNIT_ACTIVATING, "auto-restart", "signal", CLD_KILLED, 11);
        UnitState ended = down(UNIT_INACTIVE, "dead", "success", CLD_EXITED, 0);
        UnitState again = running(), other = running(), gone = running(), leaving = running();

        (void) state;
        again.n_restarts = 1;
        again.invocation = second_run;
        other.invocation = second_run;
        gone.main_pid = 0;
        leaving.active = UNIT_DEACTIVATING;
        check_settling(running(), failed, UNIT_VERB_RESTART, false, VERDICT_FAILED,
                       "failed 1.5 s after its restart: exit status 7");
        check_settling(running(), killed, UNIT_VERB_RELOAD, false, VERDICT_FAILED, "oom-kill");
        check_settling(running(), looping, UNIT_VERB_START, false, VERDICT_RESTARTED, "signal 11 (SEGV)");
        check_settling(running(), again, UNIT_VERB_RELOAD, false, VERDICT_RESTARTED, "start it anew");
        check_settling(running(), other, UNIT_VERB_RELOAD, false, VERDICT_RESTARTED, "by somebody else");
        check_settling(running(), ended, UNIT_VERB_RESTART, false, VERDICT_WRONG_STATE, "exit status 0");
        check_settling(running(), gone, UNIT_VERB_RESTART, false, VERDICT_MAIN_GONE, "main process is gone");
        check_settling(running(), leaving, UNIT_VERB_RESTART, true, VERDICT_WRONG_STATE, "deactivating");
        check_settling(running(), loads(UNIT_NOT_FOUND), UNIT_VERB_RESTART, false, VERDICT_NO_UNIT, NULL);
}

static void test_settling_without_a_main_process(void **state) {
        UnitState oneshot = down(UNIT_INACTIVE, "dead", "success", CLD_EXITED, 0), socket = running();
        UnitState skipped = down(UNIT_INACTIVE, "dead", "success", 0, 0), forking = running();

        (void) state;
        snprintf(oneshot.type, sizeof(oneshot.type), "oneshot");
        snprintf(skipped.type, sizeof(skipped.type), "oneshot");
        snprintf(forking.type, sizeof(forking.type), "forking");
        forking.main_pid = 0;
        socket.type[0] = '\0';
        socket.main_pid = 0;
        check_settling(oneshot, oneshot, UNIT_VERB_START, true, VERDICT_GOOD, NULL);
        check_settling(skipped, skipped, UNIT_VERB_START, true, VERDICT_WRONG_STATE,
                       "inactive"); /* a condition */
        check_settling(forking, forking, UNIT_VERB_START, true, VERDICT_GOOD, NULL);
        check_settling(socket, socket, UNIT_VERB_START, true, VERDICT_GOOD, NULL);
        check_settling(skipped, skipped, UNIT_VERB_TRY_RESTART, true, VERDICT_GOOD, NULL);
}

static void test_stopped(void **state) {
        UnitState failed = down(UNIT_FAILED, "failed", "timeout", CLD_KILLED, 9);

        (void) state;
        check_settling(running(), failed, UNIT_VERB_STOP, true, VERDICT_GOOD, NULL);
        check_settling(running(), loads(UNIT_NOT_FOUND), UNIT_VERB_STOP, true, VERDICT_GOOD, NULL);
        check_settling(running(), running(), UNIT_VERB_STOP, true, VERDICT_WRONG_STATE, "after its stop");
}

static void test_verbs(void **state) {
        UnitVerb verb;

        (void) state;
        for (UnitVerb v = UNIT_VERB_START; v <= UNIT_VERB_RELOAD_OR_RESTART; v++) {
                assert_int_equal(unit_verb_from_string(unit_verb_to_string(v), &verb), 0);
                assert_int_equal(verb, v);
        }
        assert_int_equal(unit_verb_from_string("Restart", &verb), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_before),
                cmocka_unit_test(test_before_without_a_unit),
                cmocka_unit_test(test_job),
                cmocka_unit_test(test_settling_well),
                cmocka_unit_test(test_settling_badly),
                cmocka_unit_test(test_settling_without_a_main_process),
                cmocka_unit_test(test_stopped),
                cmocka_unit_test(test_verbs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
