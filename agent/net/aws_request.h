#pragma once

/* One request to an AWS service as a value: what it asks, a copy of it to keep over several attempts, and the URL and the
 * signed headers of one attempt. Sends nothing. */

#include "agent/net/credentials.h"
#include "agent/net/digest.h"
#include "agent/net/endpoint.h"
#include "agent/net/http.h"

typedef struct AwsRequest {
        AwsService service;
        const char *operation; /* for messages, such as "GetObject" */
        const char *method;
        const char *bucket;   /* S3 only */
        const char *region;   /* where it is sent; NULL: the context's region, or the bucket's */
        const char *path;     /* encoded, begins with "/" */
        const char *query;    /* encoded; NULL: none */
        char *const *headers; /* "Name: value"; what a signature needs is added */
        HttpBody body;
        const char *body_sha256; /* hex; needed for a descriptor, worked out for memory */
        bool error_in_body; /* a 200 whose body is an <Error> is a refusal (S3, but for the objects themselves) */
        HttpTimeouts timeouts;
        size_t response_limit; /* as in HttpRequest */
        HttpSink sink;
        void *sink_userdata;
        HttpProgress progress;
        void *progress_userdata;
} AwsRequest;

/* Owns what the request in it points at. */
typedef struct AwsRequestCopy {
        AwsRequest request;
        char *strings[6];
        char **headers;
        uint8_t *body_data;
        int body_fd;
        char payload_hash[DIGEST_HEX_SIZE]; /* of the body, whichever it is */
} AwsRequestCopy;

/* The body is copied or, if it is a descriptor, duplicated. -EINVAL: a descriptor without body_sha256. */
int aws_request_copy(const AwsRequest *request, AwsRequestCopy *ret, Error *error);
void aws_request_copy_deinit(AwsRequestCopy *copy);

/* Where it goes to, new memory. */
int aws_request_url(const AwsRequest *request, const EndpointRules *endpoints, const char *region, char **ret,
                    Error *error);

/* All headers to send with it, signed at TIME (microseconds since 1970, as the service's clock has it). To be freed by
 * aws_headers_free(), which wipes them. */
int aws_request_sign(const AwsRequestCopy *copy, const char *url, const char *region,
                     const Credentials *credentials, uint64_t time, char ***ret, Error *error);

char **aws_headers_free(char **headers);
DEFINE_CLEANUP(char **, aws_headers_free)
