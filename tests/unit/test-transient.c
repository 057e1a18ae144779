#include <signal.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "tests/unit/test.h"
#include "units/transient.h"

#define MINUTES (60 * UINT64_C(1000000))

static UnitState make_state(UnitActive active, const char *sub, const char *result, int code, int status) {
        UnitState state = { .load = UNIT_LOADED,
                            .active = active,
                            .exec_code = code,
                            .exec_status = status,
                            .exec_started = 1 };

        snprintf(state.sub, sizeof(state.sub), "%s", sub);
        snprintf(state.result, sizeof(state.result), "%s", result);
        return state;
}

static void check(UnitState state, TransientOutcome outcome, const char *says) {
        TransientResult result = {};
        Error error = {};

        assert_true(transient_judge(&state, &result));
        assert_int_equal(result.outcome, outcome);
        assert_int_equal(transient_explain(&result, &state, 5 * MINUTES, &error), outcome);
        assert_string_equal(error.message, says);
}

static void test_ends(void **state) {
        (void) state;
        check(make_state(UNIT_ACTIVE, "exited", "success", CLD_EXITED, 0), TRANSIENT_SUCCESS, "");
        check(make_state(UNIT_ACTIVE, "exited", "success", CLD_KILLED, SIGTERM), TRANSIENT_SIGNAL,
              "signal 15 (TERM)");
        check(make_state(UNIT_ACTIVE, "exited", "success", CLD_EXITED, 4), TRANSIENT_EXIT, "exit status 4");
        check(make_state(UNIT_FAILED, "failed", "exit-code", CLD_EXITED, 3), TRANSIENT_EXIT, "exit status 3");
        check(make_state(UNIT_FAILED, "failed", "signal", CLD_KILLED, 9), TRANSIENT_SIGNAL,
              "signal 9 (KILL)");
        check(make_state(UNIT_FAILED, "failed", "core-dump", CLD_DUMPED, 11), TRANSIENT_SIGNAL,
              "signal 11 (SEGV), core dumped");
        check(make_state(UNIT_FAILED, "failed", "timeout", CLD_KILLED, 15), TRANSIENT_TIMEOUT,
              "timed out after 5m and was ended");
        check(make_state(UNIT_FAILED, "failed", "oom-kill", CLD_KILLED, 9), TRANSIENT_OUT_OF_MEMORY,
              "was killed for lack of memory");
        check(make_state(UNIT_FAILED, "failed", "exit-code", CLD_EXITED, 226), TRANSIENT_COULD_NOT_START,
              "systemd could not start it: exit status 226 (NAMESPACE)");
        check(make_state(UNIT_FAILED, "failed", "resources", 0, 0), TRANSIENT_COULD_NOT_START,
              "systemd could not start it: resources");
        check(make_state(UNIT_INACTIVE, "dead", "success", CLD_KILLED, 15), TRANSIENT_STOPPED,
              "was stopped by somebody else");
}

/* What systemd says of a unit that it does not know, and of one whose start was refused before it ran. */
static void test_no_success_by_default(void **state) {
        UnitState unknown = { .load = UNIT_NOT_FOUND, .active = UNIT_INACTIVE, .result = "success" };
        UnitState never = make_state(UNIT_INACTIVE, "dead", "success", 0, 0);
        TransientResult result = {};

        (void) state;
        never.exec_started = 0;
        assert_true(transient_judge(&unknown, &result));
        assert_int_equal(result.outcome, TRANSIENT_VANISHED);
        assert_true(transient_judge(&never, &result));
        assert_int_equal(result.outcome, TRANSIENT_COULD_NOT_START);
}

static void test_goes_on(void **state) {
        const UnitState going[] = {
                make_state(UNIT_ACTIVATING, "start", "success", 0, 0),
                make_state(UNIT_ACTIVE, "running", "success", 0, 0),
                make_state(UNIT_DEACTIVATING, "stop-sigterm", "timeout", 0, 0),
        };
        UnitState queued = make_state(UNIT_INACTIVE, "dead", "success", 0, 0);
        TransientResult result = {};

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(going); i++)
                assert_false(transient_judge(&going[i], &result));
        queued.job = 17;
        assert_false(transient_judge(&queued, &result));
}

static void test_exit_text(void **state) {
        char text[UNIT_EXIT_TEXT_MAX];

        (void) state;
        unit_exit_text(CLD_EXITED, 0, text);
        assert_string_equal(text, "exit status 0");
        unit_exit_text(0, 0, text);
        assert_string_equal(text, "");
        unit_exit_text(CLD_KILLED, 99, text);
        assert_string_equal(text, "signal 99 (?)");
        assert_null(unit_exec_failure(199));
        assert_null(unit_exec_failure(1));
        assert_string_equal(unit_exec_failure(200), "CHDIR");
}

static void test_words(void **state) {
        (void) state;
        for (UnitLoad l = UNIT_LOADED; l <= UNIT_BAD; l++)
                assert_int_equal(unit_load_from_string(unit_load_to_string(l)), l);
        for (UnitActive a = UNIT_ACTIVE; a <= UNIT_DEACTIVATING; a++)
                assert_int_equal(unit_active_from_string(unit_active_to_string(a)), a);
        assert_int_equal(unit_load_from_string("bad-setting"), UNIT_BAD);
        assert_int_equal(unit_load_from_string("stub"), UNIT_LOAD_OTHER);
        assert_int_equal(unit_active_from_string(""), UNIT_ACTIVE_OTHER);
}

static void test_properties_are_copied(void **state) {
        char text[] = "strict";
        const UnitProperty properties[] = {
                UNIT_STRING("ProtectSystem", text),
                UNIT_ALLOW("SystemCallFilter", "@system-service", "~@privileged"),
                UNIT_INT32("OOMScoreAdjust", -5),
        };
        UnitProperty *copy = NULL;

        (void) state;
        assert_int_equal(unit_properties_copy(properties, ELEMENTSOF(properties), &copy), 0);
        text[0] = 'S';
        assert_string_equal(copy[0].text, "strict");
        assert_true(copy[1].allow);
        assert_string_equal(copy[1].list[1], "~@privileged");
        assert_null(copy[1].list[2]);
        assert_int_equal((int32_t) (int64_t) copy[2].number, -5);
        assert_null(unit_properties_free(copy, ELEMENTSOF(properties)));
        assert_int_equal(unit_properties_copy(properties, UNIT_PROPERTIES_MAX + 1, &copy), -E2BIG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ends),    cmocka_unit_test(test_no_success_by_default),
                cmocka_unit_test(test_goes_on), cmocka_unit_test(test_exit_text),
                cmocka_unit_test(test_words),   cmocka_unit_test(test_properties_are_copied),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
