#pragma once

/* STS AssumeRole and AssumeRoleWithWebIdentity (Query API of 2011-06-15): credentials in exchange for others, or for a token.
 * Apart from aws_call.h, since what that signs with comes from here. Retried as every other request is. */

#include "agent/base/clock.h"
#include "agent/net/credentials.h"
#include "agent/net/endpoint.h"
#include "agent/net/http.h"

#define STS_TOKEN_MAX 20000U /* of a web identity */
#define STS_SESSION_NAME_MAX 64U

typedef struct StsAssume StsAssume;

/* Must outlive the operation, but for this structure and the region. */
typedef struct StsAssumeContext {
        sd_event *event;
        HttpClient *http;
        const Clock *clock;
        const EndpointRules *endpoints;
        const char *region;
} StsAssumeContext;

typedef struct StsRole {
        const char *arn;
        const char *session_name; /* 2 to 64 of A-Z a-z 0-9 _ + = , . @ -; NULL: "muster" and the time */
        const char *external_id;  /* NULL: none */
        unsigned duration;        /* seconds; 0: STS's default */
        const char *web_identity; /* a token, in place of credentials to sign with; NULL: none */
} StsRole;

typedef void (*StsAssumeDone)(StsAssume *assume, int result, const Error *error, void *userdata);

/* SIGNER: who assumes it; NULL with a web identity, whose requests are not signed. -EINVAL for a bad session name. */
int sts_assume_start(const StsAssumeContext *context, const StsRole *role, const Credentials *signer,
                     StsAssumeDone done, void *userdata, StsAssume **ret, Error *error);
StsAssume *sts_assume_free(StsAssume *assume);
DEFINE_CLEANUP(StsAssume *, sts_assume_free)

/* Hands them over. */
Credentials sts_assume_take(StsAssume *assume);
