#include "agent/config_aws.h"
#include "agent/base/strv.h"

int config_aws_context(const Config *config, sd_event *event, AwsContext **ret, Error *error) {
        const AwsOptions options = {
                .region = config->region,
                .endpoints = {
                        .url = config->endpoint_url,
                        .service_urls = {
                                [AWS_S3] = config->s3_endpoint_url,
                                [AWS_AUTO_SCALING] = config->autoscaling_endpoint_url,
                                [AWS_STS] = config->sts_endpoint_url,
                                [AWS_SQS] = config->sqs_endpoint_url,
                                [AWS_ELB] = config->elb_endpoint_url,
                                [AWS_SNS] = config->sns_endpoint_url,
                                [AWS_CLOUDWATCH] = config->cloudwatch_endpoint_url,
                        },
                        .s3_addressing = (S3Addressing) config->s3_addressing,
                        .fips = (EndpointChoice) config->use_fips,
                        .dualstack = (EndpointChoice) config->use_dualstack,
                },
                .bucket_terms = config_bucket_terms(config),
                .ca_bundle = config->ca_bundle,
        };

        return aws_context_new(event, &options, ret, error);
}

int config_aws_open(const Config *config, const char *depot, sd_event *event, AwsContext **ret,
                    Error *error) {
        if (string_starts_with(depot, "s3://"))
                return config_aws_context(config, event, ret, error);
        *ret = NULL;
        return 0;
}
