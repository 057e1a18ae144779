#include <arpa/inet.h>
#include <assert.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "tests/unit/http-server.h"
#include "tests/unit/test.h"

typedef struct Connection Connection;

struct Connection {
        TestServer *server;
        Connection *next;
        unsigned number;
        int fd;
        sd_event_source *source;
        Buffer input;
        TestReply reply;
        size_t written;
        bool continued;
};

struct TestServer {
        sd_event *event;
        int fd;
        sd_event_source *source;
        char url[64];
        TestHandler handler;
        void *userdata;
        Connection *connections;
        unsigned n_requests, n_connections;
};

#define ensure(x)                                                                                            \
        do {                                                                                                 \
                if (!(x))                                                                                    \
                        abort();                                                                             \
        } while (0)

static void connection_close(Connection *c) {
        Connection **link = &c->server->connections;

        while (*link != c)
                link = &(*link)->next;
        *link = c->next;
        sd_event_source_disable_unref(c->source);
        close_fd(c->fd);
        buffer_deinit(&c->input);
        buffer_deinit(&c->reply.text);
        free(c);
}

static void apply_fault(Connection *c) {
        const struct linger linger = { .l_onoff = 1 };

        switch (c->reply.fault) {
        case TEST_FAULT_RESET:
                ensure(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
                connection_close(c);
                return;
        case TEST_FAULT_CLOSE:
                connection_close(c);
                return;
        case TEST_FAULT_SILENT:
                ensure(sd_event_source_set_io_events(c->source, 0) >= 0);
                return;
        case TEST_FAULT_NONE:
                buffer_clear(&c->reply.text);
                c->written = 0;
                ensure(sd_event_source_set_io_events(c->source, EPOLLIN) >= 0);
        }
}

static void write_reply(Connection *c) {
        ssize_t n;

        while (c->written < c->reply.text.size) {
                n = send(c->fd, c->reply.text.data + c->written, c->reply.text.size - c->written,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0 && errno == EAGAIN) {
                        ensure(sd_event_source_set_io_events(c->source, EPOLLOUT) >= 0);
                        return;
                }
                if (n < 0) {
                        connection_close(c);
                        return;
                }
                c->written += (size_t) n;
        }
        apply_fault(c);
}

static const char *find_header(const char *headers, const char *name) {
        size_t n = strlen(name);

        for (const char *line = headers; line && *line;
             line = strstr(line, "\r\n") ? strstr(line, "\r\n") + 2 : NULL)
                if (strncasecmp(line, name, n) == 0 && line[n] == ':')
                        return line + n + 1 + strspn(line + n + 1, " ");
        return NULL;
}

/* Answers the request that INPUT holds, once it is whole. */
static void answer(Connection *c) {
        char *text = (char *) c->input.data, *end = text ? strstr(text, "\r\n\r\n") : NULL, *headers, *target,
             *p;
        const char *length, *expect;
        TestRequest request = {};
        size_t head, size = 0;

        if (!end)
                return;
        headers = strstr(text, "\r\n") + 2;
        head = (size_t) (end + 4 - text);
        length = headers < end + 2 ? find_header(headers, "Content-Length") : NULL;
        size = length && length < end ? strtoul(length, NULL, 10) : 0;
        expect = find_header(headers, "Expect");
        if (expect && expect < end && !c->continued) {
                c->continued = true;
                ensure(send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL) == 25);
        }
        if (c->input.size - head < size)
                return;
        end[2] = '\0';
        p = strchr(text, ' ');
        target = p + 1;
        *p = '\0';
        *strchr(target, ' ') = '\0';
        request = (TestRequest){
                .number = ++c->server->n_requests,
                .connection = c->number,
                .method = text,
                .target = target,
                .headers = headers,
                .body = text + head,
                .body_size = size,
        };
        c->reply.fault = TEST_FAULT_NONE;
        c->continued = false;
        c->server->handler(&request, &c->reply, c->server->userdata);
        buffer_clear(&c->input); /* nobody pipelines here */
        write_reply(c);
}

static int on_connection(_unused_ sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        static char chunk[65536];
        Connection *c = userdata;
        ssize_t n;

        if (c->reply.text.size > 0) {
                write_reply(c);
                return 0;
        }
        n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
        if (n <= 0 || revents & (EPOLLHUP | EPOLLERR)) {
                connection_close(c);
                return 0;
        }
        ensure(buffer_append(&c->input, chunk, (size_t) n, SIZE_MAX) == 0);
        answer(c);
        return 0;
}

static int on_accept(_unused_ sd_event_source *source, int fd, _unused_ uint32_t revents, void *userdata) {
        TestServer *server = userdata;
        Connection *c = calloc(1, sizeof(*c));

        ensure(c);
        c->server = server;
        c->number = ++server->n_connections;
        c->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        ensure(c->fd >= 0);
        c->next = server->connections;
        server->connections = c;
        ensure(sd_event_add_io(server->event, &c->source, c->fd, EPOLLIN, on_connection, c) >= 0);
        return 0;
}

TestServer *test_server_new(sd_event *event, TestHandler handler, void *userdata) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);
        TestServer *server = calloc(1, sizeof(*server));

        ensure(server);
        server->event = event;
        server->handler = handler;
        server->userdata = userdata;
        server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ensure(server->fd >= 0);
        ensure(bind(server->fd, (struct sockaddr *) &address, size) == 0 && listen(server->fd, 64) == 0);
        ensure(getsockname(server->fd, (struct sockaddr *) &address, &size) == 0);
        snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u", (unsigned) ntohs(address.sin_port));
        ensure(sd_event_add_io(event, &server->source, server->fd, EPOLLIN, on_accept, server) >= 0);
        return server;
}

TestServer *test_server_free(TestServer *server) {
        if (!server)
                return NULL;
        while (server->connections)
                connection_close(server->connections);
        sd_event_source_disable_unref(server->source);
        close_fd(server->fd);
        free(server);
        return NULL;
}

const char *test_server_url(const TestServer *server) {
        return server->url;
}

unsigned test_server_requests(const TestServer *server) {
        return server->n_requests;
}

void test_reply(TestReply *reply, int status, const char *headers, const char *body) {
        ensure(buffer_printf(&reply->text, "HTTP/1.1 %d Status\r\nContent-Length: %zu\r\n%s\r\n%s", status,
                             strlen(body), headers, body) == 0);
}

char *test_request_header(const TestRequest *request, const char *name) {
        const char *value = find_header(request->headers, name);

        return value ? strndup(value, strcspn(value, "\r")) : NULL;
}

void test_wait(sd_event *event, const bool *flag) {
        uint64_t end = usec_add(clock_boottime(&clock_system), TEST_WAIT_MAX);

        while (!*flag) {
                ensure(clock_boottime(&clock_system) < end);
                ensure(sd_event_run(event, 100 * USEC_PER_MSEC) >= 0);
        }
}
