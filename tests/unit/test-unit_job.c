#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "tests/unit/fake_systemd.h"
#include "units/unit_job.h"

#define UNIT "api.service"
#define JOB 7

typedef struct Fixture {
        FakeSystemdRig rig; /* the first member */
        UnitJob *job;
        bool done;
        int result;
        Error error;
} Fixture;

static const FakeUnit crashed = {
        .load = "loaded",
        .active = "failed",
        .sub = "failed",
        .result = "exit-code",
        .type = "simple",
        .exec_code = CLD_EXITED,
        .exec_status = 7,
        .run = 1,
};

static void reply_job(sd_bus_message *call) {
        assert_true(sd_bus_reply_method_return(call, "o", "/org/freedesktop/systemd1/job/7") >= 0);
}

/* Every job succeeds at once, and the unit runs. */
static void succeed(FakeSystemd *fake, sd_bus_message *call, const char *member) {
        if (!strstr(member, "Unit") || strcmp(member, "ResetFailedUnit") == 0) {
                assert_true(sd_bus_reply_method_return(call, "") >= 0);
        } else if (sd_bus_message_get_expect_reply(call) > 0) {
                reply_job(call);
                fake->unit = fake_unit_up;
                fake_systemd_job_removed(fake, UNIT, JOB, "done");
        }
}

/* The job is accepted, and never ends. */
static void hang(FakeSystemd *fake, sd_bus_message *call, const char *member) {
        if (strcmp(member, "ReloadUnit") == 0) {
                fake->unit.job = JOB;
                fake->unit.active = "reloading";
                reply_job(call);
        } else if (sd_bus_message_get_expect_reply(call) > 0) {
                assert_true(sd_bus_reply_method_return(call, "") >= 0);
        }
}

static int setup(void **state) {
        return fake_systemd_setup(state, sizeof(Fixture), succeed);
}

static int teardown(void **state) {
        Fixture *f = *state;

        unit_job_free(f->job);
        return fake_systemd_teardown(state);
}

static void on_done(_unused_ UnitJob *job, int result, const Error *error, void *userdata) {
        Fixture *f = userdata;

        assert_false(f->done);
        f->done = true;
        f->result = result;
        f->error = *error;
}

static void start(Fixture *f, UnitVerb verb, uint64_t settle, uint64_t deadline) {
        const UnitJobSpec spec = {
                .unit = UNIT, .verb = verb, .settle_usec = settle, .deadline_usec = deadline
        };

        assert_int_equal(unit_job_start(f->rig.manager, &spec, on_done, f, &f->job, NULL), 0);
        assert_false(f->done);
}

/* A unit that runs is to be reloaded by a systemd that answers with METHOD. */
static void reload(Fixture *f, FakeMethod method, uint64_t settle, uint64_t deadline) {
        f->rig.fake.method = method;
        f->rig.fake.unit = fake_unit_up;
        start(f, UNIT_VERB_RELOAD, settle, deadline);
}

static void test_good_restart(void **state) {
        Fixture *f = *state;

        f->rig.fake.unit = fake_unit_up;
        start(f, UNIT_VERB_RESTART, 100 * USEC_PER_MSEC, 0);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, VERDICT_GOOD);
        assert_string_equal(unit_job_journal(f->job), "");
        assert_int_equal(unit_job_state(f->job)->main_pid, 1);
        fake_systemd_await(&f->rig.fake, "UnrefUnit", 1);
        assert_string_equal(f->rig.fake.calls[1], "ResetFailedUnit"); /* the start limit counts us, too */
        assert_string_equal(f->rig.fake.calls[2], "RestartUnit");
        assert_string_equal(f->rig.fake.calls[3], "RefUnit");
        assert_string_equal(f->rig.fake.calls[4], "UnrefUnit");
}

static void test_nothing_to_do(void **state) {
        Fixture *f = *state;

        start(f, UNIT_VERB_STOP, 0, 0);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, VERDICT_GOOD);
        assert_int_equal(fake_systemd_count(&f->rig.fake, "StopUnit"), 0);
}

static void test_crash_while_settling(void **state) {
        Fixture *f = *state;

        f->rig.fake.unit = fake_unit_up;
        start(f, UNIT_VERB_RESTART, 4 * USEC_PER_SEC, 0);
        fake_systemd_await(&f->rig.fake, "RefUnit", 1);
        fake_systemd_run_for(&f->rig.fake, 50 * USEC_PER_MSEC);
        assert_false(f->done);
        f->rig.fake.unit = crashed;
        fake_systemd_changed(&f->rig.fake, UNIT);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, VERDICT_FAILED);
        assert_int_equal(f->error.fault, FAULT_RELEASE);
        assert_non_null(strstr(f->error.message, "exit status 7"));
}

static void test_lost_signal_of_the_job(void **state) {
        Fixture *f = *state;

        reload(f, hang, 10 * USEC_PER_MSEC, 0);
        fake_systemd_await(&f->rig.fake, "RefUnit", 1);
        assert_int_equal(fake_systemd_count(&f->rig.fake, "ReloadUnit"), 1);
        f->rig.fake.unit = fake_unit_up; /* the job ends while the connection is away */
        fake_systemd_drop(&f->rig.fake);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, VERDICT_GOOD);
}

static void test_deadline(void **state) {
        Fixture *f = *state;

        reload(f, hang, USEC_PER_SEC, 500 * USEC_PER_MSEC);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, VERDICT_JOB_TIMEOUT);
        assert_non_null(strstr(f->error.message, "its reload did not end within 500ms"));
        assert_int_equal(fake_systemd_count(&f->rig.fake, "CancelJob"), 1);
        assert_int_equal(fake_systemd_count(&f->rig.fake, "KillUnit"), 1); /* the hanging ExecReload= */
}

/* ExecReload= has ended, as kill(1) does at once, and the service reloads. */
static void begin_reload(FakeSystemd *fake, sd_bus_message *call, const char *member) {
        succeed(fake, call, member);
        if (strcmp(member, "ReloadUnit") == 0)
                fake->unit.active = "reloading";
}

static void test_reload_that_the_service_tells_of(void **state) {
        Fixture *f = *state;

        reload(f, begin_reload, 20 * USEC_PER_MSEC, 60 * USEC_PER_SEC);
        fake_systemd_await(&f->rig.fake, "RefUnit", 1);
        fake_systemd_run_for(&f->rig.fake, 100 * USEC_PER_MSEC);
        assert_false(f->done); /* the settle time has passed */
        f->rig.fake.unit.active = "active";
        f->rig.fake.unit.main_pid = 2;
        fake_systemd_changed(&f->rig.fake, UNIT);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, VERDICT_GOOD);
        assert_int_equal(unit_job_state(f->job)->main_pid, 2);
}

static void test_crash_in_such_a_reload(void **state) {
        Fixture *f = *state;

        reload(f, begin_reload, 20 * USEC_PER_MSEC, 60 * USEC_PER_SEC);
        fake_systemd_await(&f->rig.fake, "RefUnit", 1);
        fake_systemd_run_for(&f->rig.fake, 100 * USEC_PER_MSEC);
        f->rig.fake.unit = crashed;
        fake_systemd_changed(&f->rig.fake, UNIT);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, VERDICT_FAILED);
}

static void test_such_a_reload_never_ends(void **state) {
        Fixture *f = *state;

        reload(f, begin_reload, 20 * USEC_PER_MSEC, 300 * USEC_PER_MSEC);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, VERDICT_JOB_TIMEOUT);
        assert_int_equal(f->error.fault, FAULT_RELEASE);
        assert_string_equal(f->error.message, "api.service: its reload did not end within 300ms: it has said "
                                              "RELOADING=1, and not READY=1 since");
}

static void start_reload_of_code(Fixture *f, uint64_t settle) {
        const UnitJobSpec spec = { .unit = UNIT,
                                   .verb = UNIT_VERB_RELOAD,
                                   .settle_usec = settle,
                                   .runs_from = f->rig.folder->path };

        f->rig.fake.unit = fake_unit_up;
        f->rig.fake.unit.main_pid = (uint32_t) getpid();
        assert_int_equal(unit_job_start(f->rig.manager, &spec, on_done, f, &f->job, NULL), 0);
        fake_systemd_await(&f->rig.fake, "RefUnit", 1);
}

/* Every job succeeds, and the main process is this one. */
static void reload_at_once(FakeSystemd *fake, sd_bus_message *call, const char *member) {
        succeed(fake, call, member);
        fake->unit.main_pid = (uint32_t) getpid();
}

static void reload_and_tell(FakeSystemd *fake, sd_bus_message *call, const char *member) {
        begin_reload(fake, call, member);
        fake->unit.main_pid = (uint32_t) getpid();
}

static void test_code_that_comes_late(void **state) {
        Fixture *f = *state;

        f->rig.fake.method = reload_at_once;
        start_reload_of_code(f, 10 * USEC_PER_MSEC);
        fake_systemd_run_for(&f->rig.fake, 200 * USEC_PER_MSEC);
        assert_false(f->done);
        assert_int_equal(chdir(f->rig.folder->path), 0); /* now it runs from there */
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(chdir("/"), 0);
        assert_int_equal(f->result, VERDICT_GOOD);
        assert_string_equal(f->error.message, "");
}

static void test_old_code_of_a_reload_that_has_ended(void **state) {
        Fixture *f = *state;

        f->rig.fake.method = reload_and_tell;
        start_reload_of_code(f, 10 * USEC_PER_MSEC);
        fake_systemd_run_for(&f->rig.fake, 100 * USEC_PER_MSEC);
        assert_false(f->done);
        f->rig.fake.unit.active = "active";
        f->rig.fake.n_reads = 0;
        fake_systemd_changed(&f->rig.fake, UNIT);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_true(f->rig.fake.n_reads <= 3); /* it is not looked at again and again */
        assert_int_equal(f->result, VERDICT_OLD_CODE);
        assert_non_null(strstr(f->error.message, "still runs"));
}

static void refuse(_unused_ FakeSystemd *fake, sd_bus_message *call, _unused_ const char *member) {
        assert_true(sd_bus_reply_method_errorf(call, "org.freedesktop.systemd1.OnlyByDependency",
                                               "Not by hand.") >= 0);
}

static void test_refused(void **state) {
        Fixture *f = *state;

        f->rig.fake.method = refuse;
        start(f, UNIT_VERB_START, 0, 0);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, VERDICT_JOB_FAILED);
        assert_int_equal(f->error.fault, FAULT_RELEASE);
        assert_string_equal(f->error.message, UNIT ": cannot start it: Not by hand.");
}

static void test_systemd_is_mute(void **state) {
        Fixture *f = *state;

        f->rig.fake.mute = true;
        start(f, UNIT_VERB_START, 0, 100 * USEC_PER_MSEC);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, -ETIMEDOUT);
        assert_int_equal(f->error.fault, FAULT_HOST);
}

static void test_free_calls_nobody(void **state) {
        Fixture *f = *state;

        f->rig.fake.unit = fake_unit_up;
        start(f, UNIT_VERB_RESTART, 4 * USEC_PER_SEC, 0);
        fake_systemd_await(&f->rig.fake, "RefUnit", 1);
        f->job = unit_job_free(f->job);
        fake_systemd_await(&f->rig.fake, "UnrefUnit", 1);
        assert_false(f->done);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                test(test_good_restart),
                test(test_nothing_to_do),
                test(test_crash_while_settling),
                test(test_lost_signal_of_the_job),
                test(test_deadline),
                test(test_reload_that_the_service_tells_of),
                test(test_crash_in_such_a_reload),
                test(test_such_a_reload_never_ends),
                test(test_code_that_comes_late),
                test(test_old_code_of_a_reload_that_has_ended),
                test(test_refused),
                test(test_systemd_is_mute),
                test(test_free_calls_nobody),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
