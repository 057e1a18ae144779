#include <netdb.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "hooks/probe_tcp.h"

typedef struct TcpAttempt {
        Probe *probe;
        int fd;
        sd_event_source *io, *timer;
} TcpAttempt;

static void finish(TcpAttempt *attempt, int r) {
        Error error = {};

        if (r < 0)
                error_set_fault(&error, r, FAULT_RELEASE, "%s", strerror(-r));
        probe_finish(attempt->probe, r < 0 ? &error : NULL);
}

static int on_io(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events, void *userdata) {
        int problem = 0;
        socklen_t size = sizeof(problem);

        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) < 0)
                problem = errno;
        finish(userdata, -problem);
        return 0;
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        TcpAttempt *attempt = userdata;
        char duration[DURATION_TEXT_MAX];
        Error error = {};

        format_duration(attempt->probe->timeout_usec, duration);
        error_set_fault(&error, -ETIMEDOUT, FAULT_RELEASE, "no connection within %s", duration);
        probe_finish(attempt->probe, &error);
        return 0;
}

/* "host:port" or "[host]:port", with a numeric host: looking names up would block. */
static int resolve(const char *address, struct addrinfo **ret, Error *error) {
        const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                        .ai_socktype = SOCK_STREAM };
        const char *colon = strrchr(address, ':'), *host = address;
        _cleanup_free_ char *copy = NULL;
        size_t length = colon ? (size_t) (colon - address) : 0;

        if (length >= 2 && *host == '[' && host[length - 1] == ']') {
                host++;
                length -= 2;
        }
        copy = strndup(host, length);
        if (!copy)
                return error_oom(error);
        if (length == 0 ||
            getaddrinfo(strcmp(copy, "localhost") == 0 ? "127.0.0.1" : copy, colon + 1, &hints, ret) != 0)
                return error_set_fault(error, -EINVAL, FAULT_RELEASE, "'%s' is not an address and a port",
                                       address);
        return 0;
}

static void attempt_free(void *p) {
        TcpAttempt *attempt = p;

        sd_event_source_disable_unref(attempt->io);
        sd_event_source_disable_unref(attempt->timer);
        close_fd(attempt->fd);
        free(attempt);
}

/* A connection that is refused at once is told by the socket, too. */
static int begin_connect(TcpAttempt *attempt, const struct addrinfo *to) {
        attempt->fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (attempt->fd < 0)
                return -errno;
        if (connect(attempt->fd, to->ai_addr, to->ai_addrlen) < 0 && errno != EINPROGRESS)
                return -errno;
        return 0;
}

static int start(Probe *probe, Error *error) {
        sd_event *event = manager_event(probe->context->manager);
        struct addrinfo *to = NULL;
        TcpAttempt *attempt;
        int r;

        attempt = calloc(1, sizeof(*attempt));
        if (!attempt)
                return error_oom(error);
        *attempt = (TcpAttempt){ .probe = probe, .fd = -1 };
        probe->attempt = attempt;
        r = resolve(probe->check->address, &to, error);
        if (r < 0)
                return r;
        r = begin_connect(attempt, to);
        freeaddrinfo(to);
        if (r < 0)
                return error_set_fault(error, r, FAULT_RELEASE, "%s", strerror(-r));
        r = sd_event_add_io(event, &attempt->io, attempt->fd, EPOLLOUT, on_io, attempt);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &attempt->timer, CLOCK_BOOTTIME, probe->timeout_usec,
                                               TIMER_ACCURACY_EXACT, on_timer, attempt);
        return r < 0 ? error_set_errno(error, r, "cannot add to the event loop") : 0;
}

const ProbeType probe_tcp = { .start = start, .free = attempt_free };
