#pragma once

/* A store of its own for each test, and what comes into it. */

#include "agent/base/file.h"
#include "artifacts/store.h"
#include "artifacts/store_staging.h"
#include "tests/unit/test.h"

#define SHA_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define SHA_2 "2222222222222222222222222222222222222222222222222222222222222222"
#define NAME_1 "1.0-111111111111"
#define NAME_2 "2.0-222222222222"

#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, store_test_setup, store_test_teardown)

typedef struct StoreFixture {
        char folder[64];
        ReleaseStore *store;
} StoreFixture;

int store_test_setup(void **state);
int store_test_teardown(void **state);

bool store_test_exists(int fd, const char *path);
void store_test_write(int dirfd, const char *path, const char *content, mode_t mode);

/* What the unpacker would leave: 4 entries, 10 bytes. */
StoreStaging *store_test_stage(StoreFixture *f);

/* What is signed of that. */
StoreRelease store_test_release(const char *version, const char *sha256);

/* Both, committed. */
void store_test_commit(StoreFixture *f, const char *version, const char *sha256);

/* What an asynchronous operation came to, which ends the loop. */
typedef struct StoreOutcome {
        sd_event *event;
        int result;
        Error error;
} StoreOutcome;

sd_event *store_test_event(void);
void store_test_ended(StoreOutcome *outcome, int result, const Error *error);
