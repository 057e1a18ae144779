#pragma once

/* AWS Signature Version 4 in the Authorization header ("Signing AWS API requests", IAM User Guide). Pure. libcurl's own
 * (CURLOPT_AWS_SIGV4) is not used: that of 7.88 signs queries, paths and repeated headers wrongly and allows no
 * correction of the clock. */

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buffer.h"
#include "agent/net/credentials.h"

/* The payload hash that stands for "not signed". */
#define SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"
#define SIGV4_TIME_MAX 17 /* "20150830T123600Z" */

typedef struct SigV4Request {
        const char *method;
        const char *
                path; /* as it is sent, or, where ENCODE_PATH is set, to be encoded (once more) for signing */
        const char *query;        /* as it is sent; NULL: none */
        char *const *headers;     /* "Name: value": Host, X-Amz-Date, and all that shall be signed */
        const char *payload_hash; /* hex SHA-256 of the body, or SIGV4_UNSIGNED_PAYLOAD */
        bool normalize_path;      /* fold "//", "." and "..": every service but S3 */
        bool encode_path;         /* every service but S3 */
} SigV4Request;

typedef struct SigV4Scope {
        uint64_t time; /* microseconds since 1970, the same as in X-Amz-Date */
        const char *region;
        const char *service;
} SigV4Scope;

/* The value of X-Amz-Date. */
void sigv4_format_time(uint64_t usec, char ret[static SIGV4_TIME_MAX]);

/* Adds the canonical request to BUFFER. -ENOMEM; -EINVAL for a query with a broken "%". */
int sigv4_canonical_request(const SigV4Request *request, Buffer *buffer);

/* Adds the string to sign to BUFFER. */
int sigv4_string_to_sign(const SigV4Scope *scope, const Buffer *canonical_request, Buffer *buffer);

/* The value of the Authorization header, new memory. */
int sigv4_sign(const SigV4Request *request, const SigV4Scope *scope, const Credentials *credentials,
               char **ret);
