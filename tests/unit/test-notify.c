#include <string.h>
#include <unistd.h>

#include "agent/base/strv.h"
#include "agent/notify.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/register_scene.h"
#include "tests/unit/test.h"

#define TOPIC "arn:aws:sns:eu-west-1:123456789012:deploys"
#define MARKS "apps/api/groups/prod/rollouts/r-1/"

typedef struct Fixture {
        Scene *scene;
        TestFolder *folder;
        TestClient client;
        Depot *depot;
        Notify *notify;
        char *webhook;
        NotifyOptions options;
        unsigned posted, published; /* requests */
        unsigned posted_before;     /* the topic heard of it */
        int post_status;
        unsigned n_failing; /* so many posts get it, the rest 200 */
        char last[4096];    /* what was sent last */
} Fixture;

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        Fixture *f = userdata;
        bool posts = strcmp(request->target, "/services/SECRET") == 0;

        snprintf(f->last, sizeof(f->last), "%.*s", (int) request->body_size, request->body);
        f->posted += posts;
        f->published += !posts;
        if (!posts && f->published == 1)
                f->posted_before = f->posted;
        test_reply(reply, posts && f->posted <= f->n_failing ? f->post_status : 200, "",
                   posts ? "ok" : "<PublishResponse/>");
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        const AwsOptions aws = { .region = "us-east-1", .attempts_max = 1 };
        char uri[TEST_PATH_MAX + 8];

        assert_non_null(f);
        assert_int_equal(scene_setup((void **) &f->scene), 0);
        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        f->scene->target.stable.version = (char *) "1";
        test_client_init(&f->client, &aws, handle, f);
        snprintf(uri, sizeof(uri), "file://%s", f->folder->path);
        assert_int_equal(depot_open(uri, &(DepotOptions){ .event = f->client.event }, &f->depot, NULL), 0);
        assert_true(asprintf(&f->webhook, "%s/services/SECRET", test_server_url(f->client.server)) > 0);
        f->options = (NotifyOptions){ .event = f->client.event,
                                      .depot = f->depot,
                                      .aws = f->client.aws,
                                      .webhook = f->webhook,
                                      .topic = TOPIC,
                                      .reporter = "i-1",
                                      .delay = 1,
                                      .retry = 1 };
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        notify_free(f->notify);
        depot_free(f->depot);
        test_client_deinit(&f->client);
        test_folder_teardown((void **) &f->folder);
        scene_teardown((void **) &f->scene);
        free(f->webhook);
        free(f);
        return 0;
}

static void open_notify(Fixture *f) {
        assert_int_equal(notify_new(&f->options, &f->notify, NULL), 0);
}

static void see(Fixture *f, bool own_write) {
        notify_rollout(f->notify, "api", "prod", &f->scene->plan, f->scene->reg, own_write, START + MINUTE);
}

static bool is_marked(const Fixture *f, const char *mark) {
        char path[TEST_PATH_MAX];

        snprintf(path, sizeof(path), MARKS "%s", mark);
        return faccessat(f->folder->fd, path, F_OK, 0) == 0;
}

static void run_until_marked(Fixture *f, const char *mark) {
        uint64_t until = clock_boottime(&clock_system) + 10 * USEC_PER_SEC;

        while (!is_marked(f, mark) && clock_boottime(&clock_system) < until)
                assert_true(sd_event_run(f->client.event, 100 * USEC_PER_MSEC) >= 0);
        assert_true(is_marked(f, mark));
}

/* Until nothing is left to happen. */
static void run_dry(Fixture *f) {
        while (sd_event_run(f->client.event, 300 * USEC_PER_MSEC) > 0)
                ;
}

static void test_once(void **state) {
        Fixture *f = *state;

        open_notify(f);
        see(f, true);
        see(f, true);
        see(f, false);
        run_until_marked(f, "told-started/i-1.json");
        run_dry(f);
        assert_int_equal(f->posted, 1);
        assert_int_equal(f->published, 1);
        assert_non_null(strstr(f->last, "Action=Publish"));
        assert_non_null(strstr(f->last, "Subject=api%20in%20prod%3A%20rollout%20r-1"));
        assert_non_null(strstr(f->last, "MessageAttributes.entry.3.Value.StringValue=started"));
        f->scene->reg->state = REGISTER_ABORTED;
        f->scene->reg->written = START + MINUTE;
        see(f, false);
        run_until_marked(f, "told-aborted/i-1.json");
        assert_int_equal(f->posted, 2);
}

/* Another one has told it. */
static void test_told_already(void **state) {
        Fixture *f = *state;

        open_notify(f);
        see(f, true);
        run_until_marked(f, "told-started/i-1.json");
        f->notify = notify_free(f->notify);
        f->options.reporter = "i-2";
        open_notify(f);
        see(f, false);
        run_dry(f);
        assert_int_equal(f->posted, 1);
        assert_false(is_marked(f, "told-started/i-2.json"));
}

/* What was true long ago is no news to who has just come. */
static void test_old_news(void **state) {
        Fixture *f = *state;

        open_notify(f);
        notify_rollout(f->notify, "api", "prod", &f->scene->plan, f->scene->reg, false,
                       START + NOTIFY_AGE_MAX + 1);
        run_dry(f);
        assert_int_equal(f->posted, 0);
}

static void test_retries(void **state) {
        Fixture *f = *state;

        f->options.topic = NULL;
        f->post_status = 503;
        f->n_failing = 2;
        open_notify(f);
        see(f, true);
        run_until_marked(f, "told-started/i-1.json");
        assert_int_equal(f->posted, 3);
        assert_int_equal(f->published, 0);
}

/* What the webhook does not want the topic gets all the same; and it counts as told. */
static void test_refused(void **state) {
        Fixture *f = *state;

        f->post_status = 404;
        f->n_failing = 99;
        open_notify(f);
        see(f, true);
        run_until_marked(f, "told-started/i-1.json");
        assert_int_equal(f->posted, 1);
        assert_int_equal(f->published, 1);
}

/* A webhook that is out for a while keeps the topic waiting for one answer only, and is tried again after it. */
static void test_turns(void **state) {
        Fixture *f = *state;

        f->post_status = 503;
        f->n_failing = 3;
        open_notify(f);
        see(f, true);
        run_until_marked(f, "told-started/i-1.json");
        assert_int_equal(f->posted_before, 1);
        assert_int_equal(f->posted, 1);
        run_dry(f);
        assert_int_equal(f->posted, 4);
        assert_int_equal(f->published, 1);
}

/* Nobody has taken it: then another instance may. */
static void test_nobody_takes_it(void **state) {
        Fixture *f = *state;

        f->options.topic = NULL;
        f->post_status = 500;
        f->n_failing = 99;
        open_notify(f);
        see(f, true);
        run_dry(f);
        assert_int_equal(f->posted, NOTIFY_TRIES);
        assert_false(is_marked(f, "told-started/i-1.json"));
}

/* Nobody can say whether it was told, so it is told; and that it was cannot be kept. */
static void test_depot_is_out(void **state) {
        Fixture *f = *state;

        depot_free(f->depot);
        assert_int_equal(depot_open("file:///nowhere/at/all", &(DepotOptions){ .event = f->client.event },
                                    &f->depot, NULL),
                         0);
        f->options.depot = f->depot;
        open_notify(f);
        see(f, true);
        run_dry(f);
        assert_int_equal(f->posted, 1);
        assert_int_equal(f->published, 1);
}

static void test_held(void **state) {
        Fixture *f = *state;

        open_notify(f);
        notify_held(f->notify, "api", "prod", &f->scene->plan, "they fail", START);
        notify_held(f->notify, "api", "prod", &f->scene->plan, "they fail", START);
        see(f, true);
        run_until_marked(f, "told-held/i-1.json");
        run_until_marked(f, "told-started/i-1.json");
        assert_int_equal(f->posted, 2);
}

static void test_cancelled(void **state) {
        Fixture *f = *state;

        notify_rollout(NULL, "api", "prod", &f->scene->plan, f->scene->reg, true, START);
        open_notify(f);
        see(f, true);
        for (unsigned i = 0; i < 3; i++)
                assert_true(sd_event_run(f->client.event, 10 * USEC_PER_MSEC) >= 0);
}

static void test_nobody_to_tell(void **state) {
        Fixture *f = *state;

        f->options.webhook = NULL;
        f->options.aws = NULL;
        assert_int_equal(notify_new(&f->options, &f->notify, NULL), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_told_already, setup, teardown),
                cmocka_unit_test_setup_teardown(test_old_news, setup, teardown),
                cmocka_unit_test_setup_teardown(test_retries, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
                cmocka_unit_test_setup_teardown(test_nobody_takes_it, setup, teardown),
                cmocka_unit_test_setup_teardown(test_depot_is_out, setup, teardown),
                cmocka_unit_test_setup_teardown(test_held, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
                cmocka_unit_test_setup_teardown(test_nobody_to_tell, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
