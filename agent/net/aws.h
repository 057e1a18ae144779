#pragma once

/* What all requests to AWS share: connections, credentials, region, endpoints, the quota of retries, what has been learnt
 * of the clock and of where buckets are. aws_call.h makes the requests. */

#include <systemd/sd-event.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/net/credential_chain.h"
#include "agent/net/endpoint.h"
#include "agent/net/http.h"
#include "agent/net/imds.h"
#include "agent/net/retry.h"
#include "agent/net/s3_bucket.h"

#define AWS_ATTEMPTS 3U
#define AWS_ATTEMPTS_MAX 10U
#define AWS_BUCKETS_MAX 64U /* whose regions are remembered */

typedef struct AwsContext AwsContext;

/* Zero-initialised: AWS's endpoints, the region of the environment or of the instance. Copied. */
typedef struct AwsOptions {
        const Clock *clock;       /* NULL: clock_system */
        char *const *environment; /* NULL: the process's */
        const char *region;
        EndpointOptions endpoints;
        S3BucketTerms bucket_terms; /* of every bucket */
        const char *ca_bundle;      /* NULL: AWS_CA_BUNDLE, the profile's ca_bundle, else the system's */
        unsigned attempts_max;      /* of one call; 0: AWS_MAX_ATTEMPTS, else AWS_ATTEMPTS */
} AwsOptions;

int aws_context_new(sd_event *event, const AwsOptions *options, AwsContext **ret, Error *error);

/* All its calls must have been freed. */
AwsContext *aws_context_free(AwsContext *aws);
DEFINE_CLEANUP(AwsContext *, aws_context_free)

sd_event *aws_context_event(const AwsContext *aws);
HttpClient *aws_context_http(const AwsContext *aws);
Imds *aws_context_imds(const AwsContext *aws);
const Clock *aws_context_clock(const AwsContext *aws);
CredentialChain *aws_context_credentials(const AwsContext *aws);
const EndpointRules *aws_context_endpoints(const AwsContext *aws);
const S3BucketTerms *aws_context_bucket_terms(const AwsContext *aws);
RetryQuota *aws_context_quota(AwsContext *aws);
unsigned aws_context_attempts(const AwsContext *aws);

/* Of the options, AWS_REGION or AWS_DEFAULT_REGION, else what aws_context_set_region() was told; NULL: not known yet. */
const char *aws_context_region(const AwsContext *aws);
int aws_context_set_region(AwsContext *aws, const char *region);

/* The region of one bucket where it differs; NULL: not known. */
const char *aws_context_bucket_region(const AwsContext *aws, const char *bucket);
int aws_context_set_bucket_region(AwsContext *aws, const char *bucket, const char *region);

/* The machine was suspended, perhaps for days: session tokens, credentials and what is known of the clock are got anew. */
void aws_context_woke(AwsContext *aws);

/* The services' time minus the wall clock, microseconds; 0 as long as they do not mind the difference. */
int64_t aws_context_skew(const AwsContext *aws);
void aws_context_set_skew(AwsContext *aws, int64_t skew);

/* Microseconds since 1970 by the Date of the last answer, to the second, which is what times that AWS names are to be
 * compared with: the clock may well be minutes off before a service minds. */
uint64_t aws_context_time(const AwsContext *aws);
void aws_context_note_offset(AwsContext *aws, int64_t offset);
