#pragma once

/* An HTTP server for unit tests that lives on the test's own sd_event loop, so that a handler is an ordinary function
 * and every fault of a network can be played: reset, truncation, silence, delay. */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "agent/base/buffer.h"

typedef struct TestServer TestServer;

typedef struct TestRequest {
        unsigned number;     /* from 1 */
        unsigned connection; /* from 1 */
        const char *method;
        const char *target;
        const char *headers; /* as they came, each ended by CRLF */
        const char *body;
        size_t body_size;
} TestRequest;

typedef enum TestFault {
        TEST_FAULT_NONE,
        TEST_FAULT_CLOSE,  /* close after what was written */
        TEST_FAULT_RESET,  /* the same with a TCP reset */
        TEST_FAULT_SILENT, /* keep the connection, say no more */
} TestFault;

typedef struct TestReply {
        Buffer text; /* whole: status line, headers, body */
        TestFault fault;
} TestReply;

typedef void (*TestHandler)(const TestRequest *request, TestReply *reply, void *userdata);

/* On 127.0.0.1, a port of the kernel's choice. Aborts the test on failure. */
TestServer *test_server_new(sd_event *event, TestHandler handler, void *userdata);
TestServer *test_server_free(TestServer *server);
DEFINE_CLEANUP(TestServer *, test_server_free)

/* "http://127.0.0.1:PORT" */
const char *test_server_url(const TestServer *server);
unsigned test_server_requests(const TestServer *server);

/* Writes a whole answer; HEADERS: "" or lines ended by CRLF; Content-Length is added. */
void test_reply(TestReply *reply, int status, const char *headers, const char *body);

/* The value of a header, new memory; NULL: absent. */
char *test_request_header(const TestRequest *request, const char *name);

/* Runs the loop until *FLAG; aborts the test after TEST_WAIT_MAX. */
void test_wait(sd_event *event, const bool *flag);
