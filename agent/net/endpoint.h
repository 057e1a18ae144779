#pragma once

/* Which URL a request to an AWS service goes to. Pure: no network, no environment but the one that is given.
 * Sources: "AWS service endpoints" and "Service-specific endpoints" (AWS General Reference; SDKs and Tools Reference
 * Guide), partitions as in botocore's partitions.json, "Virtual hosting of buckets" (S3 User Guide). */

#include <stdbool.h>

#include "agent/base/error.h"

typedef enum AwsService {
        AWS_S3,
        AWS_AUTO_SCALING,
        AWS_STS,
        AWS_SQS,
        AWS_SNS,
        AWS_ELB, /* Elastic Load Balancing v2 */
        AWS_SERVICE_COUNT,
} AwsService;

typedef enum S3Addressing {
        S3_ADDRESSING_AUTO, /* virtual-hosted; path style for a bucket with dots and with an endpoint of one's own */
        S3_ADDRESSING_PATH,
        S3_ADDRESSING_VIRTUAL,
} S3Addressing;

/* "s3", "autoscaling", "sts", "sqs", "sns", "elasticloadbalancing": as signatures name it. */
const char *aws_service_signing_name(AwsService service);

/* "S3", "Auto Scaling", "STS", "SQS", "SNS", "Elastic Load Balancing": as people say it. */
const char *aws_service_title(AwsService service);

typedef struct EndpointRules {
        char *urls[AWS_SERVICE_COUNT]; /* endpoints of one's own; NULL: AWS's */
        bool use_dualstack;
        bool use_fips;
        S3Addressing s3_addressing;
} EndpointRules;

void endpoint_rules_deinit(EndpointRules *rules);

/* What wins, first one first: SERVICE_URLS (by AwsService, NULL: none), URL, AWS_ENDPOINT_URL_<SERVICE>,
 * AWS_ENDPOINT_URL; the last two not with AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true. AWS_USE_DUALSTACK_ENDPOINT and
 * AWS_USE_FIPS_ENDPOINT. -EINVAL names the variable whose value is bad. */
int endpoint_rules_init(EndpointRules *rules, const char *const service_urls[static AWS_SERVICE_COUNT],
                        const char *url, S3Addressing addressing, char *const *environment, Error *error);

/* scheme://host[:port]/path, new memory. BUCKET is NULL but for S3. PATH begins with "/" and is encoded; the bucket, and
 * the path of an endpoint of one's own, come before it where they belong there. */
int endpoint_url(const EndpointRules *rules, AwsService service, const char *region, const char *bucket,
                 const char *path, char **ret, Error *error);

/* 3 to 63 of a-z 0-9 . -, the first and last one a letter or a digit ("Bucket naming rules", S3 User Guide). */
bool s3_bucket_is_valid(const char *bucket);

/* 1 to 63 of a-z 0-9 -: what may become part of a host name. */
bool aws_region_is_valid(const char *region);
