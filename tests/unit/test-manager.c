#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "tests/unit/fake_systemd.h"
#include "units/unit_watch.h"

typedef struct Fixture {
        FakeSystemdRig rig; /* the first member */
        /* what came of a call */
        bool done;
        int result;
        Error error;
        unsigned n_fills;
        /* what a watch told */
        UnitWatch *watch;
        UnitState state;
        unsigned n_states;
        char job_result[32];
        bool told, free_in_callback;
} Fixture;

static void answer(_unused_ FakeSystemd *fake, sd_bus_message *call, _unused_ const char *member) {
        assert_true(sd_bus_reply_method_return(call, "") >= 0);
}

static int setup(void **state) {
        return fake_systemd_setup(state, sizeof(Fixture), answer);
}

static int teardown(void **state) {
        Fixture *f = *state;

        unit_watch_free(f->watch);
        return fake_systemd_teardown(state);
}

static void on_done(_unused_ ManagerCall *call, int result, sd_bus_message *reply, const Error *error,
                    void *userdata) {
        Fixture *f = userdata;

        assert_false(f->done);
        assert_int_equal(result == 0, reply != NULL);
        f->done = true;
        f->result = result;
        f->error = *error;
}

static ManagerCall *start(Fixture *f, const ManagerMethod *method) {
        ManagerCall *call = NULL;

        assert_int_equal(manager_call_start(f->rig.manager, method, on_done, f, &call, NULL), 0);
        assert_false(f->done); /* never from within */
        return call;
}

static const ManagerMethod reload = { .member = "Reload" };

static void test_call(void **state) {
        Fixture *f = *state;
        ManagerCall *call = start(f, &reload);

        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, 0);
        assert_string_equal(f->rig.fake.calls[0], "Subscribe"); /* before anything that causes signals */
        assert_string_equal(f->rig.fake.calls[1], "Reload");
        assert_null(manager_call_free(call));
}

static void test_errors(void **state) {
        static const struct {
                const char *name;
                int result;
                ErrorFault fault;
        } cases[] = {
                { "org.freedesktop.systemd1.NoSuchUnit", -ENOENT, FAULT_UNKNOWN },
                { "org.freedesktop.systemd1.UnitExists", -EEXIST, FAULT_UNKNOWN },
                { "org.freedesktop.DBus.Error.AccessDenied", -EACCES, FAULT_HOST },
                { "org.freedesktop.DBus.Error.InvalidArgs", -EINVAL, FAULT_UNKNOWN },
                { "org.freedesktop.systemd1.Whatever", -EREMOTEIO, FAULT_UNKNOWN },
        };
        Fixture *f = *state;

        while (!manager_bus(f->rig.manager))
                fake_systemd_run_for(&f->rig.fake, USEC_PER_MSEC);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                sd_bus_message *m = NULL, *reply = NULL;
                Error error = {};

                assert_true(sd_bus_message_new_method_call(manager_bus(f->rig.manager), &m, "a.b", "/", "a.b",
                                                           "C") >= 0);
                assert_true(sd_bus_message_seal(m, 1, 0) >= 0);
                assert_true(sd_bus_message_new_method_errorf(m, &reply, cases[i].name, "Because.") >= 0);
                assert_int_equal(manager_reply_error(reply, &error), cases[i].result);
                assert_int_equal(error.fault, cases[i].fault);
                assert_string_equal(error.message, "Because.");
                sd_bus_message_unref(reply);
                sd_bus_message_unref(m);
        }
}

static void refuse(_unused_ FakeSystemd *fake, sd_bus_message *call, _unused_ const char *member) {
        assert_true(sd_bus_reply_method_errorf(call, "org.freedesktop.systemd1.NoSuchUnit",
                                               "There is none.") >= 0);
}

static void test_refusal_reaches_the_caller(void **state) {
        Fixture *f = *state;
        ManagerCall *call;

        f->rig.fake.method = refuse;
        call = start(f, &reload);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, -ENOENT);
        assert_string_equal(f->error.message, "There is none.");
        manager_call_free(call);
}

static void drop_first(FakeSystemd *fake, sd_bus_message *call, const char *member) {
        if (fake_systemd_count(fake, member) == 1)
                fake_systemd_drop(fake);
        else
                assert_true(sd_bus_reply_method_return(call, "") >= 0);
}

static void test_repeated_after_a_lost_connection(void **state) {
        Fixture *f = *state;
        ManagerCall *call;

        f->rig.fake.method = drop_first;
        call = start(f, &reload);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, 0);
        assert_int_equal(f->rig.fake.connections, 2);
        assert_int_equal(fake_systemd_count(&f->rig.fake, "Subscribe"), 2);
        assert_int_equal(fake_systemd_count(&f->rig.fake, "Reload"), 2);
        manager_call_free(call);
}

static int fill_once(_unused_ sd_bus_message *m, void *userdata) {
        Fixture *f = userdata;

        return f->n_fills++ == 0 ? 0 : -EINVAL;
}

static void free_and_look(ManagerCall *call, int result, _unused_ sd_bus_message *reply, const Error *error,
                          void *userdata) {
        Fixture *f = userdata;

        manager_call_free(call);
        f->done = true;
        f->result = result;
        f->error = *error;
}

/* What it was told outlives the call. */
static void test_not_sent_again(void **state) {
        static const ManagerMethod method = { .member = "Reload", .fill = fill_once };
        Fixture *f = *state;
        ManagerCall *call;

        f->rig.fake.method = drop_first;
        assert_int_equal(manager_call_start(f->rig.manager, &method, free_and_look, f, &call, NULL), 0);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, -EINVAL);
        assert_string_equal(f->error.message, "cannot call systemd's Reload: Invalid argument");
}

static void test_not_repeated_if_once(void **state) {
        Fixture *f = *state;
        ManagerCall *call;

        f->rig.fake.method = drop_first;
        call = start(f, &(ManagerMethod){ .member = "Reload", .once = true });
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, -ENOTCONN);
        assert_int_equal(f->error.fault, FAULT_HOST);
        assert_non_null(strstr(f->error.message, "systemd does not answer"));
        manager_call_free(call);
}

static void drop_then_exists(FakeSystemd *fake, sd_bus_message *call, const char *member) {
        if (fake_systemd_count(fake, member) == 1)
                fake_systemd_drop(fake);
        else
                assert_true(sd_bus_reply_method_errorf(call, "org.freedesktop.systemd1.UnitExists",
                                                       "It is.") >= 0);
}

static void test_first_attempt_came_through(void **state) {
        Fixture *f = *state;
        ManagerCall *call;

        f->rig.fake.method = drop_then_exists;
        call = start(f, &(ManagerMethod){ .member = "StartTransientUnit" });
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, -EALREADY);
        manager_call_free(call);
}

static void test_time_out(void **state) {
        Fixture *f = *state;
        ManagerCall *call;

        fake_systemd_await(&f->rig.fake, "Subscribe", 1);
        f->rig.fake.mute = true;
        call = start(f, &(ManagerMethod){ .member = "Reload", .timeout_usec = 100 * USEC_PER_MSEC });
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, -ETIMEDOUT);
        assert_int_equal(f->error.fault, FAULT_HOST);
        assert_non_null(strstr(f->error.message, "no reply to Reload"));
        manager_call_free(call);
}

/* Begins a call that nobody answers, and waits for its end. */
static void call_in_vain(Fixture *f) {
        ManagerCall *call =
                start(f, &(ManagerMethod){ .member = "Reload", .timeout_usec = 200 * USEC_PER_MSEC });

        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, -ETIMEDOUT);
        manager_call_free(call);
        f->done = false;
}

/* On a busy machine the first calls may end before the bus was looked for anew. */
static void test_no_bus(void **state) {
        uint64_t end = clock_boottime(&clock_system) + TEST_WAIT_MAX;
        Fixture *f = *state;
        ManagerCall *call;

        fake_systemd_stop(&f->rig.fake);
        do
                call_in_vain(f);
        while (!strstr(f->error.message, "no connection to the system bus") &&
               clock_boottime(&clock_system) < end);
        assert_non_null(strstr(f->error.message, "no connection to the system bus"));
        call = start(f, &reload);
        fake_systemd_listen(&f->rig.fake);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, 0);
        manager_call_free(call);
}

/* A socket that accepts and then hangs up: it is tried ever less often. */
static void test_no_busy_reconnecting(void **state) {
        Fixture *f = *state;

        fake_systemd_await(&f->rig.fake, "Subscribe", 1);
        f->rig.fake.mute = true;
        for (unsigned i = 0; i < 100; i++) {
                fake_systemd_drop(&f->rig.fake);
                fake_systemd_run_for(&f->rig.fake, 10 * USEC_PER_MSEC);
        }
        assert_true(f->rig.fake.connections < 8);
        f->rig.fake.mute = false;
}

static void test_freed_call_is_silent(void **state) {
        Fixture *f = *state;
        ManagerCall *call;

        f->rig.fake.mute = true;
        call = start(f, &(ManagerMethod){ .member = "Reload", .timeout_usec = 50 * USEC_PER_MSEC });
        manager_call_free(call);
        fake_systemd_run_for(&f->rig.fake, 100 * USEC_PER_MSEC);
        assert_false(f->done);
}

/* Watches */

static void on_changed(UnitWatch *watch, const UnitState *state, void *userdata) {
        Fixture *f = userdata;

        assert_ptr_equal(watch, f->watch);
        f->state = *state;
        f->n_states++;
        f->told = true;
        if (f->free_in_callback)
                f->watch = unit_watch_free(f->watch);
}

static void on_job_removed(_unused_ UnitWatch *watch, _unused_ const char *job, const char *result,
                           void *userdata) {
        Fixture *f = userdata;

        snprintf(f->job_result, sizeof(f->job_result), "%s", result);
}

static const UnitWatchEvents events = { .changed = on_changed, .job_removed = on_job_removed };

static void watch(Fixture *f) {
        assert_int_equal(unit_watch_new(f->rig.manager, "a-b.service", &events, f, &f->watch, NULL), 0);
        fake_systemd_run(&f->rig.fake, &f->told);
        f->told = false;
}

static void test_watch_reads_the_state(void **state) {
        Fixture *f = *state;

        f->rig.fake.unit = (FakeUnit){ .load = "loaded",
                                       .active = "active",
                                       .sub = "running",
                                       .result = "success",
                                       .type = "notify",
                                       .main_pid = 12,
                                       .n_restarts = 3,
                                       .exec_code = 1,
                                       .exec_status = 9,
                                       .exec_started = 77,
                                       .run = 5,
                                       .can_reload = true,
                                       .job = 4 };
        watch(f);
        assert_int_equal(f->state.load, UNIT_LOADED);
        assert_int_equal(f->state.active, UNIT_ACTIVE);
        assert_string_equal(f->state.sub, "running");
        assert_string_equal(f->state.type, "notify");
        assert_int_equal(f->state.main_pid, 12);
        assert_int_equal(f->state.n_restarts, 3);
        assert_int_equal(f->state.exec_code, 1);
        assert_int_equal(f->state.exec_status, 9);
        assert_int_equal(f->state.exec_started, 77);
        assert_int_equal(f->state.job, 4);
        assert_int_equal(f->state.invocation.bytes[15], 5);
        assert_true(f->state.can_reload);
}

static void test_watch_follows(void **state) {
        Fixture *f = *state;

        watch(f);
        fake_systemd_changed(&f->rig.fake, "other.service");
        fake_systemd_job_removed(&f->rig.fake, "other.service", 1, "failed");
        fake_systemd_run_for(&f->rig.fake, 50 * USEC_PER_MSEC);
        assert_int_equal(f->n_states, 1);
        f->rig.fake.unit.active = "failed";
        fake_systemd_changed(&f->rig.fake, "a-b.service");
        fake_systemd_run(&f->rig.fake, &f->told);
        assert_int_equal(f->state.active, UNIT_FAILED);
        f->told = false;
        fake_systemd_job_removed(&f->rig.fake, "a-b.service", 1, "done");
        fake_systemd_run(&f->rig.fake, &f->told);
        assert_string_equal(f->job_result, "done");
}

/* Every user of the machine can send signals to this connection: they are not systemd's, nor the bus's. */
static void test_forged_signals_are_ignored(void **state) {
        Fixture *f = *state;
        unsigned connections, reads;

        watch(f);
        connections = f->rig.fake.connections;
        reads = f->rig.fake.n_reads;
        f->rig.fake.forger = ":1.99";
        fake_systemd_changed(&f->rig.fake, "a-b.service");
        fake_systemd_job_removed(&f->rig.fake, "a-b.service", 1, "failed");
        fake_systemd_owner_changed(&f->rig.fake);
        fake_systemd_run_for(&f->rig.fake, 100 * USEC_PER_MSEC);
        assert_int_equal(f->rig.fake.n_reads, reads);
        assert_string_equal(f->job_result, "");
        assert_int_equal(f->rig.fake.connections, connections);

        f->rig.fake.forger = "org.freedesktop.DBus";
        fake_systemd_owner_changed(&f->rig.fake);
        f->rig.fake.forger = NULL;
        fake_systemd_run(&f->rig.fake, &f->told); /* on a new connection */
        assert_int_equal(f->rig.fake.connections, connections + 1);
}

static void test_watch_gathers_changes(void **state) {
        Fixture *f = *state;

        watch(f);
        for (unsigned i = 0; i < 20; i++)
                fake_systemd_changed(&f->rig.fake, "a-b.service");
        fake_systemd_run_for(&f->rig.fake, 100 * USEC_PER_MSEC);
        assert_true(f->rig.fake.n_reads >= 2 && f->rig.fake.n_reads <= 10);
        assert_int_equal(f->n_states, f->rig.fake.n_reads);
}

static void test_watch_survives_the_bus(void **state) {
        Fixture *f = *state;

        watch(f);
        fake_systemd_stop(&f->rig.fake);
        fake_systemd_run_for(&f->rig.fake, 150 * USEC_PER_MSEC);
        f->rig.fake.unit.active = "active";
        fake_systemd_listen(&f->rig.fake);
        fake_systemd_run(&f->rig.fake, &f->told); /* although nothing was signalled */
        assert_int_equal(f->state.active, UNIT_ACTIVE);
        f->told = false;
        fake_systemd_changed(&f->rig.fake, "a-b.service");
        fake_systemd_run(&f->rig.fake, &f->told);
}

static void test_watch_is_freed_by_its_callback(void **state) {
        Fixture *f = *state;

        f->free_in_callback = true;
        watch(f);
        assert_null(f->watch);
        fake_systemd_run_for(&f->rig.fake, 50 * USEC_PER_MSEC);
        assert_int_equal(f->n_states, 1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                test(test_call),
                test(test_errors),
                test(test_refusal_reaches_the_caller),
                test(test_repeated_after_a_lost_connection),
                test(test_not_sent_again),
                test(test_not_repeated_if_once),
                test(test_first_attempt_came_through),
                test(test_time_out),
                test(test_no_bus),
                test(test_no_busy_reconnecting),
                test(test_freed_call_is_silent),
                test(test_watch_reads_the_state),
                test(test_watch_follows),
                test(test_forged_signals_are_ignored),
                test(test_watch_gathers_changes),
                test(test_watch_survives_the_bus),
                test(test_watch_is_freed_by_its_callback),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
