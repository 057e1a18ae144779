#include <fcntl.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/rejoin.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/test.h"

#define ARN "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/api/0123"

typedef struct Setup {
        TestFolder *folder;
        TestClient client;
        Record record;
        unsigned refusals, registered;
        int may_join;
        bool done;
} Setup;

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        static const char unhealthy[] =
                "<R><DescribeTargetHealthResult><TargetHealthDescriptions><member><Target><Id>i-1</Id><Port>8080</Port>"
                "</Target><TargetHealth><State>unhealthy</State></TargetHealth></member></TargetHealthDescriptions>"
                "</DescribeTargetHealthResult></R>";
        Setup *setup = userdata;

        if (string_starts_with(request->body, "Action=DescribeTargetHealth")) {
                test_reply(reply, 200, "", unhealthy);
        } else if (setup->refusals > 0) {
                setup->refusals--;
                test_reply(reply, 403, "",
                           "<E><Error><Code>AccessDenied</Code><Message>no</Message></Error></E>");
        } else {
                assert_true(string_starts_with(request->body, "Action=RegisterTargets"));
                assert_non_null(strstr(request->body, "Targets.member.1.Port=8080"));
                setup->registered++;
                test_reply(reply, 200, "", "<RegisterTargetsResponse/>");
        }
}

static int set_up(void **state) {
        Setup *setup = calloc(1, sizeof(*setup));
        const AwsOptions options = { .region = "eu-central-1" };
        void *folder = NULL;

        assert_non_null(setup);
        assert_int_equal(test_folder_setup(&folder), 0);
        setup->folder = folder;
        test_client_init(&setup->client, &options, handle, setup);
        assert_int_equal(target_registrations_add(&setup->record.deregistered, ARN, 8080), 0);
        setup->may_join = 1;
        *state = setup;
        return 0;
}

static int tear_down(void **state) {
        Setup *setup = *state;
        void *folder = setup->folder;

        test_client_deinit(&setup->client);
        record_deinit(&setup->record);
        free(setup);
        return test_folder_teardown(&folder);
}

static int may_join(void *userdata) {
        const Setup *setup = userdata;

        return setup->may_join;
}

static void on_done(_unused_ Rejoin *rejoin, void *userdata) {
        Setup *setup = userdata;

        assert_false(setup->done);
        setup->done = true;
}

static Rejoin *start(Setup *setup) {
        const RejoinContext context = {
                .event = setup->client.event,
                .clock = &clock_system,
                .aws = setup->client.aws,
                .instance = "i-1",
                .record = &setup->record,
                .app_fd = setup->folder->fd,
                .may_join = may_join,
        };
        Rejoin *rejoin;

        assert_int_equal(rejoin_start(&context, on_done, setup, &rejoin, NULL), 0);
        return rejoin;
}

/* What is refused is tried again; what is registered is in no record any more, although nobody finds it healthy yet. */
static void test_until_it_is_registered(void **state) {
        Setup *setup = *state;
        _cleanup_(record_deinit) Record written = {};
        _cleanup_(rejoin_freep) Rejoin *rejoin = NULL;

        setup->refusals = 1;
        rejoin = start(setup);
        while (setup->refusals > 0)
                assert_true(sd_event_run(setup->client.event, UINT64_MAX) >= 0);
        test_wait(setup->client.event, &setup->done);
        assert_int_equal(setup->registered, 1);
        assert_int_equal(setup->record.deregistered.n, 0);
        assert_non_null(strstr(rejoin_problem(rejoin), "AccessDenied"));
        assert_int_equal(record_load(setup->folder->fd, &written, NULL), 1);
        assert_int_equal(written.deregistered.n, 0);
}

/* An instance that is about to go is left out, and so is one of which nobody knows yet whether it is. */
static void test_not_an_instance_that_goes(void **state) {
        Setup *setup = *state;
        _cleanup_(rejoin_freep) Rejoin *rejoin = NULL;

        for (int life = 0; life >= -EAGAIN; life -= EAGAIN) {
                setup->may_join = life;
                rejoin_free(rejoin);
                rejoin = start(setup);
                assert_true(sd_event_run(setup->client.event, UINT64_MAX) >= 0);
                assert_true(sd_event_run(setup->client.event, 0) >= 0);
                assert_int_equal(test_server_requests(setup->client.server), 0);
        }
        setup->may_join = 1;
        test_wait(setup->client.event, &setup->done);
        assert_int_equal(setup->registered, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_until_it_is_registered),
                TEST(test_not_an_instance_that_goes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
