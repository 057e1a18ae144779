#include <signal.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "tests/unit/fake_systemd.h"
#include "units/transient.h"
#include "units/transient_stop.h"

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
        assert_int_equal(unit_load_from_string("merged"), UNIT_LOAD_OTHER);
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

/* On a fake systemd */

#define UNIT "run-1.service"

typedef struct Fixture {
        FakeSystemdRig rig; /* the first member */
        Transient *transient;
        TransientStop *stop;
        bool done;
        int result;
        Error error;
} Fixture;

static const FakeUnit unknown_unit = {
        .load = "not-found", .active = "inactive", .sub = "dead", .result = "success", .type = ""
};
static const FakeUnit running_unit = { .load = "loaded",
                                       .active = "activating",
                                       .sub = "start",
                                       .result = "success",
                                       .type = "oneshot",
                                       .exec_started = 1 };
static const FakeUnit failed_unit = { .load = "loaded",
                                      .active = "failed",
                                      .sub = "failed",
                                      .result = "exit-code",
                                      .type = "oneshot",
                                      .exec_code = CLD_EXITED,
                                      .exec_status = 3,
                                      .exec_started = 1 };

/* The properties that came with the start, as "name:signature" and the words of some. */
static char properties[1024];

static void note_property(sd_bus_message *m) {
        const char *name, *contents, *text = NULL;
        size_t n = strlen(properties);
        char type;

        assert_true(sd_bus_message_read(m, "s", &name) >= 0);
        assert_true(sd_bus_message_peek_type(m, &type, &contents) >= 0);
        if (strcmp(contents, "s") == 0)
                assert_true(sd_bus_message_read(m, "v", "s", &text) >= 0);
        else
                assert_true(sd_bus_message_skip(m, "v") >= 0);
        snprintf(properties + n, sizeof(properties) - n, "%s:%s%s%s ", name, text ? "" : contents,
                 text ? "=" : "", text ? text : "");
}

static void note_properties(sd_bus_message *m) {
        const char *unit, *mode;

        properties[0] = '\0';
        assert_true(sd_bus_message_read(m, "ss", &unit, &mode) >= 0);
        assert_string_equal(unit, UNIT);
        assert_string_equal(mode, "fail");
        assert_true(sd_bus_message_enter_container(m, 'a', "(sv)") >= 0);
        while (sd_bus_message_enter_container(m, 'r', "sv") > 0) {
                note_property(m);
                assert_true(sd_bus_message_exit_container(m) >= 0);
        }
}

static void answer(FakeSystemd *fake, sd_bus_message *call, const char *member) {
        if (strcmp(member, "StartTransientUnit") == 0) {
                note_properties(call);
                fake->unit = running_unit;
                assert_true(sd_bus_reply_method_return(call, "o", "/org/freedesktop/systemd1/job/1") >= 0);
        } else {
                assert_true(sd_bus_reply_method_return(call, "") >= 0);
        }
}

/* The first start comes through, but its answer is lost. */
static void lose_the_answer(FakeSystemd *fake, sd_bus_message *call, const char *member) {
        if (fake_systemd_count(fake, member) == 1) {
                fake->unit = running_unit;
                fake_systemd_drop(fake);
        } else {
                assert_true(sd_bus_reply_method_errorf(call, "org.freedesktop.systemd1.UnitExists",
                                                       "It is there.") >= 0);
        }
}

static void exists(FakeSystemd *fake, sd_bus_message *call, _unused_ const char *member) {
        fake->unit = failed_unit;
        assert_true(sd_bus_reply_method_errorf(call, "org.freedesktop.systemd1.UnitExists", "It is there.") >=
                    0);
}

static int setup(void **state) {
        int r = fake_systemd_setup(state, sizeof(Fixture), answer);

        if (r == 0)
                ((Fixture *) *state)->rig.fake.unit = unknown_unit;
        return r;
}

static int teardown(void **state) {
        Fixture *f = *state;

        transient_free(f->transient);
        transient_stop_free(f->stop);
        return fake_systemd_teardown(state);
}

static void on_done(_unused_ Transient *transient, int result, const Error *error, void *userdata) {
        Fixture *f = userdata;

        assert_false(f->done);
        f->done = true;
        f->result = result;
        f->error = *error;
}

static void start(Fixture *f, bool adopt) {
        char *const argv[] = { (char *) "/bin/echo", (char *) "$HOME", NULL };
        const UnitProperty sandbox[] = {
                UNIT_BOOLEAN("NoNewPrivileges", true),
                UNIT_UINT64("MemoryMax", 1 << 20),
                UNIT_UINT32("UMask", 077),
                UNIT_INT32("OOMScoreAdjust", -5),
                UNIT_STRINGS("ReadWritePaths", "/a", "/b"),
                UNIT_ALLOW("SystemCallFilter", "@system-service"),
                UNIT_BIND("BindPaths", "/a:/b", "-/c:/d"),
                { .name = "TemporaryFileSystem",
                  .signature = "a(ss)",
                  .list = (const char *const[]){ "/t:ro", NULL } },
        };
        const TransientSpec spec = {
                .name = UNIT,
                .description = "A test",
                .argv = argv,
                .environment_file = "/run/x.env",
                .user = "api",
                .stdout_fd = STDERR_FILENO,
                .timeout_usec = USEC_PER_SEC,
                .adopt = adopt,
                .properties = sandbox,
                .n_properties = ELEMENTSOF(sandbox),
        };

        assert_int_equal(transient_start(f->rig.manager, &spec, on_done, f, &f->transient, NULL), 0);
        assert_false(f->done);
}

static void check_failure(Fixture *f) {
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, 0);
        assert_int_equal(transient_result(f->transient)->outcome, TRANSIENT_EXIT);
        assert_int_equal(transient_result(f->transient)->status, 3);
        assert_string_equal(f->error.message, "exit status 3");
}

static void finish(Fixture *f) {
        f->rig.fake.unit = failed_unit;
        fake_systemd_changed(&f->rig.fake, UNIT);
        check_failure(f);
}

static void test_start(void **state) {
        Fixture *f = *state;

        start(f, false);
        fake_systemd_await(&f->rig.fake, "StartTransientUnit", 1);
        fake_systemd_run_for(&f->rig.fake, 50 * USEC_PER_MSEC);
        assert_false(f->done); /* neither for the unit that was unknown before, nor for the one that runs */
        assert_string_equal(
                properties,
                "Type:=oneshot RemainAfterExit:b TimeoutStopUSec:t TimeoutStartUSec:t Description:=A test "
                "ExecStart:a(sasb) EnvironmentFiles:a(sb) User:=api StandardOutputFileDescriptor:h "
                "NoNewPrivileges:b MemoryMax:t UMask:u OOMScoreAdjust:i ReadWritePaths:as "
                "SystemCallFilter:(bas) BindPaths:a(ssbt) TemporaryFileSystem:a(ss) ");
        finish(f);
}

static void test_start_with_its_answer_lost(void **state) {
        Fixture *f = *state;

        f->rig.fake.method = lose_the_answer;
        start(f, false);
        fake_systemd_await(&f->rig.fake, "StartTransientUnit", 2);
        fake_systemd_run_for(&f->rig.fake, 50 * USEC_PER_MSEC);
        assert_false(f->done);
        finish(f);
}

static void test_name_that_is_taken(void **state) {
        Fixture *f = *state;

        f->rig.fake.method = exists;
        start(f, false);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, 0);
        assert_int_equal(transient_result(f->transient)->outcome, TRANSIENT_COULD_NOT_START);
        assert_string_equal(f->error.message, "systemd refused to start it: It is there.");
}

static void test_unit_that_is_there_is_adopted(void **state) {
        Fixture *f = *state;

        f->rig.fake.method = exists;
        start(f, true);
        check_failure(f);
}

static void test_bad_properties(void **state) {
        const UnitProperty bad[] = {
                { .name = "A", .signature = "x" },
                { .name = "A", .signature = "s" },
                { .name = "A", .signature = "u", .number = UINT64_C(1) << 32 },
                { .name = "A",
                  .signature = "a(ssbt)",
                  .list = (const char *const[]){ "/no-destination", NULL } },
        };
        char *const argv[] = { (char *) "/bin/true", NULL };
        Fixture *f = *state;

        while (!manager_bus(f->rig.manager))
                fake_systemd_run_for(&f->rig.fake, USEC_PER_MSEC);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                const TransientSpec spec = {
                        .name = UNIT, .argv = argv, .properties = &bad[i], .n_properties = 1
                };
                Error error = {};

                assert_int_equal(transient_start(f->rig.manager, &spec, on_done, f, &f->transient, &error),
                                 -EINVAL);
                assert_non_null(strstr(error.message, "StartTransientUnit"));
                assert_null(f->transient);
        }
}

static void on_stopped(_unused_ TransientStop *stop, int result, const Error *error, void *userdata) {
        on_done(NULL, result, error, userdata);
}

static void test_stop(void **state) {
        Fixture *f = *state;

        f->rig.fake.unit = running_unit;
        assert_int_equal(transient_stop_start(f->rig.manager, UNIT, on_stopped, f, &f->stop, NULL), 0);
        fake_systemd_await(&f->rig.fake, "StopUnit", 1);
        fake_systemd_run_for(&f->rig.fake, 50 * USEC_PER_MSEC);
        assert_false(f->done);
        f->rig.fake.unit = failed_unit;
        fake_systemd_changed(&f->rig.fake, UNIT);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, 0);
        assert_int_equal(fake_systemd_count(&f->rig.fake, "ResetFailedUnit"), 1);
}

static void no_such_unit(_unused_ FakeSystemd *fake, sd_bus_message *call, _unused_ const char *member) {
        assert_true(sd_bus_reply_method_errorf(call, "org.freedesktop.systemd1.NoSuchUnit", "None.") >= 0);
}

static void test_stop_of_nothing(void **state) {
        Fixture *f = *state;

        f->rig.fake.method = no_such_unit;
        assert_int_equal(transient_stop_start(f->rig.manager, UNIT, on_stopped, f, &f->stop, NULL), 0);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, 0);
}

#define fake_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ends),
                cmocka_unit_test(test_no_success_by_default),
                cmocka_unit_test(test_goes_on),
                cmocka_unit_test(test_exit_text),
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_properties_are_copied),
                fake_test(test_start),
                fake_test(test_start_with_its_answer_lost),
                fake_test(test_name_that_is_taken),
                fake_test(test_unit_that_is_there_is_adopted),
                fake_test(test_bad_properties),
                fake_test(test_stop),
                fake_test(test_stop_of_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
