#include <string.h>

#include "agent/base/strv.h"
#include "agent/net/imds.h"
#include "tests/unit/http-server.h"
#include "tests/unit/outcome.h"
#include "tests/unit/test.h"

typedef struct Setup {
        sd_event *event;
        HttpClient *http;
        TestServer *server;
        Imds *imds;
        uint64_t now; /* of the injected clock */
        Clock clock;
        unsigned tokens; /* that were given out */
        unsigned gets;
        unsigned expired;  /* tokens up to this number are refused */
        unsigned failures; /* so many answers to come fail */
        TestFault fault;   /* that way, or else with 503 */
        int token_status;
        const char *token, *ttl;
} Setup;

static uint64_t read_clock(void *userdata) {
        return ((Setup *) userdata)->now;
}

static void give_token(Setup *setup, const TestRequest *request, TestReply *reply) {
        _cleanup_free_ char *ttl = test_request_header(request, "X-aws-ec2-metadata-token-ttl-seconds");
        char text[64], header[128];

        assert_string_equal(request->method, "PUT");
        assert_string_equal(ttl, "21600");
        assert_null(strstr(request->headers, "X-Forwarded-For"));
        snprintf(text, sizeof(text), "token-%u==", ++setup->tokens);
        snprintf(header, sizeof(header), "X-Aws-Ec2-Metadata-Token-Ttl-Seconds: %s\r\n", setup->ttl);
        test_reply(reply, setup->token_status, header, setup->token ? setup->token : text);
}

static bool token_is_good(const Setup *setup, const TestRequest *request) {
        _cleanup_free_ char *token = test_request_header(request, "X-aws-ec2-metadata-token");
        unsigned number = 0;

        return token && sscanf(token, "token-%u==", &number) == 1 && number > setup->expired &&
               number <= setup->tokens;
}

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        Setup *setup = userdata;

        if (setup->failures > 0) {
                setup->failures--;
                reply->fault = setup->fault;
                if (setup->fault == TEST_FAULT_NONE)
                        test_reply(reply, 503, "", "");
                return;
        }
        if (string_equal(request->target, "/latest/api/token")) {
                give_token(setup, request, reply);
                return;
        }
        setup->gets++;
        assert_string_equal(request->method, "GET");
        if (!token_is_good(setup, request))
                test_reply(reply, 401, "", "");
        else if (string_equal(request->target, "/latest/meta-data/instance-id"))
                test_reply(reply, 200, "", "i-0123\n");
        else if (string_equal(request->target, "/latest/meta-data/forbidden"))
                test_reply(reply, 403, "", "");
        else
                test_reply(reply, 404, "", "<html>");
}

static void make_imds(Setup *setup, const char *url) {
        _cleanup_strv_ char **environment = NULL;

        imds_free(setup->imds);
        assert_int_equal(strv_appendf(&environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT=%s", url), 0);
        assert_int_equal(imds_new(setup->http, &setup->clock, environment, &setup->imds, NULL), 0);
}

static int set_up(void **state) {
        Setup *setup = calloc(1, sizeof(*setup));

        assert_non_null(setup);
        setup->now = 1000 * USEC_PER_SEC;
        setup->clock = (Clock){ read_clock, read_clock, setup };
        setup->token_status = 200;
        setup->ttl = "21600";
        assert_true(sd_event_new(&setup->event) >= 0);
        assert_int_equal(http_client_new(setup->event, NULL, &setup->http, NULL), 0);
        setup->server = test_server_new(setup->event, handle, setup);
        make_imds(setup, test_server_url(setup->server));
        *state = setup;
        return 0;
}

static int tear_down(void **state) {
        Setup *setup = *state;

        imds_free(setup->imds);
        http_client_free(setup->http);
        test_server_free(setup->server);
        sd_event_unref(setup->event);
        free(setup);
        return 0;
}

DEFINE_TEST_DONE(on_done, ImdsRequest)

static int get(Setup *setup, const char *path, char **ret_value, Error *error) {
        _cleanup_(imds_request_freep) ImdsRequest *request = NULL;
        TestOutcome outcome = {};

        assert_int_equal(imds_get_start(setup->imds, path, on_done, &outcome, &request, NULL), 0);
        assert_false(outcome.done);
        test_wait(setup->event, &outcome.done);
        if (ret_value)
                *ret_value = strdup(imds_request_value(request));
        if (error)
                *error = outcome.error;
        return outcome.result;
}

static void test_value(void **state) {
        Setup *setup = *state;
        _cleanup_free_ char *value = NULL, *absent = NULL;

        assert_int_equal(get(setup, "meta-data/instance-id", &value, NULL), 0);
        assert_string_equal(value, "i-0123");
        assert_int_equal(get(setup, "meta-data/none", &absent, NULL), IMDS_ABSENT);
        assert_string_equal(absent, "");
        assert_int_equal(setup->tokens, 1); /* kept */
}

static void test_token_is_renewed_ahead(void **state) {
        Setup *setup = *state;

        assert_int_equal(get(setup, "meta-data/instance-id", NULL, NULL), 0);
        setup->now += (21600 - 301) * USEC_PER_SEC;
        assert_int_equal(get(setup, "meta-data/instance-id", NULL, NULL), 0);
        assert_int_equal(setup->tokens, 1);
        setup->now += 2 * USEC_PER_SEC;
        assert_int_equal(get(setup, "meta-data/instance-id", NULL, NULL), 0);
        assert_int_equal(setup->tokens, 2);
}

static void test_short_ttl(void **state) {
        Setup *setup = *state;

        setup->ttl = "60";
        assert_int_equal(get(setup, "meta-data/instance-id", NULL, NULL), 0);
        setup->now += 31 * USEC_PER_SEC;
        assert_int_equal(get(setup, "meta-data/instance-id", NULL, NULL), 0);
        assert_int_equal(setup->tokens, 2);
}

/* An instance that was hibernated may hold a token that nobody knows any more. */
static void test_refused_token(void **state) {
        Setup *setup = *state;
        Error error;

        assert_int_equal(get(setup, "meta-data/instance-id", NULL, NULL), 0);
        setup->expired = 1;
        assert_int_equal(get(setup, "meta-data/instance-id", NULL, NULL), 0);
        assert_int_equal(setup->tokens, 2);
        setup->expired = 100;
        assert_int_equal(get(setup, "meta-data/instance-id", NULL, &error), -EREMOTEIO);
        assert_int_equal(setup->tokens, 3); /* one new one, no more */
        assert_string_equal(error.message,
                            "instance metadata, meta-data/instance-id: answered with status 401");
        assert_int_equal(error.fault, FAULT_HOST);
}

static void test_retries(void **state) {
        Setup *setup = *state;
        Error error;

        setup->failures = 2;
        assert_int_equal(get(setup, "meta-data/instance-id", NULL, NULL), 0);
        setup->failures = 2;
        setup->fault = TEST_FAULT_RESET;
        assert_int_equal(get(setup, "meta-data/instance-id", NULL, NULL), 0);
        setup->failures = 100;
        assert_int_equal(get(setup, "meta-data/instance-id", NULL, &error), -ECONNRESET);
        assert_true(setup->failures >= 96); /* curl itself repeats what fails on a kept connection */
}

static void test_forbidden(void **state) {
        Setup *setup = *state;
        Error error;

        assert_int_equal(get(setup, "meta-data/forbidden", NULL, &error), -EACCES);
        assert_int_equal(setup->gets, 1);
        assert_string_equal(
                error.message,
                "instance metadata, meta-data/forbidden: refused (403): metadata is turned off for "
                "this instance");
}

static void test_no_version_2(void **state) {
        Setup *setup = *state;

        setup->token_status = 404;
        assert_int_equal(get(setup, "meta-data/instance-id", NULL, NULL), -EREMOTEIO);
        assert_int_equal(setup->gets, 0); /* never without a token */
}

static void test_bad_token(void **state) {
        static const char *const tokens[] = { "", "a b", "a\r\nX-Evil: 1" };
        Setup *setup = *state;

        for (size_t i = 0; i < ELEMENTSOF(tokens); i++) {
                setup->token = tokens[i];
                assert_int_equal(get(setup, "meta-data/instance-id", NULL, NULL), -EREMOTEIO);
        }
        assert_int_equal(setup->gets, 0);
}

static void test_nobody_there(void **state) {
        Setup *setup = *state;
        Error error;

        make_imds(setup, "http://127.0.0.1:1/");
        assert_int_equal(get(setup, "meta-data/instance-id", NULL, &error), -ECONNREFUSED);
        assert_string_equal(error.message,
                            "instance metadata, meta-data/instance-id: http://127.0.0.1:1: cannot connect: "
                            "Connection refused");
}

/* The token's packets do not survive a second hop, so in a container the answer never comes. */
static void test_hop_limit(void **state) {
        Setup *setup = *state;
        Error error;

        setup->failures = 3;
        setup->fault = TEST_FAULT_SILENT;
        assert_int_equal(get(setup, "meta-data/instance-id", NULL, &error), -ETIMEDOUT);
        assert_non_null(strstr(error.message, "hop limit"));
}

/* Whoever set a proxy for the machine did not mean the machine's own metadata. */
static void test_no_proxy(void **state) {
        Setup *setup = *state;

        assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
        assert_int_equal(get(setup, "meta-data/instance-id", NULL, NULL), 0);
        assert_int_equal(unsetenv("http_proxy"), 0);
}

static void test_environment(void **state) {
        Setup *setup = *state;
        char *disabled[] = { (char *) "AWS_EC2_METADATA_DISABLED=True", NULL };
        char *ipv6[] = { (char *) "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=ipv6", NULL };
        char *mode[] = { (char *) "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=ipx", NULL };
        char *url[] = { (char *) "AWS_EC2_METADATA_SERVICE_ENDPOINT=here", NULL };
        _cleanup_(imds_freep) Imds *a = NULL, *b = NULL, *c = NULL;
        ImdsRequest *request = NULL;
        Error error = {};

        assert_int_equal(imds_new(setup->http, &setup->clock, disabled, &a, NULL), 0);
        assert_string_equal(imds_endpoint(a), "http://169.254.169.254");
        assert_int_equal(imds_get_start(a, "meta-data/x", on_done, NULL, &request, &error), -EOPNOTSUPP);
        assert_null(request);
        assert_int_equal(imds_new(setup->http, &setup->clock, ipv6, &b, NULL), 0);
        assert_string_equal(imds_endpoint(b), "http://[fd00:ec2::254]");
        assert_int_equal(imds_new(setup->http, &setup->clock, mode, &c, &error), -EINVAL);
        assert_int_equal(imds_new(setup->http, &setup->clock, url, &c, &error), -EINVAL);
        assert_string_equal(error.message, "AWS_EC2_METADATA_SERVICE_ENDPOINT: bad URL 'here', expected "
                                           "http[s]://HOST[:PORT][/PATH]");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_value),        TEST(test_token_is_renewed_ahead),
                TEST(test_short_ttl),    TEST(test_refused_token),
                TEST(test_retries),      TEST(test_forbidden),
                TEST(test_no_version_2), TEST(test_bad_token),
                TEST(test_nobody_there), TEST(test_hop_limit),
                TEST(test_no_proxy),     TEST(test_environment),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
