#include <jansson.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/digest.h"
#include "agent/net/sigv4.h"
#include "agent/net/url.h"
#include "tests/unit/test.h"

#define DATA "tests/unit/data/sigv4/"

static const char *text_of(const json_t *object, const char *key) {
        return json_string_value(json_object_get(object, key));
}

static json_t *load_cases(const char *path, size_t n) {
        json_t *document = json_load_file(path, 0, NULL);

        if (!document)
                fail_msg("cannot read %s: run the tests from the top of the sources", path);
        assert_int_equal(json_array_size(json_object_get(document, "cases")), n);
        return document;
}

/* "METHOD TARGET HTTP/1.1", header lines of which some are folded, an empty line, the body. */
typedef struct RawRequest {
        char *text;
        char *method, *path, *query;
        char **headers;
        const char *body;
} RawRequest;

static void raw_request_parse(const char *text, RawRequest *ret) {
        _cleanup_strv_ char **lines = NULL;
        RawRequest raw = { .text = strdup(text) };
        char *body = strstr(raw.text, "\n\n"), *end;

        raw.body = body ? body + 2 : "";
        if (body)
                *body = '\0';
        assert_int_equal(strv_split(raw.text, "\n", &lines), 0);
        for (size_t i = 1; lines[i]; i++)
                if (lines[i][0] == ' ') {
                        char **last = &raw.headers[strv_length(raw.headers) - 1], *joined = NULL;

                        assert_true(asprintf(&joined, "%s%s", *last, lines[i]) > 0);
                        free(*last);
                        *last = joined;
                } else
                        assert_int_equal(strv_append(&raw.headers, lines[i]), 0);
        raw.method = strndup(lines[0], strcspn(lines[0], " "));
        raw.path = strdup(lines[0] + strlen(raw.method) + 1);
        end = strrchr(raw.path, ' ');
        *end = '\0';
        raw.query = strchr(raw.path, '?');
        if (raw.query)
                *raw.query++ = '\0';
        *ret = raw;
}

static void raw_request_deinit(RawRequest *raw) {
        free(raw->text);
        free(raw->method);
        free(raw->path);
        strv_free(raw->headers);
}

static void check_suite_case(const json_t *c) {
        const json_t *context = json_object_get(c, "context"),
                     *keys = json_object_get(context, "credentials");
        _cleanup_(raw_request_deinit) RawRequest raw = {};
        _cleanup_buffer_ Buffer canonical = {}, to_sign = {};
        _cleanup_free_ char *authorization = NULL;
        const char *token = text_of(keys, "token");
        char payload_hash[DIGEST_HEX_SIZE], time[SIGV4_TIME_MAX];
        SigV4Scope scope = { .region = text_of(context, "region"), .service = text_of(context, "service") };
        Credentials credentials = {
                .access_key_id = (char *) text_of(keys, "access_key_id"),
                .secret_access_key = (char *) text_of(keys, "secret_access_key"),
        };
        SigV4Request request;

        raw_request_parse(text_of(c, "request"), &raw);
        assert_int_equal(parse_time(text_of(context, "timestamp"), &scope.time), 0);
        sigv4_format_time(scope.time, time);
        assert_int_equal(digest_sha256_hex(raw.body, strlen(raw.body), payload_hash), 0);
        assert_int_equal(strv_appendf(&raw.headers, "X-Amz-Date: %s", time), 0);
        if (token && !json_is_true(json_object_get(context, "omit_session_token")))
                assert_int_equal(strv_appendf(&raw.headers, "X-Amz-Security-Token: %s", token), 0);
        if (json_is_true(json_object_get(context, "sign_body")))
                assert_int_equal(strv_appendf(&raw.headers, "X-Amz-Content-SHA256: %s", payload_hash), 0);
        request = (SigV4Request){
                .method = raw.method,
                .path = raw.path,
                .query = raw.query,
                .headers = raw.headers,
                .payload_hash = payload_hash,
                .normalize_path = json_is_true(json_object_get(context, "normalize")),
                .encode_path = true,
        };
        assert_int_equal(sigv4_canonical_request(&request, &canonical), 0);
        assert_string_equal(buffer_string(&canonical), text_of(c, "canonical_request"));
        assert_int_equal(sigv4_string_to_sign(&scope, &canonical, &to_sign), 0);
        assert_string_equal(buffer_string(&to_sign), text_of(c, "string_to_sign"));
        assert_int_equal(sigv4_sign(&request, &scope, &credentials, &authorization), 0);
        assert_true(string_ends_with(authorization, text_of(c, "signature")));
}

static void test_official_suite(_unused_ void **state) {
        json_t *document = load_cases(DATA "suite.json", 38), *c;
        size_t i;

        json_array_foreach(json_object_get(document, "cases"), i, c) {
                print_message("%s\n", text_of(c, "name"));
                check_suite_case(c);
        }
        json_decref(document);
}

static void check_botocore_case(const json_t *document, const json_t *c) {
        _cleanup_url_ Url url = {};
        _cleanup_strv_ char **headers = NULL;
        _cleanup_free_ char *authorization = NULL;
        _cleanup_buffer_ Buffer path = {};
        const char *key = text_of(c, "key"), *body = text_of(c, "body");
        char payload_hash[DIGEST_HEX_SIZE];
        SigV4Scope scope = { .region = text_of(c, "region"), .service = text_of(c, "service") };
        Credentials credentials = {
                .access_key_id = (char *) text_of(document, "access_key_id"),
                .secret_access_key = (char *) text_of(document, "secret_access_key"),
        };
        bool s3 = string_equal(scope.service, "s3");
        SigV4Request request;
        json_t *header;
        size_t i;

        assert_int_equal(parse_time(text_of(document, "time"), &scope.time), 0);
        assert_int_equal(url_parse(text_of(c, "url"), &url, NULL), 0);
        if (key) { /* botocore encodes keys as we do */
                assert_int_equal(url_encode(&path, key, strlen(key), true), 0);
                assert_true(string_ends_with(url.path, buffer_string(&path)));
        }
        assert_int_equal(strv_appendf(&headers, "Host: %s", url.authority), 0);
        json_array_foreach(json_object_get(c, "headers"), i, header)
                assert_int_equal(strv_append(&headers, json_string_value(header)), 0);
        assert_int_equal(digest_sha256_hex(body, strlen(body), payload_hash), 0);
        request = (SigV4Request){
                .method = text_of(c, "method"),
                .path = url.path,
                .query = url.query,
                .headers = headers,
                .payload_hash = payload_hash,
                .normalize_path = !s3,
                .encode_path = !s3,
        };
        STRV_FOREACH(line, headers)
                if (string_starts_with(*line, "x-amz-content-sha256: "))
                        request.payload_hash = *line + strlen("x-amz-content-sha256: ");
        assert_int_equal(sigv4_sign(&request, &scope, &credentials, &authorization), 0);
        assert_string_equal(authorization, text_of(c, "authorization"));
}

static void test_botocore(_unused_ void **state) {
        json_t *document = load_cases(DATA "botocore.json", 73), *c;
        size_t i;

        json_array_foreach(json_object_get(document, "cases"), i, c) {
                print_message("%s\n", text_of(c, "name"));
                check_botocore_case(document, c);
        }
        json_decref(document);
}

/* What changes on the way, or is added only later, is not signed. */
static void test_unsigned_headers(_unused_ void **state) {
        char *headers[] = {
                (char *) "Host: h",
                (char *) "User-Agent: x",
                (char *) "expect: 100-continue",
                (char *) "Authorization: y",
                NULL,
        };
        SigV4Request request = { .method = "GET", .path = "/", .headers = headers, .payload_hash = "z" };
        _cleanup_buffer_ Buffer canonical = {};

        assert_int_equal(sigv4_canonical_request(&request, &canonical), 0);
        assert_string_equal(buffer_string(&canonical), "GET\n/\n\nhost:h\n\nhost\nz");
}

/* Repeated: headers keep their order, parameters are sorted by value. */
static void test_repeated(_unused_ void **state) {
        char *headers[] = { (char *) "B: 2", (char *) "a: z", (char *) "b:  1  x ", NULL };
        SigV4Request request = {
                .method = "GET",
                .path = "/",
                .query = "x=2&y&x=1&&x=10",
                .headers = headers,
                .payload_hash = "z",
        };
        _cleanup_buffer_ Buffer canonical = {};

        assert_int_equal(sigv4_canonical_request(&request, &canonical), 0);
        assert_string_equal(buffer_string(&canonical), "GET\n/\nx=1&x=10&x=2&y=\na:z\nb:2,1 x\n\na;b\nz");
}

static void test_bad(_unused_ void **state) {
        char *headers[] = { (char *) "no colon", NULL }, *none[] = { NULL };
        SigV4Request request = {
                .method = "GET", .path = "/", .query = "x=%2", .headers = none, .payload_hash = "z"
        };
        _cleanup_buffer_ Buffer canonical = {};

        assert_int_equal(sigv4_canonical_request(&request, &canonical), -EINVAL);
        request.query = NULL;
        request.headers = headers;
        assert_int_equal(sigv4_canonical_request(&request, &canonical), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_official_suite),
                cmocka_unit_test(test_botocore),
                cmocka_unit_test(test_unsigned_headers),
                cmocka_unit_test(test_repeated),
                cmocka_unit_test(test_bad),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
