#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/net/credential_lookup.h"
#include "tests/unit/http-server.h"
#include "tests/unit/test.h"

#define ENDS "2026-11-21T10:00:00Z"

typedef struct Setup {
        TestFolder *folder;
        sd_event *event;
        HttpClient *http;
        TestServer *server;
        EndpointRules endpoints;
        char **environment;
        unsigned failures; /* of the next requests */
        int refuse;        /* status that STS answers with */
        unsigned container_requests, sts_requests;
        char *last_form, *last_authorization;
} Setup;

typedef struct Outcome {
        bool done;
        int result;
        Error error;
        Credentials found;
        bool renewable, stable;
} Outcome;

static void answer_container(Setup *setup, const TestRequest *request, TestReply *reply) {
        _cleanup_free_ char *authorization = test_request_header(request, "Authorization");

        setup->container_requests++;
        string_set(&setup->last_authorization, authorization);
        test_reply(
                reply, 200, "",
                "{\"AccessKeyId\":\"CONTAINER\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":\"" ENDS
                "\"}");
}

/* The role that was asked for is the key that is given out. */
static void answer_sts(Setup *setup, const TestRequest *request, TestReply *reply) {
        _cleanup_free_ char *authorization = test_request_header(request, "Authorization"), *text = NULL;
        const char *role, *action;

        setup->sts_requests++;
        free(setup->last_form);
        setup->last_form = strndup(request->body, request->body_size);
        string_set(&setup->last_authorization, authorization);
        if (setup->refuse > 0) {
                test_reply(
                        reply, setup->refuse, "",
                        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>");
                return;
        }
        action = strstr(setup->last_form, "Action=AssumeRoleWithWebIdentity") ? "AssumeRoleWithWebIdentity"
                                                                              : "AssumeRole";
        role = strstr(setup->last_form, "RoleArn=") + strlen("RoleArn=");
        assert_true(
                asprintf(
                        &text,
                        "<R><%sResult><Credentials><AccessKeyId>%.*s</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
                        "<SessionToken>t</SessionToken><Expiration>" ENDS
                        "</Expiration></Credentials></%sResult></R>",
                        action, (int) strcspn(role, "&"), role, action) > 0);
        test_reply(reply, 200, "", text);
}

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        Setup *setup = userdata;

        if (setup->failures > 0) {
                setup->failures--;
                test_reply(reply, 503, "", "");
        } else if (strcmp(request->method, "GET") == 0)
                answer_container(setup, request, reply);
        else
                answer_sts(setup, request, reply);
}

static void add(Setup *setup, const char *name, const char *value) {
        assert_int_equal(strv_appendf(&setup->environment, "%s=%s", name, value), 0);
}

static int set_up(void **state) {
        EndpointOptions options = {};
        Setup *setup = calloc(1, sizeof(*setup));

        assert_non_null(setup);
        assert_int_equal(test_folder_setup((void **) &setup->folder), 0);
        assert_true(sd_event_new(&setup->event) >= 0);
        assert_int_equal(http_client_new(setup->event, NULL, &setup->http, NULL), 0);
        setup->server = test_server_new(setup->event, handle, setup);
        options.url = test_server_url(setup->server);
        assert_int_equal(endpoint_rules_init(&setup->endpoints, &options, NULL, NULL, NULL), 0);
        add(setup, "HOME", setup->folder->path);
        *state = setup;
        return 0;
}

static int tear_down(void **state) {
        Setup *setup = *state;

        endpoint_rules_deinit(&setup->endpoints);
        http_client_free(setup->http);
        test_server_free(setup->server);
        sd_event_unref(setup->event);
        strv_free(setup->environment);
        free(setup->last_form);
        free(setup->last_authorization);
        assert_int_equal(test_folder_teardown((void **) &setup->folder), 0);
        free(setup);
        return 0;
}

static void on_done(CredentialLookup *lookup, int result, const Error *error, void *userdata) {
        Outcome *outcome = userdata;

        assert_false(outcome->done);
        *outcome = (Outcome){ .done = true, .result = result, .error = *error };
        if (result >= 0) {
                outcome->found = credential_lookup_take(lookup);
                outcome->renewable = credential_lookup_is_renewable(lookup);
                outcome->stable = credential_lookup_is_stable(lookup);
        }
}

static Outcome look(Setup *setup) {
        const CredentialContext context = {
                .event = setup->event,
                .environment = setup->environment,
                .http = setup->http,
                .clock = &clock_system,
                .endpoints = &setup->endpoints,
                .region = "eu-central-1",
        };
        CredentialLookup *lookup = NULL;
        Outcome outcome = {};

        assert_int_equal(credential_lookup_start(&context, on_done, &outcome, &lookup, NULL), 0);
        test_wait(setup->event, &outcome.done);
        credential_lookup_free(lookup);
        return outcome;
}

static void expect(Setup *setup, const char *key) {
        Outcome outcome = look(setup);

        if (outcome.result < 0)
                fail_msg("%s", outcome.error.message);
        assert_string_equal(outcome.found.access_key_id, key);
        assert_true(outcome.renewable);
        assert_false(outcome.stable);
        credentials_deinit(&outcome.found);
}

static void expect_failure(Setup *setup, int result, const char *message) {
        Outcome outcome = look(setup);

        assert_int_equal(outcome.result, result);
        if (!strstr(outcome.error.message, message))
                fail_msg("expected \"%s\" in \"%s\"", message, outcome.error.message);
}

static void write_file(Setup *setup, const char *name, const char *text) {
        assert_int_equal(close_fd(file_open_folder_at(setup->folder->fd, ".aws", 0700)), -1);
        assert_int_equal(file_replace_at(setup->folder->fd, name, text, strlen(text), 0600), 0);
}

static void test_container(void **state) {
        Setup *setup = *state;
        _cleanup_free_ char *path = NULL;

        add(setup, "AWS_CONTAINER_CREDENTIALS_FULL_URI", test_server_url(setup->server));
        expect(setup, "CONTAINER");
        assert_null(setup->last_authorization);
        add(setup, "AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc");
        expect(setup, "CONTAINER");
        assert_string_equal(setup->last_authorization, "Basic abc");

        /* The file wins, and is read each time. */
        assert_true(asprintf(&path, "%s/token", setup->folder->path) > 0);
        add(setup, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path);
        write_file(setup, "token", "first");
        expect(setup, "CONTAINER");
        assert_string_equal(setup->last_authorization, "first");
        write_file(setup, "token", "second");
        expect(setup, "CONTAINER");
        assert_string_equal(setup->last_authorization, "second");
        write_file(setup, "token", "third\r\nX-Evil: 1");
        expect_failure(setup, -EINVAL, "a line break");
}

static void test_container_refused(void **state) {
        static const char *const urls[] = { "http://192.0.2.1/", "http://169.254.169.254/",
                                            "http://example.com/", "http://localhost.example.com/",
                                            "http://127.0.0.1.example.com/" };
        Setup *setup = *state;

        for (size_t i = 0; i < ELEMENTSOF(urls); i++) {
                setup->environment = strv_free(setup->environment);
                add(setup, "AWS_CONTAINER_CREDENTIALS_FULL_URI", urls[i]);
                expect_failure(setup, -EINVAL, "credentials are not asked for in the clear of");
        }
        setup->environment = strv_free(setup->environment);
        add(setup, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@192.0.2.1/");
        expect_failure(setup, -EINVAL, "does not begin with '/'");
        assert_int_equal(setup->container_requests, 0);
}

static void test_web_identity(void **state) {
        Setup *setup = *state;
        _cleanup_free_ char *path = NULL;

        assert_true(asprintf(&path, "%s/token", setup->folder->path) > 0);
        write_file(setup, "token", "a.b/c\n");
        add(setup, "AWS_WEB_IDENTITY_TOKEN_FILE", path);
        expect_failure(setup, -EINVAL, "AWS_WEB_IDENTITY_TOKEN_FILE is set, but not AWS_ROLE_ARN");
        add(setup, "AWS_ROLE_ARN", "role");
        expect(setup, "role");
        assert_null(setup->last_authorization);
        assert_non_null(strstr(setup->last_form, "&RoleSessionName=muster-"));
        assert_non_null(strstr(setup->last_form, "&WebIdentityToken=a.b%2Fc"));
        add(setup, "AWS_ROLE_SESSION_NAME", "ci");
        expect(setup, "role");
        assert_non_null(strstr(setup->last_form, "&RoleSessionName=ci&"));
        write_file(setup, "token", "d.e/f"); /* it is read each time */
        expect(setup, "role");
        assert_non_null(strstr(setup->last_form, "&WebIdentityToken=d.e%2Ff"));
        write_file(setup, "token", "\n");
        expect_failure(setup, -ENODATA, "is empty");
        write_file(setup, "token", "");
        expect_failure(setup, -ENODATA, "is empty");
        assert_int_equal(unlinkat(setup->folder->fd, "token", 0), 0);
        expect_failure(setup, -ENOENT, path);
}

static void test_role(void **state) {
        Setup *setup = *state;

        write_file(setup, ".aws/credentials",
                   "[default]\naws_access_key_id = AKID\naws_secret_access_key = s\n");
        write_file(setup, ".aws/config",
                   "[profile ci]\nrole_arn = one\nsource_profile = default\nexternal_id = x y\n"
                   "[profile next]\nrole_arn = two\nsource_profile = ci\nduration_seconds = 900\n");
        add(setup, "AWS_PROFILE", "next");
        expect(setup, "two");
        assert_int_equal(setup->sts_requests, 2);
        assert_non_null(strstr(setup->last_authorization, "Credential=one/"));
        assert_non_null(strstr(setup->last_authorization, "/eu-central-1/sts/aws4_request"));
        assert_non_null(strstr(setup->last_form, "&DurationSeconds=900"));
        setup->environment = strv_free(setup->environment);
        add(setup, "HOME", setup->folder->path);
        add(setup, "AWS_PROFILE", "ci");
        expect(setup, "one");
        assert_non_null(strstr(setup->last_authorization, "Credential=AKID/"));
        assert_non_null(strstr(setup->last_form, "&ExternalId=x%20y"));
}

static void test_role_from_container(void **state) {
        Setup *setup = *state;

        write_file(setup, ".aws/config", "[default]\nrole_arn = one\ncredential_source = EcsContainer\n");
        add(setup, "AWS_CONTAINER_CREDENTIALS_FULL_URI", test_server_url(setup->server));
        expect(setup, "one");
        assert_int_equal(setup->container_requests, 1);
        assert_non_null(strstr(setup->last_authorization, "Credential=CONTAINER/"));
}

static void test_role_without_source(void **state) {
        Setup *setup = *state;

        write_file(setup, ".aws/config", "[default]\nrole_arn = one\ncredential_source = Environment\n");
        expect_failure(setup, -ENOKEY,
                       "AWS credentials from the profile: AWS credentials from the environment: "
                       "AWS_ACCESS_KEY_ID is not set");
}

static void test_profiles_refused(void **state) {
        Setup *setup = *state;

        write_file(setup, ".aws/config", "[default]\nrole_arn = one\n");
        expect_failure(setup, -EINVAL, "AWS credentials from the profile: profile default: role_arn needs");
        write_file(setup, ".aws/config", "hello\n");
        expect_failure(setup, -EINVAL, "/.aws/config:1: expected [SECTION] or KEY = VALUE");
        write_file(setup, ".aws/config", "");
        add(setup, "AWS_PROFILE", "typo");
        expect_failure(setup, -EINVAL, "there is no profile typo");
}

static void test_sts_refuses(void **state) {
        Setup *setup = *state;

        write_file(
                setup, ".aws/config",
                "[default]\nrole_arn = one\nsource_profile = default\naws_access_key_id = A\naws_secret_access_key = s\n");
        setup->refuse = 403;
        expect_failure(setup, -EACCES,
                       "AWS credentials from the profile: STS AssumeRole: AccessDenied: no (status 403)");
        assert_int_equal(setup->sts_requests, 1);
        setup->refuse = 0;
        setup->failures = 2; /* out of order, which passes */
        expect(setup, "one");
        write_file(
                setup, ".aws/config",
                "[default]\nrole_arn = one\nsource_profile = default\naws_access_key_id = A\naws_secret_access_key = s\n"
                "role_session_name = a b\n");
        expect_failure(setup, -EINVAL, "bad role session name 'a b'");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_container),           TEST(test_container_refused),
                TEST(test_web_identity),        TEST(test_role),
                TEST(test_role_from_container), TEST(test_role_without_source),
                TEST(test_profiles_refused),    TEST(test_sts_refuses),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
