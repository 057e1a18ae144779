#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "tests/unit/fake_systemd.h"

#define SENDER ":1.0"
#define PATH "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"
#define PROPERTIES "org.freedesktop.DBus.Properties"

const FakeUnit fake_unit_up = {
        .load = "loaded",
        .active = "active",
        .sub = "running",
        .result = "success",
        .type = "simple",
        .main_pid = 1,
        .run = 1,
        .can_reload = true,
};

static void append(sd_bus_message *m, const char *name, const char *type, const void *value) {
        assert_true(sd_bus_message_open_container(m, 'e', "sv") >= 0);
        assert_true(sd_bus_message_append(m, "s", name) >= 0);
        assert_true(sd_bus_message_open_container(m, 'v', type) >= 0);
        assert_true(sd_bus_message_append_basic(m, *type, value) >= 0);
        assert_true(sd_bus_message_close_container(m) >= 0);
        assert_true(sd_bus_message_close_container(m) >= 0);
}

static void append_compounds(sd_bus_message *m, const FakeUnit *unit) {
        uint8_t invocation[16];

        memset(invocation, unit->run, sizeof(invocation));
        assert_true(sd_bus_message_append(m, "{sv}", "Job", "(uo)", unit->job,
                                          unit->job ? PATH "/job/1" : "/") >= 0);
        assert_true(sd_bus_message_append(m, "{sv}", "LoadError", "(ss)", "", "") >= 0);
        assert_true(sd_bus_message_append(m, "{sv}", "Something", "a(sb)", 1, "unknown", 1) >= 0);
        assert_true(sd_bus_message_open_container(m, 'e', "sv") >= 0);
        assert_true(sd_bus_message_append(m, "s", "InvocationID") >= 0);
        assert_true(sd_bus_message_open_container(m, 'v', "ay") >= 0);
        assert_true(sd_bus_message_append_array(m, 'y', invocation, unit->run ? sizeof(invocation) : 0) >= 0);
        assert_true(sd_bus_message_close_container(m) >= 0);
        assert_true(sd_bus_message_close_container(m) >= 0);
}

static void reply_state(FakeSystemd *fake, sd_bus_message *call) {
        const FakeUnit *unit = &fake->unit;
        sd_bus_message *m = NULL;
        int can_reload = unit->can_reload;

        fake->n_reads++;
        assert_true(sd_bus_message_new_method_return(call, &m) >= 0);
        assert_true(sd_bus_message_open_container(m, 'a', "{sv}") >= 0);
        append(m, "LoadState", "s", unit->load);
        append(m, "ActiveState", "s", unit->active);
        append(m, "SubState", "s", unit->sub);
        append(m, "Result", "s", unit->result);
        append(m, "Type", "s", unit->type);
        append(m, "MainPID", "u", &unit->main_pid);
        append(m, "NRestarts", "u", &unit->n_restarts);
        append(m, "ExecMainCode", "i", &unit->exec_code);
        append(m, "ExecMainStatus", "i", &unit->exec_status);
        append(m, "ExecMainStartTimestampMonotonic", "t", &unit->exec_started);
        append(m, "CanReload", "b", &can_reload);
        append_compounds(m, unit);
        assert_true(sd_bus_message_close_container(m) >= 0);
        assert_true(sd_bus_send(NULL, m, NULL) >= 0);
        sd_bus_message_unref(m);
}

/* With the sender's name, as the bus puts it into everything. */
static int reply_subscribed(sd_bus_message *call) {
        sd_bus_message *m = NULL;

        assert_true(sd_bus_message_new_method_return(call, &m) >= 0);
        assert_true(sd_bus_message_set_sender(m, SENDER) >= 0);
        assert_true(sd_bus_send(NULL, m, NULL) >= 0);
        sd_bus_message_unref(m);
        return 1;
}

static int on_message(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *e) {
        const char *member = sd_bus_message_get_member(m);
        FakeSystemd *fake = userdata;

        if (!member || sd_bus_message_is_signal(m, NULL, NULL))
                return 0;
        if (strcmp(member, "Hello") == 0)
                return sd_bus_reply_method_return(m, "s", ":1.7");
        if (strcmp(member, "AddMatch") == 0 || strcmp(member, "RemoveMatch") == 0)
                return sd_bus_reply_method_return(m, "");
        if (strcmp(member, "GetAll") == 0) {
                if (!fake->mute)
                        reply_state(fake, m);
                return 1;
        }
        assert_true(fake->n_calls < FAKE_CALLS_MAX);
        snprintf(fake->calls[fake->n_calls++], sizeof(fake->calls[0]), "%s", member);
        if (fake->mute)
                return 1;
        if (strcmp(member, "Subscribe") == 0)
                return reply_subscribed(m);
        fake->method(fake, m, member);
        return 1;
}

static int on_connection(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events, void *userdata) {
        FakeSystemd *fake = userdata;
        sd_id128_t id = {};
        int client;

        client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        assert_true(client >= 0);
        fake_systemd_drop(fake);
        assert_true(sd_id128_randomize(&id) >= 0);
        assert_true(sd_bus_new(&fake->peer) >= 0);
        assert_true(sd_bus_set_fd(fake->peer, client, client) >= 0);
        assert_true(sd_bus_set_server(fake->peer, 1, id) >= 0);
        assert_true(sd_bus_set_trusted(fake->peer, 1) >= 0);
        assert_true(sd_bus_negotiate_fds(fake->peer, 1) >= 0);
        assert_true(sd_bus_start(fake->peer) >= 0);
        assert_true(sd_bus_attach_event(fake->peer, fake->event, SD_EVENT_PRIORITY_NORMAL) >= 0);
        assert_true(sd_bus_add_filter(fake->peer, NULL, on_message, fake) >= 0);
        fake->connections++;
        return 0;
}

void fake_systemd_listen(FakeSystemd *fake) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        assert_true(strlen(fake->path) < sizeof(address.sun_path));
        strcpy(address.sun_path, fake->path);
        fake->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(fake->listen_fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fake->listen_fd, 8), 0);
        assert_true(sd_event_add_io(fake->event, &fake->accept, fake->listen_fd, EPOLLIN, on_connection,
                                    fake) >= 0);
}

void fake_systemd_init(FakeSystemd *fake, sd_event *event, const TestFolder *folder, FakeMethod method) {
        char address[TEST_PATH_MAX + 32];

        *fake = (FakeSystemd){
                .event = event,
                .method = method,
                .unit = { .load = "loaded",
                          .active = "inactive",
                          .sub = "dead",
                          .result = "success",
                          .type = "simple" },
        };
        snprintf(fake->path, sizeof(fake->path), "%s/bus", folder->path);
        snprintf(address, sizeof(address), "unix:path=%s", fake->path);
        assert_int_equal(setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1), 0);
        fake_systemd_listen(fake);
}

void fake_systemd_drop(FakeSystemd *fake) {
        if (!fake->peer)
                return;
        sd_bus_detach_event(fake->peer);
        fake->peer = sd_bus_close_unref(fake->peer);
}

void fake_systemd_stop(FakeSystemd *fake) {
        fake->accept = sd_event_source_disable_unref(fake->accept);
        fake->listen_fd = close_fd(fake->listen_fd);
        (void) unlink(fake->path);
        fake_systemd_drop(fake);
}

void fake_systemd_deinit(FakeSystemd *fake) {
        fake_systemd_stop(fake);
        (void) unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
}

int fake_systemd_setup(void **state, size_t size, FakeMethod method) {
        FakeSystemdRig *rig = calloc(1, size);

        if (!rig)
                return -1;
        *state = rig;
        if (test_folder_setup((void **) &rig->folder) < 0 || sd_event_new(&rig->event) < 0)
                return -1;
        fake_systemd_init(&rig->fake, rig->event, rig->folder, method);
        return manager_new(rig->event, &rig->manager, NULL);
}

int fake_systemd_teardown(void **state) {
        FakeSystemdRig *rig = *state;
        int r;

        manager_free(rig->manager);
        fake_systemd_deinit(&rig->fake);
        sd_event_unref(rig->event);
        r = test_folder_teardown((void **) &rig->folder);
        free(rig);
        return r;
}

static void emit(FakeSystemd *fake, sd_bus_message *m) {
        assert_true(sd_bus_message_set_sender(m, fake->forger ? fake->forger : SENDER) >= 0);
        assert_true(sd_bus_send(fake->peer, m, NULL) >= 0);
        sd_bus_message_unref(m);
}

void fake_systemd_changed(FakeSystemd *fake, const char *unit) {
        _cleanup_free_ char *path = NULL;
        sd_bus_message *m = NULL;

        assert_true(sd_bus_path_encode(PATH "/unit", unit, &path) >= 0);
        assert_true(sd_bus_message_new_signal(fake->peer, &m, path, PROPERTIES, "PropertiesChanged") >= 0);
        assert_true(sd_bus_message_append(m, "sa{sv}as", "org.freedesktop.systemd1.Unit", 0, 0) >= 0);
        emit(fake, m);
}

void fake_systemd_job_removed(FakeSystemd *fake, const char *unit, uint32_t job, const char *result) {
        sd_bus_message *m = NULL;
        char path[64];

        snprintf(path, sizeof(path), PATH "/job/%u", job);
        assert_true(sd_bus_message_new_signal(fake->peer, &m, PATH, MANAGER, "JobRemoved") >= 0);
        assert_true(sd_bus_message_append(m, "uoss", job, path, unit, result) >= 0);
        emit(fake, m);
}

void fake_systemd_owner_changed(FakeSystemd *fake) {
        sd_bus_message *m = NULL;

        assert_true(sd_bus_message_new_signal(fake->peer, &m, "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                              "NameOwnerChanged") >= 0);
        assert_true(sd_bus_message_append(m, "sss", "org.freedesktop.systemd1", ":1.0", ":1.1") >= 0);
        emit(fake, m);
}

unsigned fake_systemd_count(const FakeSystemd *fake, const char *member) {
        unsigned n = 0;

        for (unsigned i = 0; i < fake->n_calls; i++)
                n += strcmp(fake->calls[i], member) == 0;
        return n;
}

void fake_systemd_run(FakeSystemd *fake, const bool *flag) {
        uint64_t end = clock_boottime(&clock_system) + TEST_WAIT_MAX;

        while (!*flag) {
                assert_true(clock_boottime(&clock_system) < end);
                assert_true(sd_event_run(fake->event, 100 * USEC_PER_MSEC) >= 0);
        }
}

void fake_systemd_await(FakeSystemd *fake, const char *member, unsigned n) {
        uint64_t end = clock_boottime(&clock_system) + TEST_WAIT_MAX;

        while (fake_systemd_count(fake, member) < n) {
                assert_true(clock_boottime(&clock_system) < end);
                assert_true(sd_event_run(fake->event, 100 * USEC_PER_MSEC) >= 0);
        }
}

void fake_systemd_run_for(FakeSystemd *fake, uint64_t usec) {
        uint64_t end = clock_boottime(&clock_system) + usec;

        while (clock_boottime(&clock_system) < end)
                assert_true(sd_event_run(fake->event, 10 * USEC_PER_MSEC) >= 0);
}
