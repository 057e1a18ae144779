#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "artifacts/depot.h"
#include "tests/unit/depot-promises.h"

static void test_uris(void **state) {
        FolderDepot *f = *state;
        DepotOptions options = { .event = f->base.event };
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
        FolderDepot *f = *state;
        DepotOptions options = { .event = f->base.event };
        _cleanup_(depot_freep) Depot *depot = NULL;
        _cleanup_depot_reply_ DepotReply reply = {};
        Error error = {};

        assert_int_equal(depot_open("file:///nonexistent/depot", &options, &depot, NULL), 0);
        assert_int_equal(test_depot_get(depot, "a/b.json", NULL, TEST_DEPOT_LIMIT, &reply, &error), -ENOENT);
        assert_non_null(strstr(error.message, "file:///nonexistent/depot/a/b.json: there is no folder"));
        assert_int_equal(test_depot_put(depot, "a/b.json", "x", DEPOT_ALWAYS, NULL, &error), -ENOENT);
        assert_int_equal(error.fault, FAULT_HOST);
}

static void test_bad_keys(void **state) {
        static const char *const bad[] = { "",     "/a",     "a/",       "a//b",         ".",
                                           "..",   "a/../b", "a/.lock",  ".tmp-1",       "a\nb",
                                           "\x7f", "a\xff",  "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80",
                                           "\xc3" };
        FolderDepot *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_free_ char *long_key = calloc(1, DEPOT_KEY_MAX + 2);
        Error error = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(
                        test_depot_get(f->base.depot, bad[i], NULL, TEST_DEPOT_LIMIT, &reply, &error),
                        -EINVAL);
                assert_non_null(strstr(error.message, "invalid key"));
                assert_int_equal(test_depot_put(f->base.depot, bad[i], "x", DEPOT_ALWAYS, NULL, NULL),
                                 -EINVAL);
                assert_int_equal(test_depot_delete(f->base.depot, bad[i]), -EINVAL);
        }
        memset(long_key, 'a', DEPOT_KEY_MAX + 1);
        assert_int_equal(test_depot_get(f->base.depot, long_key, NULL, TEST_DEPOT_LIMIT, &reply, &error),
                         -EINVAL);
        assert_int_equal(test_depot_put(f->base.depot, "k", "x", DEPOT_MATCH, NULL, NULL), -EINVAL);
}

static void fail_if_called(_unused_ DepotOp *op, _unused_ int result, _unused_ const Error *error,
                           _unused_ void *userdata) {
        fail();
}

static void test_cancel(void **state) {
        FolderDepot *f = *state;
        DepotOp *op;

        for (int turns = 0; turns < 3; turns++) {
                assert_int_equal(depot_put_start(f->base.depot, "k", "x", 1, DEPOT_ALWAYS, NULL,
                                                 fail_if_called, NULL, &op, NULL),
                                 0);
                for (int i = 0; i < turns; i++)
                        assert_true(sd_event_run(f->base.event, UINT64_MAX) >= 0);
                assert_null(depot_op_free(op));
                assert_true(sd_event_run(f->base.event, 1000) >= 0);
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
        FolderDepot *f = *state;
        unsigned calls = 0;
        DepotOp *op;

        assert_int_equal(depot_get_start(f->base.depot, "k", NULL, 1, on_done_free, &calls, &op, NULL), 0);
        assert_int_equal(calls, 0);
        for (int i = 0; i < 5; i++)
                assert_true(sd_event_run(f->base.event, 1000) >= 0);
        assert_int_equal(calls, 1);
}

static int on_defer_exit(sd_event_source *source, _unused_ void *userdata) {
        return sd_event_exit(sd_event_source_get_event(source), 0);
}

static void test_wait_interrupted(void **state) {
        FolderDepot *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};
        Error error = {};
        DepotOp *op;

        assert_int_equal(sd_event_add_defer(f->base.event, NULL, on_defer_exit, NULL) < 0, 0);
        assert_int_equal(depot_list_start(f->base.depot, "", NULL, NULL, &op, NULL), 0);
        assert_int_equal(depot_wait(op, &reply, &error), -ECANCELED);
        assert_non_null(strstr(error.message, "interrupted"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_folder_depot_setup, test_folder_depot_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_uris),   TEST(test_missing_folder), TEST(test_bad_keys),
                TEST(test_cancel), TEST(test_callback),       TEST(test_wait_interrupted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
