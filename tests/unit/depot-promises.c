#include <string.h>
#include <sys/mman.h>

#include "agent/base/file.h"
#include "tests/unit/depot-promises.h"

#define ABSENT "\"0000\"" /* an etag that nothing has */

Depot *test_depot_open(const TestFolder *folder, sd_event *event) {
        char uri[TEST_PATH_MAX + 8];
        Depot *depot;

        (void) snprintf(uri, sizeof(uri), "file://%s", folder->path);
        assert_int_equal(depot_open(uri, &(DepotOptions){ .event = event }, &depot, NULL), 0);
        return depot;
}

int test_folder_depot_setup(void **state) {
        FolderDepot *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        f->fd = f->folder->fd;
        (void) snprintf(f->uri, sizeof(f->uri), "file://%s", f->folder->path);
        assert_true(sd_event_new(&f->base.event) >= 0);
        f->base.depot = test_depot_open(f->folder, f->base.event);
        *state = f;
        return 0;
}

int test_folder_depot_teardown(void **state) {
        FolderDepot *f = *state;

        depot_free(f->base.depot);
        sd_event_unref(f->base.event);
        assert_int_equal(test_folder_teardown((void **) &f->folder), 0);
        free(f);
        return 0;
}

int test_depot_get(Depot *depot, const char *key, const char *etag, size_t limit, DepotReply *reply,
                   Error *error) {
        DepotOp *op;
        int r;

        r = depot_get_start(depot, key, etag, limit, NULL, NULL, &op, error);
        return r < 0 ? r : depot_wait(op, reply, error);
}

int test_depot_get_range(Depot *depot, const char *key, uint64_t offset, size_t length, const char *etag,
                         DepotReply *reply, Error *error) {
        DepotOp *op;
        int r;

        r = depot_get_range_start(depot, key, offset, length, etag, NULL, NULL, NULL, &op, error);
        return r < 0 ? r : depot_wait(op, reply, error);
}

int test_depot_put(Depot *depot, const char *key, const char *text, DepotCondition condition,
                   const char *etag, Error *error) {
        _cleanup_depot_reply_ DepotReply reply = {};
        DepotOp *op;
        int r;

        r = depot_put_start(depot, key, text, strlen(text), condition, etag, NULL, NULL, &op, error);
        if (r >= 0)
                r = depot_wait(op, &reply, error);
        return r < 0 ? r : (int) reply.outcome;
}

char *test_depot_put_etag(Depot *depot, const char *key, const char *text) {
        _cleanup_depot_reply_ DepotReply reply = {};
        DepotOp *op;

        assert_int_equal(
                depot_put_start(depot, key, text, strlen(text), DEPOT_ALWAYS, NULL, NULL, NULL, &op, NULL),
                0);
        assert_int_equal(depot_wait(op, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_OK);
        assert_non_null(reply.etag);
        return TAKE_PTR(reply.etag);
}

int test_depot_list(Depot *depot, const char *prefix, DepotReply *reply, Error *error) {
        DepotOp *op;
        int r;

        r = depot_list_start(depot, prefix, NULL, NULL, &op, error);
        return r < 0 ? r : depot_wait(op, reply, error);
}

int test_depot_delete(Depot *depot, const char *key) {
        _cleanup_depot_reply_ DepotReply reply = {};
        DepotOp *op;
        int r;

        r = depot_delete_start(depot, key, NULL, NULL, &op, NULL);
        return r < 0 ? r : depot_wait(op, &reply, NULL);
}

void test_depot_assert_value(Depot *depot, const char *key, const char *text) {
        _cleanup_depot_reply_ DepotReply reply = {};

        assert_int_equal(test_depot_get(depot, key, NULL, TEST_DEPOT_LIMIT, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_OK);
        assert_string_equal((char *) reply.body, text);
        assert_int_equal(reply.body_size, strlen(text));
        assert_int_equal(reply.size, strlen(text));
}

uint8_t *test_depot_big(void) {
        uint8_t *content = malloc(TEST_DEPOT_BIG);

        assert_non_null(content);
        for (size_t i = 0; i < TEST_DEPOT_BIG; i++)
                content[i] = (uint8_t) (i * 7 + i / 4093);
        return content;
}

static void assert_missing(Depot *depot, const char *key) {
        _cleanup_depot_reply_ DepotReply reply = {};

        assert_int_equal(test_depot_get(depot, key, NULL, TEST_DEPOT_LIMIT, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_NOT_FOUND);
        assert_null(reply.body);
}

void promise_put_get(void **state) {
        Depot *depot = ((DepotFixture *) *state)->depot;
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_free_ char *etag = NULL;

        assert_missing(depot, "a/b.json");
        etag = test_depot_put_etag(depot, "a/b.json", "hello");
        assert_int_equal(test_depot_get(depot, "a/b.json", NULL, TEST_DEPOT_LIMIT, &reply, NULL), 0);
        assert_string_equal((char *) reply.body, "hello");
        assert_string_equal(reply.etag, etag);
        assert_true(reply.server_time > UINT64_C(1700000000000000));
        assert_int_equal(test_depot_put(depot, "a/b.json", "", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        test_depot_assert_value(depot, "a/b.json", "");
        assert_missing(depot, "a");
        assert_missing(depot, "a/b.json/c");
}

void promise_strange_names(void **state) {
        static const char *const keys[] = { "a b+c%20d.json", "\xc3\xa4pfel/\xe2\x82\xac", "q?x=1&y#z",
                                            "~a:b@c" };
        Depot *depot = ((DepotFixture *) *state)->depot;
        _cleanup_depot_reply_ DepotReply reply = {};

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                assert_int_equal(test_depot_put(depot, keys[i], keys[i], DEPOT_CREATE, NULL, NULL), DEPOT_OK);
                test_depot_assert_value(depot, keys[i], keys[i]);
        }
        assert_int_equal(test_depot_list(depot, "", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, ELEMENTSOF(keys));
        assert_string_equal(reply.entries[0].key, "a b+c%20d.json");
        assert_string_equal(reply.entries[3].key, "\xc3\xa4pfel/\xe2\x82\xac");
}

void promise_if_none_match(void **state) {
        Depot *depot = ((DepotFixture *) *state)->depot;
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_free_ char *etag = test_depot_put_etag(depot, "k", "hello");

        assert_int_equal(test_depot_get(depot, "k", etag, TEST_DEPOT_LIMIT, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_NOT_MODIFIED);
        assert_string_equal(reply.etag, etag);
        assert_null(reply.body);
        depot_reply_deinit(&reply);
        assert_int_equal(test_depot_put(depot, "k", "other", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        assert_int_equal(test_depot_get(depot, "k", etag, TEST_DEPOT_LIMIT, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_OK);
        assert_string_equal((char *) reply.body, "other");
}

void promise_limit(void **state) {
        Depot *depot = ((DepotFixture *) *state)->depot;
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_free_ char *uri = NULL;
        Error error = {};

        assert_int_equal(test_depot_put(depot, "k", "hello", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        assert_int_equal(test_depot_get(depot, "k", NULL, 4, &reply, &error), -E2BIG);
        assert_int_equal(depot_key_uri(depot, "k", &uri), 0);
        assert_memory_equal(error.message, uri, strlen(uri));
        assert_null(strstr(error.message + 1, uri)); /* named once */
        assert_int_equal(test_depot_get(depot, "k", NULL, 5, &reply, NULL), 0);
        assert_int_equal(reply.body_size, 5);
}

void promise_create(void **state) {
        Depot *depot = ((DepotFixture *) *state)->depot;

        assert_int_equal(test_depot_put(depot, "k", "hello", DEPOT_CREATE, NULL, NULL), DEPOT_OK);
        assert_int_equal(test_depot_put(depot, "k", "other", DEPOT_CREATE, NULL, NULL),
                         DEPOT_PRECONDITION_FAILED);
        assert_int_equal(test_depot_put(depot, "k", "hello", DEPOT_CREATE, NULL, NULL),
                         DEPOT_PRECONDITION_FAILED);
        test_depot_assert_value(depot, "k", "hello");
}

void promise_match(void **state) {
        Depot *depot = ((DepotFixture *) *state)->depot;
        _cleanup_free_ char *etag = NULL;

        assert_int_equal(test_depot_put(depot, "k", "other", DEPOT_MATCH, ABSENT, NULL),
                         DEPOT_PRECONDITION_FAILED);
        etag = test_depot_put_etag(depot, "k", "hello");
        assert_int_equal(test_depot_put(depot, "k", "other", DEPOT_MATCH, ABSENT, NULL),
                         DEPOT_PRECONDITION_FAILED);
        assert_int_equal(test_depot_put(depot, "k", "other", DEPOT_MATCH, etag, NULL), DEPOT_OK);
        assert_int_equal(test_depot_put(depot, "k", "third", DEPOT_MATCH, etag, NULL),
                         DEPOT_PRECONDITION_FAILED);
        test_depot_assert_value(depot, "k", "other");
}

void promise_delete(void **state) {
        Depot *depot = ((DepotFixture *) *state)->depot;

        assert_int_equal(test_depot_delete(depot, "a/k"), 0);
        assert_int_equal(test_depot_put(depot, "a/k", "hello", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        assert_int_equal(test_depot_delete(depot, "a/k"), 0);
        assert_missing(depot, "a/k");
        assert_int_equal(test_depot_delete(depot, "a/k"), 0);
}

void promise_range(void **state) {
        Depot *depot = ((DepotFixture *) *state)->depot;
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_free_ char *etag = NULL;

        assert_int_equal(test_depot_get_range(depot, "k", 0, 1, NULL, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_NOT_FOUND);
        etag = test_depot_put_etag(depot, "k", "hello");
        assert_int_equal(test_depot_get_range(depot, "k", 1, 3, NULL, &reply, NULL), 0);
        assert_string_equal((char *) reply.body, "ell");
        assert_int_equal(reply.body_size, 3);
        assert_int_equal(reply.size, 5);
        depot_reply_deinit(&reply);
        assert_int_equal(test_depot_get_range(depot, "k", 0, 5, etag, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_OK);
        assert_string_equal((char *) reply.body, "hello");
        assert_string_equal(reply.etag, etag);
        depot_reply_deinit(&reply);
        assert_int_equal(test_depot_get_range(depot, "k", 0, 5, ABSENT, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_PRECONDITION_FAILED);
        assert_null(reply.body);
        assert_int_equal(test_depot_get_range(depot, "k", 3, 3, NULL, &reply, NULL), -ERANGE);
        assert_int_equal(test_depot_get_range(depot, "k", 5, 1, NULL, &reply, NULL), -ERANGE);
        assert_int_equal(test_depot_get_range(depot, "k", 3, 0, NULL, &reply, NULL), -EINVAL);
        assert_int_equal(test_depot_get_range(depot, "k", UINT64_MAX, 2, NULL, &reply, NULL), -EINVAL);
}

typedef struct Seen {
        uint64_t bytes;
        unsigned calls;
        const uint8_t *content;
        bool differs;
        bool etag_known;
        int fail_with;
} Seen;

static int on_bytes(DepotOp *op, const void *data, size_t size, void *userdata) {
        Seen *seen = userdata;

        if (seen->fail_with < 0 && seen->bytes > 0)
                return seen->fail_with;
        seen->etag_known = depot_op_reply(op)->etag;
        seen->differs |= memcmp(data, seen->content + seen->bytes, size) != 0;
        seen->bytes += size;
        seen->calls++;
        return 0;
}

void promise_range_sink(void **state) {
        Depot *depot = ((DepotFixture *) *state)->depot;
        _cleanup_free_ uint8_t *content = test_depot_big();
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_free_ char *etag = NULL;
        Seen seen = { .content = content + 1000 };
        _cleanup_(depot_op_freep) DepotOp *op = NULL;

        assert_int_equal(depot_put_start(depot, "big", content, TEST_DEPOT_BIG, DEPOT_ALWAYS, NULL, NULL,
                                         NULL, &op, NULL),
                         0);
        assert_int_equal(depot_wait(TAKE_PTR(op), &reply, NULL), 0);
        etag = TAKE_PTR(reply.etag);
        depot_reply_deinit(&reply);
        assert_int_equal(depot_get_range_start(depot, "big", 1000, TEST_DEPOT_BIG - 2000, etag, on_bytes,
                                               NULL, &seen, &op, NULL),
                         0);
        assert_int_equal(seen.calls, 0);
        assert_int_equal(depot_wait(TAKE_PTR(op), &reply, NULL), 0);
        assert_int_equal(seen.bytes, TEST_DEPOT_BIG - 2000);
        assert_false(seen.differs);
        assert_true(seen.etag_known);
        assert_null(reply.body);
        depot_reply_deinit(&reply);

        seen = (Seen){ .content = content, .fail_with = -EXFULL };
        assert_int_equal(depot_get_range_start(depot, "big", 0, TEST_DEPOT_BIG, NULL, on_bytes, NULL, &seen,
                                               &op, NULL),
                         0);
        assert_int_equal(depot_wait(TAKE_PTR(op), &reply, NULL), -EXFULL);
}

static void on_progress(_unused_ DepotOp *op, uint64_t sent, uint64_t total, void *userdata) {
        Seen *seen = userdata;

        assert_true(sent >= seen->bytes && sent <= total);
        seen->bytes = sent;
        seen->calls++;
}

void promise_put_file(void **state) {
        Depot *depot = ((DepotFixture *) *state)->depot;
        _cleanup_free_ uint8_t *content = test_depot_big();
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_close_ int fd = memfd_create("content", MFD_CLOEXEC);
        Seen seen = {};
        DepotOp *op;

        assert_int_equal(file_write_fd(fd, content, TEST_DEPOT_BIG), 0);
        assert_int_equal(depot_put_file_start(depot, "a/big", fd, DEPOT_CREATE, NULL, on_progress, NULL,
                                              &seen, &op, NULL),
                         0);
        fd = close_fd(fd);
        assert_int_equal(depot_wait(op, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_OK);
        assert_int_equal(seen.bytes, TEST_DEPOT_BIG);
        assert_true(seen.calls > 1);
        depot_reply_deinit(&reply);
        assert_int_equal(test_depot_get(depot, "a/big", NULL, TEST_DEPOT_BIG, &reply, NULL), 0);
        assert_int_equal(reply.body_size, TEST_DEPOT_BIG);
        assert_memory_equal(reply.body, content, TEST_DEPOT_BIG);
        depot_reply_deinit(&reply);

        fd = memfd_create("empty", MFD_CLOEXEC);
        assert_int_equal(
                depot_put_file_start(depot, "a/empty", fd, DEPOT_CREATE, NULL, NULL, NULL, NULL, &op, NULL),
                0);
        assert_int_equal(depot_wait(op, &reply, NULL), 0);
        test_depot_assert_value(depot, "a/empty", "");
}

void promise_list(void **state) {
        Depot *depot = ((DepotFixture *) *state)->depot;
        static const char *const keys[] = { "a/b/one", "a/b/two", "a/b-x", "a/c", "b" };
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_free_ char *etag = NULL;

        assert_int_equal(test_depot_list(depot, "", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 0);
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                assert_int_equal(test_depot_put(depot, keys[i], "hello", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        etag = test_depot_put_etag(depot, "a/c", "hello");
        assert_int_equal(test_depot_list(depot, "a/", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 4);
        assert_string_equal(reply.entries[0].key, "a/b-x"); /* "-" is before "/" */
        assert_string_equal(reply.entries[1].key, "a/b/one");
        assert_string_equal(reply.entries[2].key, "a/b/two");
        assert_string_equal(reply.entries[3].key, "a/c");
        assert_string_equal(reply.entries[3].etag, etag);
        assert_int_equal(reply.entries[3].size, 5);
        assert_true(reply.entries[3].modified > UINT64_C(1700000000000000));
        assert_true(reply.server_time > UINT64_C(1700000000000000));
        depot_reply_deinit(&reply);
        assert_int_equal(test_depot_list(depot, "nothing/", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 0);
        assert_int_equal(test_depot_list(depot, "a", &reply, NULL), -EINVAL);
        assert_int_equal(test_depot_list(depot, "/", &reply, NULL), -EINVAL);
}
