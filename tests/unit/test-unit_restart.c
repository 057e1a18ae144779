#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/unit_restart.h"
#include "tests/unit/fake_systemd.h"

#define JOB 7

typedef struct Fixture {
        TestFolder *folder;
        sd_event *event;
        FakeSystemd fake;
        Manager *manager;
        UnitRestart *restart;
        bool done;
        int result;
} Fixture;

static const FakeUnit up = {
        .load = "loaded",
        .active = "active",
        .sub = "running",
        .result = "success",
        .type = "simple",
        .main_pid = 1,
        .run = 1,
};

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
        Fixture *f = calloc(1, sizeof(*f));

        if (!f)
                return -1;
        *state = f;
        return fake_systemd_begin(&f->fake, succeed, &f->folder, &f->event, &f->manager);
}

static int teardown(void **state) {
        Fixture *f = *state;
        int r;

        unit_restart_free(f->restart);
        r = fake_systemd_end(&f->fake, f->folder, f->event, f->manager);
        free(f);
        return r;
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

        f->fake.unit = up;
        assert_int_equal(unit_restart_start(f->manager, f->event, &release, 0, on_done, f, &f->restart, NULL),
                         0);
        fake_systemd_run(&f->fake, &f->done);
        assert_int_equal(f->result, 0);
        assert_int_equal(fake_systemd_count(&f->fake, "StartUnit"), 1);
        assert_int_equal(fake_systemd_count(&f->fake, "RestartUnit"), 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_socket_goes_on, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
