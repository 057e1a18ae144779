#pragma once

/* Requests to AWS: credentials, signature, sending, and what to do about an answer that is not the wanted one. Retries
 * as the SDKs' standard mode has them: exponential backoff with full jitter, a quota that all requests of a context
 * share, a table of the codes that are worth it; every attempt is signed anew. Repaired once each: expired credentials
 * (asked for again), a wrong clock (skew taken from the answer's Date), S3's wrong region (taken from the answer).
 *
 * A request whose sink has been given bytes already is not repeated: its caller knows how to go on (Range, If-Match). */

#include <systemd/sd-event.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/net/endpoint.h"
#include "agent/net/http.h"
#include "agent/net/imds.h"

#define AWS_ATTEMPTS_MAX 3U
#define AWS_ERROR_CODE_MAX 128
#define AWS_ERROR_MESSAGE_MAX 512

typedef struct AwsContext AwsContext;
typedef struct AwsCall AwsCall;

/* Zero-initialised: AWS's endpoints, the region of the environment or of the instance. Copied. */
typedef struct AwsOptions {
        const Clock *clock;       /* NULL: clock_system */
        char *const *environment; /* NULL: the process's */
        const char *region;
        const char *endpoint_url;                    /* for every service that has none of its own below */
        const char *service_urls[AWS_SERVICE_COUNT]; /* by AwsService */
        S3Addressing s3_addressing;
        const char *ca_bundle; /* NULL: AWS_CA_BUNDLE, else the system's */
        unsigned attempts_max; /* of one call; 0: AWS_MAX_ATTEMPTS, else AWS_ATTEMPTS_MAX */
} AwsOptions;

int aws_context_new(sd_event *event, const AwsOptions *options, AwsContext **ret, Error *error);

/* All its calls must have been freed. */
AwsContext *aws_context_free(AwsContext *aws);
DEFINE_CLEANUP(AwsContext *, aws_context_free)

sd_event *aws_context_event(const AwsContext *aws);
HttpClient *aws_context_http(const AwsContext *aws);
Imds *aws_context_imds(const AwsContext *aws);

typedef struct AwsRequest {
        AwsService service;
        const char *operation; /* for messages, such as "GetObject" */
        const char *method;
        const char *bucket;   /* S3 only */
        const char *path;     /* encoded, begins with "/" */
        const char *query;    /* encoded; NULL: none */
        char *const *headers; /* "Name: value"; what a signature needs is added */
        HttpBody body;
        const char *body_sha256; /* hex; needed for a descriptor, worked out for memory */
        HttpTimeouts timeouts;
        size_t response_limit; /* as in HttpRequest */
        HttpSink sink;
        void *sink_userdata;
        HttpProgress progress;
        void *progress_userdata;
} AwsRequest;

/* RESULT is 0 for 2xx and 304. Else a negative errno: what http.h lists, -ENOKEY without credentials, or, where the
 * service answered (aws_call_error() then says what), -EACCES (not allowed, bad or expired keys), -EAGAIN (throttled,
 * or out of order for longer than the retries took), -ENOENT (404), -EREMOTEIO (anything else). */
typedef void (*AwsDone)(AwsCall *call, int result, const Error *error, void *userdata);

int aws_call_start(AwsContext *aws, const AwsRequest *request, AwsDone done, void *userdata, AwsCall **ret,
                   Error *error);
AwsCall *aws_call_free(AwsCall *call);
DEFINE_CLEANUP(AwsCall *, aws_call_free)

/* What a service said in refusing. */
typedef struct AwsError {
        int status;
        char code[AWS_ERROR_CODE_MAX]; /* "NoSuchKey"; "" where the answer had none */
        char message[AWS_ERROR_MESSAGE_MAX];
        char request_id[AWS_ERROR_CODE_MAX];
        char region[64]; /* the right one, where S3 says so */
} AwsError;

/* NULL unless the last answer was a refusal. */
const AwsError *aws_call_error(const AwsCall *call);

/* Of the last answer; 0, NULL and empty where there was none. */
int aws_call_status(const AwsCall *call);
const char *aws_call_header(const AwsCall *call, const char *name);
const Buffer *aws_call_body(const AwsCall *call);
uint64_t aws_call_sunk(const AwsCall *call);

/* The answer's Date, microseconds since 1970; 0: it had none. */
uint64_t aws_call_server_time(const AwsCall *call);
