#pragma once

/* What every kind of depot promises (artifacts/depot.h), as tests that are run on each kind; and the ways of
 * the command line, start and wait, in one call. */

#include "artifacts/depot.h"
#include "tests/unit/test.h"

#define TEST_DEPOT_LIMIT 1048576U
#define TEST_DEPOT_BIG (5U << 20)

/* Begins every fixture that *STATE is. */
typedef struct DepotFixture {
        sd_event *event;
        Depot *depot;
} DepotFixture;

/* The fixture of a depot that is a folder. */
typedef struct FolderDepot {
        DepotFixture base;
        TestFolder *folder;
        int fd; /* of the folder */
        char uri[TEST_PATH_MAX + 8];
} FolderDepot;

int test_folder_depot_setup(void **state);
int test_folder_depot_teardown(void **state);

/* A depot that is FOLDER. */
Depot *test_depot_open(const TestFolder *folder, sd_event *event);

/* TEST_DEPOT_BIG bytes, new memory. */
uint8_t *test_depot_big(void);

int test_depot_get(Depot *depot, const char *key, const char *etag, size_t limit, DepotReply *reply,
                   Error *error);
int test_depot_get_range(Depot *depot, const char *key, uint64_t offset, size_t length, const char *etag,
                         DepotReply *reply, Error *error);
int test_depot_list(Depot *depot, const char *prefix, DepotReply *reply, Error *error);
int test_depot_delete(Depot *depot, const char *key);

/* The outcome, or a negative errno. */
int test_depot_put(Depot *depot, const char *key, const char *text, DepotCondition condition,
                   const char *etag, Error *error);

/* Writes TEXT whatever is there; its etag, new memory. */
char *test_depot_put_etag(Depot *depot, const char *key, const char *text);

void test_depot_assert_value(Depot *depot, const char *key, const char *text);

void promise_put_get(void **state);
void promise_strange_names(void **state);
void promise_if_none_match(void **state);
void promise_limit(void **state);
void promise_create(void **state);
void promise_match(void **state);
void promise_delete(void **state);
void promise_range(void **state);
void promise_range_sink(void **state);
void promise_put_file(void **state);
void promise_list(void **state);

#define DEPOT_PROMISES(test)                                                                                 \
        test(promise_put_get), test(promise_strange_names), test(promise_if_none_match),                     \
                test(promise_limit), test(promise_create), test(promise_match), test(promise_delete),        \
                test(promise_range), test(promise_range_sink), test(promise_put_file), test(promise_list)
