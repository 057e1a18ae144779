#pragma once

/* STS GetCallerIdentity (Query API of 2011-06-15): who these credentials are. Needs no permission. */

#include "agent/net/aws_call.h"

typedef struct StsRequest StsRequest;

typedef struct StsIdentity {
        const char *account;
        const char *arn;
        const char *user_id; /* of an instance's role "AROA…:i-…", which policies call aws:userid */
} StsIdentity;

/* RESULT is 0 or a negative errno as in aws_call.h. */
typedef void (*StsDone)(StsRequest *request, int result, const Error *error, void *userdata);

int sts_get_caller_identity_start(AwsContext *aws, StsDone done, void *userdata, StsRequest **ret,
                                  Error *error);
StsRequest *sts_request_free(StsRequest *request);
DEFINE_CLEANUP(StsRequest *, sts_request_free)

/* Belongs to the request. */
const StsIdentity *sts_request_identity(const StsRequest *request);
