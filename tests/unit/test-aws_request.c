#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/strv.h"
#include "agent/net/aws_request.h"
#include "agent/net/sigv4.h"
#include "tests/unit/test.h"

#define TIME (UINT64_C(1795251600) * USEC_PER_SEC)
#define URL "http://127.0.0.1:9000/a%20b//c/../d?y=2&x=1"

static Credentials keys = { (char *) "AKID", (char *) "secret", (char *) "token", USEC_INFINITY };

/* Signs a request for SERVICE, and takes the headers apart: RET_AUTHORIZATION is what was added to the rest. */
static void sign(AwsService service, char ***ret_headers, char **ret_authorization) {
        char *own[] = { (char *) "If-Match: \"e\"", NULL };
        AwsRequest request = {
                .service = service, .operation = "X", .method = "GET", .path = "/", .headers = own
        };
        AwsRequestCopy copy;
        size_t n;

        assert_int_equal(aws_request_copy(&request, &copy, NULL), 0);
        assert_int_equal(aws_request_sign(&copy, URL, "eu-west-1", &keys, TIME, ret_headers, NULL), 0);
        aws_request_copy_deinit(&copy);
        n = strv_length(*ret_headers);
        *ret_authorization = (*ret_headers)[n - 1];
        (*ret_headers)[n - 1] = NULL;
}

static void check_signature(AwsService service, const char *name, const char *payload_hash, bool is_s3) {
        _cleanup_free_ char *authorization = NULL, *expected = NULL;
        _cleanup_(aws_headers_freep) char **headers = NULL;
        SigV4Scope scope = { TIME, "eu-west-1", name };
        SigV4Request request;

        sign(service, &headers, &authorization);
        request = (SigV4Request){
                .method = "GET",
                .path = "/a%20b//c/../d",
                .query = "y=2&x=1",
                .headers = headers,
                .payload_hash = payload_hash,
                .normalize_path = !is_s3,
                .encode_path = !is_s3,
        };
        assert_int_equal(sigv4_sign(&request, &scope, &keys, &expected), 0);
        assert_string_equal(authorization + strlen("Authorization: "), expected);
        assert_true(strv_contains(headers, "Host: 127.0.0.1:9000"));
        assert_true(strv_contains(headers, "X-Amz-Date: 20261121T090000Z"));
        assert_true(strv_contains(headers, "X-Amz-Security-Token: token"));
        assert_true(strv_contains(headers, "If-Match: \"e\""));
        assert_int_equal(strv_length(headers), is_s3 ? 5 : 4);
}

/* S3 signs paths as they are, the others normalized and encoded once more; S3 wants the body's digest in a header. */
static void test_sign(_unused_ void **state) {
        static const char nothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

        check_signature(AWS_S3, "s3", nothing, true);
        check_signature(AWS_STS, "sts", nothing, false);
}

static void test_url(_unused_ void **state) {
        AwsRequest request = { .service = AWS_S3, .bucket = "bucket", .path = "/k", .query = "list-type=2" };
        EndpointRules rules = {};
        _cleanup_free_ char *with = NULL, *without = NULL;

        assert_int_equal(aws_request_url(&request, &rules, "eu-west-1", &with, NULL), 0);
        assert_string_equal(with, "https://bucket.s3.eu-west-1.amazonaws.com/k?list-type=2");
        request.query = NULL;
        assert_int_equal(aws_request_url(&request, &rules, "eu-west-1", &without, NULL), 0);
        assert_string_equal(without, "https://bucket.s3.eu-west-1.amazonaws.com/k");
}

/* The copy needs nothing of what it was made from. */
static void test_copy(_unused_ void **state) {
        static const char sha256_of_abc[] =
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        char text[] = "abc", bucket[] = "bucket", header[] = "A: b", *headers[] = { header, NULL };
        AwsRequest request = {
                .operation = "X", .method = "PUT", .bucket = bucket, .path = "/", .headers = headers
        };
        AwsRequestCopy memory, file;
        int fd = memfd_create("body", MFD_CLOEXEC);

        assert_int_equal(write(fd, "abc", 3), 3);
        request.body = (HttpBody){ .data = text, .size = 3 };
        assert_int_equal(aws_request_copy(&request, &memory, NULL), 0);
        request.body = (HttpBody){ .fd = fd, .size = 3 };
        request.body_sha256 = sha256_of_abc;
        assert_int_equal(aws_request_copy(&request, &file, NULL), 0);
        memset(text, 'x', 3);
        memset(bucket, 'x', 3);
        memset(header, 'x', 3);
        close_fd(fd);
        assert_memory_equal(memory.request.body.data, "abc", 3);
        assert_string_equal(memory.payload_hash, sha256_of_abc);
        assert_string_equal(memory.request.bucket, "bucket");
        assert_string_equal(memory.request.headers[0], "A: b");
        assert_int_equal(pread(file.request.body.fd, text, 3, 0), 3);
        assert_memory_equal(text, "abc", 3);
        assert_string_equal(file.payload_hash, sha256_of_abc);
        aws_request_copy_deinit(&memory);
        aws_request_copy_deinit(&file);
}

static void test_bad_body(_unused_ void **state) {
        AwsRequest request = {
                .operation = "X", .method = "PUT", .path = "/", .body = { .fd = 0, .size = 3 }
        };
        AwsRequestCopy copy;
        Error error = {};

        assert_int_equal(aws_request_copy(&request, &copy, &error), -EINVAL);
        request.body_sha256 = "ba7816";
        assert_int_equal(aws_request_copy(&request, &copy, &error), -EINVAL);
        assert_string_equal(error.message, "a body from a file needs its SHA-256");
        request.body_sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        request.body.fd = -1;
        assert_int_equal(aws_request_copy(&request, &copy, &error), -EBADF);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sign),
                cmocka_unit_test(test_url),
                cmocka_unit_test(test_copy),
                cmocka_unit_test(test_bad_body),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
