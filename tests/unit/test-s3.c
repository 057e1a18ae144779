#include <string.h>
#include <sys/mman.h>

#include "agent/base/strv.h"
#include "agent/net/s3.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/test.h"

typedef struct Setup {
        TestClient client;
        char *method, *target, *headers;
        Buffer body;
} Setup;

static void handle(const TestRequest *request, TestReply *reply, void *userdata);

static int set_up(void **state) {
        const AwsOptions options = { .region = "eu-central-1", .attempts_max = 2 };

        test_client_setup(state, sizeof(Setup), &options, handle);
        return 0;
}

static int tear_down(void **state) {
        Setup *setup = *state;

        free(setup->method);
        free(setup->target);
        free(setup->headers);
        buffer_deinit(&setup->body);
        return test_client_teardown(state);
}

#define ERROR_XML(code, message)                                                                             \
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>" code "</Code><Message>" message          \
        "</Message><RequestId>R1</RequestId></Error>"

static void answer_list(const TestRequest *request, TestReply *reply) {
        if (strstr(request->target, "continuation-token=t%2F1"))
                test_reply(
                        reply, 200, "",
                        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><EncodingType>url</EncodingType>"
                        "<IsTruncated>false</IsTruncated><Contents><Key>a%2Bb/%C3%A9+x</Key><Size>7</Size>"
                        "<LastModified>2026-11-21T09:00:00.000Z</LastModified><ETag>&quot;e2&quot;</ETag></Contents>"
                        "<CommonPrefixes><Prefix>p%2F</Prefix></CommonPrefixes></ListBucketResult>");
        else
                test_reply(
                        reply, 200, "",
                        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><EncodingType>url</EncodingType>"
                        "<IsTruncated>true</IsTruncated><NextContinuationToken>t/1</NextContinuationToken>"
                        "<Contents><Key>a</Key><Size>0</Size><LastModified>2026-11-21T09:00:00.000Z</LastModified>"
                        "</Contents></ListBucketResult>");
}

/* The key says what to answer. */
static const struct {
        const char *key;
        int status;
        const char *headers, *body;
} answers[] = {
        { "/good", 200, "ETag: \"e1\"\r\nDate: Sat, 21 Nov 2026 09:00:00 GMT\r\n", "hello" },
        { "/same", 304, "ETag: \"e1\"\r\n", "" },
        { "/none", 404, "", ERROR_XML("NoSuchKey", "The specified key does not exist.") },
        { "/no-bucket", 404, "", ERROR_XML("NoSuchBucket", "The specified bucket does not exist") },
        { "/changed", 412, "",
          ERROR_XML("PreconditionFailed", "At least one of the pre-conditions did not hold") },
        { "/race", 409, "", ERROR_XML("ConditionalRequestConflict", "conflict") },
        { "/outside", 416, "", ERROR_XML("InvalidRange", "range") },
        { "/denied", 403, "", ERROR_XML("AccessDenied", "Access Denied") },
        { "/encrypted", 403, "",
          ERROR_XML("AccessDenied",
                    "User: arn:aws:sts::1:assumed-role/r/i is not authorized to perform: kms:Decrypt "
                    "on resource: arn:aws:kms:r:1:key/k") },
        { "/disabled", 400, "", ERROR_XML("KMS.DisabledException", "key/k is disabled.") },
        { "/gone", 404, "x-amz-delete-marker: true\r\nx-amz-version-id: v1\r\n",
          ERROR_XML("NoSuchKey", "The specified key does not exist.") },
        { "/badkey", 403, "", ERROR_XML("InvalidAccessKeyId", "No such key id") },
        { "/versioned?versionId=a%2Bb%2Fc", 200, "x-amz-version-id: a+b/c\r\n", "old" },
        { "/range", 206, "Content-Range: bytes 10-13/100\r\nETag: \"e1\"\r\n", "abcd" },
        { "/hidden-error", 200, "", ERROR_XML("InternalError", "We encountered an internal error.") },
        { "/slow-down", 503, "", ERROR_XML("SlowDown", "Please reduce your request rate.") },
        { "/gateway", 502, "", "<html>Bad gateway</html>" },
};

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        Setup *setup = userdata;

        free(setup->method);
        free(setup->target);
        free(setup->headers);
        setup->method = strdup(request->method);
        setup->target = strdup(request->target);
        setup->headers = strdup(request->headers);
        buffer_clear(&setup->body);
        assert_int_equal(buffer_append(&setup->body, request->body, request->body_size, SIZE_MAX), 0);
        if (strstr(request->target, "list-type=2")) {
                answer_list(request, reply);
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(answers); i++)
                if (string_ends_with(request->target, answers[i].key)) {
                        test_reply(reply, answers[i].status, answers[i].headers, answers[i].body);
                        return;
                }
        test_reply(reply, 200, "ETag: \"new\"\r\n", "");
}

DEFINE_TEST_DONE(on_done, S3Request)

static S3Request *get(Setup *setup, const char *key, const S3GetOptions *options, TestOutcome *outcome) {
        S3Request *request = NULL;
        Error error = {};

        assert_int_equal(
                s3_get_start(setup->client.aws, "bucket", key, options, on_done, outcome, &request, &error),
                0);
        assert_false(outcome->done);
        test_wait(setup->client.event, &outcome->done);
        return request;
}

static void test_get(void **state) {
        Setup *setup = *state;
        _cleanup_(s3_request_freep) S3Request *request = NULL;
        TestOutcome outcome = {};
        S3Reply reply;

        request = get(setup, "a b+c/\xc3\xa9//good", NULL, &outcome);
        assert_int_equal(outcome.result, S3_OK);
        assert_string_equal(setup->target, "/bucket/a%20b%2Bc/%C3%A9//good");
        assert_non_null(strstr(setup->headers, "Authorization: AWS4-HMAC-SHA256 Credential=AKID/"));
        reply = s3_request_reply(request);
        assert_string_equal(reply.etag, "\"e1\"");
        assert_string_equal(reply.body, "hello");
        assert_true(reply.size == 5 && reply.body_size == 5);
        assert_true(reply.server_time == UINT64_C(1795251600) * USEC_PER_SEC);
}

static void test_get_version(void **state) {
        Setup *setup = *state;
        _cleanup_(s3_request_freep) S3Request *request = NULL, *plain = NULL;
        TestOutcome outcome = {}, other = {};

        request = get(setup, "versioned", &(S3GetOptions){ .version_id = "a+b/c" }, &outcome);
        assert_int_equal(outcome.result, S3_OK);
        assert_string_equal(setup->target, "/bucket/versioned?versionId=a%2Bb%2Fc");
        assert_string_equal(s3_request_reply(request).version_id, "a+b/c");
        plain = get(setup, "good", NULL, &other);
        assert_null(s3_request_reply(plain).version_id);
}

static void test_outcomes(void **state) {
        static const struct {
                const char *key;
                int result;
                const char *message;
        } cases[] = {
                { "same", S3_NOT_MODIFIED, NULL },
                { "none", S3_NOT_FOUND, NULL },
                { "changed", S3_PRECONDITION_FAILED, NULL },
                { "race", S3_CONFLICT, NULL },
                { "outside", S3_RANGE_OUTSIDE, NULL },
                { "no-bucket", -ENOENT, "s3://bucket/no-bucket: there is no bucket 'bucket'" },
                { "denied", -EACCES,
                  "s3://bucket/denied: not allowed, or no such key and no permission s3:ListBucket to be told so: S3 "
                  "GetObject: AccessDenied: Access Denied (status 403, request R1)" },
                { "gone", S3_NOT_FOUND, NULL },
                { "encrypted", -EACCES,
                  "s3://bucket/encrypted: the key that it is encrypted with may not be used: reading needs kms:Decrypt "
                  "for it, writing kms:GenerateDataKey: S3 GetObject: AccessDenied: User: arn:aws:sts::1:assumed-role/r/i "
                  "is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:r:1:key/k (status 403, request R1)" },
                { "disabled", -EREMOTEIO,
                  "s3://bucket/disabled: the key that it is encrypted with may not be used: reading needs kms:Decrypt for "
                  "it, writing kms:GenerateDataKey: S3 GetObject: KMS.DisabledException: key/k is disabled. (status 400, "
                  "request R1)" },
                { "badkey", -EACCES,
                  "s3://bucket/badkey: S3 GetObject: InvalidAccessKeyId: No such key id (status 403, request R1)" },
                { "gateway", -EAGAIN, "s3://bucket/gateway: S3 GetObject (2 attempts): status 502" },
        };
        Setup *setup = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(s3_request_freep) S3Request *request = NULL;
                TestOutcome outcome = {};

                request = get(setup, cases[i].key, NULL, &outcome);
                assert_int_equal(outcome.result, cases[i].result);
                if (cases[i].message)
                        assert_string_equal(outcome.error.message, cases[i].message);
        }
}

static void test_get_headers(void **state) {
        S3GetOptions options = {
                .if_none_match = "\"e1\"", .if_match = "\"e2\"", .range_offset = 10, .range_size = 4
        };
        Setup *setup = *state;
        _cleanup_(s3_request_freep) S3Request *request = NULL;
        TestOutcome outcome = {};

        request = get(setup, "range", &options, &outcome);
        assert_int_equal(outcome.result, S3_OK);
        assert_non_null(strstr(setup->headers, "If-None-Match: \"e1\"\r\n"));
        assert_non_null(strstr(setup->headers, "If-Match: \"e2\"\r\n"));
        assert_non_null(strstr(setup->headers, "Range: bytes=10-13\r\n"));
        assert_true(s3_request_reply(request).size == 100);
}

static int collect(_unused_ HttpTransfer *transfer, const void *data, size_t size, void *userdata) {
        return buffer_append(userdata, data, size, SIZE_MAX);
}

static void test_wrong_range(void **state) {
        Setup *setup = *state;
        _cleanup_(s3_request_freep) S3Request *ignored = NULL, *shifted = NULL, *sunk = NULL;
        _cleanup_buffer_ Buffer data = {};
        TestOutcome outcomes[3] = {};

        ignored = get(setup, "good", &(S3GetOptions){ .range_size = 2 }, &outcomes[0]);
        assert_int_equal(outcomes[0].result, -EBADMSG);
        shifted = get(setup, "range", &(S3GetOptions){ .range_offset = 11, .range_size = 4 }, &outcomes[1]);
        assert_int_equal(outcomes[1].result, -EBADMSG);
        sunk = get(setup, "good", &(S3GetOptions){ .range_size = 2, .sink = collect, .sink_userdata = &data },
                   &outcomes[2]);
        assert_int_equal(outcomes[2].result, -EBADMSG);
        assert_int_equal(data.size, 0);
        assert_non_null(strstr(outcomes[2].error.message, "does the endpoint support ranges?"));
}

static void test_sink(void **state) {
        Setup *setup = *state;
        _cleanup_(s3_request_freep) S3Request *good = NULL, *none = NULL;
        _cleanup_buffer_ Buffer data = {};
        S3GetOptions options = { .sink = collect, .sink_userdata = &data };
        TestOutcome outcomes[2] = {};

        good = get(setup, "good", &options, &outcomes[0]);
        assert_int_equal(outcomes[0].result, S3_OK);
        none = get(setup, "none", &options, &outcomes[1]);
        assert_int_equal(outcomes[1].result, S3_NOT_FOUND);
        assert_string_equal(buffer_string(&data), "hello");
}

static S3Request *put(Setup *setup, const char *key, const S3PutOptions *options, TestOutcome *outcome) {
        S3Request *request = NULL;

        assert_int_equal(
                s3_put_start(setup->client.aws, "bucket", key, options, on_done, outcome, &request, NULL), 0);
        test_wait(setup->client.event, &outcome->done);
        return request;
}

static void test_put(void **state) {
        Setup *setup = *state;
        _cleanup_(s3_request_freep) S3Request *first = NULL, *second = NULL;
        TestOutcome outcomes[2] = {};

        first = put(setup, "new",
                    &(S3PutOptions){ .body = { .data = "abc", .size = 3 }, .if_none_match = true },
                    &outcomes[0]);
        assert_int_equal(outcomes[0].result, S3_OK);
        assert_string_equal(s3_request_reply(first).etag, "\"new\"");
        assert_string_equal(buffer_string(&setup->body), "abc");
        assert_non_null(strstr(setup->headers, "If-None-Match: *\r\n"));
        assert_non_null(strstr(setup->headers, "Content-Type: application/octet-stream\r\n"));
        assert_non_null(strstr(setup->headers,
                               "X-Amz-Content-Sha256: "
                               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\r\n"));
        second = put(setup, "changed",
                     &(S3PutOptions){ .body = { .data = "abc", .size = 3 }, .if_match = "\"e\"" },
                     &outcomes[1]);
        assert_int_equal(outcomes[1].result, S3_PRECONDITION_FAILED);
        assert_non_null(strstr(setup->headers, "If-Match: \"e\"\r\n"));
}

/* What the bucket demands is in every request, signed. */
static void test_bucket_terms(void **state) {
        Setup *setup = *state;
        char *environment[] = { (char *) "AWS_ACCESS_KEY_ID=AKID", (char *) "AWS_SECRET_ACCESS_KEY=secret",
                                NULL };
        const AwsOptions options = {
                .environment = environment,
                .region = "eu-central-1",
                .endpoints.url = test_server_url(setup->client.server),
                .bucket_terms = { S3_ENCRYPTION_KMS, (char *) "alias/k", true, (char *) "123456789012" },
        };
        static const char written[] =
                "x-amz-server-side-encryption;x-amz-server-side-encryption-aws-kms-key-id,";
        _cleanup_(s3_request_freep) S3Request *first = NULL, *second = NULL;
        TestOutcome outcomes[2] = {};

        aws_context_free(setup->client.aws);
        assert_int_equal(aws_context_new(setup->client.event, &options, &setup->client.aws, NULL), 0);
        first = put(setup, "new", &(S3PutOptions){ .body = { .data = "abc", .size = 3 } }, &outcomes[0]);
        assert_int_equal(outcomes[0].result, S3_OK);
        assert_non_null(strstr(setup->headers, "x-amz-server-side-encryption: aws:kms\r\n"));
        assert_non_null(strstr(setup->headers, "x-amz-expected-bucket-owner: 123456789012\r\n"));
        assert_non_null(strstr(setup->headers, written));
        second = get(setup, "good", NULL, &outcomes[1]);
        assert_int_equal(outcomes[1].result, S3_OK);
        assert_null(strstr(setup->headers, "server-side-encryption"));
        assert_non_null(strstr(setup->headers, "x-amz-request-payer: requester\r\n"));
        assert_non_null(strstr(setup->headers, "x-amz-expected-bucket-owner;"));
        assert_non_null(strstr(setup->headers, ";x-amz-request-payer,"));
}

static void test_put_file(void **state) {
        Setup *setup = *state;
        _cleanup_(s3_request_freep) S3Request *request = NULL, *unhashed = NULL;
        _cleanup_close_ int fd = memfd_create("body", MFD_CLOEXEC);
        S3PutOptions options = { .body = { .fd = fd, .offset = 1, .size = 3 } };
        TestOutcome outcome = {};
        Error error = {};

        assert_int_equal(write(fd, "xabcx", 5), 5);
        assert_int_equal(s3_put_start(setup->client.aws, "bucket", "k", &options, on_done, &outcome,
                                      &unhashed, &error),
                         -EINVAL);
        options.sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        request = put(setup, "k", &options, &outcome);
        assert_int_equal(outcome.result, S3_OK);
        assert_string_equal(buffer_string(&setup->body), "abc");
        assert_true(s3_request_reply(request).size == 3);
}

static void test_refused_at_once(void **state) {
        Setup *setup = *state;
        S3Request *request = NULL;
        char key[S3_KEY_MAX + 2];
        TestOutcome outcome = {};
        Error error = {};

        memset(key, 'k', sizeof(key) - 1);
        key[sizeof(key) - 1] = '\0';
        assert_int_equal(
                s3_get_start(setup->client.aws, "bucket", key, NULL, on_done, &outcome, &request, &error),
                -EINVAL);
        assert_int_equal(error.fault, FAULT_INPUT);
        assert_int_equal(
                s3_get_start(setup->client.aws, "Bucket", "k", NULL, on_done, &outcome, &request, &error),
                -EINVAL);
        assert_int_equal(s3_put_start(setup->client.aws, "bucket", "k",
                                      &(S3PutOptions){ .body = { .data = "", .size = S3_PUT_MAX + 1 } },
                                      on_done, &outcome, &request, &error),
                         -EFBIG);
        assert_non_null(strstr(error.message, "more than the 5 GiB that one request can carry"));
        assert_null(request);
}

/* S3 can say 200 and then that it failed. */
static void test_error_in_200(void **state) {
        Setup *setup = *state;
        _cleanup_(s3_request_freep) S3Request *written = NULL, *read = NULL;
        TestOutcome outcomes[2] = {};

        written = put(setup, "hidden-error", &(S3PutOptions){ .body = { .data = "abc", .size = 3 } },
                      &outcomes[0]);
        assert_int_equal(outcomes[0].result, -EAGAIN);
        assert_non_null(strstr(outcomes[0].error.message, "S3 PutObject (2 attempts): InternalError"));
        read = get(setup, "hidden-error", NULL, &outcomes[1]); /* an object may look like that */
        assert_int_equal(outcomes[1].result, S3_OK);
}

static void test_head_and_delete(void **state) {
        Setup *setup = *state;
        _cleanup_(s3_request_freep) S3Request *delete = NULL;
        TestOutcome outcome = {};

        assert_int_equal(s3_delete_start(setup->client.aws, "bucket", "x", on_done, &outcome, &delete, NULL),
                         0);
        test_wait(setup->client.event, &outcome.done);
        assert_int_equal(outcome.result, S3_OK);
        assert_string_equal(setup->method, "DELETE");
}

typedef struct Listed {
        TestOutcome outcome; /* first: on_done gets it */
        Buffer text;
        int stop_after;
} Listed;

static int on_each(const S3Object *object, void *userdata) {
        Listed *listed = userdata;

        if (listed->stop_after > 0 && --listed->stop_after == 0)
                return -ENOSPC;
        return buffer_printf(&listed->text, "%s %s %llu%s\n", object->key, object->etag,
                             (unsigned long long) object->size, object->is_prefix ? " prefix" : "");
}

static void list(Setup *setup, const S3ListOptions *options, Listed *listed) {
        _cleanup_(s3_request_freep) S3Request *request = NULL;

        assert_int_equal(
                s3_list_start(setup->client.aws, "bucket", options, on_each, on_done, listed, &request, NULL),
                0);
        test_wait(setup->client.event, &listed->outcome.done);
}

static void test_list(void **state) {
        Setup *setup = *state;
        Listed listed = {};

        list(setup, &(S3ListOptions){ .prefix = "a/", .delimiter = "/", .start_after = "A", .page_size = 5 },
             &listed);
        assert_int_equal(listed.outcome.result, S3_OK);
        assert_string_equal(buffer_string(&listed.text), "a  0\na+b/\xc3\xa9 x \"e2\" 7\np/  0 prefix\n");
        assert_int_equal(test_server_requests(setup->client.server), 2);
        assert_string_equal(setup->target,
                            "/bucket/?list-type=2&continuation-token=t%2F1&delimiter=%2F&encoding-type=url"
                            "&max-keys=5&prefix=a%2F");
        buffer_deinit(&listed.text);
}

static void test_list_ends(void **state) {
        Setup *setup = *state;
        Listed stopped = { .stop_after = 2 }, enough = {};

        list(setup, NULL, &stopped);
        assert_int_equal(stopped.outcome.result, -ENOSPC);
        list(setup, &(S3ListOptions){ .keys_max = 1 }, &enough);
        assert_int_equal(enough.outcome.result, S3_OK);
        assert_string_equal(buffer_string(&enough.text), "a  0\n");
        assert_int_equal(test_server_requests(setup->client.server), 3); /* and no page more than needed */
        buffer_deinit(&stopped.text);
        buffer_deinit(&enough.text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_get),          TEST(test_get_version),
                TEST(test_outcomes),     TEST(test_get_headers),
                TEST(test_wrong_range),  TEST(test_sink),
                TEST(test_put),          TEST(test_bucket_terms),
                TEST(test_put_file),     TEST(test_refused_at_once),
                TEST(test_error_in_200), TEST(test_head_and_delete),
                TEST(test_list),         TEST(test_list_ends),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
