#include "tests/unit/aws-client.h"
#include "agent/base/strv.h"
#include "tests/unit/test.h"

void test_client_init(TestClient *client, const AwsOptions *options, TestHandler handler, void *userdata) {
        _cleanup_strv_ char **environment = NULL;
        AwsOptions all = *options;

        assert_true(sd_event_new(&client->event) >= 0);
        client->server = test_server_new(client->event, handler, userdata);
        all.endpoints.url = test_server_url(client->server);
        assert_int_equal(strv_append(&environment, "AWS_ACCESS_KEY_ID=AKID"), 0);
        assert_int_equal(strv_append(&environment, "AWS_SECRET_ACCESS_KEY=secret"), 0);
        assert_int_equal(
                strv_appendf(&environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT=%s", all.endpoints.url), 0);
        all.environment = environment;
        assert_int_equal(aws_context_new(client->event, &all, &client->aws, NULL), 0);
}

void test_client_deinit(TestClient *client) {
        client->aws = aws_context_free(client->aws);
        client->server = test_server_free(client->server);
        client->event = sd_event_unref(client->event);
}

void test_client_setup(void **state, size_t size, const AwsOptions *options, TestHandler handler) {
        TestClient *client = calloc(1, size);

        assert_non_null(client);
        test_client_init(client, options, handler, client);
        *state = client;
}

int test_client_teardown(void **state) {
        TestClient *client = *state;

        test_client_deinit(client);
        free(client);
        return 0;
}
