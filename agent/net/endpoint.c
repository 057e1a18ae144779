#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/buffer.h"
#include "agent/base/strv.h"
#include "agent/net/endpoint.h"
#include "agent/net/url.h"

#define REGION_MAX 63
#define BUCKET_MIN 3
#define BUCKET_MAX 63

typedef struct ServiceRow {
        const char *title;
        const char *host;        /* also the name in signatures */
        const char *id;          /* in AWS_ENDPOINT_URL_<ID> */
        bool dualstack_by_label; /* "s3.dualstack.REGION" on the ordinary suffix, not a suffix of its own */
} ServiceRow;

static const ServiceRow services[] = {
        [AWS_S3] = { "S3", "s3", "S3", true },
        [AWS_AUTO_SCALING] = { "Auto Scaling", "autoscaling", "AUTO_SCALING", false },
        [AWS_STS] = { "STS", "sts", "STS", false },
        [AWS_SQS] = { "SQS", "sqs", "SQS", false },
        [AWS_SNS] = { "SNS", "sns", "SNS", false },
        [AWS_ELB] = { "Elastic Load Balancing", "elasticloadbalancing", "ELASTIC_LOAD_BALANCING_V2", false },
};

/* The last row is for every other region, AWS GovCloud among them. */
static const struct {
        const char *region_prefix, *suffix, *dualstack_suffix;
} partitions[] = {
        { "cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn" },
        { "eusc-", "amazonaws.eu", "api.amazonwebservices.eu" },
        { "us-iso-", "c2s.ic.gov", "api.aws.ic.gov" },
        { "us-isob-", "sc2s.sgov.gov", "api.aws.scloud" },
        { "eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk" },
        { "us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov" },
        { "", "amazonaws.com", "api.aws" },
};

const char *aws_service_signing_name(AwsService service) {
        return services[service].host;
}

const char *aws_service_title(AwsService service) {
        return services[service].title;
}

static bool is_lower_or_digit(char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool s3_bucket_is_valid(const char *bucket) {
        size_t n = strlen(bucket);

        if (n < BUCKET_MIN || n > BUCKET_MAX || !is_lower_or_digit(bucket[0]) ||
            !is_lower_or_digit(bucket[n - 1]))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!is_lower_or_digit(bucket[i]) && bucket[i] != '-' && bucket[i] != '.')
                        return false;
        return !strstr(bucket, "..");
}

bool aws_region_is_valid(const char *region) {
        size_t n = strlen(region);

        if (n < 1 || n > REGION_MAX || region[0] == '-' || region[n - 1] == '-')
                return false;
        for (; *region; region++)
                if (!is_lower_or_digit(*region) && *region != '-')
                        return false;
        return true;
}

static int set_url(char **url, const char *value, const char *origin, Error *error) {
        _cleanup_url_ Url parsed = {};
        int r;

        r = url_parse(value, &parsed, error);
        if (r < 0) {
                if (origin)
                        error_prefix(error, "%s", origin);
                return r;
        }
        if (parsed.query)
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "%s: an endpoint's URL has no query",
                                       origin ? origin : value);
        return string_set(url, value) < 0 ? error_oom(error) : 0;
}

/* The variables AWS_ENDPOINT_URL_<ID> and AWS_ENDPOINT_URL. */
static int set_url_from_environment(EndpointRules *rules, AwsService service, char *const *environment,
                                    Error *error) {
        char name[64];
        const char *value;

        snprintf(name, sizeof(name), "AWS_ENDPOINT_URL_%s", services[service].id);
        value = strv_getenv(environment, name);
        if (value)
                return set_url(&rules->urls[service], value, name, error);
        value = strv_getenv(environment, "AWS_ENDPOINT_URL");
        return value ? set_url(&rules->urls[service], value, "AWS_ENDPOINT_URL", error) : 0;
}

static bool is_true(char *const *environment, const char *name) {
        const char *value = strv_getenv(environment, name);

        return value && strcasecmp(value, "true") == 0;
}

int endpoint_rules_init(EndpointRules *rules, const char *const service_urls[static AWS_SERVICE_COUNT],
                        const char *url, S3Addressing addressing, char *const *environment, Error *error) {
        bool ignore_environment = is_true(environment, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");

        *rules = (EndpointRules){
                .use_dualstack = is_true(environment, "AWS_USE_DUALSTACK_ENDPOINT"),
                .use_fips = is_true(environment, "AWS_USE_FIPS_ENDPOINT"),
                .s3_addressing = addressing,
        };
        for (AwsService i = 0; i < AWS_SERVICE_COUNT; i++) {
                const char *configured = service_urls[i] ? service_urls[i] : url;
                int r = 0;

                if (configured)
                        r = set_url(&rules->urls[i], configured, NULL, error);
                else if (!ignore_environment)
                        r = set_url_from_environment(rules, i, environment, error);
                if (r < 0) {
                        endpoint_rules_deinit(rules);
                        return r;
                }
        }
        return 0;
}

void endpoint_rules_deinit(EndpointRules *rules) {
        for (size_t i = 0; i < AWS_SERVICE_COUNT; i++)
                free(rules->urls[i]);
        *rules = (EndpointRules){};
}

/* "s3", "s3-fips", "s3.dualstack", "s3-fips.dualstack", "sts-fips", … and the suffix that belongs to it. */
static int add_aws_host(const EndpointRules *rules, AwsService service, const char *region, Buffer *host,
                        Error *error) {
        const ServiceRow *row = &services[service];
        const char *fips = rules->use_fips ? "-fips" : "", *suffix, *dualstack = "";
        size_t i = 0;
        int r;

        while (!string_starts_with(region, partitions[i].region_prefix))
                i++;
        suffix = partitions[i].suffix;
        if (rules->use_dualstack && row->dualstack_by_label)
                dualstack = ".dualstack";
        else if (rules->use_dualstack)
                suffix = partitions[i].dualstack_suffix;
        r = buffer_printf(host, "%s%s%s.%s.%s", row->host, fips, dualstack, region, suffix);
        return r < 0 ? error_oom(error) : 0;
}

static bool is_path_style(const EndpointRules *rules, const char *bucket) {
        if (rules->s3_addressing == S3_ADDRESSING_AUTO)
                return rules->urls[AWS_S3] || strchr(bucket, '.');
        return rules->s3_addressing == S3_ADDRESSING_PATH;
}

/* scheme, authority and the path before that of the request. */
static int split_base(const EndpointRules *rules, AwsService service, const char *region, Url *ret,
                      Error *error) {
        _cleanup_buffer_ Buffer text = {}, host = {};
        int r;

        if (rules->urls[service])
                return url_parse(rules->urls[service], ret, error);
        r = add_aws_host(rules, service, region, &host, error);
        if (r < 0)
                return r;
        if (buffer_printf(&text, "https://%s", buffer_string(&host)) < 0)
                return error_oom(error);
        return url_parse(buffer_string(&text), ret, error);
}

int endpoint_url(const EndpointRules *rules, AwsService service, const char *region, const char *bucket,
                 const char *path, char **ret, Error *error) {
        _cleanup_url_ Url base = {};
        const char *host_bucket = NULL, *path_bucket = NULL;
        size_t n;
        int r;

        if (!aws_region_is_valid(region))
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "bad region '%.64s', expected one such as eu-central-1", region);
        r = split_base(rules, service, region, &base, error);
        if (r < 0)
                return r;
        if (bucket && is_path_style(rules, bucket))
                path_bucket = bucket;
        else
                host_bucket = bucket;
        n = strlen(base.path);
        if (n > 0 && base.path[n - 1] == '/')
                base.path[n - 1] = '\0';
        if (asprintf(ret, "%s://%s%s%s%s%s%s%s", base.scheme, host_bucket ? host_bucket : "",
                     host_bucket ? "." : "", base.authority, base.path, path_bucket ? "/" : "",
                     path_bucket ? path_bucket : "", path) < 0) {
                *ret = NULL;
                return error_oom(error);
        }
        return 0;
}
