#include <inttypes.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/credential_chain.h"
#include "tests/unit/http-server.h"
#include "tests/unit/test.h"

#define START (UINT64_C(1795251600) * USEC_PER_SEC) /* 2026-11-21T09:00:00Z */
#define HOUR (3600 * USEC_PER_SEC)
#define MINUTE (60 * USEC_PER_SEC)

typedef struct Setup {
        sd_event *event;
        HttpClient *http;
        TestServer *server;
        Imds *imds;
        CredentialChain *chain;
        uint64_t elapsed; /* on both clocks */
        Clock clock;

        unsigned issued;     /* keys are numbered */
        unsigned asked;      /* how often credentials were asked for */
        uint64_t expiration; /* of the keys that are given out */
        bool down, no_role;
        const char *json; /* in place of credentials */
} Setup;

typedef struct Outcome {
        bool done;
        int result;
        Error error;
        char key[32];
} Outcome;

static uint64_t boottime(void *userdata) {
        return 100 * USEC_PER_SEC + ((Setup *) userdata)->elapsed;
}

static uint64_t realtime(void *userdata) {
        return START + ((Setup *) userdata)->elapsed;
}

static void give_credentials(Setup *setup, TestReply *reply) {
        char expiration[TIME_TEXT_MAX], json[512];

        setup->asked++;
        format_time(setup->expiration, expiration);
        snprintf(
                json, sizeof(json),
                "{\"Code\":\"Success\",\"AccessKeyId\":\"KEY%u\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":\"%s\"}",
                setup->issued, expiration);
        test_reply(reply, 200, "", setup->json ? setup->json : json);
}

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        Setup *setup = userdata;

        if (setup->down)
                test_reply(reply, 500, "", "");
        else if (string_equal(request->target, "/latest/api/token"))
                test_reply(reply, 200, "", "token");
        else if (string_equal(request->target, "/latest/meta-data/iam/security-credentials/") &&
                 !setup->no_role)
                test_reply(reply, 200, "", "my-role");
        else if (string_equal(request->target, "/latest/meta-data/iam/security-credentials/my-role"))
                give_credentials(setup, reply);
        else
                test_reply(reply, 404, "", "");
}

static void make_chain(Setup *setup, char *const *environment, bool with_imds) {
        const CredentialContext context = {
                .event = setup->event,
                .environment = environment,
                .imds = with_imds ? setup->imds : NULL,
                .clock = &setup->clock,
        };

        credential_chain_free(setup->chain);
        assert_int_equal(credential_chain_new(&context, &setup->chain, NULL), 0);
}

static int set_up(void **state) {
        Setup *setup = calloc(1, sizeof(*setup));
        _cleanup_strv_ char **environment = NULL;

        assert_non_null(setup);
        setup->clock = (Clock){ boottime, realtime, setup };
        setup->issued = 1;
        setup->expiration = START + 6 * HOUR;
        assert_true(sd_event_new(&setup->event) >= 0);
        assert_int_equal(http_client_new(setup->event, NULL, &setup->http, NULL), 0);
        setup->server = test_server_new(setup->event, handle, setup);
        assert_int_equal(strv_appendf(&environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT=%s",
                                      test_server_url(setup->server)),
                         0);
        assert_int_equal(imds_new(setup->http, &setup->clock, environment, &setup->imds, NULL), 0);
        make_chain(setup, NULL, true);
        *state = setup;
        return 0;
}

static int tear_down(void **state) {
        Setup *setup = *state;

        credential_chain_free(setup->chain);
        imds_free(setup->imds);
        http_client_free(setup->http);
        test_server_free(setup->server);
        sd_event_unref(setup->event);
        free(setup);
        return 0;
}

static void on_done(CredentialRequest *request, int result, const Error *error, void *userdata) {
        const Credentials *credentials = credential_request_get(request);
        Outcome *outcome = userdata;

        assert_false(outcome->done);
        outcome->done = true;
        outcome->result = result;
        outcome->error = *error;
        assert_int_equal(result == 0, credentials != NULL);
        if (credentials)
                snprintf(outcome->key, sizeof(outcome->key), "%s", credentials->access_key_id);
}

static Outcome ask(Setup *setup) {
        _cleanup_(credential_request_freep) CredentialRequest *request = NULL;
        Outcome outcome = {};

        assert_int_equal(credentials_start(setup->chain, on_done, &outcome, &request, NULL), 0);
        assert_false(outcome.done);
        test_wait(setup->event, &outcome.done);
        return outcome;
}

/* Lets what runs in the background come to its end. */
static void settle(Setup *setup) {
        for (int i = 0; i < 100 && sd_event_run(setup->event, 20 * USEC_PER_MSEC) > 0; i++)
                ;
}

static void expect_key(Setup *setup, const char *key, unsigned asked) {
        Outcome outcome = ask(setup);

        assert_int_equal(outcome.result, 0);
        assert_string_equal(outcome.key, key);
        assert_int_equal(setup->asked, asked);
}

static void test_environment_wins(void **state) {
        char *environment[] = { (char *) "AWS_ACCESS_KEY_ID=AKID", (char *) "AWS_SECRET_ACCESS_KEY=secret",
                                NULL };
        Setup *setup = *state;

        make_chain(setup, environment, true);
        expect_key(setup, "AKID", 0);
        setup->elapsed = 1000 * HOUR;
        expect_key(setup, "AKID", 0);
        assert_false(credentials_reject(setup->chain, "AKID", NULL));
        expect_key(setup, "AKID", 0);
}

static void test_half_an_environment(void **state) {
        char *environment[] = { (char *) "AWS_ACCESS_KEY_ID=AKID", (char *) "AWS_SECRET_ACCESS_KEY=", NULL };
        Setup *setup = *state;
        Outcome outcome;

        make_chain(setup, environment, true);
        outcome = ask(setup);
        assert_int_equal(outcome.result, -EINVAL);
        assert_string_equal(
                outcome.error.message,
                "AWS credentials from the environment: AWS_ACCESS_KEY_ID is set, but not AWS_SECRET_ACCESS_KEY");
        assert_int_equal(outcome.error.fault, FAULT_INPUT);
}

static void test_role(void **state) {
        Setup *setup = *state;

        expect_key(setup, "KEY1", 1);
        expect_key(setup, "KEY1", 1);
}

/* Many who ask at once cost one question. */
static void test_shared_fetch(void **state) {
        Setup *setup = *state;
        CredentialRequest *requests[3] = {};
        Outcome outcomes[3] = {};

        for (size_t i = 0; i < 3; i++)
                assert_int_equal(credentials_start(setup->chain, on_done, &outcomes[i], &requests[i], NULL),
                                 0);
        requests[1] = credential_request_free(requests[1]);
        test_wait(setup->event, &outcomes[0].done);
        test_wait(setup->event, &outcomes[2].done);
        assert_false(outcomes[1].done);
        settle(setup);
        assert_int_equal(setup->asked, 1);
        for (size_t i = 0; i < 3; i++)
                credential_request_free(requests[i]);
}

static void test_refreshed_ahead(void **state) {
        Setup *setup = *state;

        expect_key(setup, "KEY1", 1);
        setup->elapsed = 6 * HOUR - 6 * MINUTE;
        expect_key(setup, "KEY1", 1);
        setup->elapsed = 6 * HOUR - 4 * MINUTE;
        setup->issued = 2;
        setup->expiration = START + 12 * HOUR;
        expect_key(setup, "KEY1", 1); /* nobody waits for the new ones */
        settle(setup);
        expect_key(setup, "KEY2", 2);
        setup->elapsed += HOUR;
        expect_key(setup, "KEY2", 2);
}

static void test_expired_while_asleep(void **state) {
        Setup *setup = *state;

        expect_key(setup, "KEY1", 1);
        setup->elapsed = 20 * HOUR;
        setup->issued = 2;
        setup->expiration = START + 26 * HOUR;
        expect_key(setup, "KEY2", 2);
}

/* Static stability: old credentials are used on where there are no newer ones, and IMDS is not asked all the time. */
static void test_imds_has_only_old_ones(void **state) {
        Setup *setup = *state;

        expect_key(setup, "KEY1", 1);
        setup->elapsed = 7 * HOUR;
        expect_key(setup, "KEY1", 2);
        setup->elapsed += 6 * MINUTE;
        expect_key(setup, "KEY1", 2);
        setup->elapsed += 10 * MINUTE;
        expect_key(setup, "KEY1", 3);
}

static void test_imds_is_down(void **state) {
        Setup *setup = *state;

        expect_key(setup, "KEY1", 1);
        setup->elapsed = 7 * HOUR;
        setup->down = true;
        expect_key(setup, "KEY1", 1);
        setup->down = false;
        setup->issued = 2;
        setup->expiration = START + 26 * HOUR;
        setup->elapsed += 6 * MINUTE;
        expect_key(setup, "KEY1", 1);
        setup->elapsed += 10 * MINUTE;
        expect_key(setup, "KEY2", 2);
}

static void test_rejected(void **state) {
        Setup *setup = *state;
        Outcome outcome;

        expect_key(setup, "KEY1", 1);
        setup->issued = 2;
        assert_true(credentials_reject(setup->chain, "KEY0", "t")); /* those are gone already */
        expect_key(setup, "KEY1", 1);
        assert_true(credentials_reject(setup->chain, "KEY1", "t"));
        expect_key(setup, "KEY2", 2);
        assert_true(credentials_reject(setup->chain, "KEY2", "t"));
        setup->down = true;
        outcome = ask(setup);
        assert_int_equal(outcome.result, -ENOKEY);
}

/* With the clock an hour behind, six hours are five. */
static void test_skew(void **state) {
        Setup *setup = *state;

        expect_key(setup, "KEY1", 1);
        credentials_set_skew(setup->chain, HOUR);
        setup->elapsed = 5 * HOUR;
        setup->issued = 2;
        setup->expiration = START + 12 * HOUR;
        expect_key(setup, "KEY2", 2);
}

static void test_none(void **state) {
        Setup *setup = *state;
        Outcome outcome;

        setup->no_role = true;
        outcome = ask(setup);
        assert_int_equal(outcome.result, -ENOKEY);
        assert_string_equal(
                outcome.error.message,
                "no AWS credentials: looked in the environment (AWS_ACCESS_KEY_ID is not "
                "set), a web identity (AWS_WEB_IDENTITY_TOKEN_FILE is not set), the profile (there is no "
                "profile default), the container's endpoint (none is set), the instance's role (the "
                "instance has no role)");
        assert_int_equal(outcome.error.fault, FAULT_HOST);
        make_chain(setup, NULL, false);
        outcome = ask(setup);
        assert_int_equal(outcome.result, -ENOKEY);
        make_chain(setup, NULL, true);
        setup->no_role = false; /* one came in the meantime */
        expect_key(setup, "KEY1", 1);
}

static void test_bad_answers(void **state) {
        Setup *setup = *state;
        Outcome outcome;

        setup->json = "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"no\"}";
        outcome = ask(setup);
        assert_int_equal(outcome.result, -EBADMSG);
        assert_string_equal(outcome.error.message,
                            "AWS credentials from the instance's role: credentials refused: "
                            "AssumeRoleUnauthorizedAccess: no");
        setup->json = NULL;
        expect_key(setup, "KEY1", 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_environment_wins),
                TEST(test_half_an_environment),
                TEST(test_role),
                TEST(test_shared_fetch),
                TEST(test_refreshed_ahead),
                TEST(test_expired_while_asleep),
                TEST(test_imds_has_only_old_ones),
                TEST(test_imds_is_down),
                TEST(test_rejected),
                TEST(test_skew),
                TEST(test_none),
                TEST(test_bad_answers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
