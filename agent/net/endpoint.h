#pragma once

/* Which URL a request to an AWS service goes to. Pure: no network, no environment but the one that is given.
 * Sources: "AWS service endpoints" and "Service-specific endpoints" (AWS General Reference; SDKs and Tools Reference
 * Guide), partitions as in botocore's partitions.json, "Virtual hosting of buckets" (S3 User Guide). */

#include <stdbool.h>

#include "agent/base/error.h"
#include "agent/net/aws_profile.h"

typedef enum AwsService {
        AWS_S3,
        AWS_AUTO_SCALING,
        AWS_STS,
        AWS_SQS,
        AWS_SNS,
        AWS_ELB, /* Elastic Load Balancing v2 */
        AWS_CLOUDWATCH,
        AWS_SERVICE_COUNT,
} AwsService;

typedef enum S3Addressing {
        S3_ADDRESSING_AUTO, /* virtual-hosted; path style for a bucket with dots and with an endpoint of one's own */
        S3_ADDRESSING_PATH,
        S3_ADDRESSING_VIRTUAL,
} S3Addressing;

/* "s3", "autoscaling", "sts", "sqs", "sns", "elasticloadbalancing", "monitoring": as signatures name it. */
const char *aws_service_signing_name(AwsService service);

/* "S3", "Auto Scaling", "STS", "SQS", "SNS", "Elastic Load Balancing", "CloudWatch": as people say it. */
const char *aws_service_title(AwsService service);

/* AUTO: what the environment and the profile say. */
typedef enum EndpointChoice {
        ENDPOINT_AUTO,
        ENDPOINT_YES,
        ENDPOINT_NO,
} EndpointChoice;

typedef struct EndpointRules {
        char *urls[AWS_SERVICE_COUNT]; /* endpoints of one's own; NULL: AWS's */
        bool use_dualstack;
        bool (*needs_dualstack)(void); /* asked each time where nobody said yes or no; NULL: no */
        bool use_fips;
        S3Addressing s3_addressing;
} EndpointRules;

/* Where nothing is given, the environment and the profile count. */
typedef struct EndpointOptions {
        const char *url;                             /* for every service that has none of its own below */
        const char *service_urls[AWS_SERVICE_COUNT]; /* by AwsService */
        S3Addressing s3_addressing;
        EndpointChoice fips;
        EndpointChoice dualstack;
        bool (*needs_dualstack)(void); /* such as ip_is_ipv6_only(); NULL: no */
} EndpointOptions;

void endpoint_rules_deinit(EndpointRules *rules);

/* What wins, first one first: the options' service_urls, their url, AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the
 * profile's section of services, the profile's endpoint_url; of these all but the first two not with
 * AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true. AWS_USE_DUALSTACK_ENDPOINT and AWS_USE_FIPS_ENDPOINT, or the profile's
 * use_dualstack_endpoint and use_fips_endpoint. PROFILES may be NULL. -EINVAL names the variable or the key whose value is
 * bad. */
int endpoint_rules_init(EndpointRules *rules, const EndpointOptions *options, char *const *environment,
                        const AwsProfiles *profiles, Error *error);

/* scheme://host[:port]/path, new memory. BUCKET is NULL but for S3. PATH begins with "/" and is encoded; the bucket, and
 * the path of an endpoint of one's own, come before it where they belong there. -EINVAL where there is no such endpoint. */
int endpoint_url(const EndpointRules *rules, AwsService service, const char *region, const char *bucket,
                 const char *path, char **ret, Error *error);

/* 3 to 63 of a-z 0-9 . -, the first and last one a letter or a digit ("Bucket naming rules", S3 User Guide). */
bool s3_bucket_is_valid(const char *bucket);

/* 1 to 63 of a-z 0-9 -: what may become part of a host name. */
bool aws_region_is_valid(const char *region);
