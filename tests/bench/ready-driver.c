/* ready-driver ROUNDS PROGRAM OTHER: starts PROGRAM, a service of Type=notify, and OTHER, which only ends, in turns. Prints
 * for each round, in microseconds, how long it took from the fork until PROGRAM was ready and the CPU that PROGRAM had used
 * by then, and the same of OTHER until it had ended. */

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/parse.h"

#define ROUNDS_MAX 1000U
#define READY_TIMEOUT_MSEC 10000

typedef struct Start {
        uint64_t wall, cpu;
} Start;

static _Noreturn void give_up(const char *what) {
        perror(what);
        exit(EXIT_FAILURE);
}

static uint64_t read_clock(clockid_t clock) {
        struct timespec ts;

        if (clock_gettime(clock, &ts) < 0)
                give_up("clock");
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

static pid_t spawn(const char *program) {
        pid_t pid = fork();

        if (pid < 0)
                give_up("fork");
        if (pid == 0) {
                (void) execl(program, program, NULL);
                _exit(EXIT_FAILURE);
        }
        return pid;
}

/* The socket stays for all rounds. */
static int open_socket(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char name[64];
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        int n = snprintf(name, sizeof(name), "@ready-driver-%d", (int) getpid());

        memcpy(address.sun_path + 1, name + 1, (size_t) n - 1);
        if (fd < 0 ||
            bind(fd, (struct sockaddr *) &address,
                 (socklen_t) (offsetof(struct sockaddr_un, sun_path) + (size_t) n)) < 0 ||
            setenv("NOTIFY_SOCKET", name, 1) < 0)
                give_up("socket");
        return fd;
}

static void wait_ready(int fd) {
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        char text[1024];
        ssize_t n;

        do {
                if (poll(&wait, 1, READY_TIMEOUT_MSEC) <= 0)
                        give_up("not ready");
                n = recv(fd, text, sizeof(text) - 1, 0);
                text[MAX(n, 0)] = '\0';
        } while (!strstr(text, "READY=1"));
}

static Start start_service(const char *program, int fd) {
        uint64_t begin = read_clock(CLOCK_MONOTONIC);
        pid_t pid = spawn(program);
        Start start = {};
        clockid_t cpu;
        int status;

        wait_ready(fd);
        start.wall = read_clock(CLOCK_MONOTONIC) - begin;
        if (clock_getcpuclockid(pid, &cpu) != 0)
                give_up("clock");
        start.cpu = read_clock(cpu);
        if (kill(pid, SIGTERM) < 0 || waitpid(pid, &status, 0) < 0)
                give_up("stop");
        while (recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT) >= 0)
                ; /* STOPPING=1 */
        return start;
}

static uint64_t usec_of(struct timeval time) {
        return (uint64_t) time.tv_sec * USEC_PER_SEC + (uint64_t) time.tv_usec;
}

static Start start_other(const char *program) {
        uint64_t begin = read_clock(CLOCK_MONOTONIC);
        pid_t pid = spawn(program);
        struct rusage usage;
        int status;

        if (wait4(pid, &status, 0, &usage) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS)
                give_up(program);
        return (Start){ .wall = read_clock(CLOCK_MONOTONIC) - begin,
                        .cpu = usec_of(usage.ru_utime) + usec_of(usage.ru_stime) };
}

int main(int argc, char **argv) {
        uint64_t rounds;
        int fd;

        if (argc != 4 || parse_u64(argv[1], &rounds) < 0 || rounds > ROUNDS_MAX)
                return 2;
        fd = open_socket();
        for (uint64_t i = 0; i < rounds; i++) {
                Start service = start_service(argv[2], fd), other = start_other(argv[3]);

                (void) printf("%ju %ju %ju %ju\n", (uintmax_t) service.wall, (uintmax_t) service.cpu,
                              (uintmax_t) other.wall, (uintmax_t) other.cpu);
        }
        return EXIT_SUCCESS;
}
