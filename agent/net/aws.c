#include <stdlib.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/aws.h"
#include "agent/net/aws_profile.h"
#include "agent/net/ip_route.h"

typedef struct BucketRegion {
        char *bucket;
        char *region;
} BucketRegion;

struct AwsContext {
        sd_event *event;
        const Clock *clock;
        HttpClient *http;
        Imds *imds;
        CredentialChain *credentials;
        EndpointRules endpoints;
        S3BucketTerms bucket_terms;
        RetryQuota quota;
        unsigned attempts;
        char *region;
        BucketRegion buckets[AWS_BUCKETS_MAX];
        size_t next_bucket; /* the oldest one is the next to be forgotten */
        int64_t skew;
        int64_t offset; /* the same as the last answer had it */
};

/* What a profile has to say where nobody else does; NULL: nothing. */
static const char *of_profile(const AwsProfiles *profiles, char *const *environment, const char *key) {
        return profiles ? aws_profiles_get(profiles, aws_profile_name(environment), key) : NULL;
}

static int choose_region(AwsContext *aws, const char *configured, char *const *environment,
                         const AwsProfiles *profiles, Error *error) {
        const char *region = configured;

        if (!region)
                region = strv_getenv(environment, "AWS_REGION");
        if (!region)
                region = strv_getenv(environment, "AWS_DEFAULT_REGION");
        if (!region)
                region = of_profile(profiles, environment, "region");
        if (region && !aws_region_is_valid(region))
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "bad region '%.64s', expected one such as eu-central-1", region);
        return string_set(&aws->region, region) < 0 ? error_oom(error) : 0;
}

static int choose_attempts(AwsContext *aws, unsigned configured, char *const *environment, Error *error) {
        const char *text = strv_getenv(environment, "AWS_MAX_ATTEMPTS");
        uint64_t attempts = configured > 0 ? configured : AWS_ATTEMPTS;

        if (configured == 0 && text && (parse_u64(text, &attempts) < 0 || attempts == 0))
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "AWS_MAX_ATTEMPTS is '%.32s', expected a number from 1 to %u", text,
                                       AWS_ATTEMPTS_MAX);
        aws->attempts = (unsigned) MIN(attempts, (uint64_t) AWS_ATTEMPTS_MAX);
        return 0;
}

static int make_parts(AwsContext *aws, const AwsOptions *options, char *const *environment,
                      const AwsProfiles *profiles, Error *error) {
        HttpOptions http = { .ca_bundle = options->ca_bundle };
        int r;

        if (!http.ca_bundle)
                http.ca_bundle = strv_getenv(environment, "AWS_CA_BUNDLE");
        if (!http.ca_bundle)
                http.ca_bundle = of_profile(profiles, environment, "ca_bundle");
        r = http_client_new(aws->event, &http, &aws->http, error);
        if (r < 0)
                return r;
        r = imds_new(aws->http, aws->clock, environment, &aws->imds, error);
        if (r < 0)
                return r;
        return credential_chain_new(&(CredentialContext){ .event = aws->event,
                                                          .environment = environment,
                                                          .imds = aws->imds,
                                                          .http = aws->http,
                                                          .clock = aws->clock,
                                                          .endpoints = &aws->endpoints,
                                                          .region = aws->region },
                                    &aws->credentials, error);
}

int aws_context_new(sd_event *event, const AwsOptions *options, AwsContext **ret, Error *error) {
        _cleanup_(aws_context_freep) AwsContext *aws = NULL;
        _cleanup_(aws_profiles_freep) AwsProfiles *profiles = NULL;
        char *const *environment = options->environment ? options->environment : environ;
        EndpointOptions endpoints = options->endpoints;
        int r;

        aws = malloc(sizeof(*aws));
        if (!aws)
                return error_oom(error);
        *aws = (AwsContext){
                .event = sd_event_ref(event),
                .clock = options->clock ? options->clock : &clock_system,
                .quota = { RETRY_QUOTA_MAX },
        };
        /* What is wrong with the files is said when credentials are looked for in them. */
        if (aws_profiles_load(environment, &profiles, NULL) < 0)
                profiles = NULL;
        r = choose_region(aws, options->region, environment, profiles, error);
        if (r < 0)
                return r;
        r = s3_bucket_terms_copy(&options->bucket_terms, &aws->bucket_terms);
        if (r < 0)
                return error_oom(error);
        r = choose_attempts(aws, options->attempts_max, environment, error);
        if (r < 0)
                return r;
        endpoints.needs_dualstack = ip_is_ipv6_only;
        r = endpoint_rules_init(&aws->endpoints, &endpoints, environment, profiles, error);
        if (r < 0)
                return r;
        r = make_parts(aws, options, environment, profiles, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(aws);
        return 0;
}

AwsContext *aws_context_free(AwsContext *aws) {
        if (!aws)
                return NULL;
        credential_chain_free(aws->credentials);
        imds_free(aws->imds);
        http_client_free(aws->http);
        endpoint_rules_deinit(&aws->endpoints);
        s3_bucket_terms_deinit(&aws->bucket_terms);
        for (size_t i = 0; i < AWS_BUCKETS_MAX; i++) {
                free(aws->buckets[i].bucket);
                free(aws->buckets[i].region);
        }
        free(aws->region);
        sd_event_unref(aws->event);
        free(aws);
        return NULL;
}

sd_event *aws_context_event(const AwsContext *aws) {
        return aws->event;
}

HttpClient *aws_context_http(const AwsContext *aws) {
        return aws->http;
}

Imds *aws_context_imds(const AwsContext *aws) {
        return aws->imds;
}

const Clock *aws_context_clock(const AwsContext *aws) {
        return aws->clock;
}

CredentialChain *aws_context_credentials(const AwsContext *aws) {
        return aws->credentials;
}

const EndpointRules *aws_context_endpoints(const AwsContext *aws) {
        return &aws->endpoints;
}

const S3BucketTerms *aws_context_bucket_terms(const AwsContext *aws) {
        return &aws->bucket_terms;
}

RetryQuota *aws_context_quota(AwsContext *aws) {
        return &aws->quota;
}

unsigned aws_context_attempts(const AwsContext *aws) {
        return aws->attempts;
}

const char *aws_context_region(const AwsContext *aws) {
        return aws->region;
}

int aws_context_set_region(AwsContext *aws, const char *region) {
        int r = string_set(&aws->region, region);

        return r < 0 ? r : credentials_set_region(aws->credentials, region);
}

static BucketRegion *find_bucket(const AwsContext *aws, const char *bucket) {
        for (size_t i = 0; i < AWS_BUCKETS_MAX; i++)
                if (string_equal(aws->buckets[i].bucket, bucket))
                        return (BucketRegion *) &aws->buckets[i];
        return NULL;
}

const char *aws_context_bucket_region(const AwsContext *aws, const char *bucket) {
        const BucketRegion *found = find_bucket(aws, bucket);

        return found ? found->region : NULL;
}

int aws_context_set_bucket_region(AwsContext *aws, const char *bucket, const char *region) {
        BucketRegion *row = find_bucket(aws, bucket);
        int r;

        if (!row) {
                row = &aws->buckets[aws->next_bucket];
                aws->next_bucket = (aws->next_bucket + 1) % AWS_BUCKETS_MAX;
        }
        r = string_set(&row->bucket, bucket);
        return r < 0 ? r : string_set(&row->region, region);
}

void aws_context_woke(AwsContext *aws) {
        imds_forget(aws->imds);
        aws_context_set_skew(aws, 0);
        aws->offset = 0;
        credentials_get_anew(aws->credentials);
}

int64_t aws_context_skew(const AwsContext *aws) {
        return aws->skew;
}

void aws_context_set_skew(AwsContext *aws, int64_t skew) {
        aws->skew = skew;
        credentials_set_skew(aws->credentials, skew);
}

uint64_t aws_context_time(const AwsContext *aws) {
        return clock_realtime(aws->clock) + (uint64_t) aws->offset;
}

void aws_context_note_offset(AwsContext *aws, int64_t offset) {
        aws->offset = offset;
}
