#pragma once

/* How an asynchronous operation ended, as a test hears of it: once. */

#include <stdbool.h>

#include "agent/base/error.h"

typedef struct TestOutcome {
        bool done;
        int result;
        Error error;
} TestOutcome;

/* Fails the test where it is called a second time. */
void test_outcome_note(TestOutcome *outcome, int result, const Error *error);

/* The callback of operations of a TYPE; its userdata is an TestOutcome. */
#define DEFINE_TEST_DONE(name, Type)                                                                         \
        static void name(_unused_ Type *operation, int result, const Error *error, void *userdata) {         \
                test_outcome_note(userdata, result, error);                                                  \
        }
