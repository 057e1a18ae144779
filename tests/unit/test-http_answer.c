#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/net/http.h"
#include "agent/net/http_answer.h"
#include "tests/unit/test.h"

static int take(HttpAnswer *answer, const char *line) {
        return http_answer_take_line(answer, line, strlen(line), NULL);
}

static void test_headers(_unused_ void **state) {
        HttpAnswer answer = {};

        assert_int_equal(take(&answer, "HTTP/1.1 100 Continue\r\n"), 0);
        assert_int_equal(take(&answer, "X-Early: 1\r\n"), 0);
        assert_int_equal(take(&answer, "\r\n"), 0);
        assert_int_equal(take(&answer, "HTTP/1.1 206 Partial Content\r\n"), 0);
        assert_int_equal(take(&answer, "ETag: \"a\"\r\n"), 0);
        assert_int_equal(take(&answer, "etag: \"b\"\r\n"), 0);
        assert_int_equal(take(&answer, "Empty:\r\n"), 0);
        assert_int_equal(take(&answer, "\r\n"), 0);
        assert_int_equal(take(&answer, "Date: in a trailer\r\n"), 0);
        assert_int_equal(answer.status, 206);
        assert_true(http_answer_is_success(&answer));
        assert_string_equal(http_answer_header(&answer, "ETAG"), "\"a\"");
        assert_string_equal(http_answer_header(&answer, "empty"), "");
        assert_null(http_answer_header(&answer, "Date"));
        assert_null(http_answer_header(&answer, "X-Early"));
        assert_null(http_answer_header(&answer, "E"));
        http_answer_deinit(&answer);
}

static void test_status(_unused_ void **state) {
        static const struct {
                const char *line;
                int status;
        } cases[] = {
                { "HTTP/1.1 404 Not Found\r\n", 404 },
                { "HTTP/1.0 200\r\n", 200 },
                { "HTTP/2 503\r\n", 503 },
                { "HTTP/1.1\r\n", 0 },
                { "HTTP/1.1 x\r\n", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                HttpAnswer answer = {};

                assert_int_equal(take(&answer, cases[i].line), 0);
                assert_int_equal(answer.status, cases[i].status);
                http_answer_deinit(&answer);
        }
}

static void test_header_limit(_unused_ void **state) {
        HttpAnswer answer = {};
        Error error = {};
        char line[1025];
        unsigned n = 0;

        memset(line, 'x', sizeof(line) - 1);
        line[sizeof(line) - 1] = '\0';
        assert_int_equal(take(&answer, "HTTP/1.1 200 OK\r\n"), 0);
        while (http_answer_take_line(&answer, line, sizeof(line) - 1, &error) == 0)
                n++;
        assert_int_equal(n, HTTP_HEADERS_MAX / sizeof(line));
        assert_string_equal(error.message, "more than 65536 bytes of headers");
        http_answer_deinit(&answer);
}

/* The shortest ones cost what they take as well: there are no more of them than are looked through in no time. */
static void test_many_headers(_unused_ void **state) {
        HttpAnswer answer = {};
        unsigned n = 0;

        assert_int_equal(take(&answer, "HTTP/1.1 200 OK\r\n"), 0);
        assert_int_equal(take(&answer, "ETag: \"a\"\r\n"), 0);
        while (take(&answer, "x\r\n") == 0)
                n++;
        assert_int_equal(n, (HTTP_HEADERS_MAX - sizeof("ETag: \"a\"")) / sizeof("x"));
        assert_string_equal(http_answer_header(&answer, "etag"), "\"a\"");
        assert_null(http_answer_header(&answer, "x"));
        assert_int_equal(take(&answer, "HTTP/1.1 200 OK\r\n"), 0);
        assert_null(http_answer_header(&answer, "etag"));
        http_answer_deinit(&answer);
}

static void test_body_limit(_unused_ void **state) {
        HttpAnswer answer = { .limit = 10 };
        Error error = {};

        assert_int_equal(http_answer_keep(&answer, "12345", 5, -1, NULL), 0);
        assert_int_equal(http_answer_keep(&answer, "67890", 5, -1, NULL), 0);
        assert_string_equal(buffer_string(&answer.body), "1234567890");
        assert_int_equal(http_answer_keep(&answer, "x", 1, -1, &error), -E2BIG);
        assert_string_equal(error.message, "the answer is larger than 10 bytes");
        http_answer_deinit(&answer);

        answer = (HttpAnswer){ .limit = 10 }; /* what is announced counts before it comes */
        assert_int_equal(http_answer_keep(&answer, "1", 1, 11, NULL), -E2BIG);
        assert_null(answer.body.data);
        assert_int_equal(http_answer_keep(&answer, "1", 1, 10, NULL), 0);
        http_answer_deinit(&answer);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_headers),      cmocka_unit_test(test_status),
                cmocka_unit_test(test_header_limit), cmocka_unit_test(test_many_headers),
                cmocka_unit_test(test_body_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
