#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/unit/test.h"

#include "agent/base/cleanup.h"
#include "agent/bus.h"
#include "agent/cli/bus_client.h"

/* A child at the other end of a socket stands for the bus and musterd in one. */

static int on_status(sd_bus_message *message, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        return sd_bus_reply_method_return(message, "s", "{\"state\":\"ready\"}");
}

/* The app says how the call is to fail. */
static int on_history(sd_bus_message *message, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        const char *app;
        uint32_t limit;

        if (sd_bus_message_read(message, "su", &app, &limit) < 0 || limit != 7)
                return -EINVAL;
        return *app ? sd_bus_reply_method_errorf(message, app, "the sentence")
                    : sd_bus_reply_method_return(message, "s", "{}");
}

/* Answers with what the archive holds. */
static int on_deploy_local(sd_bus_message *message, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        char text[64] = "";
        const char *json;
        ssize_t n;
        int fd;

        if (sd_bus_message_read(message, "sh", &json, &fd) < 0)
                return -EINVAL;
        n = pread(fd, text, sizeof(text) - 1, 0);
        return n < 0 || strcmp(json, "{}") != 0 ? -EIO : sd_bus_reply_method_return(message, "s", text);
}

static int on_poll(sd_bus_message *message, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        return sd_bus_reply_method_return(message, "");
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("GetStatus", "", "s", on_status, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetHistory", "su", "s", on_history, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("DeployLocal", "sh", "s", on_deploy_local, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Poll", "", "", on_poll, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static void serve(int fd) {
        sd_bus *bus = NULL;

        if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 ||
            sd_bus_set_server(bus, true, SD_ID128_NULL) < 0 || sd_bus_set_anonymous(bus, true) < 0 ||
            sd_bus_negotiate_fds(bus, true) < 0 || sd_bus_start(bus) < 0 ||
            sd_bus_add_object_vtable(bus, NULL, BUS_PATH, BUS_INTERFACE, vtable, NULL) < 0)
                _exit(1);
        for (;;) {
                int r = sd_bus_process(bus, NULL);

                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                if (r < 0)
                        _exit(0);
        }
}

typedef struct Connection {
        sd_bus *bus;
        pid_t server;
} Connection;

static int connect_to_child(void **state) {
        Connection *connection = calloc(1, sizeof(*connection));
        int pair[2];

        if (!connection || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return -1;
        connection->server = fork();
        if (connection->server == 0) {
                (void) close(pair[0]);
                serve(pair[1]);
        }
        (void) close(pair[1]);
        *state = connection;
        if (sd_bus_new(&connection->bus) < 0 || sd_bus_set_fd(connection->bus, pair[0], pair[0]) < 0)
                return -1;
        if (sd_bus_set_anonymous(connection->bus, true) < 0 ||
            sd_bus_negotiate_fds(connection->bus, true) < 0)
                return -1;
        return sd_bus_start(connection->bus);
}

static int disconnect(void **state) {
        Connection *connection = *state;

        sd_bus_flush_close_unref(connection->bus);
        (void) waitpid(connection->server, NULL, 0);
        free(connection);
        return 0;
}

static void test_calls(void **state) {
        const Connection *connection = *state;
        _cleanup_free_ char *status = NULL, *history = NULL, *id = NULL;
        _cleanup_close_ int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        Error error = {};

        assert_int_equal(bus_client_status(connection->bus, &status, &error), 0);
        assert_string_equal(status, "{\"state\":\"ready\"}");
        assert_int_equal(bus_client_history(connection->bus, "", 7, &history, &error), 0);
        assert_string_equal(history, "{}");
        assert_int_equal(write(fd, "archive", 7), 7);
        assert_int_equal(bus_client_deploy_local(connection->bus, "{}", fd, &id, &error), 0);
        assert_string_equal(id, "archive");
        assert_int_equal(bus_client_poll(connection->bus, &error), 0);
}

static void test_errors(void **state) {
        static const struct {
                const char *name;
                int r;
                const char *message;
        } cases[] = {
                { "org.muster.Error.NotFound", -ENOENT, "the sentence" },
                { "org.muster.Error.BadInput", -EINVAL, "the sentence" },
                { "org.muster.Error.Busy", -EEXIST, "the sentence" },
                { "org.muster.Error.NotAllowed", -EPERM, "the sentence" },
                { "org.muster.Error.NotReady", -EAGAIN, "the sentence" },
                { "org.muster.Error.Unheard", -EIO, "the sentence" },
                { SD_BUS_ERROR_SERVICE_UNKNOWN, -ECONNREFUSED, "musterd does not run" },
                { SD_BUS_ERROR_NAME_HAS_NO_OWNER, -ECONNREFUSED, "musterd does not run" },
                { SD_BUS_ERROR_NO_REPLY, -ETIMEDOUT, "musterd does not answer" },
                { SD_BUS_ERROR_ACCESS_DENIED, -EPERM, "only root" },
                { SD_BUS_ERROR_LIMITS_EXCEEDED, -ENOBUFS, "cannot ask musterd: the sentence" },
        };
        const Connection *connection = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *text = NULL;
                Error error = {};
                int r = bus_client_history(connection->bus, cases[i].name, 7, &text, &error);

                if (r != cases[i].r || !strstr(error.message, cases[i].message))
                        fail_msg("%s: %d, %s", cases[i].name, r, error.message);
                assert_null(text);
        }
}

static void test_no_bus(_unused_ void **state) {
        sd_bus *bus = NULL;
        Error error = {};

        assert_int_equal(setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1), 0);
        assert_int_equal(bus_client_open(&bus, &error), -ECONNREFUSED);
        assert_non_null(strstr(error.message, "musterd does not run on this machine"));
        assert_null(bus);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_calls, connect_to_child, disconnect),
                cmocka_unit_test_setup_teardown(test_errors, connect_to_child, disconnect),
                cmocka_unit_test(test_no_bus),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
