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
