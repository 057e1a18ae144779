#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/base/strv.h"
#include "agent/net/http.h"
#include "tests/unit/http-server.h"
#include "tests/unit/outcome.h"
#include "tests/unit/test.h"

typedef struct Setup {
        sd_event *event;
        HttpClient *client;
        TestServer *server;
        char *seen_headers;
        Buffer seen_body;
        unsigned connection;
} Setup;

/* The target says what to answer. */
static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        Setup *setup = userdata;

        free(setup->seen_headers);
        setup->seen_headers = strdup(request->headers);
        buffer_clear(&setup->seen_body);
        assert_int_equal(buffer_append(&setup->seen_body, request->body, request->body_size, SIZE_MAX), 0);
        setup->connection = request->connection;
        if (string_equal(request->target, "/reset"))
                reply->fault = TEST_FAULT_RESET;
        else if (string_equal(request->target, "/close"))
                reply->fault = TEST_FAULT_CLOSE;
        else if (string_equal(request->target, "/silent"))
                reply->fault = TEST_FAULT_SILENT;
        else if (string_equal(request->target, "/truncated")) {
                assert_int_equal(
                        buffer_printf(&reply->text, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1234"), 0);
                reply->fault = TEST_FAULT_CLOSE;
        } else if (string_equal(request->target, "/stall")) {
                assert_int_equal(
                        buffer_printf(&reply->text, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1234"), 0);
                reply->fault = TEST_FAULT_SILENT;
        } else if (string_equal(request->target, "/garbage")) {
                assert_int_equal(buffer_printf(&reply->text, "SSH-2.0-OpenSSH_9.2p1\r\n"), 0);
                reply->fault = TEST_FAULT_CLOSE;
        } else if (string_equal(request->target, "/redirect"))
                test_reply(reply, 302, "Location: /a\r\n", "moved");
        else if (string_equal(request->target, "/503"))
                test_reply(reply, 503, "", "sorry");
        else if (string_equal(request->target, "/headers"))
                for (int i = 0; i < 3000; i++)
                        buffer_printf(&reply->text, "%sX-Filler-%d: 0123456789012345678901234567890\r\n",
                                      i == 0 ? "HTTP/1.1 200 OK\r\n" : "", i);
        else
                test_reply(reply, 200, "ETag: \"x\"\r\nx-empty:\r\n", "hello");
}

static int set_up(void **state) {
        Setup *setup = calloc(1, sizeof(*setup));

        assert_non_null(setup);
        assert_true(sd_event_new(&setup->event) >= 0);
        assert_int_equal(http_client_new(setup->event, NULL, &setup->client, NULL), 0);
        setup->server = test_server_new(setup->event, handle, setup);
        *state = setup;
        return 0;
}

static int tear_down(void **state) {
        Setup *setup = *state;

        http_client_free(setup->client);
        test_server_free(setup->server);
        sd_event_unref(setup->event);
        free(setup->seen_headers);
        buffer_deinit(&setup->seen_body);
        free(setup);
        return 0;
}

DEFINE_TEST_DONE(on_done, HttpTransfer)

/* Starts REQUEST (its URL is only the path) and runs the loop until it ended. */
static HttpTransfer *perform(Setup *setup, HttpRequest request, TestOutcome *outcome) {
        _cleanup_free_ char *url = NULL;
        HttpTransfer *transfer = NULL;
        Error error = {};

        assert_true(asprintf(&url, "%s%s", test_server_url(setup->server), request.url) > 0);
        request.url = url;
        assert_int_equal(http_start(setup->client, &request, on_done, outcome, &transfer, &error), 0);
        assert_false(outcome->done);
        test_wait(setup->event, &outcome->done);
        return transfer;
}

static void test_get(void **state) {
        char *headers[] = { (char *) "X-One: 1", NULL };
        Setup *setup = *state;

        for (int i = 0; i < 2; i++) {
                _cleanup_(http_transfer_freep) HttpTransfer *transfer = NULL;
                TestOutcome outcome = {};

                transfer = perform(setup, (HttpRequest){ .method = "GET", .url = "/a", .headers = headers },
                                   &outcome);
                assert_int_equal(outcome.result, 0);
                assert_int_equal(http_transfer_status(transfer), 200);
                assert_string_equal(buffer_string(http_transfer_body(transfer)), "hello");
                assert_string_equal(http_transfer_header(transfer, "etag"), "\"x\"");
                assert_string_equal(http_transfer_header(transfer, "X-Empty"), "");
                assert_null(http_transfer_header(transfer, "x"));
                assert_int_equal(setup->connection, 1); /* kept */
        }
        assert_non_null(strstr(setup->seen_headers, "X-One: 1\r\n"));
        assert_non_null(strstr(setup->seen_headers, "User-Agent: muster/" MUSTER_VERSION "\r\n"));
        assert_null(strstr(setup->seen_headers, "Expect"));
}

static void test_own_connection(void **state) {
        static const struct {
                bool own;
                unsigned connection;
        } steps[] = { { false, 1 }, { true, 2 }, { false, 1 }, { true, 3 } };
        Setup *setup = *state;

        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                _cleanup_(http_transfer_freep) HttpTransfer *transfer = NULL;
                HttpRequest request = { .method = "GET", .url = "/a", .own_connection = steps[i].own };
                TestOutcome outcome = {};

                transfer = perform(setup, request, &outcome);
                assert_int_equal(outcome.result, 0);
                assert_int_equal(setup->connection, steps[i].connection);
        }
}

typedef struct PathSeen {
        char *target;
} PathSeen;

static void keep_target(const TestRequest *request, TestReply *reply, void *userdata) {
        PathSeen *seen = userdata;

        free(seen->target);
        seen->target = strdup(request->target);
        test_reply(reply, 204, "", "");
}

/* What was signed is what is sent. */
static void test_path_as_is(void **state) {
        static const char path[] = "/a/../b/./c//%2E%2e/%41+%20?b=%2F&a=+&c";
        Setup *setup = *state;
        _cleanup_(http_transfer_freep) HttpTransfer *transfer = NULL;
        PathSeen seen = {};
        TestOutcome outcome = {};

        test_server_free(setup->server);
        setup->server = test_server_new(setup->event, keep_target, &seen);
        transfer = perform(setup, (HttpRequest){ .method = "GET", .url = path }, &outcome);
        assert_int_equal(outcome.result, 0);
        assert_string_equal(seen.target, path);
        free(seen.target);
}

static void test_put(void **state) {
        Setup *setup = *state;
        _cleanup_(http_transfer_freep) HttpTransfer *memory = NULL, *empty = NULL;
        TestOutcome outcome = {}, outcome_empty = {};

        memory = perform(
                setup, (HttpRequest){ .method = "PUT", .url = "/a", .body = { .data = "12345", .size = 5 } },
                &outcome);
        assert_int_equal(outcome.result, 0);
        assert_memory_equal(setup->seen_body.data, "12345", 5);
        assert_non_null(strstr(setup->seen_headers, "Content-Length: 5\r\n"));
        assert_null(strstr(setup->seen_headers, "Content-Type"));
        assert_null(strstr(setup->seen_headers, "Expect"));

        empty = perform(setup, (HttpRequest){ .method = "POST", .url = "/a" }, &outcome_empty);
        assert_int_equal(outcome_empty.result, 0);
        assert_non_null(strstr(setup->seen_headers, "Content-Length: 0\r\n"));
}

typedef struct Progress {
        uint64_t sent, total;
        unsigned calls;
} Progress;

static void on_progress(uint64_t sent, uint64_t total, void *userdata) {
        Progress *progress = userdata;

        assert_true(sent >= progress->sent && sent <= total);
        *progress = (Progress){ sent, total, progress->calls + 1 };
}

static void test_put_file(void **state) {
        enum { SIZE = 3 * 1024 * 1024, OFFSET = 1000 };
        Setup *setup = *state;
        _cleanup_(http_transfer_freep) HttpTransfer *transfer = NULL;
        _cleanup_free_ uint8_t *data = malloc(SIZE + OFFSET);
        _cleanup_close_ int fd = memfd_create("body", MFD_CLOEXEC);
        Progress progress = {};
        TestOutcome outcome = {};

        assert_true(data && fd >= 0);
        for (size_t i = 0; i < SIZE + OFFSET; i++)
                data[i] = (uint8_t) (i * 7 + i / 251);
        assert_int_equal(write(fd, data, SIZE + OFFSET), SIZE + OFFSET);
        transfer = perform(setup,
                           (HttpRequest){ .method = "PUT",
                                          .url = "/a",
                                          .body = { .fd = fd, .offset = OFFSET, .size = SIZE },
                                          .progress = on_progress,
                                          .progress_userdata = &progress },
                           &outcome);
        assert_int_equal(outcome.result, 0);
        assert_int_equal(setup->seen_body.size, SIZE);
        assert_memory_equal(setup->seen_body.data, data + OFFSET, SIZE);
        assert_non_null(strstr(setup->seen_headers, "Expect: 100-continue\r\n"));
        assert_true(progress.sent == SIZE && progress.total == SIZE && progress.calls > 10);
}

static void test_put_short_file(void **state) {
        Setup *setup = *state;
        _cleanup_(http_transfer_freep) HttpTransfer *transfer = NULL;
        _cleanup_close_ int fd = memfd_create("body", MFD_CLOEXEC);
        TestOutcome outcome = {};

        assert_int_equal(write(fd, "abc", 3), 3);
        transfer = perform(setup,
                           (HttpRequest){ .method = "PUT", .url = "/a", .body = { .fd = fd, .size = 10 } },
                           &outcome);
        assert_int_equal(outcome.result, -EIO);
        assert_non_null(strstr(outcome.error.message, "cannot read the body to send: the file got shorter"));
}

static void test_failures(void **state) {
        static const struct {
                const char *path;
                int result;
                const char *message;
        } cases[] = {
                { "/reset", -ECONNRESET, "the connection broke before the answer came" },
                { "/close", -ECONNRESET, "the connection was closed without an answer" },
                { "/truncated", -ECONNABORTED, "the answer is truncated: 4 of 10 bytes came" },
                { "/garbage", -EBADMSG, "what came is not HTTP" },
                { "/silent", -ETIMEDOUT, "timed out: not complete within 1s500ms" },
                { "/stall", -ETIMEDOUT, "timed out: stalled for 1s" },
                { "/headers", -E2BIG, "more than 65536 bytes of headers" },
        };
        Setup *setup = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(http_transfer_freep) HttpTransfer *transfer = NULL;
                HttpRequest request = {
                        .method = "GET",
                        .url = cases[i].path,
                        .timeouts = { .stall = 1 * USEC_PER_SEC, .total = 5 * USEC_PER_SEC },
                };
                TestOutcome outcome = {};

                if (string_equal(cases[i].path, "/silent"))
                        request.timeouts = (HttpTimeouts){ .total = 1500 * USEC_PER_MSEC };
                transfer = perform(setup, request, &outcome);
                assert_int_equal(outcome.result, cases[i].result);
                assert_non_null(strstr(outcome.error.message, cases[i].message));
                assert_true(string_starts_with(outcome.error.message, "http://127.0.0.1:"));
        }
}

/* Who waits for a long poll's answer sleeps until it comes. */
static void test_long_poll_sleeps(void **state) {
        _cleanup_(http_transfer_freep) HttpTransfer *transfer = NULL;
        _cleanup_free_ char *url = NULL;
        HttpRequest request = { .method = "GET", .timeouts = { .stall = USEC_INFINITY } };
        Setup *setup = *state;
        TestOutcome outcome = {};

        assert_true(asprintf(&url, "%s/silent", test_server_url(setup->server)) > 0);
        request.url = url;
        assert_int_equal(http_start(setup->client, &request, on_done, &outcome, &transfer, NULL), 0);
        while (test_server_requests(setup->server) == 0)
                assert_true(sd_event_run(setup->event, UINT64_MAX) >= 0);
        while (sd_event_run(setup->event, 300 * USEC_PER_MSEC) > 0) /* what belongs to the beginning */
                ;
        assert_int_equal(sd_event_run(setup->event, 1500 * USEC_PER_MSEC), 0);
        assert_false(outcome.done);
}

static void expect_failure(Setup *setup, const char *url, int result, const char *message) {
        HttpRequest request = { .method = "GET", .url = url, .timeouts = { .connect = 60 * USEC_PER_SEC } };
        _cleanup_(http_transfer_freep) HttpTransfer *transfer = NULL;
        TestOutcome outcome = {};

        assert_int_equal(http_start(setup->client, &request, on_done, &outcome, &transfer, NULL), 0);
        test_wait(setup->event, &outcome.done);
        assert_int_equal(outcome.result, result);
        assert_string_equal(outcome.error.message, message);
        assert_int_equal(outcome.error.fault, FAULT_HOST);
}

/* No resolver is asked for a label of 64 letters. */
#define NAMELESS "x123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.invalid"

static void test_no_connection(void **state) {
        expect_failure(*state, "http://127.0.0.1:1/x", -ECONNREFUSED,
                       "http://127.0.0.1:1: cannot connect: Connection refused");
        expect_failure(*state, "https://" NAMELESS "/", -EHOSTDOWN,
                       "https://" NAMELESS ": the host name does not resolve");
}

static void test_bad_requests(void **state) {
        char *split[] = { (char *) "A: b\r\nC: d", NULL }, *bare[] = { (char *) "A", NULL };
        Setup *setup = *state;
        HttpTransfer *transfer = NULL;
        HttpRequest request = { .method = "GET", .url = "http://h/", .headers = split };
        Error error = {};

        assert_int_equal(http_start(setup->client, &request, on_done, NULL, &transfer, &error), -EINVAL);
        request.headers = bare;
        assert_int_equal(http_start(setup->client, &request, on_done, NULL, &transfer, &error), -EINVAL);
        request = (HttpRequest){ .method = "GET", .url = "file:///etc/passwd" };
        assert_int_equal(http_start(setup->client, &request, on_done, NULL, &transfer, &error), -EINVAL);
        assert_null(transfer);
}

static void test_statuses_are_answers(void **state) {
        Setup *setup = *state;
        _cleanup_(http_transfer_freep) HttpTransfer *unavailable = NULL, *redirect = NULL;
        TestOutcome outcome = {}, outcome_redirect = {};

        unavailable = perform(setup, (HttpRequest){ .method = "GET", .url = "/503" }, &outcome);
        assert_int_equal(outcome.result, 0);
        assert_int_equal(http_transfer_status(unavailable), 503);
        redirect = perform(setup, (HttpRequest){ .method = "GET", .url = "/redirect" }, &outcome_redirect);
        assert_int_equal(outcome_redirect.result, 0);
        assert_int_equal(http_transfer_status(redirect), 302);
        assert_int_equal(test_server_requests(setup->server), 2);
}

static void test_response_limit(void **state) {
        Setup *setup = *state;
        _cleanup_(http_transfer_freep) HttpTransfer *fits = NULL, *too_large = NULL;
        TestOutcome outcome = {}, outcome_large = {};

        fits = perform(setup, (HttpRequest){ .method = "GET", .url = "/a", .response_limit = 5 }, &outcome);
        assert_int_equal(outcome.result, 0);
        too_large = perform(setup, (HttpRequest){ .method = "GET", .url = "/a", .response_limit = 4 },
                            &outcome_large);
        assert_int_equal(outcome_large.result, -E2BIG);
        assert_non_null(strstr(outcome_large.error.message, "the answer is larger than 4 bytes"));
}

typedef struct Sink {
        Setup *setup;
        Buffer data;
        int result;
        HttpTransfer *other, **to_free;
        TestOutcome other_outcome;
} Sink;

static int on_sink(HttpTransfer *transfer, const void *data, size_t size, void *userdata) {
        Sink *sink = userdata;

        assert_int_equal(http_transfer_status(transfer), 200);
        if (sink->to_free)
                *sink->to_free = http_transfer_free(*sink->to_free);
        return sink->result < 0 ? sink->result : buffer_append(&sink->data, data, size, SIZE_MAX);
}

static void test_sink(void **state) {
        Setup *setup = *state;
        _cleanup_(http_transfer_freep) HttpTransfer *good = NULL, *refused = NULL, *failed = NULL;
        TestOutcome outcomes[3] = {};
        Sink sink = {};
        HttpRequest request = { .method = "GET", .url = "/a", .sink = on_sink, .sink_userdata = &sink };

        good = perform(setup, request, &outcomes[0]);
        assert_int_equal(outcomes[0].result, 0);
        assert_string_equal(buffer_string(&sink.data), "hello");
        assert_true(http_transfer_sunk(good) == 5);
        assert_int_equal(http_transfer_body(good)->size, 0);

        request.url = "/503"; /* an error's body does not go there */
        refused = perform(setup, request, &outcomes[1]);
        assert_int_equal(outcomes[1].result, 0);
        assert_string_equal(buffer_string(http_transfer_body(refused)), "sorry");

        request.url = "/a";
        sink.result = -ENOSPC;
        failed = perform(setup, request, &outcomes[2]);
        assert_int_equal(outcomes[2].result, -ENOSPC);
        assert_int_equal(outcomes[2].error.fault, FAULT_HOST);
        buffer_deinit(&sink.data);
}

/* A kept connection that dies under the second request: curl asks again, and we hear of it. */
static void die_once(const TestRequest *request, TestReply *reply, _unused_ void *userdata) {
        if (request->number == 2)
                reply->fault = TEST_FAULT_CLOSE;
        else
                test_reply(reply, 200, "", "");
}

static void test_resend(void **state) {
        Setup *setup = *state;
        _cleanup_(http_transfer_freep) HttpTransfer *first = NULL, *second = NULL;
        HttpRequest request = { .method = "PUT", .url = "/", .body = { .data = "abc", .size = 3 } };
        TestOutcome outcomes[2] = {};

        test_server_free(setup->server);
        setup->server = test_server_new(setup->event, die_once, NULL);
        first = perform(setup, request, &outcomes[0]);
        assert_int_equal(outcomes[0].result, 0);
        assert_int_equal(http_transfer_resends(first), 0);
        second = perform(setup, request, &outcomes[1]);
        assert_int_equal(outcomes[1].result, 0);
        assert_int_equal(test_server_requests(setup->server), 3);
        assert_int_equal(http_transfer_resends(second), 1);
}

/* From inside a sink: freeing oneself, freeing another one. */
static void test_free_in_sink(void **state) {
        Setup *setup = *state;
        _cleanup_free_ char *url = NULL, *silent = NULL;
        HttpTransfer *self = NULL, *other = NULL;
        TestOutcome none = {}, last = {};
        Sink sink = { .to_free = &self };
        HttpRequest request = { .method = "GET", .sink = on_sink, .sink_userdata = &sink };

        assert_true(asprintf(&url, "%s/", test_server_url(setup->server)) > 0);
        assert_true(asprintf(&silent, "%s/silent", test_server_url(setup->server)) > 0);
        request.url = url;
        assert_int_equal(http_start(setup->client, &request, on_done, &none, &self, NULL), 0);
        for (int i = 0; self && i < 100; i++)
                assert_true(sd_event_run(setup->event, 20 * USEC_PER_MSEC) >= 0);
        assert_null(self);
        assert_int_equal(http_start(setup->client, &(HttpRequest){ .method = "GET", .url = silent }, on_done,
                                    &none, &other, NULL),
                         0);
        assert_true(sd_event_run(setup->event, 20 * USEC_PER_MSEC) >= 0);
        sink.to_free = &other;
        assert_int_equal(http_start(setup->client, &request, on_done, &last, &self, NULL), 0);
        test_wait(setup->event, &last.done);
        assert_null(other);
        assert_int_equal(last.result, 0);
        assert_false(none.done);
        http_transfer_free(self);
        buffer_deinit(&sink.data);
}

static int start_another(HttpTransfer *transfer, const void *data, size_t size, void *userdata) {
        Sink *sink = userdata;
        _cleanup_free_ char *url = NULL;

        assert_true(transfer && data && size == 5);
        assert_true(asprintf(&url, "%s/503", test_server_url(sink->setup->server)) > 0);
        return http_start(sink->setup->client, &(HttpRequest){ .method = "GET", .url = url }, on_done,
                          &sink->other_outcome, &sink->other, NULL);
}

static void test_start_in_sink(void **state) {
        Setup *setup = *state;
        _cleanup_(http_transfer_freep) HttpTransfer *transfer = NULL;
        TestOutcome outcome = {};
        Sink sink = { .setup = setup };

        transfer = perform(
                setup,
                (HttpRequest){ .method = "GET", .url = "/", .sink = start_another, .sink_userdata = &sink },
                &outcome);
        assert_int_equal(outcome.result, 0);
        test_wait(setup->event, &sink.other_outcome.done);
        assert_int_equal(http_transfer_status(sink.other), 503);
        http_transfer_free(sink.other);
}

static void free_everything(HttpTransfer *transfer, int result, const Error *error, void *userdata) {
        Setup *setup = userdata;

        assert_true(result == 0 && error);
        http_transfer_free(transfer);
        setup->client = http_client_free(setup->client);
}

static void test_free_in_done(void **state) {
        Setup *setup = *state;
        _cleanup_free_ char *url = NULL;
        HttpTransfer *transfer = NULL;

        assert_true(asprintf(&url, "%s/", test_server_url(setup->server)) > 0);
        assert_int_equal(http_start(setup->client, &(HttpRequest){ .method = "GET", .url = url },
                                    free_everything, setup, &transfer, NULL),
                         0);
        for (int i = 0; setup->client && i < 100; i++)
                assert_true(sd_event_run(setup->event, 20 * USEC_PER_MSEC) >= 0);
        assert_null(setup->client);
}

static void test_bad_ca_bundle(void **state) {
        Setup *setup = *state;
        HttpClient *client = NULL;
        Error error = {};

        assert_int_equal(http_client_new(setup->event, &(HttpOptions){ .ca_bundle = "/nowhere/ca.pem" },
                                         &client, &error),
                         -ENOENT);
        assert_string_equal(error.message,
                            "cannot read the CA bundle /nowhere/ca.pem: No such file or directory");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_get),
                TEST(test_own_connection),
                TEST(test_path_as_is),
                TEST(test_put),
                TEST(test_put_file),
                TEST(test_put_short_file),
                TEST(test_failures),
                TEST(test_long_poll_sleeps),
                TEST(test_no_connection),
                TEST(test_bad_requests),
                TEST(test_statuses_are_answers),
                TEST(test_response_limit),
                TEST(test_sink),
                TEST(test_resend),
                TEST(test_free_in_sink),
                TEST(test_start_in_sink),
                TEST(test_free_in_done),
                TEST(test_bad_ca_bundle),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
