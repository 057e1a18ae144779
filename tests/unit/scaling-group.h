#pragma once

/* An Auto Scaling group for unit tests that answers as it is told, and writes down what it was asked. */

#include "agent/net/autoscaling.h"
#include "tests/unit/aws-client.h"

typedef struct TestGroup {
        TestClient client;
        const char *state; /* the instance's; NULL: it is not known */
        const char *
                hook; /* a termination hook that it has beside one that is somebody else's; NULL: only that */
        const char *launch_hook; /* NULL: it has none */
        unsigned hook_failures;  /* so many questions for hooks fail */
        unsigned state_failures; /* likewise for the instance's state */
        /* How the completions and heartbeats come out, one letter each, the last one for ever: "+" accepted, "0" no action
         * waits, "-" refused, "p" a portal's page in place of an answer. */
        const char *outcomes;
        char asked[1024]; /* "complete muster CONTINUE\n", "heartbeat muster\n", "describe\n", "hooks\n" */
} TestGroup;

TestGroup *test_group_new(void);
TestGroup *test_group_free(TestGroup *group);
