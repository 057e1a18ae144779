#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/strv.h"
#include "agent/net/url.h"
#include "agent/queue_note.h"
#include "agent/queue_own.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/test.h"

#define TOPIC "arn:aws:sns:eu-west-1:123456789012:api"
#define OTHER_TOPIC TOPIC "-2"
#define SUBSCRIPTION TOPIC ":1"
#define URL "http://127.0.0.1/123456789012/"
#define ACTIONS_MAX 64

/* One queue and one subscription of AWS, and the instance that wants them. */
typedef struct Fixture {
        TestFolder *folder;
        TestClient client;
        QueueOwn *own;
        char name[QUEUE_PLAN_NAME_MAX]; /* of the queue that exists, or "" */
        json_t *attributes;
        bool subscribed, with_other_attributes;
        const char *refused; /* the operation that is answered so, */
        const char *refusal;
        int refusal_status;
        char actions[ACTIONS_MAX][32];
        size_t n_actions;
        bool ready, has_left, changed;
        unsigned n_ready;
        int left_result;
        char url[256];
        uint64_t interval;
} Fixture;

static char *arn_of(const Fixture *f) {
        char *arn = NULL;

        assert_true(asprintf(&arn, "arn:aws:sqs:eu-west-1:123456789012:%s", f->name) > 0);
        return arn;
}

static void reply_json(TestReply *reply, json_t *value) {
        json_auto_t *owned = value;
        _cleanup_free_ char *text = json_dumps(owned, 0);

        test_reply(reply, 200, "", text);
}

static void answer_create(Fixture *f, const json_t *input, TestReply *reply) {
        const json_t *attributes = json_object_get(input, "Attributes"), *value;
        const char *name;

        assert_string_equal(
                json_string_value(json_object_get(json_object_get(input, "tags"), QUEUE_TAG_INSTANCE)),
                "i-1");
        json_object_foreach((json_t *) attributes, name, value)
                if (f->attributes && !json_equal(value, json_object_get(f->attributes, name))) {
                        test_reply(reply, 400, "", "{\"__type\":\"com.amazonaws.sqs#QueueNameExists\"}");
                        return;
                }
        if (!f->attributes)
                f->attributes = json_deep_copy(attributes);
        snprintf(f->name, sizeof(f->name), "%s", json_string_value(json_object_get(input, "QueueName")));
        reply_json(reply, json_pack("{s:s+}", "QueueUrl", URL, f->name));
}

static void answer_sqs(Fixture *f, const char *operation, const json_t *input, TestReply *reply) {
        _cleanup_free_ char *arn = arn_of(f);

        if (strcmp(operation, "CreateQueue") == 0) {
                answer_create(f, input, reply);
        } else if (!f->attributes) {
                test_reply(reply, 400, "", "{\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\"}");
        } else if (strcmp(operation, "GetQueueUrl") == 0) {
                reply_json(reply, json_pack("{s:s+}", "QueueUrl", URL, f->name));
        } else if (strcmp(operation, "GetQueueAttributes") == 0) {
                json_object_set_new(f->attributes, "QueueArn", json_string(arn));
                reply_json(reply, json_pack("{s:O}", "Attributes", f->attributes));
        } else if (strcmp(operation, "SetQueueAttributes") == 0) {
                json_object_update(f->attributes, json_object_get(input, "Attributes"));
                test_reply(reply, 200, "", "");
        } else {
                assert_string_equal(operation, "DeleteQueue");
                json_decref(TAKE_PTR(f->attributes));
                test_reply(reply, 200, "", "");
        }
}

#define REFUSAL(code, message)                                                                               \
        "<ErrorResponse><Error><Code>" code "</Code><Message>" message "</Message></Error></ErrorResponse>"

static void answer_list(const Fixture *f, const char *form, TestReply *reply) {
        _cleanup_free_ char *arn = arn_of(f), *text = NULL;
        bool second = strstr(form, "NextToken=two");

        assert_true(
                asprintf(
                        &text,
                        "<R><ListSubscriptionsByTopicResult><Subscriptions><member><SubscriptionArn>%s"
                        "</SubscriptionArn><Protocol>sqs</Protocol><Endpoint>%s</Endpoint></member></Subscriptions>"
                        "%s</ListSubscriptionsByTopicResult></R>",
                        second ? SUBSCRIPTION : TOPIC ":0", second ? arn : "arn:aws:sqs:eu-west-1:1:other",
                        second ? "" : "<NextToken>two</NextToken>") > 0);
        test_reply(reply, 200, "", text);
}

static void answer_sns(Fixture *f, const char *action, const char *form, TestReply *reply) {
        if (strcmp(action, "Subscribe") == 0 && f->with_other_attributes) {
                test_reply(
                        reply, 400, "",
                        REFUSAL("InvalidParameter", "Subscription already exists with different attributes"));
        } else if (strcmp(action, "Subscribe") == 0) {
                assert_non_null(strstr(form, f->name));
                f->subscribed = true;
                test_reply(reply, 200, "",
                           "<R><SubscribeResult><SubscriptionArn>" SUBSCRIPTION
                           "</SubscriptionArn></SubscribeResult></R>");
        } else if (strcmp(action, "Unsubscribe") == 0) {
                f->subscribed = false;
                test_reply(reply, 200, "", "<R/>");
        } else {
                answer_list(f, form, reply);
        }
}

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        _cleanup_free_ char *target = test_request_header(request, "X-Amz-Target"),
                            *form = strndup(request->body, request->body_size);
        json_auto_t *input = json_loads(form, 0, NULL);
        Fixture *f = userdata;
        char *action = f->actions[f->n_actions++];

        assert_true(f->n_actions < ACTIONS_MAX);
        if (target)
                snprintf(action, sizeof(f->actions[0]), "%s", strchr(target, '.') + 1);
        else
                assert_int_equal(sscanf(form, "Action=%31[A-Za-z]", action), 1);
        if (string_equal(action, f->refused))
                test_reply(reply, f->refusal_status, "", f->refusal);
        else if (target)
                answer_sqs(f, action, input, reply);
        else
                answer_sns(f, action, form, reply);
}

static int setup(void **state) {
        const AwsOptions options = { .region = "eu-west-1", .attempts_max = 1 };
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        test_client_init(&f->client, &options, handle, f);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        queue_own_free(f->own);
        test_client_deinit(&f->client);
        json_decref(f->attributes);
        test_folder_teardown((void **) &f->folder);
        free(f);
        return 0;
}

static void on_ready(void *userdata, const char *url) {
        Fixture *f = userdata;

        f->ready = true;
        f->n_ready++;
        snprintf(f->url, sizeof(f->url), "%s", url);
}

static void on_changed(void *userdata) {
        Fixture *f = userdata;

        f->changed = true;
}

static const QueueOwnHandlers handlers = { on_ready, on_changed };

static void on_left(int result, _unused_ const Error *error, void *userdata) {
        Fixture *f = userdata;

        assert_false(f->has_left);
        f->has_left = true;
        f->left_result = result;
}

/* Another musterd starts, with this topic; NULL: its configuration has no queue of its own. */
static void start(Fixture *f, const char *topic) {
        const QueueOwnContext context = {
                .event = f->client.event,
                .aws = f->client.aws,
                .state_fd = f->folder->fd,
                .plan = { "s3://depot", "prod", "i-1", "AROA:i-1",
                          "apps/api/groups/prod/instances/AROA:i-1.json", topic },
                .interval = f->interval,
        };

        f->own = queue_own_free(f->own);
        f->n_actions = 0;
        f->ready = f->changed = false;
        assert_int_equal(queue_own_new(&context, &handlers, f, &f->own, NULL), 0);
}

static void assert_actions(const Fixture *f, const char *expected) {
        char text[1024] = "";

        for (size_t i = 0; i < f->n_actions; i++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i > 0 ? " " : "",
                         f->actions[i]);
        assert_string_equal(text, expected);
}

static void assert_note(const Fixture *f, const char *subscription) {
        _cleanup_(queue_note_deinit) QueueNote note = {};

        assert_int_equal(queue_note_load(f->folder->fd, "i-1", &note, NULL), 0);
        assert_string_equal(note.name, f->name);
        assert_true(string_equal(note.subscription, subscription));
}

static void run(Fixture *f, const char *topic) {
        start(f, topic);
        test_wait(f->client.event, &f->ready);
}

static void test_made(void **state) {
        Fixture *f = *state;

        run(f, TOPIC);
        assert_actions(f, "CreateQueue GetQueueAttributes SetQueueAttributes Subscribe");
        assert_true(f->subscribed);
        assert_non_null(strstr(json_string_value(json_object_get(f->attributes, "Policy")), TOPIC));
        assert_string_equal(queue_own_name(f->own), f->name);
        assert_true(string_ends_with(f->url, f->name));
        assert_note(f, SUBSCRIPTION);
}

/* The next start finds all of it. */
static void test_found(void **state) {
        Fixture *f = *state;

        run(f, TOPIC);
        run(f, TOPIC);
        assert_actions(f, "CreateQueue GetQueueAttributes Subscribe");
}

static void test_found_with_other_attributes(void **state) {
        Fixture *f = *state;

        run(f, TOPIC);
        json_object_set_new(f->attributes, "VisibilityTimeout", json_string("1"));
        run(f, TOPIC);
        assert_actions(f, "CreateQueue GetQueueUrl GetQueueAttributes SetQueueAttributes Subscribe");
        assert_string_equal(json_string_value(json_object_get(f->attributes, "VisibilityTimeout")), "60");
}

static void test_subscribed_with_other_attributes(void **state) {
        Fixture *f = *state;

        f->with_other_attributes = true;
        run(f, TOPIC);
        assert_actions(f,
                       "CreateQueue GetQueueAttributes SetQueueAttributes Subscribe ListSubscriptionsByTopic "
                       "ListSubscriptionsByTopic");
        assert_note(f, SUBSCRIPTION);
}

static void run_until(Fixture *f, const char *action) {
        for (int rounds = 0;
             rounds < 1000 && (f->n_actions == 0 || strcmp(f->actions[f->n_actions - 1], action) != 0);
             rounds++)
                assert_true(sd_event_run(f->client.event, 10000) >= 0);
}

/* Killed after any of its steps, the next start makes it whole. */
static void test_interrupted(void **state) {
        static const char *const last[] = { "CreateQueue", "GetQueueAttributes", "SetQueueAttributes",
                                            "Subscribe" };

        for (size_t i = 0; i < ELEMENTSOF(last); i++) {
                Fixture *f;

                assert_int_equal(setup((void **) &f), 0);
                start(f, TOPIC);
                run_until(f, last[i]);
                assert_false(f->ready);
                run(f, TOPIC);
                assert_true(f->subscribed);
                assert_note(f, SUBSCRIPTION);
                assert_int_equal(teardown((void **) &f), 0);
        }
        (void) state;
}

static void wait_changed(Fixture *f) {
        test_wait(f->client.event, &f->changed);
}

static void test_refused(void **state) {
        static const char denied_sqs[] = "{\"__type\":\"com.amazonaws.sqs#AccessDenied\",\"message\":\"no\"}";
        static const struct {
                const char *operation, *refusal;
                int status;
                const char *expected;
        } cases[] = {
                { "CreateQueue", denied_sqs, 403, "AccessDenied: no" },
                { "CreateQueue",
                  "{\"__type\":\"com.amazonaws.sqs#QueueDeletedRecently\",\"message\":\"wait 60 seconds\"}",
                  400, "QueueDeletedRecently" },
                { "GetQueueAttributes", denied_sqs, 403, "AccessDenied: no" },
                { "GetQueueAttributes", "{}", 200, "no QueueArn" },
                { "SetQueueAttributes", denied_sqs, 403, "AccessDenied: no" },
                { "Subscribe", REFUSAL("AuthorizationError", "not authorized"), 403, "AuthorizationError" },
                { "Subscribe", REFUSAL("NotFound", "Topic does not exist"), 404, "Topic does not exist" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Fixture *f;

                assert_int_equal(setup((void **) &f), 0);
                f->refused = cases[i].operation;
                f->refusal = cases[i].refusal;
                f->refusal_status = cases[i].status;
                start(f, TOPIC);
                wait_changed(f);
                assert_non_null(strstr(queue_own_problem(f->own), cases[i].expected));
                assert_int_equal(f->n_ready, 0);
                assert_int_equal(teardown((void **) &f), 0);
        }
        (void) state;
}

/* What cannot be noted is not made: nobody would know of it. (Nothing can be written below /proc, not even by root.) */
static void test_full_disk(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int full = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC),
                            roomy = dup(f->folder->fd);

        assert_true(full >= 0 && roomy >= 0);
        assert_true(dup3(full, f->folder->fd, O_CLOEXEC) >= 0);
        start(f, TOPIC);
        wait_changed(f);
        assert_non_null(strstr(queue_own_problem(f->own), "queue.json"));
        assert_actions(f, "");
        assert_true(dup3(roomy, f->folder->fd, O_CLOEXEC) >= 0);
        queue_own_ensure(f->own);
        test_wait(f->client.event, &f->ready);
        assert_note(f, SUBSCRIPTION);
}

/* Somebody removes the queue. */
static void test_made_again(void **state) {
        Fixture *f = *state;

        run(f, TOPIC);
        json_decref(TAKE_PTR(f->attributes));
        f->subscribed = f->ready = false;
        queue_own_ensure(f->own);
        test_wait(f->client.event, &f->ready);
        assert_int_equal(f->n_ready, 2);
        assert_true(f->subscribed);
        assert_non_null(f->attributes);
}

/* That a subscription is gone, nobody says. */
static void test_looked_at_again(void **state) {
        Fixture *f = *state;

        f->interval = 20 * USEC_PER_MSEC;
        run(f, TOPIC);
        f->subscribed = f->ready = false;
        test_wait(f->client.event, &f->ready);
        assert_true(f->subscribed);
}

static void test_another_topic(void **state) {
        Fixture *f = *state;
        char before[QUEUE_PLAN_NAME_MAX];

        run(f, TOPIC);
        memcpy(before, f->name, sizeof(before));
        run(f, OTHER_TOPIC);
        assert_actions(f,
                       "Unsubscribe DeleteQueue CreateQueue GetQueueAttributes SetQueueAttributes Subscribe");
        assert_string_not_equal(before, f->name);
        assert_note(f, SUBSCRIPTION);
}

/* The configuration has no queue of its own any more. */
static void test_no_topic(void **state) {
        Fixture *f = *state;

        run(f, TOPIC);
        start(f, NULL);
        for (int rounds = 0; rounds < 1000 && test_count_entries(f->folder->fd) > 0; rounds++)
                assert_true(sd_event_run(f->client.event, 10000) >= 0);
        assert_actions(f, "Unsubscribe DeleteQueue");
        assert_string_equal(queue_own_name(f->own), "");
        assert_null(f->attributes);
        assert_false(f->subscribed);
        assert_int_equal(test_count_entries(f->folder->fd), 0);
}

static void test_leave(void **state) {
        Fixture *f = *state;

        run(f, TOPIC);
        f->n_actions = 0;
        queue_own_leave(f->own, on_left, f);
        assert_false(f->has_left);
        test_wait(f->client.event, &f->has_left);
        assert_int_equal(f->left_result, 0);
        assert_actions(f, "Unsubscribe DeleteQueue");
        assert_int_equal(test_count_entries(f->folder->fd), 0);
        queue_own_ensure(f->own); /* nothing is made again */
        for (int rounds = 0; rounds < 5; rounds++)
                assert_true(sd_event_run(f->client.event, 5000) >= 0);
        assert_null(f->attributes);
}

/* Killed before the subscription was noted, and the instance leaves: it is not forgotten, whoever may be asked about it. */
static void test_leave_after_crash(void **state) {
        static const struct {
                const char *actions;
                bool others, left_behind;
                const char *refused;
        } cases[] = {
                { .actions = "GetQueueAttributes Subscribe Unsubscribe DeleteQueue" },
                { .actions = "GetQueueAttributes Subscribe DeleteQueue",
                  .others = true,
                  .left_behind = true },
                { .actions = "GetQueueAttributes DeleteQueue", .refused = "GetQueueAttributes" },
                { .actions = "GetQueueAttributes Subscribe DeleteQueue", .refused = "Subscribe" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Fixture *f;

                assert_int_equal(setup((void **) &f), 0);
                start(f, TOPIC);
                run_until(f, "Subscribe");
                assert_false(f->ready);
                f->with_other_attributes = cases[i].others;
                f->refused = cases[i].refused;
                f->refusal = "{\"__type\":\"x#AccessDenied\"}";
                f->refusal_status = 403;
                start(f, TOPIC);
                queue_own_leave(f->own, on_left, f);
                test_wait(f->client.event, &f->has_left);
                assert_actions(f, cases[i].actions);
                assert_int_equal(f->left_result, cases[i].left_behind ? -EACCES : 0);
                assert_true(f->subscribed == (cases[i].others || cases[i].refused));
                assert_null(f->attributes);
                assert_int_equal(test_count_entries(f->folder->fd), 0);
                assert_int_equal(teardown((void **) &f), 0);
        }
        (void) state;
}

/* Also while it is being made. */
static void test_leave_early(void **state) {
        Fixture *f = *state;

        start(f, TOPIC);
        for (int rounds = 0; rounds < 1000 && f->n_actions < 1; rounds++)
                assert_true(sd_event_run(f->client.event, 10000) >= 0);
        queue_own_leave(f->own, on_left, f);
        test_wait(f->client.event, &f->has_left);
        assert_int_equal(f->left_result, 0);
        assert_null(f->attributes);
        assert_int_equal(f->n_ready, 0);
}

/* What may not be removed is left behind, and the rest goes all the same. */
static void test_leave_refused(void **state) {
        Fixture *f = *state;

        run(f, TOPIC);
        f->refused = "Unsubscribe";
        f->refusal = REFUSAL("AuthorizationError", "no");
        f->refusal_status = 403;
        queue_own_leave(f->own, on_left, f);
        test_wait(f->client.event, &f->has_left);
        assert_int_equal(f->left_result, -EACCES);
        assert_true(f->subscribed);
        assert_null(f->attributes);
}

static void test_leave_unreachable(void **state) {
        Fixture *f = *state;

        run(f, TOPIC);
        f->refused = "DeleteQueue";
        f->refusal = "{\"__type\":\"x#InternalError\"}";
        f->refusal_status = 500;
        queue_own_leave(f->own, on_left, f);
        test_wait(f->client.event, &f->has_left);
        assert_true(f->left_result < 0);
        assert_note(f, SUBSCRIPTION); /* so that it is known */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_made),
                TEST(test_found),
                TEST(test_found_with_other_attributes),
                TEST(test_subscribed_with_other_attributes),
                cmocka_unit_test(test_interrupted),
                cmocka_unit_test(test_refused),
                TEST(test_full_disk),
                TEST(test_made_again),
                TEST(test_looked_at_again),
                TEST(test_another_topic),
                TEST(test_no_topic),
                TEST(test_leave),
                cmocka_unit_test(test_leave_after_crash),
                TEST(test_leave_early),
                TEST(test_leave_refused),
                TEST(test_leave_unreachable),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
