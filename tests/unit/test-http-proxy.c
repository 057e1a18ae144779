#include <stdlib.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/net/container_credentials.h"
#include "agent/net/imds.h"
#include "tests/unit/http-server.h"
#include "tests/unit/test.h"

/* Proxies are those of the environment, and never between an instance and its metadata. */

typedef struct Setup {
        sd_event *event;
        HttpClient *http;
        TestServer *proxy, *direct;
        unsigned proxied; /* requests that came for another host */
        bool done;
        int result;
        Error error;
        int refusal; /* status with which the proxy answers CONNECT */
} Setup;

static const char *const variables[] = { "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                                         "no_proxy",   "NO_PROXY",   "all_proxy",   "ALL_PROXY" };

static void handle_proxy(const TestRequest *request, TestReply *reply, void *userdata) {
        Setup *setup = userdata;

        setup->proxied++;
        if (string_equal(request->method, "CONNECT")) {
                assert_string_equal(request->target, "s3.eu-central-1.amazonaws.com:443");
                test_reply(reply, setup->refusal, "", "");
                return;
        }
        assert_true(string_starts_with(request->target, "http://"));
        test_reply(reply, 200, "", "proxied");
}

static void handle_direct(const TestRequest *request, TestReply *reply, _unused_ void *userdata) {
        if (string_equal(request->target, "/latest/api/token"))
                test_reply(reply, 200, "", "token");
        else if (string_equal(request->target, "/credentials"))
                test_reply(reply, 200, "",
                           "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Token\":\"T\","
                           "\"Expiration\":\"2030-01-01T00:00:00Z\"}");
        else
                test_reply(reply, 200, "", "direct");
}

static int set_up(void **state) {
        Setup *setup = calloc(1, sizeof(*setup));

        assert_non_null(setup);
        setup->refusal = 403;
        for (size_t i = 0; i < ELEMENTSOF(variables); i++)
                assert_int_equal(unsetenv(variables[i]), 0);
        assert_true(sd_event_new(&setup->event) >= 0);
        assert_int_equal(http_client_new(setup->event, NULL, &setup->http, NULL), 0);
        setup->proxy = test_server_new(setup->event, handle_proxy, setup);
        setup->direct = test_server_new(setup->event, handle_direct, setup);
        *state = setup;
        return 0;
}

static int tear_down(void **state) {
        Setup *setup = *state;

        http_client_free(setup->http);
        test_server_free(setup->proxy);
        test_server_free(setup->direct);
        sd_event_unref(setup->event);
        free(setup);
        return 0;
}

static void on_done(_unused_ HttpTransfer *transfer, int result, const Error *error, void *userdata) {
        Setup *setup = userdata;

        setup->done = true;
        setup->result = result;
        setup->error = *error;
}

/* How many requests the proxy had of one to URL. */
static unsigned ask(Setup *setup, const char *url) {
        const HttpRequest request = { .method = "GET", .url = url };
        _cleanup_(http_transfer_freep) HttpTransfer *transfer = NULL;

        setup->proxied = 0;
        setup->done = false;
        assert_int_equal(http_start(setup->http, &request, on_done, setup, &transfer, NULL), 0);
        test_wait(setup->event, &setup->done);
        return setup->proxied;
}

static void set(const char *name, const char *value) {
        assert_int_equal(setenv(name, value, true), 0);
}

static void test_variables(void **state) {
        static const char https[] = "https://s3.eu-central-1.amazonaws.com/";
        Setup *setup = *state;
        const char *proxy = test_server_url(setup->proxy);

        for (size_t i = 0; i < 2; i++) {
                set(variables[i], proxy);
                assert_int_equal(ask(setup, "http://s3.example/k"), 1);
                set("no_proxy", "other.example,.example");
                assert_int_equal(ask(setup, test_server_url(setup->direct)), 1);
                set("NO_PROXY", "127.0.0.0/8");
                unsetenv("no_proxy");
                assert_int_equal(ask(setup, test_server_url(setup->direct)), 0);
                assert_int_equal(setup->result, 0);
                unsetenv("NO_PROXY");
                unsetenv(variables[i]);
        }
        for (size_t i = 2; i < 4; i++) {
                set(variables[i], proxy);
                assert_int_equal(ask(setup, https), 1);
                assert_true(setup->result < 0);
                unsetenv(variables[i]);
        }
}

/* What is wrong with the proxy is not said of AWS; its password is said of nobody. */
static void test_proxy_is_to_blame(void **state) {
        static const char https[] = "https://s3.eu-central-1.amazonaws.com/";
        Setup *setup = *state;

        set("https_proxy", test_server_url(setup->proxy));
        ask(setup, https);
        assert_int_equal(setup->result, -ECONNREFUSED);
        assert_string_equal(setup->error.message,
                            "https://s3.eu-central-1.amazonaws.com: the proxy answered with status 403");
        setup->refusal = 407;
        ask(setup, https);
        assert_string_equal(
                setup->error.message,
                "https://s3.eu-central-1.amazonaws.com: the proxy answered with status 407: it wants "
                "a user and a password, or other ones");
        set("https_proxy", "http://me:hush@127.0.0.1:1");
        ask(setup, https);
        assert_string_equal(
                setup->error.message,
                "https://s3.eu-central-1.amazonaws.com: cannot connect to the proxy 127.0.0.1 port 1: "
                "Connection refused");
        unsetenv("https_proxy");
        ask(setup, "http://127.0.0.1:1/");
        assert_string_equal(setup->error.message, "http://127.0.0.1:1: cannot connect: Connection refused");
        ask(setup, "http://[::1]:1/");
        assert_null(strstr(setup->error.message, "proxy"));
}

static void on_imds(ImdsRequest *request, int result, _unused_ const Error *error, void *userdata) {
        Setup *setup = userdata;

        assert_int_equal(result, 0);
        assert_string_equal(imds_request_value(request), "direct");
        setup->done = true;
}

static void on_container(_unused_ ContainerCredentials *request, int result, _unused_ const Error *error,
                         void *userdata) {
        Setup *setup = userdata;

        assert_int_equal(result, 0);
        setup->done = true;
}

static void test_never_for_metadata(void **state) {
        Setup *setup = *state;
        _cleanup_(container_credentials_freep) ContainerCredentials *container = NULL;
        _cleanup_(imds_request_freep) ImdsRequest *request = NULL;
        _cleanup_strv_ char **environment = NULL;
        Imds *imds;

        set("http_proxy", test_server_url(setup->proxy));
        set("HTTP_PROXY", test_server_url(setup->proxy));
        set("all_proxy", test_server_url(setup->proxy));
        assert_int_equal(strv_appendf(&environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT=%s",
                                      test_server_url(setup->direct)),
                         0);
        assert_int_equal(strv_appendf(&environment, "AWS_CONTAINER_CREDENTIALS_FULL_URI=%s/credentials",
                                      test_server_url(setup->direct)),
                         0);
        assert_int_equal(imds_new(setup->http, &clock_system, environment, &imds, NULL), 0);
        assert_int_equal(imds_get_start(imds, "meta-data/instance-id", on_imds, setup, &request, NULL), 0);
        test_wait(setup->event, &setup->done);
        setup->done = false;
        assert_int_equal(
                container_credentials_start(setup->http, environment, on_container, setup, &container, NULL),
                0);
        test_wait(setup->event, &setup->done);
        assert_int_equal(setup->proxied, 0);
        request = imds_request_free(request);
        imds_free(imds);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_variables, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_proxy_is_to_blame, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_never_for_metadata, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
