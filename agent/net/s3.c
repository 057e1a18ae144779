#include <inttypes.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/s3.h"
#include "agent/net/url.h"
#include "agent/net/xml.h"

#define PAGE_SIZE_MAX 1000U

struct S3Request {
        AwsContext *aws;
        AwsCall *call;
        char *bucket;
        char *key; /* of a list: the prefix */
        uint64_t sent_size;
        bool is_write;
        S3Done done;
        void *userdata;

        uint64_t range_offset;
        bool has_range, range_ignored;
        HttpSink sink;
        void *sink_userdata;

        char *delimiter, *start_after, *next_page;
        unsigned page_size;
        uint64_t keys, keys_max;
        bool keys_max_is_ours; /* so that more of them are a failure */
        bool too_many;
        S3Each each;
        int each_result;
};

S3Request *s3_request_free(S3Request *request) {
        if (!request)
                return NULL;
        aws_call_free(request->call);
        free(request->bucket);
        free(request->key);
        free(request->delimiter);
        free(request->start_after);
        free(request->next_page);
        free(request);
        return NULL;
}

static int request_new(AwsContext *aws, const char *bucket, const char *key, S3Done done, void *userdata,
                       S3Request **ret, Error *error) {
        _cleanup_(s3_request_freep) S3Request *request = NULL;

        int r;

        r = s3_bucket_check(bucket, error);
        if (r < 0)
                return r;
        if (strlen(key) > S3_KEY_MAX)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "s3://%s/%.64s…: a key of more than %u bytes", bucket, key,
                                       S3_KEY_MAX);
        request = malloc(sizeof(*request));
        if (!request)
                return error_oom(error);
        *request = (S3Request){ .aws = aws, .done = done, .userdata = userdata };
        if (string_set(&request->bucket, bucket) < 0 || string_set(&request->key, key) < 0)
                return error_oom(error);
        *ret = TAKE_PTR(request);
        return 0;
}

static uint64_t header_u64(const AwsCall *call, const char *name) {
        const char *text = aws_call_header(call, name);
        uint64_t value = 0;

        return text && parse_u64(text, &value) == 0 ? value : 0;
}

/* "bytes 0-9/1234" */
static bool parse_content_range(const char *text, uint64_t *ret_first, uint64_t *ret_size) {
        uint64_t last;

        return text &&
               sscanf(text, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64, ret_first, &last, ret_size) == 3;
}

static uint64_t object_size(const S3Request *request) {
        uint64_t first, size;

        if (request->sent_size > 0)
                return request->sent_size;
        if (parse_content_range(aws_call_header(request->call, "Content-Range"), &first, &size))
                return size;
        return header_u64(request->call, "Content-Length");
}

S3Reply s3_request_reply(const S3Request *request) {
        const AwsCall *call = request->call;
        S3Reply reply = { .body = "" };

        if (!call)
                return reply;
        reply.etag = aws_call_header(call, "ETag");
        reply.version_id = aws_call_header(call, "x-amz-version-id");
        reply.size = object_size(request);
        reply.body = buffer_string(aws_call_body(call));
        reply.body_size = aws_call_body(call)->size;
        reply.server_time = aws_call_server_time(call);
        reply.attempts = aws_call_attempts(call);
        reply.error = aws_call_error(call);
        return reply;
}

/* Which refusals are outcomes; those to HEAD have no code. */
static int outcome_of(const AwsError *refusal) {
        switch (refusal->status) {
        case 404:
                return string_equal(refusal->code, "NoSuchBucket") ? -ENOENT : S3_NOT_FOUND;
        case 409:
                return S3_CONFLICT;
        case 412:
                return S3_PRECONDITION_FAILED;
        case 416:
                return S3_RANGE_OUTSIDE;
        default:
                return -EREMOTEIO;
        }
}

/* "… is not authorized to perform: kms:Decrypt on resource: …" is S3's sentence for an object that is encrypted with a key
 * which the caller may not use. */
static bool is_about_key(const AwsError *refusal) {
        return strstr(refusal->message, "kms:") || string_starts_with(refusal->code, "KMS.");
}

/* What S3's sentence leaves out. */
static void add_hint(const S3Request *request, const AwsError *refusal, Error *error) {
        if (string_equal(refusal->code, "NoSuchBucket"))
                error_set_fault(error, -ENOENT, FAULT_INPUT, "there is no bucket '%s'", request->bucket);
        else if (is_about_key(refusal))
                error_prefix(
                        error,
                        "the key that it is encrypted with may not be used: reading needs kms:Decrypt for it, "
                        "writing kms:GenerateDataKey");
        else if (refusal->status == 403 && request->is_write)
                error_prefix(error,
                             "not allowed: permission s3:PutObject, or what the bucket's policy demands "
                             "(s3_sse, s3_bucket_owner)");
        else if (refusal->status == 403 && (!refusal->code[0] || string_equal(refusal->code, "AccessDenied")))
                error_prefix(error,
                             "not allowed, or no such key and no permission s3:ListBucket to be told so");
}

static int conclude(const S3Request *request, int result, Error *error) {
        const AwsError *refusal = aws_call_error(request->call);
        int outcome;

        if (result == 0)
                return aws_call_status(request->call) == 304 ? S3_NOT_MODIFIED : S3_OK;
        if (refusal) {
                outcome = outcome_of(refusal);
                if (outcome >= 0)
                        return outcome;
                add_hint(request, refusal, error);
        }
        return result;
}

static void finish(S3Request *request, int result, Error *error) {
        if (result < 0)
                error_prefix(error, "s3://%s/%s", request->bucket, request->key);
        request->done(request, result, error, request->userdata);
}

static void on_answer(_unused_ AwsCall *call, int result, const Error *call_error, void *userdata) {
        S3Request *request = userdata;
        Error error = *call_error;

        finish(request, conclude(request, result, &error), &error);
}

static int start(S3Request *request, AwsRequest *aws_request, AwsDone done, Error *error) {
        _cleanup_strv_ char **headers = NULL;
        _cleanup_buffer_ Buffer path = {};
        int r;

        r = buffer_append(&path, "/", 1, SIZE_MAX);
        if (r >= 0 && !request->each)
                r = url_encode(&path, request->key, strlen(request->key), true);
        if (r >= 0)
                r = strv_extend(&headers, aws_request->headers);
        if (r >= 0)
                r = s3_bucket_terms_headers(aws_context_bucket_terms(request->aws), request->is_write,
                                            &headers);
        if (r < 0)
                return error_oom(error);
        aws_request->headers = headers;
        aws_request->service = AWS_S3;
        aws_request->bucket = request->bucket;
        aws_request->path = buffer_string(&path);
        request->call = aws_call_free(request->call);
        return aws_call_start(request->aws, aws_request, done, request, &request->call, error);
}

/* Starts what the caller has made, and hands it over. */
static int launch(S3Request **request, AwsRequest *aws_request, AwsDone done, S3Request **ret, Error *error) {
        int r;

        r = start(*request, aws_request, done, error);
        if (r < 0) {
                error_prefix(error, "s3://%s/%s", (*request)->bucket, (*request)->key);
                return r;
        }
        *ret = TAKE_PTR(*request);
        return 0;
}

static bool range_is_right(S3Request *request, int status, const char *content_range) {
        uint64_t first, size;

        if (!request->has_range || status >= 300)
                return true;
        return status == 206 && parse_content_range(content_range, &first, &size) &&
               first == request->range_offset;
}

static int on_bytes(HttpTransfer *transfer, const void *data, size_t size, void *userdata) {
        S3Request *request = userdata;

        if (http_transfer_sunk(transfer) == 0 &&
            !range_is_right(request, http_transfer_status(transfer),
                            http_transfer_header(transfer, "Content-Range"))) {
                request->range_ignored = true;
                return -EBADMSG;
        }
        return request->sink(transfer, data, size, request->sink_userdata);
}

static void on_object(AwsCall *call, int result, const Error *call_error, void *userdata) {
        S3Request *request = userdata;
        Error error = *call_error;

        if (result == 0 &&
            !range_is_right(request, aws_call_status(call), aws_call_header(call, "Content-Range")))
                request->range_ignored = true;
        if (request->range_ignored)
                result = error_set_fault(
                        &error, -EBADMSG, FAULT_HOST,
                        "asked for a range, got something else: does the endpoint support ranges?");
        else
                result = conclude(request, result, &error);
        finish(request, result, &error);
}

static int get_headers(const S3GetOptions *options, char ***headers) {
        int r = 0;

        if (options->if_none_match)
                r = strv_appendf(headers, "If-None-Match: %s", options->if_none_match);
        if (r >= 0 && options->if_match)
                r = strv_appendf(headers, "If-Match: %s", options->if_match);
        if (r >= 0 && options->range_size > 0)
                r = strv_appendf(headers, "Range: bytes=%" PRIu64 "-%" PRIu64, options->range_offset,
                                 options->range_offset + options->range_size - 1);
        return r;
}

int s3_get_start(AwsContext *aws, const char *bucket, const char *key, const S3GetOptions *options,
                 S3Done done, void *userdata, S3Request **ret, Error *error) {
        static const S3GetOptions plain = {};
        _cleanup_(s3_request_freep) S3Request *request = NULL;
        _cleanup_strv_ char **headers = NULL;
        _cleanup_buffer_ Buffer query = {};
        AwsRequest aws_request = { .operation = "GetObject", .method = "GET" };
        int r;

        r = request_new(aws, bucket, key, done, userdata, &request, error);
        if (r < 0)
                return r;
        options = options ? options : &plain;
        if (get_headers(options, &headers) < 0 ||
            (options->version_id && url_query_add(&query, "versionId", options->version_id) < 0))
                return error_oom(error);
        aws_request.query = options->version_id ? buffer_string(&query) : NULL;
        request->has_range = options->range_size > 0;
        request->range_offset = options->range_offset;
        request->sink = options->sink;
        request->sink_userdata = options->sink_userdata;
        aws_request.headers = headers;
        aws_request.response_limit = MIN(options->limit, (size_t) S3_GET_MEMORY_MAX);
        aws_request.timeouts.total = options->timeout;
        if (options->sink) {
                aws_request.sink = on_bytes;
                aws_request.sink_userdata = request;
        }
        return launch(&request, &aws_request, on_object, ret, error);
}

int s3_head_start(AwsContext *aws, const char *bucket, const char *key, S3Done done, void *userdata,
                  S3Request **ret, Error *error) {
        _cleanup_(s3_request_freep) S3Request *request = NULL;
        AwsRequest aws_request = { .operation = "HeadObject", .method = "HEAD" };
        int r;

        r = request_new(aws, bucket, key, done, userdata, &request, error);
        if (r < 0)
                return r;
        return launch(&request, &aws_request, on_answer, ret, error);
}

int s3_delete_start(AwsContext *aws, const char *bucket, const char *key, S3Done done, void *userdata,
                    S3Request **ret, Error *error) {
        _cleanup_(s3_request_freep) S3Request *request = NULL;
        AwsRequest aws_request = { .operation = "DeleteObject", .method = "DELETE", .error_in_body = true };
        int r;

        r = request_new(aws, bucket, key, done, userdata, &request, error);
        if (r < 0)
                return r;
        return launch(&request, &aws_request, on_answer, ret, error);
}

static int put_headers(const S3PutOptions *options, char ***headers) {
        int r;

        r = strv_appendf(headers, "Content-Type: %s",
                         options->content_type ? options->content_type : "application/octet-stream");
        if (r >= 0 && options->if_none_match)
                r = strv_append(headers, "If-None-Match: *");
        if (r >= 0 && options->if_match)
                r = strv_appendf(headers, "If-Match: %s", options->if_match);
        return r;
}

int s3_put_start(AwsContext *aws, const char *bucket, const char *key, const S3PutOptions *options,
                 S3Done done, void *userdata, S3Request **ret, Error *error) {
        _cleanup_(s3_request_freep) S3Request *request = NULL;
        _cleanup_strv_ char **headers = NULL;
        AwsRequest aws_request = {
                .operation = "PutObject",
                .method = "PUT",
                .body = options->body,
                .body_sha256 = options->sha256,
                .error_in_body = true,
                .progress = options->progress,
                .progress_userdata = options->progress_userdata,
        };
        int r;

        if (options->body.size > S3_PUT_MAX)
                return error_set_fault(error, -EFBIG, FAULT_INPUT,
                                       "s3://%s/%s: %" PRIu64
                                       " bytes, more than the 5 GiB that one request can carry",
                                       bucket, key, options->body.size);
        r = request_new(aws, bucket, key, done, userdata, &request, error);
        if (r < 0)
                return r;
        request->sent_size = options->body.size;
        request->is_write = true;
        if (put_headers(options, &headers) < 0)
                return error_oom(error);
        aws_request.headers = headers;
        return launch(&request, &aws_request, on_answer, ret, error);
}

static int on_each(const S3Object *object, void *userdata) {
        S3Request *request = userdata;

        request->too_many = request->keys == request->keys_max;
        if (request->too_many)
                return request->each_result = -E2BIG;
        request->keys++;
        return request->each_result = request->each(object, request->userdata);
}

static int list_next_page(S3Request *request, Error *error);

/* 1: the next page has been asked for. */
static int take_page(S3Request *request, Error *error) {
        const Buffer *body = aws_call_body(request->call);
        _cleanup_free_ char *next = NULL;
        int r;

        r = s3_list_parse(buffer_string(body), body->size, on_each, request, &next, error);
        if (!request->keys_max_is_ours &&
            (request->too_many || (r >= 0 && request->keys == request->keys_max)))
                return 0;
        if (r < 0 && r == request->each_result)
                return error_set_errno(error, r, "the listing was ended after %" PRIu64 " keys",
                                       request->keys);
        if (r < 0 || !next)
                return r;
        free(request->next_page);
        request->next_page = TAKE_PTR(next);
        r = list_next_page(request, error);
        return r < 0 ? r : 1;
}

static void on_page(_unused_ AwsCall *call, int result, const Error *call_error, void *userdata) {
        S3Request *request = userdata;
        Error error = *call_error;

        if (result == 0)
                result = take_page(request, &error);
        else
                result = conclude(request, result, &error);
        if (result == 1)
                return;
        finish(request, result, &error);
}

static int list_query(const S3Request *request, Buffer *query) {
        int r;

        r = url_query_add(query, "list-type", "2");
        if (r >= 0 && request->next_page)
                r = url_query_add(query, "continuation-token", request->next_page);
        if (r >= 0 && request->delimiter)
                r = url_query_add(query, "delimiter", request->delimiter);
        if (r >= 0)
                r = url_query_add(query, "encoding-type", "url");
        if (r >= 0)
                r = url_query_addf(query, "max-keys", "%u", request->page_size);
        if (r >= 0)
                r = url_query_add(query, "prefix", request->key);
        if (r >= 0 && request->start_after && !request->next_page)
                r = url_query_add(query, "start-after", request->start_after);
        return r;
}

#define LIST_REQUEST(q)                                                                                      \
        {                                                                                                    \
                .operation = "ListObjectsV2", .method = "GET", .query = (q), .error_in_body = true,          \
                .response_limit = XML_SIZE_MAX,                                                              \
        }

static int list_next_page(S3Request *request, Error *error) {
        _cleanup_buffer_ Buffer query = {};
        AwsRequest aws_request;

        if (list_query(request, &query) < 0)
                return error_oom(error);
        aws_request = (AwsRequest) LIST_REQUEST(buffer_string(&query));
        return start(request, &aws_request, on_page, error);
}

int s3_list_start(AwsContext *aws, const char *bucket, const S3ListOptions *options, S3Each each, S3Done done,
                  void *userdata, S3Request **ret, Error *error) {
        static const S3ListOptions plain = {};
        _cleanup_(s3_request_freep) S3Request *request = NULL;
        _cleanup_buffer_ Buffer query = {};
        AwsRequest aws_request;
        int r;

        options = options ? options : &plain;
        r = request_new(aws, bucket, options->prefix ? options->prefix : "", done, userdata, &request, error);
        if (r < 0)
                return r;
        request->each = each;
        request->page_size = options->page_size > 0 ? MIN(options->page_size, PAGE_SIZE_MAX) : PAGE_SIZE_MAX;
        request->keys_max_is_ours = options->keys_max == 0;
        request->keys_max = options->keys_max > 0 ? options->keys_max : S3_LIST_KEYS_MAX;
        if (string_set(&request->delimiter, options->delimiter) < 0 ||
            string_set(&request->start_after, options->start_after) < 0 || list_query(request, &query) < 0)
                return error_oom(error);
        aws_request = (AwsRequest) LIST_REQUEST(buffer_string(&query));
        return launch(&request, &aws_request, on_page, ret, error);
}
