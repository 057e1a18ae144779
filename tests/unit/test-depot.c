#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "artifacts/depot.h"
#include "artifacts/depot_file.h"
#include "tests/unit/test.h"

#define HELLO_ETAG                                                                                           \
        "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"" /* sha256("hello") */
#define LIMIT 1048576U
#define BIG_SIZE (5U << 20)

typedef struct Fixture {
        TestFolder *folder;
        int fd; /* of the folder */
        char uri[TEST_PATH_MAX + 8];
        sd_event *event;
        Depot *depot;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        DepotOptions options;

        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        f->fd = f->folder->fd;
        (void) snprintf(f->uri, sizeof(f->uri), "file://%s", f->folder->path);
        assert_true(sd_event_new(&f->event) >= 0);
        options = (DepotOptions){ .event = f->event };
        assert_int_equal(depot_open(f->uri, &options, &f->depot, NULL), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        depot_free(f->depot);
        sd_event_unref(f->event);
        assert_int_equal(test_folder_teardown((void **) &f->folder), 0);
        free(f);
        return 0;
}

/* What the command line does: start and wait. */

static int get(Depot *depot, const char *key, const char *etag, size_t limit, DepotReply *reply,
               Error *error) {
        DepotOp *op;
        int r;

        r = depot_get_start(depot, key, etag, limit, NULL, NULL, &op, error);
        return r < 0 ? r : depot_wait(op, reply, error);
}

static int get_range(Depot *depot, const char *key, uint64_t offset, size_t length, const char *etag,
                     DepotReply *reply, Error *error) {
        DepotOp *op;
        int r;

        r = depot_get_range_start(depot, key, offset, length, etag, NULL, NULL, NULL, &op, error);
        return r < 0 ? r : depot_wait(op, reply, error);
}

/* The outcome, or a negative errno. */
static int put(Depot *depot, const char *key, const char *text, DepotCondition condition, const char *etag,
               Error *error) {
        _cleanup_depot_reply_ DepotReply reply = {};
        DepotOp *op;
        int r;

        r = depot_put_start(depot, key, text, strlen(text), condition, etag, NULL, NULL, &op, error);
        if (r >= 0)
                r = depot_wait(op, &reply, error);
        return r < 0 ? r : (int) reply.outcome;
}

static int list(Depot *depot, const char *prefix, DepotReply *reply, Error *error) {
        DepotOp *op;
        int r;

        r = depot_list_start(depot, prefix, NULL, NULL, &op, error);
        return r < 0 ? r : depot_wait(op, reply, error);
}

static int delete (Depot *depot, const char *key) {
        _cleanup_depot_reply_ DepotReply reply = {};
        DepotOp *op;
        int r;

        r = depot_delete_start(depot, key, NULL, NULL, &op, NULL);
        return r < 0 ? r : depot_wait(op, &reply, NULL);
}

static void assert_value(Fixture *f, const char *key, const char *text) {
        _cleanup_depot_reply_ DepotReply reply = {};

        assert_int_equal(get(f->depot, key, NULL, LIMIT, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_OK);
        assert_string_equal((char *) reply.body, text);
        assert_int_equal(reply.body_size, strlen(text));
        assert_int_equal(reply.size, strlen(text));
}

static void test_uris(void **state) {
        Fixture *f = *state;
        DepotOptions options = { .event = f->event };
        static const char *const bad[] = { "",          "/srv/depot",       "ftp://x/y",
                                           "file:/srv", "file://srv/depot", "file://" };
        _cleanup_(depot_freep) Depot *depot = NULL;
        _cleanup_free_ char *uri = NULL;
        Error error = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_true(depot_open(bad[i], &options, &depot, &error) < 0);
                assert_null(depot);
                assert_int_equal(error.fault, FAULT_INPUT);
                assert_non_null(strstr(error.message, bad[i]));
        }
        assert_int_equal(depot_open("file:///srv/my depot//", &options, &depot, &error), 0);
        assert_string_equal(depot_uri(depot), "file:///srv/my depot");
        assert_int_equal(depot_key_uri(depot, "root/1.json", &uri), 0);
        assert_string_equal(uri, "file:///srv/my depot/root/1.json");
}

static void test_missing_folder(void **state) {
        Fixture *f = *state;
        DepotOptions options = { .event = f->event };
        _cleanup_(depot_freep) Depot *depot = NULL;
        _cleanup_depot_reply_ DepotReply reply = {};
        Error error = {};

        assert_int_equal(depot_open("file:///nonexistent/depot", &options, &depot, NULL), 0);
        assert_int_equal(get(depot, "a/b.json", NULL, LIMIT, &reply, &error), -ENOENT);
        assert_non_null(strstr(error.message, "file:///nonexistent/depot/a/b.json: there is no folder"));
        assert_int_equal(put(depot, "a/b.json", "x", DEPOT_ALWAYS, NULL, &error), -ENOENT);
        assert_int_equal(error.fault, FAULT_HOST);
}

static void test_put_get(void **state) {
        Fixture *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};

        assert_int_equal(get(f->depot, "a/b.json", NULL, LIMIT, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_NOT_FOUND);
        assert_null(reply.body);
        assert_int_equal(put(f->depot, "a/b.json", "hello", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        assert_int_equal(get(f->depot, "a/b.json", NULL, LIMIT, &reply, NULL), 0);
        assert_string_equal((char *) reply.body, "hello");
        assert_string_equal(reply.etag, HELLO_ETAG);
        assert_true(reply.server_time > UINT64_C(1700000000000000));
        depot_reply_deinit(&reply);
        assert_int_equal(put(f->depot, "a/b.json", "", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        assert_value(f, "a/b.json", "");
        assert_int_equal(get(f->depot, "a", NULL, LIMIT, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_NOT_FOUND);
        assert_int_equal(get(f->depot, "a/b.json/c", NULL, LIMIT, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_NOT_FOUND);
}

static void test_strange_names(void **state) {
        static const char *const keys[] = { "a b+c%20d.json", "\xc3\xa4pfel/\xe2\x82\xac", "q?x=1&y#z",
                                            "~a:b@c" };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                assert_int_equal(put(f->depot, keys[i], keys[i], DEPOT_CREATE, NULL, NULL), DEPOT_OK);
                assert_value(f, keys[i], keys[i]);
        }
}

static void test_if_none_match(void **state) {
        Fixture *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};

        assert_int_equal(put(f->depot, "k", "hello", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        assert_int_equal(get(f->depot, "k", HELLO_ETAG, LIMIT, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_NOT_MODIFIED);
        assert_string_equal(reply.etag, HELLO_ETAG);
        assert_null(reply.body);
        depot_reply_deinit(&reply);
        assert_int_equal(put(f->depot, "k", "other", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        assert_int_equal(get(f->depot, "k", HELLO_ETAG, LIMIT, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_OK);
        assert_string_equal((char *) reply.body, "other");
}

static void test_limit(void **state) {
        Fixture *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};
        Error error = {};

        assert_int_equal(put(f->depot, "k", "hello", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        assert_int_equal(get(f->depot, "k", NULL, 4, &reply, &error), -E2BIG);
        assert_string_equal(error.message + strlen(f->uri),
                            "/k: it is larger than 4 bytes, the limit for what it should be");
        assert_int_equal(get(f->depot, "k", NULL, 5, &reply, &error), 0);
}

static void test_create(void **state) {
        Fixture *f = *state;

        assert_int_equal(put(f->depot, "k", "hello", DEPOT_CREATE, NULL, NULL), DEPOT_OK);
        assert_int_equal(put(f->depot, "k", "other", DEPOT_CREATE, NULL, NULL), DEPOT_PRECONDITION_FAILED);
        assert_value(f, "k", "hello");
}

static void test_match(void **state) {
        Fixture *f = *state;

        assert_int_equal(put(f->depot, "k", "other", DEPOT_MATCH, HELLO_ETAG, NULL),
                         DEPOT_PRECONDITION_FAILED);
        assert_int_equal(put(f->depot, "k", "hello", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        assert_int_equal(put(f->depot, "k", "other", DEPOT_MATCH, HELLO_ETAG, NULL), DEPOT_OK);
        assert_int_equal(put(f->depot, "k", "third", DEPOT_MATCH, HELLO_ETAG, NULL),
                         DEPOT_PRECONDITION_FAILED);
        assert_value(f, "k", "other");
}

static void test_delete(void **state) {
        Fixture *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};

        assert_int_equal(delete (f->depot, "a/k"), 0);
        assert_int_equal(put(f->depot, "a/k", "hello", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        assert_int_equal(delete (f->depot, "a/k"), 0);
        assert_int_equal(get(f->depot, "a/k", NULL, LIMIT, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_NOT_FOUND);
        assert_int_equal(delete (f->depot, "a/k"), 0);
}

static void test_range(void **state) {
        Fixture *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};
        Error error = {};

        assert_int_equal(get_range(f->depot, "k", 0, 1, NULL, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_NOT_FOUND);
        assert_int_equal(put(f->depot, "k", "hello", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        assert_int_equal(get_range(f->depot, "k", 1, 3, NULL, &reply, NULL), 0);
        assert_string_equal((char *) reply.body, "ell");
        assert_int_equal(reply.body_size, 3);
        assert_int_equal(reply.size, 5);
        depot_reply_deinit(&reply);
        assert_int_equal(get_range(f->depot, "k", 0, 5, HELLO_ETAG, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_OK);
        assert_string_equal((char *) reply.body, "hello");
        assert_string_equal(reply.etag, HELLO_ETAG);
        depot_reply_deinit(&reply);
        assert_int_equal(get_range(f->depot, "k", 0, 5, "\"x\"", &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_PRECONDITION_FAILED);
        assert_null(reply.body);
        assert_int_equal(get_range(f->depot, "k", 3, 3, NULL, &reply, &error), -ERANGE);
        assert_non_null(strstr(error.message, "/k: it has 5 bytes, and 3 to 5 were asked for"));
        assert_int_equal(get_range(f->depot, "k", 3, 0, NULL, &reply, &error), -EINVAL);
        assert_int_equal(get_range(f->depot, "k", UINT64_MAX, 2, NULL, &reply, &error), -EINVAL);
}

static uint8_t *big_content(void) {
        uint8_t *content = malloc(BIG_SIZE);

        assert_non_null(content);
        for (size_t i = 0; i < BIG_SIZE; i++)
                content[i] = (uint8_t) (i * 7 + i / 4093);
        return content;
}

typedef struct Seen {
        uint64_t bytes;
        unsigned calls;
        const uint8_t *content;
        bool differs;
        int fail_with;
} Seen;

static void on_progress(_unused_ DepotOp *op, uint64_t sent, uint64_t total, void *userdata) {
        Seen *seen = userdata;

        assert_true(sent > seen->bytes && sent <= total);
        seen->bytes = sent;
        seen->calls++;
}

static void test_put_file(void **state) {
        Fixture *f = *state;
        _cleanup_free_ uint8_t *content = big_content();
        _cleanup_depot_reply_ DepotReply reply = {}, again = {};
        _cleanup_close_ int fd = memfd_create("content", MFD_CLOEXEC);
        Seen seen = {};
        DepotOp *op;

        assert_int_equal(file_write_fd(fd, content, BIG_SIZE), 0);
        assert_int_equal(depot_put_file_start(f->depot, "a/big", fd, DEPOT_CREATE, NULL, on_progress, NULL,
                                              &seen, &op, NULL),
                         0);
        fd = close_fd(fd);
        assert_int_equal(depot_wait(op, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_OK);
        assert_int_equal(seen.bytes, BIG_SIZE);
        assert_true(seen.calls > 1);
        assert_int_equal(get(f->depot, "a/big", reply.etag, BIG_SIZE, &again, NULL), 0);
        assert_int_equal(again.outcome, DEPOT_NOT_MODIFIED);
        depot_reply_deinit(&reply);
        assert_int_equal(get(f->depot, "a/big", NULL, BIG_SIZE, &reply, NULL), 0);
        assert_int_equal(reply.body_size, BIG_SIZE);
        assert_memory_equal(reply.body, content, BIG_SIZE);
}

static int on_bytes(_unused_ DepotOp *op, const void *data, size_t size, void *userdata) {
        Seen *seen = userdata;

        if (seen->fail_with < 0 && seen->bytes > 0)
                return seen->fail_with;
        seen->differs |= memcmp(data, seen->content + seen->bytes, size) != 0;
        seen->bytes += size;
        seen->calls++;
        return 0;
}

static void test_range_sink(void **state) {
        Fixture *f = *state;
        _cleanup_free_ uint8_t *content = big_content();
        _cleanup_depot_reply_ DepotReply reply = {};
        Seen seen = { .content = content + 1000 };
        _cleanup_(depot_op_freep) DepotOp *op = NULL;

        assert_int_equal(depot_put_start(f->depot, "big", content, BIG_SIZE, DEPOT_ALWAYS, NULL, NULL, NULL,
                                         &op, NULL),
                         0);
        assert_int_equal(depot_wait(TAKE_PTR(op), &reply, NULL), 0);
        depot_reply_deinit(&reply);
        assert_int_equal(depot_get_range_start(f->depot, "big", 1000, BIG_SIZE - 2000, NULL, on_bytes, NULL,
                                               &seen, &op, NULL),
                         0);
        assert_int_equal(seen.calls, 0);
        assert_int_equal(depot_wait(TAKE_PTR(op), &reply, NULL), 0);
        assert_int_equal(seen.bytes, BIG_SIZE - 2000);
        assert_false(seen.differs);
        assert_null(reply.body);
        depot_reply_deinit(&reply);

        seen = (Seen){ .content = content, .fail_with = -EXFULL };
        assert_int_equal(
                depot_get_range_start(f->depot, "big", 0, BIG_SIZE, NULL, on_bytes, NULL, &seen, &op, NULL),
                0);
        assert_int_equal(depot_wait(TAKE_PTR(op), &reply, NULL), -EXFULL);
}

static void test_list(void **state) {
        Fixture *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_free_ uint8_t *content = big_content();
        static const char *const keys[] = { "a/b/one", "a/b/two", "a/b-x", "a/c", "b" };

        assert_int_equal(list(f->depot, "", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 0);
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                assert_int_equal(put(f->depot, keys[i], "hello", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        assert_int_equal(list(f->depot, "a/", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 4);
        assert_string_equal(reply.entries[0].key, "a/b-x"); /* "-" is before "/" */
        assert_string_equal(reply.entries[1].key, "a/b/one");
        assert_string_equal(reply.entries[2].key, "a/b/two");
        assert_string_equal(reply.entries[3].key, "a/c");
        assert_string_equal(reply.entries[3].etag, HELLO_ETAG);
        assert_int_equal(reply.entries[3].size, 5);
        assert_true(reply.entries[3].modified > UINT64_C(1700000000000000));
        depot_reply_deinit(&reply);
        assert_int_equal(list(f->depot, "nothing/", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 0);
        assert_int_equal(list(f->depot, "a", &reply, NULL), -EINVAL);
        assert_int_equal(list(f->depot, "/", &reply, NULL), -EINVAL);

        assert_int_equal(file_replace_at(f->fd, "large", content, BIG_SIZE, 0600), 0);
        assert_int_equal(list(f->depot, "", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 6);
        assert_string_equal(reply.entries[5].key, "large");
        assert_null(reply.entries[5].etag);
        assert_int_equal(reply.entries[5].size, BIG_SIZE);
}

static void test_list_many(void **state) {
        Fixture *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_(depot_op_freep) DepotOp *op = NULL;
        char key[32];

        for (unsigned i = 0; i < 300; i++) {
                (void) snprintf(key, sizeof(key), "m/%03u", i);
                assert_int_equal(file_open_folder_at(f->fd, "m", 0700) < 0, 0);
                assert_int_equal(file_replace_at(f->fd, key, key, strlen(key), 0600), 0);
        }
        assert_int_equal(depot_list_start(f->depot, "m/", NULL, NULL, &op, NULL), 0);
        /* Some vanish while the list is being made. */
        assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
        assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
        assert_int_equal(file_remove_at(f->fd, "m/000"), 0);
        assert_int_equal(file_remove_at(f->fd, "m/250"), 0);
        assert_int_equal(depot_wait(TAKE_PTR(op), &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 299);
        assert_string_equal(reply.entries[249].key, "m/249");
        assert_string_equal(reply.entries[250].key, "m/251");
}

static void test_hidden_names(void **state) {
        Fixture *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};

        assert_int_equal(put(f->depot, "apps/a/groups/g/target.json", "hello", DEPOT_ALWAYS, NULL, NULL),
                         DEPOT_OK);
        assert_int_equal(faccessat(f->fd, "apps/a/groups/g/.lock", F_OK, 0), 0);
        assert_int_equal(faccessat(f->fd, ".lock", F_OK, 0), -1);
        assert_int_equal(put(f->depot, "root/1.json", "hello", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        assert_int_equal(faccessat(f->fd, ".lock", F_OK, 0), 0);
        assert_int_equal(file_replace_at(f->fd, "apps/.tmp-0123456789abcdef", "x", 1, 0600), 0);
        assert_int_equal(list(f->depot, "", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 2);
}

static void test_bad_keys(void **state) {
        static const char *const bad[] = { "",     "/a",     "a/",       "a//b",         ".",
                                           "..",   "a/../b", "a/.lock",  ".tmp-1",       "a\nb",
                                           "\x7f", "a\xff",  "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80",
                                           "\xc3" };
        Fixture *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_free_ char *long_key = calloc(1, DEPOT_KEY_MAX + 2);
        Error error = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(get(f->depot, bad[i], NULL, LIMIT, &reply, &error), -EINVAL);
                assert_non_null(strstr(error.message, "invalid key"));
                assert_int_equal(put(f->depot, bad[i], "x", DEPOT_ALWAYS, NULL, NULL), -EINVAL);
                assert_int_equal(delete (f->depot, bad[i]), -EINVAL);
        }
        memset(long_key, 'a', DEPOT_KEY_MAX + 1);
        assert_int_equal(get(f->depot, long_key, NULL, LIMIT, &reply, &error), -EINVAL);
        assert_int_equal(put(f->depot, "k", "x", DEPOT_MATCH, NULL, NULL), -EINVAL);
}

static void test_links_are_not_followed(void **state) {
        Fixture *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};
        Error error = {};

        assert_int_equal(symlinkat("/etc/passwd", f->fd, "link"), 0);
        assert_int_equal(symlinkat("/tmp", f->fd, "folder"), 0);
        assert_int_equal(get(f->depot, "link", NULL, LIMIT, &reply, &error), -ELOOP);
        assert_non_null(strstr(error.message, "/link: a symbolic link"));
        assert_int_equal(get(f->depot, "folder/x", NULL, LIMIT, &reply, &error), -ELOOP);
        assert_true(put(f->depot, "folder/x", "x", DEPOT_ALWAYS, NULL, NULL) < 0);
        assert_int_equal(list(f->depot, "", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 0);
        /* A link is replaced, its target is not touched. */
        assert_int_equal(put(f->depot, "link", "hello", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        assert_value(f, "link", "hello");
}

/* What writers that died have left is swept by the next writer of a file, what is being written is not. */
static void test_leftovers(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = memfd_create("content", MFD_CLOEXEC);
        _cleanup_(depot_op_freep) DepotOp *first = NULL;
        _cleanup_depot_reply_ DepotReply reply = {};
        DepotOp *second;

        assert_int_equal(file_write_fd(fd, "hello", 5), 0);
        assert_int_equal(file_open_folder_at(f->fd, "a", 0700) < 0, 0);
        assert_int_equal(file_replace_at(f->fd, "a/.tmp-dead", "x", 1, 0600), 0);
        assert_int_equal(depot_put_file_start(f->depot, "a/first", fd, DEPOT_ALWAYS, NULL, NULL, NULL, NULL,
                                              &first, NULL),
                         0);
        assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
        assert_int_equal(faccessat(f->fd, "a/.tmp-dead", F_OK, 0), -1);
        assert_int_equal(depot_put_file_start(f->depot, "a/second", fd, DEPOT_ALWAYS, NULL, NULL, NULL, NULL,
                                              &second, NULL),
                         0);
        assert_int_equal(depot_wait(second, &reply, NULL), 0);
        depot_reply_deinit(&reply);
        assert_int_equal(depot_wait(TAKE_PTR(first), &reply, NULL), 0);
        assert_value(f, "a/first", "hello");
        assert_value(f, "a/second", "hello");
}

static void fail_if_called(_unused_ DepotOp *op, _unused_ int result, _unused_ const Error *error,
                           _unused_ void *userdata) {
        fail();
}

static void test_cancel(void **state) {
        Fixture *f = *state;
        DepotOp *op;

        for (int turns = 0; turns < 3; turns++) {
                assert_int_equal(depot_put_start(f->depot, "k", "x", 1, DEPOT_ALWAYS, NULL, fail_if_called,
                                                 NULL, &op, NULL),
                                 0);
                for (int i = 0; i < turns; i++)
                        assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
                assert_null(depot_op_free(op));
                assert_true(sd_event_run(f->event, 1000) >= 0);
                assert_int_equal(test_count_entries(f->fd), 0);
        }
}

static void on_done_free(DepotOp *op, int result, _unused_ const Error *error, void *userdata) {
        unsigned *calls = userdata;

        assert_int_equal(result, 0);
        assert_string_equal(depot_op_key(op), "k");
        assert_int_equal(depot_op_reply(op)->outcome, DEPOT_NOT_FOUND);
        (*calls)++;
        depot_op_free(op);
}

static void test_callback(void **state) {
        Fixture *f = *state;
        unsigned calls = 0;
        DepotOp *op;

        assert_int_equal(depot_get_start(f->depot, "k", NULL, 1, on_done_free, &calls, &op, NULL), 0);
        assert_int_equal(calls, 0);
        for (int i = 0; i < 5; i++)
                assert_true(sd_event_run(f->event, 1000) >= 0);
        assert_int_equal(calls, 1);
}

static int on_defer_exit(sd_event_source *source, _unused_ void *userdata) {
        return sd_event_exit(sd_event_source_get_event(source), 0);
}

static void test_wait_interrupted(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int held = -1;
        _cleanup_depot_reply_ DepotReply reply = {};
        Error error = {};
        DepotOp *op;

        assert_int_equal(sd_event_add_defer(f->event, NULL, on_defer_exit, NULL) < 0, 0);
        assert_int_equal(depot_list_start(f->depot, "", NULL, NULL, &op, NULL), 0);
        assert_int_equal(depot_wait(op, &reply, &error), -ECANCELED);
        assert_non_null(strstr(error.message, "interrupted"));
}

/* Races between processes. Each child does one write and ends with status 0 if it won, 1 if it lost. */

typedef int (*Racer)(Depot *depot, unsigned number);

static int race_child(const Fixture *f, int barrier, Racer racer, unsigned number) {
        _cleanup_(depot_freep) Depot *depot = NULL;
        sd_event *event = NULL;
        char byte;
        int r;

        if (sd_event_new(&event) < 0 ||
            depot_open(f->uri, &(DepotOptions){ .event = event }, &depot, NULL) < 0)
                return 9;
        (void) !read(barrier, &byte, 1); /* end of file starts everybody */
        r = racer(depot, number);
        return r == DEPOT_OK ? 0 : r == DEPOT_PRECONDITION_FAILED ? 1 : 9;
}

/* How many of N won; all others lost. */
static unsigned race(const Fixture *f, unsigned n, Racer racer) {
        unsigned won = 0, lost = 0;
        int barrier[2], status;

        assert_int_equal(pipe2(barrier, O_CLOEXEC), 0);
        for (unsigned i = 0; i < n; i++) {
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0) {
                        close_fd(barrier[1]);
                        _exit(race_child(f, barrier[0], racer, i));
                }
        }
        close_fd(barrier[0]);
        close_fd(barrier[1]);
        for (unsigned i = 0; i < n; i++) {
                assert_true(wait(&status) > 0);
                assert_true(WIFEXITED(status));
                won += WEXITSTATUS(status) == 0;
                lost += WEXITSTATUS(status) == 1;
        }
        assert_int_equal(won + lost, n);
        return won;
}

static int racer_create(Depot *depot, unsigned number) {
        char text[16];

        (void) snprintf(text, sizeof(text), "%u", number);
        return put(depot, "apps/a/groups/g/mark.json", text, DEPOT_CREATE, NULL, NULL);
}

static int racer_match(Depot *depot, unsigned number) {
        char text[16];

        (void) snprintf(text, sizeof(text), "%u", number);
        return put(depot, "apps/a/groups/g/register.json", text, DEPOT_MATCH, HELLO_ETAG, NULL);
}

/* Adds 1 to a number, again and again until its compare-and-swap wins. */
static int racer_count(Depot *depot, _unused_ unsigned number) {
        for (;;) {
                _cleanup_depot_reply_ DepotReply reply = {};
                char text[16];
                int r;

                r = get(depot, "apps/a/groups/g/count.json", NULL, LIMIT, &reply, NULL);
                if (r < 0)
                        return r;
                (void) snprintf(text, sizeof(text), "%d", atoi((char *) reply.body) + 1);
                r = put(depot, "apps/a/groups/g/count.json", text, DEPOT_MATCH, reply.etag, NULL);
                if (r != DEPOT_PRECONDITION_FAILED)
                        return r;
        }
}

static void test_race_create(void **state) {
        Fixture *f = *state;

        for (int round = 0; round < 5; round++) {
                assert_int_equal(race(f, 16, racer_create), 1);
                assert_int_equal(delete (f->depot, "apps/a/groups/g/mark.json"), 0);
        }
}

static void test_race_match(void **state) {
        Fixture *f = *state;

        for (int round = 0; round < 5; round++) {
                assert_int_equal(
                        put(f->depot, "apps/a/groups/g/register.json", "hello", DEPOT_ALWAYS, NULL, NULL),
                        DEPOT_OK);
                assert_int_equal(race(f, 16, racer_match), 1);
        }
}

static void test_race_count(void **state) {
        Fixture *f = *state;

        assert_int_equal(put(f->depot, "apps/a/groups/g/count.json", "0", DEPOT_ALWAYS, NULL, NULL),
                         DEPOT_OK);
        assert_int_equal(race(f, 12, racer_count), 12);
        assert_value(f, "apps/a/groups/g/count.json", "12");
}

/* A writer that was killed holds nobody up, and its value is whole or not there. */
static void test_killed_writer(void **state) {
        Fixture *f = *state;
        _cleanup_free_ uint8_t *content = big_content();

        for (unsigned delay = 0; delay < 10; delay++) {
                pid_t pid = fork();
                int r;

                assert_true(pid >= 0);
                if (pid == 0) {
                        for (;;)
                                (void) put(f->depot, "k", (char *) content + 1, DEPOT_ALWAYS, NULL, NULL);
                }
                usleep(2000 + delay * 700);
                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                r = put(f->depot, "k", "hello", DEPOT_ALWAYS, NULL, NULL);
                assert_int_equal(r, DEPOT_OK);
                assert_value(f, "k", "hello");
        }
}

static void test_refused_filesystems(_unused_ void **state) {
        assert_string_equal(depot_file_refused_filesystem(0x6969), "NFS");
        assert_string_equal(depot_file_refused_filesystem(0xFE534D42), "SMB");
        assert_null(depot_file_refused_filesystem(0xEF53)); /* ext4 */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_uris),
                TEST(test_missing_folder),
                TEST(test_put_get),
                TEST(test_strange_names),
                TEST(test_if_none_match),
                TEST(test_limit),
                TEST(test_create),
                TEST(test_match),
                TEST(test_delete),
                TEST(test_range),
                TEST(test_put_file),
                TEST(test_range_sink),
                TEST(test_list),
                TEST(test_list_many),
                TEST(test_hidden_names),
                TEST(test_bad_keys),
                TEST(test_links_are_not_followed),
                TEST(test_leftovers),
                TEST(test_cancel),
                TEST(test_callback),
                TEST(test_wait_interrupted),
                TEST(test_race_create),
                TEST(test_race_match),
                TEST(test_race_count),
                TEST(test_killed_writer),
                cmocka_unit_test(test_refused_filesystems),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
