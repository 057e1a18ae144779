/* bus-driver KIND PATH RELEASE: calls DeployLocal of org.muster.Agent1 with what the file RELEASE says, and a
 * descriptor of PATH of some KIND, as a program might that is not muster(1). Prints the deployment's id, or the
 * error's name and sentence. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "agent/base/cleanup.h"
#include "agent/base/file.h"
#include "agent/bus.h"

static int open_pipe(void) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -1;
        close_fd(fds[1]);
        return fds[0];
}

static int open_archive(const char *kind, const char *path) {
        static const struct {
                const char *kind;
                int flags;
        } kinds[] = {
                { "file", O_RDONLY },
                { "write-only", O_WRONLY },
                { "path-only", O_PATH },
                { "folder", O_DIRECTORY | O_RDONLY },
        };

        if (strcmp(kind, "pipe") == 0)
                return open_pipe();
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (strcmp(kind, kinds[i].kind) == 0)
                        return open(path, kinds[i].flags | O_CLOEXEC);
        return -1;
}

static int call(const char *json, int fd) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *id = NULL;
        int r;

        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_call_method(bus, BUS_NAME, BUS_PATH, BUS_INTERFACE, "DeployLocal", &error, &reply,
                                       "sh", json, fd);
        if (r >= 0)
                r = sd_bus_message_read(reply, "s", &id);
        if (r >= 0)
                return printf("%s\n", id) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        (void) printf("%s: %s\n", error.name ? error.name : strerror(-r), error.message ? error.message : "");
        return EXIT_FAILURE;
}

int main(int argc, char **argv) {
        _cleanup_buffer_ Buffer release = {};
        _cleanup_close_ int fd = -1;

        if (argc != 4)
                return 2;
        fd = open_archive(argv[1], argv[2]);
        if (fd < 0 || file_read_at(AT_FDCWD, argv[3], BUS_RELEASE_JSON_MAX, &release) < 0) {
                perror("bus-driver");
                return 2;
        }
        return call(buffer_string(&release), fd);
}
