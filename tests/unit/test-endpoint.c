#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/net/endpoint.h"
#include "tests/unit/test.h"

typedef struct Case {
        AwsService service;
        const char *region, *bucket, *path, *expected;
} Case;

static void check(char *const *environment, const EndpointOptions *options, const Case *cases, size_t n) {
        EndpointRules rules;

        assert_int_equal(endpoint_rules_init(&rules, options, environment, NULL, NULL), 0);
        for (size_t i = 0; i < n; i++) {
                const Case *c = &cases[i];
                _cleanup_free_ char *found = NULL;

                assert_int_equal(
                        endpoint_url(&rules, c->service, c->region, c->bucket, c->path, &found, NULL), 0);
                assert_string_equal(found, c->expected);
        }
        endpoint_rules_deinit(&rules);
}

static const EndpointOptions plain_options;

static void test_aws(_unused_ void **state) {
        static const Case cases[] = {
                { AWS_S3, "eu-central-1", "bucket", "/a%20b",
                  "https://bucket.s3.eu-central-1.amazonaws.com/a%20b" },
                { AWS_S3, "eu-central-1", "a.b.c", "/k", "https://s3.eu-central-1.amazonaws.com/a.b.c/k" },
                { AWS_S3, "eu-central-1", "bucket", "//a/../b",
                  "https://bucket.s3.eu-central-1.amazonaws.com//a/../b" },
                { AWS_STS, "us-east-1", NULL, "/", "https://sts.us-east-1.amazonaws.com/" },
                { AWS_AUTO_SCALING, "cn-north-1", NULL, "/",
                  "https://autoscaling.cn-north-1.amazonaws.com.cn/" },
                { AWS_SQS, "eu-west-1", NULL, "/", "https://sqs.eu-west-1.amazonaws.com/" },
                { AWS_ELB, "eu-west-1", NULL, "/", "https://elasticloadbalancing.eu-west-1.amazonaws.com/" },
                { AWS_CLOUDWATCH, "eu-west-1", NULL, "/", "https://monitoring.eu-west-1.amazonaws.com/" },
                { AWS_STS, "us-gov-west-1", NULL, "/", "https://sts.us-gov-west-1.amazonaws.com/" },
                { AWS_STS, "eusc-de-east-1", NULL, "/", "https://sts.eusc-de-east-1.amazonaws.eu/" },
                { AWS_STS, "us-iso-east-1", NULL, "/", "https://sts.us-iso-east-1.c2s.ic.gov/" },
                { AWS_STS, "us-isob-east-1", NULL, "/", "https://sts.us-isob-east-1.sc2s.sgov.gov/" },
        };

        check(NULL, &plain_options, cases, ELEMENTSOF(cases));
}

static void test_variants(_unused_ void **state) {
        char *both[] = { (char *) "AWS_USE_DUALSTACK_ENDPOINT=true", (char *) "AWS_USE_FIPS_ENDPOINT=TRUE",
                         NULL };
        static const Case variants[] = {
                { AWS_S3, "us-east-1", "bucket", "/k",
                  "https://bucket.s3-fips.dualstack.us-east-1.amazonaws.com/k" },
                { AWS_STS, "us-east-1", NULL, "/", "https://sts-fips.us-east-1.api.aws/" },
                { AWS_STS, "cn-north-1", NULL, "/",
                  "https://sts-fips.cn-north-1.api.amazonwebservices.com.cn/" },
                { AWS_STS, "us-gov-west-1", NULL, "/", "https://sts-fips.us-gov-west-1.api.aws/" },
                { AWS_CLOUDWATCH, "us-gov-west-1", NULL, "/", "https://monitoring.us-gov-west-1.api.aws/" },
        };
        static const EndpointOptions fips = { .fips = ENDPOINT_YES, .dualstack = ENDPOINT_NO };
        static const Case fips_alone[] = {
                { AWS_STS, "us-gov-west-1", NULL, "/", "https://sts.us-gov-west-1.amazonaws.com/" },
                { AWS_S3, "us-gov-west-1", "bucket", "/",
                  "https://bucket.s3-fips.us-gov-west-1.amazonaws.com/" },
                { AWS_STS, "us-west-1", NULL, "/", "https://sts-fips.us-west-1.amazonaws.com/" },
        };
        static const Case path_style[] = {
                { AWS_S3, "us-east-1", "bucket", "/k", "https://s3.us-east-1.amazonaws.com/bucket/k" },
        };
        static const Case virtual[] = {
                { AWS_S3, "us-east-1", "a.b", "/k", "https://a.b.s3.us-east-1.amazonaws.com/k" },
        };

        check(both, &plain_options, variants, ELEMENTSOF(variants));
        check(both, &fips, fips_alone, ELEMENTSOF(fips_alone));
        check(NULL, &(EndpointOptions){ .s3_addressing = S3_ADDRESSING_PATH }, path_style, 1);
        check(NULL, &(EndpointOptions){ .s3_addressing = S3_ADDRESSING_VIRTUAL }, virtual, 1);
}

static bool ipv6_only;

static bool is_ipv6_only(void) {
        return ipv6_only;
}

/* Asked each time: the network may not be up yet when the rules are made. */
static void test_dualstack_when_needed(_unused_ void **state) {
        static const EndpointOptions options = { .needs_dualstack = is_ipv6_only };
        static const EndpointOptions no = { .needs_dualstack = is_ipv6_only, .dualstack = ENDPOINT_NO };
        _cleanup_free_ char *before = NULL, *after = NULL, *refused = NULL;
        EndpointRules rules;

        assert_int_equal(endpoint_rules_init(&rules, &options, NULL, NULL, NULL), 0);
        ipv6_only = false;
        assert_int_equal(endpoint_url(&rules, AWS_SQS, "eu-west-1", NULL, "/", &before, NULL), 0);
        assert_string_equal(before, "https://sqs.eu-west-1.amazonaws.com/");
        ipv6_only = true;
        assert_int_equal(endpoint_url(&rules, AWS_SQS, "eu-west-1", NULL, "/", &after, NULL), 0);
        assert_string_equal(after, "https://sqs.eu-west-1.api.aws/");
        endpoint_rules_deinit(&rules);
        assert_int_equal(endpoint_rules_init(&rules, &no, NULL, NULL, NULL), 0);
        assert_int_equal(endpoint_url(&rules, AWS_SQS, "eu-west-1", NULL, "/", &refused, NULL), 0);
        assert_string_equal(refused, "https://sqs.eu-west-1.amazonaws.com/");
        endpoint_rules_deinit(&rules);
}

/* "Service-specific endpoints", AWS SDKs and Tools Reference Guide: its own example, and what the environment does to it. */
static void test_profile(_unused_ void **state) {
        static const char config[] = "[profile dev]\nservices = local\nendpoint_url = http://all:1\n"
                                     "use_fips_endpoint = true\n"
                                     "[services local]\ns3 =\n  endpoint_url = http://s3:2\n"
                                     "auto_scaling =\n  endpoint_url = http://as:3\n";
        char *dev[] = { (char *) "AWS_PROFILE=dev", NULL };
        char *overruled[] = { (char *) "AWS_PROFILE=dev", (char *) "AWS_ENDPOINT_URL_S3=http://own:4", NULL };
        char *ignored[] = { (char *) "AWS_PROFILE=dev", (char *) "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true",
                            NULL };
        static const struct {
                AwsService service;
                const char *dev, *overruled, *ignored;
        } cases[] = {
                { AWS_S3, "http://s3:2/", "http://own:4/", "https://s3-fips.us-east-1.amazonaws.com/" },
                { AWS_AUTO_SCALING, "http://as:3/", "http://as:3/",
                  "https://autoscaling-fips.us-east-1.amazonaws.com/" },
                { AWS_STS, "http://all:1/", "http://all:1/", "https://sts-fips.us-east-1.amazonaws.com/" },
        };
        _cleanup_(aws_profiles_freep) AwsProfiles *profiles = NULL;
        char **environments[] = { dev, overruled, ignored };

        assert_int_equal(aws_profiles_new(&profiles), 0);
        assert_int_equal(aws_profiles_add(profiles, AWS_PROFILE_CONFIG, "config", config, NULL), 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (size_t k = 0; k < ELEMENTSOF(environments); k++) {
                        const char *expected[] = { cases[i].dev, cases[i].overruled, cases[i].ignored };
                        _cleanup_free_ char *url = NULL;
                        EndpointRules rules;

                        assert_int_equal(
                                endpoint_rules_init(&rules, &plain_options, environments[k], profiles, NULL),
                                0);
                        assert_int_equal(
                                endpoint_url(&rules, cases[i].service, "us-east-1", NULL, "/", &url, NULL),
                                0);
                        assert_string_equal(url, expected[k]);
                        endpoint_rules_deinit(&rules);
                }
}

/* Of the configuration, of the environment, of one's own service, of all: what wins over what. */
static void test_own_endpoints(_unused_ void **state) {
        char *environment[] = { (char *) "AWS_ENDPOINT_URL=http://all:1",
                                (char *) "AWS_ENDPOINT_URL_AUTO_SCALING=http://as:2/", NULL };
        char *ignored[] = { (char *) "AWS_ENDPOINT_URL=http://all:1",
                            (char *) "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true", NULL };
        static const EndpointOptions options = {
                .url = "https://conf", .service_urls = { [AWS_S3] = "http://10.0.0.1:9000/minio/" }
        };
        static const Case from_environment[] = {
                { AWS_S3, "r", "bucket", "/k", "http://all:1/bucket/k" },
                { AWS_AUTO_SCALING, "r", NULL, "/", "http://as:2/" },
                { AWS_STS, "r", NULL, "/", "http://all:1/" },
        };
        static const Case configured[] = {
                { AWS_S3, "r", "bucket", "/k", "http://10.0.0.1:9000/minio/bucket/k" },
                { AWS_AUTO_SCALING, "r", NULL, "/", "https://conf/" },
        };
        static const Case hosted[] = {
                { AWS_S3, "r", "bucket", "/k", "http://bucket.all:1/k" },
        };
        static const Case plain[] = {
                { AWS_STS, "r", NULL, "/", "https://sts.r.amazonaws.com/" },
        };

        check(environment, &plain_options, from_environment, ELEMENTSOF(from_environment));
        check(environment, &options, configured, ELEMENTSOF(configured));
        check(environment, &(EndpointOptions){ .s3_addressing = S3_ADDRESSING_VIRTUAL }, hosted, 1);
        check(ignored, &plain_options, plain, 1);
}

static void test_bad(_unused_ void **state) {
        char *bad_all[] = { (char *) "AWS_ENDPOINT_URL=localhost:5000", NULL };
        char *bad_service[] = { (char *) "AWS_ENDPOINT_URL_STS=https://h/?x", NULL };
        _cleanup_free_ char *url = NULL;
        EndpointRules rules;
        Error error = {};

        assert_int_equal(endpoint_rules_init(&rules, &plain_options, bad_all, NULL, &error), -EINVAL);
        assert_string_equal(
                error.message,
                "AWS_ENDPOINT_URL: bad URL 'localhost:5000', expected http[s]://HOST[:PORT][/PATH]");
        assert_int_equal(endpoint_rules_init(&rules, &plain_options, bad_service, NULL, &error), -EINVAL);
        assert_string_equal(error.message, "AWS_ENDPOINT_URL_STS: an endpoint's URL has no query");
        assert_int_equal(error.fault, FAULT_INPUT);
        assert_int_equal(
                endpoint_rules_init(&rules, &(EndpointOptions){ .fips = ENDPOINT_YES }, NULL, NULL, &error),
                0);
        assert_int_equal(endpoint_url(&rules, AWS_S3, "evil.example/", "b", "/", &url, &error), -EINVAL);
        assert_int_equal(endpoint_url(&rules, AWS_S3, "", "b", "/", &url, &error), -EINVAL);
        assert_int_equal(endpoint_url(&rules, AWS_S3, "cn-north-1", "bbb", "/", &url, &error), -EINVAL);
        assert_string_equal(error.message, "S3 has no FIPS endpoint in cn-north-1");
        endpoint_rules_deinit(&rules);
}

static void test_names(_unused_ void **state) {
        static const char *const good[] = { "abc", "a.b-c", "1bucket9" };
        static const char *const bad[] = {
                "",    "ab",  "Abc",        "a_c",
                "-ab", "ab-", ".ab",        "a..b",
                "a/b", "a b", "\xc3\xa9xx", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(s3_bucket_is_valid(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(s3_bucket_is_valid(bad[i]));
        assert_true(aws_region_is_valid("eu-central-1"));
        assert_false(aws_region_is_valid("eu.central"));
        assert_false(aws_region_is_valid("-a"));
        assert_false(aws_region_is_valid("EU"));
        assert_string_equal(aws_service_signing_name(AWS_AUTO_SCALING), "autoscaling");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_aws),           cmocka_unit_test(test_variants),
                cmocka_unit_test(test_own_endpoints), cmocka_unit_test(test_bad),
                cmocka_unit_test(test_names),         cmocka_unit_test(test_dualstack_when_needed),
                cmocka_unit_test(test_profile),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
