#pragma once

/* Requests to AWS: credentials, signature, sending, and what to do about an answer that is not the wanted one. Retries
 * as the SDKs' standard mode has them: exponential backoff with full jitter, a quota that all requests of a context
 * share, a table of the codes that are worth it; every attempt is signed anew. Repaired once each: expired credentials
 * (asked for again), a wrong clock (skew taken from the answer's Date), S3's wrong region (taken from the answer).
 *
 * A request whose sink has been given bytes already is not repeated: its caller knows how to go on (Range, If-Match). */

#include "agent/net/aws.h"
#include "agent/net/aws_error.h"
#include "agent/net/aws_request.h"

typedef struct AwsCall AwsCall;

/* RESULT is 0 for 2xx and 304. Else a negative errno: what http.h lists, -ENOKEY without credentials, or, where the
 * service answered (aws_call_error() then says what), -EACCES (not allowed, bad or expired keys), -EAGAIN (throttled,
 * or out of order for longer than the retries took), -ENOENT (404), -EREMOTEIO (anything else). */
typedef void (*AwsDone)(AwsCall *call, int result, const Error *error, void *userdata);

int aws_call_start(AwsContext *aws, const AwsRequest *request, AwsDone done, void *userdata, AwsCall **ret,
                   Error *error);
AwsCall *aws_call_free(AwsCall *call);
DEFINE_CLEANUP(AwsCall *, aws_call_free)

/* NULL unless the last answer was a refusal. */
const AwsError *aws_call_error(const AwsCall *call);

/* How often the request was sent, so far. After more than once an earlier attempt may have had an effect. */
unsigned aws_call_attempts(const AwsCall *call);

/* Of the last answer; 0, NULL and empty where there was none. */
int aws_call_status(const AwsCall *call);
const char *aws_call_header(const AwsCall *call, const char *name);
const Buffer *aws_call_body(const AwsCall *call);

/* The answer's Date, microseconds since 1970; 0: it had none. */
uint64_t aws_call_server_time(const AwsCall *call);
