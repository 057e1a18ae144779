/* sandbox-probe WHAT ARGUMENT…: tries things that a sandbox should refuse, and prints for each how it went:
 * "ok", or the name of the error. Arguments come in pairs; without any it fills the disk. */

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/cleanup.h"

#define MEBIBYTE ((size_t) 1 << 20)

static int result(long r) {
        return r < 0 ? errno : 0;
}

static int try_read(const char *path) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

        return result(fd);
}

static int try_list(const char *path) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return result(fd);
}

static int try_write(const char *path) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        return fd < 0 ? errno : result(write(fd, "x", 1));
}

static int try_socket(const char *family) {
        _cleanup_close_ int fd = socket(atoi(family), SOCK_DGRAM | SOCK_CLOEXEC, 0);

        return result(fd);
}

static int try_connect(const char *address) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(80) };
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void) inet_pton(AF_INET, address, &in.sin_addr);
        return fd < 0 ? errno : result(connect(fd, (struct sockaddr *) &in, sizeof(in)));
}

static int try_bus(const char *path) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void) snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
        return fd < 0 ? errno : result(connect(fd, (struct sockaddr *) &un, sizeof(un)));
}

static int try_kill(const char *pid) {
        return result(kill(atoi(pid), SIGTERM));
}

static int try_mode(const char *mode) {
        _cleanup_close_ int fd = open("probe-mode", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        return fd < 0 ? errno : result(fchmod(fd, (mode_t) strtoul(mode, NULL, 8)));
}

/* Executes what it wrote itself: the shortest script there is. */
static int try_execute_own(_unused_ const char *argument) {
        _cleanup_close_ int fd = open("probe-program", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

        if (fd < 0 || write(fd, "#!/usr/bin/true\n", 16) != 16)
                return errno;
        fd = close_fd(fd);
        return result(execl("./probe-program", "./probe-program", NULL));
}

static int try_executable_memory(_unused_ const char *argument) {
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return p == MAP_FAILED ? errno : 0;
}

/* How many MiB it gets, private ones and then shared ones: it prints after each, since it may be killed. */
static int take_memory(const char *kind) {
        int how = strcmp(kind, "shared") == 0 ? MAP_SHARED : MAP_PRIVATE;

        for (unsigned i = 1; i <= 4096; i++) {
                char *p = mmap(NULL, MEBIBYTE, PROT_READ | PROT_WRITE, how | MAP_ANONYMOUS, -1, 0);

                if (p == MAP_FAILED)
                        return errno;
                memset(p, 1, MEBIBYTE);
                printf("%u\n", i);
        }
        return 0;
}

static int take_processes(_unused_ const char *argument) {
        for (unsigned i = 1; i <= 1000; i++) {
                pid_t pid = fork();

                if (pid < 0)
                        return errno;
                if (pid == 0)
                        for (;;)
                                (void) pause();
                printf("%u\n", i);
        }
        return 0;
}

static int take_files(_unused_ const char *argument) {
        for (unsigned i = 1; i <= 100000; i++) {
                int fd = open(".", O_RDONLY | O_CLOEXEC); /* stays open */

                if (fd < 0)
                        return errno;
                printf("%u\n", i);
        }
        return 0;
}

/* What would fill a disk: "bytes" in files of 16 MiB, "names" of empty files, "hidden" files that have no name. Goes on until
 * something ends it. */
static int fill(const char *what) {
        static char data[MEBIBYTE];
        bool names = strcmp(what, "names") == 0, hidden = strcmp(what, "hidden") == 0;

        for (unsigned i = 0;; i++) {
                char path[32];
                int fd;

                snprintf(path, sizeof(path), "fill-%u", i);
                fd = hidden ? open(".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600)
                            : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                if (fd < 0)
                        return errno;
                for (unsigned n = 0; n < 16 && !names; n++)
                        if (write(fd, data, sizeof(data)) < 0)
                                return errno;
                if (!hidden)
                        close(fd);
        }
}

/* A call by its number, with arguments that harm nobody: how it fails tells whether the kernel saw it. */
static int try_call(const char *number) {
        return result(syscall(atol(number), -1L, 0L, 0L, 0L, 0L, 0L));
}

static const struct {
        const char *name;
        int (*try)(const char *argument);
} probes[] = {
        { "read", try_read },
        { "list", try_list },
        { "write", try_write },
        { "socket", try_socket },
        { "connect", try_connect },
        { "bus", try_bus },
        { "kill", try_kill },
        { "mode", try_mode },
        { "execute-own", try_execute_own },
        { "executable-memory", try_executable_memory },
        { "memory", take_memory },
        { "processes", take_processes },
        { "files", take_files },
        { "fill", fill },
        { "call", try_call },
};

static void probe(const char *name, const char *argument) {
        for (size_t i = 0; i < ELEMENTSOF(probes); i++)
                if (strcmp(probes[i].name, name) == 0) {
                        int r = probes[i].try(argument);

                        printf("%s %s %s\n", name, argument, r == 0 ? "ok" : strerrorname_np(r));
                        return;
                }
        printf("%s %s unknown\n", name, argument);
}

/* In muster-unpack's place it has no arguments, and is told here what to do. */
static int fill_as_told(void) {
        _cleanup_close_ int fd = open("/usr/lib/muster/fill", O_RDONLY | O_CLOEXEC);
        char what[16] = "";

        return fd < 0 || read(fd, what, sizeof(what) - 1) <= 0 ? EXIT_FAILURE : fill(what);
}

int main(int argc, char **argv) {
        if (argc == 1)
                return fill_as_told();
        (void) setvbuf(stdout, NULL, _IOLBF, 0);
        for (int i = 1; i + 1 < argc; i += 2)
                probe(argv[i], argv[i + 1]);
        return 0;
}
