#include <ctype.h>
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
#define ORIGIN_MAX 64

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
        [AWS_CLOUDWATCH] = { "CloudWatch", "monitoring", "CLOUDWATCH", false },
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

/* What a setting is called, and what it says: of the environment, else of the profile. */
typedef struct Settings {
        char *const *environment;
        const AwsProfiles *profiles; /* or NULL */
        const char *profile;
} Settings;

static bool is_true(const Settings *settings, const char *variable, const char *key) {
        const char *value = strv_getenv(settings->environment, variable);

        if (!value && settings->profiles)
                value = aws_profiles_get(settings->profiles, settings->profile, key);
        return value && strcasecmp(value, "true") == 0;
}

/* The variables AWS_ENDPOINT_URL_<ID> and AWS_ENDPOINT_URL. */
static const char *url_of_environment(const Settings *settings, const char *id,
                                      char origin[static ORIGIN_MAX]) {
        const char *value;

        snprintf(origin, ORIGIN_MAX, "AWS_ENDPOINT_URL_%s", id);
        value = strv_getenv(settings->environment, origin);
        if (value)
                return value;
        snprintf(origin, ORIGIN_MAX, "AWS_ENDPOINT_URL");
        return strv_getenv(settings->environment, origin);
}

/* "services = NAME" in the profile, and "s3 =" with "endpoint_url = …" indented below it in [services NAME]. */
static const char *url_of_profile(const Settings *settings, const char *id, char origin[static ORIGIN_MAX]) {
        const char *section, *value = NULL;

        if (!settings->profiles)
                return NULL;
        section = aws_profiles_get(settings->profiles, settings->profile, "services");
        snprintf(origin, ORIGIN_MAX, "%s.endpoint_url", id);
        for (char *c = origin; *c; c++)
                *c = (char) tolower((unsigned char) *c);
        if (section)
                value = aws_profiles_get_of_services(settings->profiles, section, origin);
        if (value)
                return value;
        snprintf(origin, ORIGIN_MAX, "the profile's endpoint_url");
        return aws_profiles_get(settings->profiles, settings->profile, "endpoint_url");
}

static int choose_url(EndpointRules *rules, AwsService service, const EndpointOptions *options,
                      const Settings *settings, Error *error) {
        bool ignore =
                is_true(settings, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls");
        const char *id = services[service].id;
        const char *url = options->service_urls[service] ? options->service_urls[service] : options->url;
        char origin[ORIGIN_MAX] = "";

        if (!url && !ignore)
                url = url_of_environment(settings, id, origin);
        if (!url && !ignore)
                url = url_of_profile(settings, id, origin);
        return url ? set_url(&rules->urls[service], url, origin[0] ? origin : NULL, error) : 0;
}

static bool choose(EndpointChoice choice, bool otherwise) {
        return choice == ENDPOINT_AUTO ? otherwise : choice == ENDPOINT_YES;
}

int endpoint_rules_init(EndpointRules *rules, const EndpointOptions *options, char *const *environment,
                        const AwsProfiles *profiles, Error *error) {
        const Settings settings = { environment, profiles, aws_profile_name(environment) };
        bool dualstack = is_true(&settings, "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint");
        bool fips = is_true(&settings, "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint");
        int r = 0;

        *rules = (EndpointRules){
                .use_dualstack = choose(options->dualstack, dualstack),
                .needs_dualstack = options->dualstack == ENDPOINT_AUTO ? options->needs_dualstack : NULL,
                .use_fips = choose(options->fips, fips),
                .s3_addressing = options->s3_addressing,
        };
        for (AwsService i = 0; i < AWS_SERVICE_COUNT && r >= 0; i++)
                r = choose_url(rules, i, options, &settings, error);
        if (r < 0)
                endpoint_rules_deinit(rules);
        return r;
}

void endpoint_rules_deinit(EndpointRules *rules) {
        for (size_t i = 0; i < AWS_SERVICE_COUNT; i++)
                free(rules->urls[i]);
        *rules = (EndpointRules){};
}

/* What goes between the service's name and the region. In AWS GovCloud the ordinary names but S3's keep FIPS already,
 * CloudWatch's for both stacks, and there are no others; in China S3 has none. */
static int choose_fips(const EndpointRules *rules, AwsService service, const char *region, bool dualstack,
                       const char **ret, Error *error) {
        bool is_ordinary = string_starts_with(region, "us-gov-") &&
                           (service == AWS_CLOUDWATCH || (service != AWS_S3 && !dualstack));

        if (rules->use_fips && service == AWS_S3 && string_starts_with(region, "cn-"))
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "S3 has no FIPS endpoint in %s", region);
        *ret = rules->use_fips && !is_ordinary ? "-fips" : "";
        return 0;
}

/* "s3", "s3-fips", "s3.dualstack", "s3-fips.dualstack", "sts-fips", … and the suffix that belongs to it. */
static int add_aws_host(const EndpointRules *rules, AwsService service, const char *region, Buffer *host,
                        Error *error) {
        bool dualstack = rules->use_dualstack || (rules->needs_dualstack && rules->needs_dualstack());
        const ServiceRow *row = &services[service];
        const char *fips = "", *suffix;
        size_t i = 0;
        int r;

        while (!string_starts_with(region, partitions[i].region_prefix))
                i++;
        r = choose_fips(rules, service, region, dualstack, &fips, error);
        if (r < 0)
                return r;
        suffix =
                dualstack && !row->dualstack_by_label ? partitions[i].dualstack_suffix : partitions[i].suffix;
        r = buffer_printf(host, "%s%s%s.%s.%s", row->host, fips,
                          dualstack && row->dualstack_by_label ? ".dualstack" : "", region, suffix);
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
