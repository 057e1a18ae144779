#pragma once

/* A client of AWS for unit tests: its requests, those for metadata too, go to a server of the test's own, signed with the
 * key AKID. */

#include "agent/net/aws.h"
#include "tests/unit/http-server.h"
#include "tests/unit/outcome.h"

typedef struct TestClient {
        sd_event *event;
        AwsContext *aws;
        TestServer *server;
} TestClient;

/* OPTIONS without environment and endpoints; HANDLER answers. */
void test_client_init(TestClient *client, const AwsOptions *options, TestHandler handler, void *userdata);
void test_client_deinit(TestClient *client);

/* For tests whose state begins with its client: *STATE becomes SIZE zeroed bytes, with the client at their beginning, and is
 * the userdata of HANDLER. Frees nothing else that the state may hold. */
void test_client_setup(void **state, size_t size, const AwsOptions *options, TestHandler handler);
int test_client_teardown(void **state);
