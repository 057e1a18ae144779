#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/unit_restart.h"
#include "tests/unit/fake_systemd.h"

#define JOB 7

typedef struct Fixture {
        FakeSystemdRig rig; /* the first member */
        UnitRestart *restart;
        bool done;
        int result;
} Fixture;

/* Every job succeeds at once. */
static void succeed(FakeSystemd *fake, sd_bus_message *call, const char *member) {
        const char *unit;

        if (sd_bus_message_get_expect_reply(call) <= 0)
                return;
        if (strcmp(member, "StartUnit") != 0 && strcmp(member, "RestartUnit") != 0) {
                assert_true(sd_bus_reply_method_return(call, "") >= 0);
                return;
        }
        assert_true(sd_bus_message_read(call, "s", &unit) >= 0);
        assert_string_equal(unit, strcmp(member, "StartUnit") == 0 ? "api.socket" : "api.service");
        assert_true(sd_bus_reply_method_return(call, "o", "/org/freedesktop/systemd1/job/7") >= 0);
        fake_systemd_job_removed(fake, unit, JOB, "done");
}

static int setup(void **state) {
        return fake_systemd_setup(state, sizeof(Fixture), succeed);
}

static int teardown(void **state) {
        Fixture *f = *state;

        unit_restart_free(f->restart);
        return fake_systemd_teardown(state);
}

static void on_done(_unused_ UnitRestart *restart, int result, _unused_ const Error *error, void *userdata) {
        Fixture *f = userdata;

        f->done = true;
        f->result = result;
}

/* What comes while the service is restarted waits in its socket. */
static void test_socket_goes_on(void **state) {
        ReleaseUnit units[] = {
                { .name = (char[]){ "api.socket" }, .on_deploy = ON_DEPLOY_START },
                { .name = (char[]){ "api-other.service" }, .on_deploy = ON_DEPLOY_NONE },
                { .name = (char[]){ "api.service" }, .on_deploy = ON_DEPLOY_RELOAD },
        };
        Release release = { .units = { .items = units, .n = ELEMENTSOF(units) } };
        Fixture *f = *state;

        f->rig.fake.unit = fake_unit_up;
        assert_int_equal(
                unit_restart_start(f->rig.manager, f->rig.event, &release, 0, on_done, f, &f->restart, NULL),
                0);
        fake_systemd_run(&f->rig.fake, &f->done);
        assert_int_equal(f->result, 0);
        assert_int_equal(fake_systemd_count(&f->rig.fake, "StartUnit"), 1);
        assert_int_equal(fake_systemd_count(&f->rig.fake, "RestartUnit"), 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_socket_goes_on, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
