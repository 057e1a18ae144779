#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/net/aws_request.h"
#include "agent/net/sigv4.h"
#include "agent/net/url.h"

#define SHA256_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static int copy_strings(const AwsRequest *request, AwsRequestCopy *copy) {
        const char *const from[] = { request->operation, request->method, request->bucket,
                                     request->path,      request->query,  request->region };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(from) && r >= 0; i++)
                r = string_set(&copy->strings[i], from[i]);
        if (r >= 0)
                r = strv_extend(&copy->headers, request->headers);
        copy->request.operation = copy->strings[0];
        copy->request.method = copy->strings[1];
        copy->request.bucket = copy->strings[2];
        copy->request.path = copy->strings[3];
        copy->request.query = copy->strings[4];
        copy->request.region = copy->strings[5];
        copy->request.headers = copy->headers;
        return r;
}

static int copy_descriptor(const AwsRequest *request, AwsRequestCopy *copy, Error *error) {
        if (!request->body_sha256 || strlen(request->body_sha256) != DIGEST_HEX_SIZE - 1)
                return error_set(error, -EINVAL, "a body from a file needs its SHA-256");
        memcpy(copy->payload_hash, request->body_sha256, DIGEST_HEX_SIZE);
        copy->body_fd = fcntl(request->body.fd, F_DUPFD_CLOEXEC, 3);
        if (copy->body_fd < 0)
                return error_set_errno(error, -errno, "cannot duplicate a descriptor");
        copy->request.body.fd = copy->body_fd;
        return 0;
}

static int copy_body(const AwsRequest *request, AwsRequestCopy *copy, Error *error) {
        const HttpBody *body = &request->body;

        memcpy(copy->payload_hash, SHA256_OF_NOTHING, DIGEST_HEX_SIZE);
        if (body->size == 0)
                return 0;
        if (!body->data)
                return copy_descriptor(request, copy, error);
        copy->body_data = malloc(body->size);
        if (!copy->body_data)
                return error_oom(error);
        memcpy(copy->body_data, body->data, body->size);
        copy->request.body.data = copy->body_data;
        return digest_sha256_hex(body->data, body->size, copy->payload_hash) < 0 ? error_oom(error) : 0;
}

int aws_request_copy(const AwsRequest *request, AwsRequestCopy *ret, Error *error) {
        AwsRequestCopy copy = { .request = *request, .body_fd = -1 };
        int r;

        r = copy_strings(request, &copy) < 0 ? error_oom(error) : copy_body(request, &copy, error);
        if (r < 0)
                aws_request_copy_deinit(&copy);
        else
                *ret = copy;
        return r;
}

void aws_request_copy_deinit(AwsRequestCopy *copy) {
        for (size_t i = 0; i < ELEMENTSOF(copy->strings); i++)
                free(copy->strings[i]);
        strv_free(copy->headers);
        free(copy->body_data);
        close_fd(copy->body_fd);
        *copy = (AwsRequestCopy){ .body_fd = -1 };
}

int aws_request_url(const AwsRequest *request, const EndpointRules *endpoints, const char *region, char **ret,
                    Error *error) {
        _cleanup_free_ char *url = NULL;
        int r;

        r = endpoint_url(endpoints, request->service, region, request->bucket, request->path, &url, error);
        if (r < 0)
                return r;
        if (!request->query) {
                *ret = TAKE_PTR(url);
                return 0;
        }
        if (asprintf(ret, "%s?%s", url, request->query) < 0) {
                *ret = NULL;
                return error_oom(error);
        }
        return 0;
}

char **aws_headers_free(char **headers) {
        STRV_FOREACH(header, headers)
                OPENSSL_cleanse(*header, strlen(*header)); /* tokens and signatures */
        return strv_free(headers);
}

static int add_headers(const AwsRequestCopy *copy, const Url *url, const Credentials *credentials,
                       uint64_t time, char ***headers) {
        char time_text[SIGV4_TIME_MAX];
        int r;

        sigv4_format_time(time, time_text);
        r = strv_appendf(headers, "Host: %s", url->authority);
        if (r >= 0)
                r = strv_appendf(headers, "X-Amz-Date: %s", time_text);
        if (r >= 0 && credentials->session_token)
                r = strv_appendf(headers, "X-Amz-Security-Token: %s", credentials->session_token);
        if (r >= 0 && copy->request.service == AWS_S3)
                r = strv_appendf(headers, "X-Amz-Content-Sha256: %s", copy->payload_hash);
        STRV_FOREACH(header, copy->headers)
                if (r >= 0)
                        r = strv_append(headers, *header);
        return r;
}

/* S3 takes paths as they are; every other service has them normalized and encoded once more. */
static int add_signature(const AwsRequestCopy *copy, const Url *url, const Credentials *credentials,
                         const SigV4Scope *scope, char ***headers) {
        bool as_it_is = copy->request.service == AWS_S3;
        SigV4Request request = {
                .method = copy->request.method,
                .path = url->path,
                .query = url->query,
                .headers = *headers,
                .payload_hash = copy->payload_hash,
                .normalize_path = !as_it_is,
                .encode_path = !as_it_is,
        };
        _cleanup_free_ char *authorization = NULL;
        int r;

        r = sigv4_sign(&request, scope, credentials, &authorization);
        return r < 0 ? r : strv_appendf(headers, "Authorization: %s", authorization);
}

int aws_request_sign(const AwsRequestCopy *copy, const char *url, const char *region,
                     const Credentials *credentials, uint64_t time, char ***ret, Error *error) {
        SigV4Scope scope = { time, region, aws_service_signing_name(copy->request.service) };
        _cleanup_(aws_headers_freep) char **headers = NULL;
        _cleanup_url_ Url parsed = {};
        int r;

        r = url_parse(url, &parsed, error);
        if (r < 0)
                return r;
        r = add_headers(copy, &parsed, credentials, time, &headers);
        if (r >= 0)
                r = add_signature(copy, &parsed, credentials, &scope, &headers);
        if (r < 0)
                return error_set_errno(error, r, "cannot sign the request");
        *ret = TAKE_PTR(headers);
        return 0;
}
