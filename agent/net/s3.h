#pragma once

/* Objects in S3 (REST API of 2006-03-01): the few operations that a depot needs, asynchronous on the event loop.
 *
 * What the caller must decide upon is an outcome (0 or positive); a failure is negative:
 *
 *      -EACCES    403: not allowed, or bad or expired keys. S3 says the same of a missing key where the caller may not
 *                 list the bucket; the sentence says so.
 *      -ENOENT    404: the bucket does not exist
 *      -EBADMSG   an answer that cannot be understood
 *      and those of aws_call.h and http.h */

#include "agent/net/aws_call.h"
#include "agent/net/s3_list.h"

#define S3_KEY_MAX 1024U                              /* bytes */
#define S3_PUT_MAX (UINT64_C(5) * 1024 * 1024 * 1024) /* in a single request */
#define S3_GET_MEMORY_MAX (16U * 1024U * 1024U)
#define S3_LIST_KEYS_MAX 1000000U /* that one listing walks through */

typedef enum S3Outcome {
        S3_OK,
        S3_NOT_MODIFIED,        /* 304: If-None-Match holds */
        S3_NOT_FOUND,           /* 404: no such key */
        S3_PRECONDITION_FAILED, /* 412: If-Match or If-None-Match does not hold */
        S3_CONFLICT,            /* 409: another conditional write was under way; try again */
        S3_RANGE_OUTSIDE,       /* 416: the object is shorter than the range's start */
} S3Outcome;

typedef struct S3Request S3Request;

/* RESULT is an S3Outcome or a negative errno. */
typedef void (*S3Done)(S3Request *request, int result, const Error *error, void *userdata);

/* What came back; strings and body belong to the request. */
typedef struct S3Reply {
        const char *etag;       /* with its quotes, to be sent back as it is; NULL: none */
        const char *version_id; /* NULL: the bucket keeps no versions */
        uint64_t size;          /* of the whole object, also for a range; of what was sent for a put */
        const void *body;       /* followed by a zero byte; of a get without a sink */
        size_t body_size;
        uint64_t server_time;  /* Date, microseconds since 1970; 0: none */
        unsigned attempts;     /* how often the request was sent, in the end */
        const AwsError *error; /* NULL unless S3 refused */
} S3Reply;

S3Reply s3_request_reply(const S3Request *request);

S3Request *s3_request_free(S3Request *request);
DEFINE_CLEANUP(S3Request *, s3_request_free)

typedef struct S3GetOptions {
        const char *version_id;    /* NULL: the newest one */
        const char *if_none_match; /* an ETag */
        const char *if_match;      /* an ETag */
        uint64_t range_offset;
        uint64_t range_size; /* 0: no range, the whole object */
        size_t limit;        /* bytes in memory; 0: HTTP_RESPONSE_MAX; at most S3_GET_MEMORY_MAX */
        /* NULL: into memory. Gets the bytes of a 200 or 206 only; after the first byte a broken connection is the
         * caller's to resume, with a range and if_match */
        HttpSink sink;
        void *sink_userdata;
        uint64_t timeout; /* of the whole; 0: HTTP_TOTAL_TIMEOUT */
} S3GetOptions;

/* OPTIONS may be NULL. A range that the server ignores (200 in place of 206) is -EBADMSG before a byte reached the sink. */
int s3_get_start(AwsContext *aws, const char *bucket, const char *key, const S3GetOptions *options,
                 S3Done done, void *userdata, S3Request **ret, Error *error);

int s3_head_start(AwsContext *aws, const char *bucket, const char *key, S3Done done, void *userdata,
                  S3Request **ret, Error *error);

typedef struct S3PutOptions {
        HttpBody body;      /* memory or a part of a file, at most S3_PUT_MAX bytes */
        const char *sha256; /* of the body, hex; needed for a file: S3 refuses what does not agree with it */
        bool if_none_match; /* "*": only where there is no such object yet */
        const char *if_match;     /* an ETag: only where that is still the object's */
        const char *content_type; /* NULL: "application/octet-stream" */
        HttpProgress progress;
        void *progress_userdata;
} S3PutOptions;

/* Every answer that S3 did not give may have been a write all the same: a conditional put that is repeated after a lost
 * answer can meet its own first write as S3_PRECONDITION_FAILED. Read back and compare. */
int s3_put_start(AwsContext *aws, const char *bucket, const char *key, const S3PutOptions *options,
                 S3Done done, void *userdata, S3Request **ret, Error *error);

/* A missing object is S3_OK. */
int s3_delete_start(AwsContext *aws, const char *bucket, const char *key, S3Done done, void *userdata,
                    S3Request **ret, Error *error);

typedef struct S3ListOptions {
        const char *prefix;      /* NULL: all */
        const char *delimiter;   /* such as "/"; NULL: none */
        const char *start_after; /* a key; NULL: from the first one */
        unsigned page_size;      /* 1 to 1000; 0: 1000 */
        uint64_t keys_max;       /* ends after so many; 0: S3_LIST_KEYS_MAX, beyond which it is -E2BIG */
} S3ListOptions;

/* Follows the pages to the end; EACH is called from the event loop, and must not free the request. The reply's server_time
 * is that of the last page. */
int s3_list_start(AwsContext *aws, const char *bucket, const S3ListOptions *options, S3Each each, S3Done done,
                  void *userdata, S3Request **ret, Error *error);
