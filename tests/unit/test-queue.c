#include <malloc.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/net/sqs.h"
#include "agent/queue.h"
#include "agent/queue_seen.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/test.h"

#define MESSAGES_MAX 10240
#define FLOOD_USUAL 1000U /* messages; FLOOD_MESSAGES in the environment says another number */
#define FLOOD_LARGE_EVERY 50U
#define FLOOD_MEMORY_MAX (48U * 1024 * 1024) /* of the queue, and of the test's own server with its answers */
#define HINT(app) "{\"muster\":\"changed\",\"app\":\"" app "\"}"
#define FOREIGN HINT("other")
#define START (1000 * USEC_PER_SEC)
#define TARGET "{\"payloadType\":\"application/vnd.muster.target.v1+json\",\"payload\":\"\"}"
#define LIFECYCLE(instance)                                                                                  \
        "{\"LifecycleTransition\":\"autoscaling:EC2_INSTANCE_TERMINATING\",\"AutoScalingGroupName\":\"g\","  \
        "\"LifecycleHookName\":\"h\",\"EC2InstanceId\":\"" instance "\"}"
#define OBJECT(bucket, key)                                                                                         \
        "{\"Records\":[{\"eventVersion\":\"2.1\",\"eventSource\":\"aws:s3\",\"s3\":{\"bucket\":{\"name\":\"" bucket \
        "\"},\"object\":{\"key\":\"" key "\"}}}]}"
#define EVENTBRIDGE(source, kind, detail)                                                                    \
        "{\"version\":\"0\",\"source\":\"" source "\",\"detail-type\":\"" kind "\",\"detail\":" detail "}"
#define TEST_EVENT "{\"Event\":\"s3:TestEvent\"}"

typedef enum Where {
        IN_QUEUE,
        IN_FLIGHT,
        REMOVED,
} Where;

/* A queue on the test's own server, and whatever it wakes up. */
typedef struct Fixture {
        TestClient client;
        Queue *queue;
        const char *bodies[MESSAGES_MAX];
        Where where[MESSAGES_MAX];
        unsigned deliveries[MESSAGES_MAX], given_back, set_aside;
        size_t n, first; /* none before it is in the queue */
        int status;      /* that everything is answered with, 0: as it should be */
        const char *code;
        bool too_large; /* ten at once are */
        bool asleep;    /* an empty long poll is under way */
        bool hasty;     /* there is none: nothing is answered at once */
        unsigned looks[3], judged[3];
        int offered; /* what offer() says */
        ErrorFault offer_fault;
        unsigned n_offers, n_told, n_quiet, n_changed, n_gone;
        uint64_t now;
} Fixture;

static uint64_t fake_boottime(void *userdata) {
        Fixture *f = userdata;

        return f->now;
}

/* SQS */

static json_t *deliver(Fixture *f, size_t i) {
        bool is_duplicate = strcmp(f->bodies[i], LIFECYCLE("i-1")) == 0;
        char number[24];

        snprintf(number, sizeof(number), "%zu", i);
        f->where[i] = IN_FLIGHT;
        f->deliveries[i]++;
        return json_pack("{s:s, s:s, s:s}", "MessageId", is_duplicate ? "one" : number, "ReceiptHandle",
                         number, "Body", f->bodies[i]);
}

/* Nobody could read them: they come again. */
static void take_back(Fixture *f, const json_t *messages) {
        const json_t *message;
        size_t i;

        json_array_foreach((json_t *) messages, i, message) {
                size_t number =
                        strtoul(json_string_value(json_object_get(message, "ReceiptHandle")), NULL, 10);

                f->where[number] = IN_QUEUE;
                f->deliveries[number]--;
                f->first = MIN(f->first, number);
        }
}

static void answer_receive(Fixture *f, const json_t *input, TestReply *reply) {
        json_int_t max = json_integer_value(json_object_get(input, "MaxNumberOfMessages"));
        json_auto_t *messages = json_array(), *answer = NULL;
        _cleanup_free_ char *text = NULL;

        if (f->too_large && max > 1) {
                text = malloc(SQS_RESPONSE_MAX + 2);
                memset(text, ' ', SQS_RESPONSE_MAX + 1);
                text[SQS_RESPONSE_MAX + 1] = '\0';
                test_reply(reply, 200, "", text);
                return;
        }
        for (size_t i = f->first; i < f->n && json_array_size(messages) < (size_t) max; i++)
                if (f->where[i] == IN_QUEUE)
                        json_array_append_new(messages, deliver(f, i));
        if (json_array_size(messages) == 0 && !f->hasty &&
            json_integer_value(json_object_get(input, "WaitTimeSeconds")) > 0) {
                reply->fault = TEST_FAULT_SILENT;
                f->asleep = true;
                return;
        }
        answer = json_pack("{s:O}", "Messages", messages);
        text = json_dumps(answer, 0);
        if (strlen(text) > SQS_RESPONSE_MAX)
                take_back(f, messages);
        while (f->first < f->n && f->where[f->first] != IN_QUEUE)
                f->first++;
        test_reply(reply, 200, "", text);
}

static void answer_batch(Fixture *f, const json_t *input, Where to, TestReply *reply) {
        const json_t *entry;
        size_t i;

        json_array_foreach((json_t *) json_object_get(input, "Entries"), i, entry) {
                size_t number = strtoul(json_string_value(json_object_get(entry, "ReceiptHandle")), NULL, 10);
                json_int_t timeout = json_integer_value(json_object_get(entry, "VisibilityTimeout"));

                assert_int_equal(f->where[number], IN_FLIGHT);
                f->where[number] = to;
                f->given_back += to == IN_QUEUE && timeout == 0;
                f->set_aside += to == IN_QUEUE && timeout > QUEUE_VISIBILITY;
                if (to == IN_QUEUE)
                        f->where[number] = IN_FLIGHT; /* another instance takes it */
        }
        test_reply(reply, 200, "", "{}");
}

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        _cleanup_free_ char *target = test_request_header(request, "X-Amz-Target");
        json_auto_t *input = json_loadb(request->body, request->body_size, 0, NULL);
        Fixture *f = userdata;

        char headers[64], refusal[128];

        snprintf(headers, sizeof(headers), "x-amzn-RequestId: %u\r\n", request->number);
        if (f->status > 0) {
                snprintf(refusal, sizeof(refusal), "{\"__type\":\"x#%s\",\"message\":\"no\"}",
                         f->code ? f->code : "AccessDenied");
                test_reply(reply, f->status, headers, refusal);
        } else if (strcmp(target, "AmazonSQS.GetQueueUrl") == 0)
                test_reply(reply, 200, "", "{\"QueueUrl\":\"http://127.0.0.1/1/prod\"}");
        else if (strcmp(target, "AmazonSQS.ReceiveMessage") == 0)
                answer_receive(f, input, reply);
        else
                answer_batch(f, input, strstr(target, "Delete") ? REMOVED : IN_QUEUE, reply);
}

/* Whom it wakes up */

static uint64_t on_look(void *userdata, size_t watcher) {
        Fixture *f = userdata;

        return ++f->looks[watcher];
}

static bool on_has_looked(void *userdata, size_t watcher, uint64_t look) {
        Fixture *f = userdata;

        return f->judged[watcher] >= look;
}

static int on_offer(void *userdata, const char *envelope, size_t size, Error *error) {
        Fixture *f = userdata;

        f->n_offers++;
        assert_int_equal(size, strlen(TARGET));
        assert_memory_equal(envelope, TARGET, size);
        return f->offered < 0 ? error_set_fault(error, f->offered, f->offer_fault, "refused") : f->offered;
}

static void on_tell(void *userdata, const QueueNotice *notice, bool quiet) {
        Fixture *f = userdata;

        assert_string_equal(notice->instance, "i-1");
        f->n_told++;
        f->n_quiet += quiet;
}

static void on_changed(void *userdata) {
        Fixture *f = userdata;

        f->n_changed++;
}

static void on_gone(void *userdata) {
        Fixture *f = userdata;

        f->n_gone++;
}

static const QueueHandlers handlers = { on_look, on_has_looked, on_offer, on_tell, on_changed, on_gone };

static int setup(void **state) {
        const AwsOptions options = { .region = "us-east-1", .attempts_max = 1 };
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->now = START;
        test_client_init(&f->client, &options, handle, f);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        queue_free(f->queue);
        test_client_deinit(&f->client);
        free(f);
        return 0;
}

static void put(Fixture *f, const char *body) {
        assert_true(f->n < MESSAGES_MAX);
        f->bodies[f->n++] = body;
}

static Clock clock_of(Fixture *f) {
        return (Clock){ fake_boottime, fake_boottime, f };
}

static void begin(Fixture *f, const char *name, bool shared) {
        static const QueueApp apps[] = { { "api", "prod" }, { "web", "prod" } };
        static Clock clock;
        const QueueContext context = {
                .event = f->client.event,
                .clock = &clock,
                .aws = f->client.aws,
                .name = name,
                .shared = shared,
                .self = { "i-1", "s3://depot", apps, ELEMENTSOF(apps) },
        };

        clock = clock_of(f);
        assert_int_equal(queue_new(&context, &handlers, f, &f->queue, NULL), 0);
}

/* NAME: the queue's. Runs it until it sleeps. */
static void run(Fixture *f, const char *name, bool shared) {
        begin(f, name, shared);
        test_wait(f->client.event, &f->asleep);
}

static void wait_removed(Fixture *f, size_t i) {
        for (int rounds = 0; rounds < 1000 && f->where[i] != REMOVED; rounds++)
                assert_true(sd_event_run(f->client.event, 10000) >= 0);
        assert_int_equal(f->where[i], REMOVED);
}

static void drain(Fixture *f) {
        for (int rounds = 0; rounds < 20; rounds++)
                assert_true(sd_event_run(f->client.event, 5000) >= 0);
}

static void test_removed_once_known(void **state) {
        Fixture *f = *state;

        put(f, HINT("api"));
        run(f, "http://127.0.0.1/1/prod", false);
        assert_int_equal(queue_state(f->queue), QUEUE_HEALTHY);
        assert_int_equal(f->looks[0], 1);
        assert_int_equal(f->looks[1], 0);
        queue_looked(f->queue);
        drain(f);
        assert_int_equal(f->where[0], IN_FLIGHT);
        f->judged[0] = 1;
        queue_looked(f->queue);
        wait_removed(f, 0);
        assert_true(queue_is_reliable(f->queue));
}

static void test_name_is_asked_for(void **state) {
        Fixture *f = *state;

        run(f, "prod", false);
        assert_int_equal(queue_state(f->queue), QUEUE_HEALTHY);
        assert_false(queue_is_reliable(f->queue)); /* nobody has sent anything yet */
}

static void test_root(void **state) {
        Fixture *f = *state;

        put(f,
            "{\"Records\":[{\"eventVersion\":\"2.1\",\"eventSource\":\"aws:s3\",\"s3\":{\"bucket\":{\"name\":"
            "\"depot\"},\"object\":{\"key\":\"root/2.json\"}}}]}");
        run(f, "http://127.0.0.1/1/prod", false);
        assert_int_equal(f->looks[0], 0);
        assert_int_equal(f->looks[2], 1);
        f->judged[2] = 1;
        queue_looked(f->queue);
        wait_removed(f, 0);
}

static void test_foreign(void **state) {
        Fixture *f = *state;

        put(f, FOREIGN);
        put(f, TEST_EVENT);
        run(f, "http://127.0.0.1/1/prod", true);
        wait_removed(f, 1);
        drain(f);
        assert_int_equal(f->given_back, 1);
        assert_int_equal(f->where[0], IN_FLIGHT);
        assert_false(queue_is_reliable(f->queue));
}

static void test_foreign_in_own_queue(void **state) {
        Fixture *f = *state;

        put(f, FOREIGN);
        run(f, "http://127.0.0.1/1/prod", false);
        wait_removed(f, 0);
        assert_int_equal(f->given_back, 0);
        assert_int_equal(f->looks[0] + f->looks[1] + f->looks[2], 0);
}

static json_int_t count(const Fixture *f, const char *name) {
        json_auto_t *status = NULL;

        assert_int_equal(queue_status(f->queue, &status), 0);
        return json_integer_value(json_object_get(status, name));
}

static void test_not_understood(void **state) {
        Fixture *f = *state;

        put(f, "hello");
        put(f, "{}");
        run(f, "http://127.0.0.1/1/prod", true);
        drain(f);
        assert_int_equal(f->where[0], IN_FLIGHT);
        assert_int_equal(f->where[1], IN_FLIGHT);
        assert_int_equal(f->given_back, 0);
        assert_int_equal(f->set_aside, 2);
        assert_int_equal(count(f, "not_understood"), 2);
}

static void test_offers(void **state) {
        static const struct {
                int offered;
                ErrorFault fault;
                bool removed, given_back;
                json_int_t not_understood;
        } cases[] = {
                { 0, FAULT_UNKNOWN, true, false, 0 },
                { QUEUE_OFFER_FOREIGN, FAULT_UNKNOWN, false, true, 0 },
                { -EKEYREJECTED, FAULT_INPUT, false, false, 1 },
                { -ENOSPC, FAULT_HOST, false, false, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Fixture *f;

                assert_int_equal(setup((void **) &f), 0);
                f->offered = cases[i].offered;
                f->offer_fault = cases[i].fault;
                put(f, TARGET);
                run(f, "http://127.0.0.1/1/prod", true);
                drain(f);
                assert_int_equal(f->n_offers, 1);
                assert_int_equal(f->where[0] == REMOVED, cases[i].removed);
                assert_int_equal(f->given_back, cases[i].given_back);
                assert_int_equal(count(f, "not_understood"), cases[i].not_understood);
                assert_int_equal(teardown((void **) &f), 0);
        }
        (void) state;
}

static void test_lifecycle(void **state) {
        Fixture *f = *state;

        put(f, LIFECYCLE("i-1"));
        put(f, LIFECYCLE("i-1")); /* the same one, delivered twice */
        run(f, "http://127.0.0.1/1/prod", true);
        wait_removed(f, 0);
        wait_removed(f, 1);
        assert_int_equal(f->n_told, 1);
        assert_int_equal(f->n_quiet, 0);
}

/* Whoever may send can send as many as he likes: all of them are a reason to look, and few are worth a line. That such
 * messages come does not mean that somebody tells of what changes in the depot. */
static void test_lifecycle_flood(void **state) {
        static const char *const bodies[] = { " " LIFECYCLE("i-1"), OBJECT("depot", "apps/api/x") };
        Fixture *f = *state;

        for (size_t i = 0; i < 2 * QUEUE_SEEN_LINES + 1; i++)
                put(f, bodies[i % 2]);
        for (size_t i = 0; i < 5; i++)
                put(f, bodies[0]);
        run(f, "http://127.0.0.1/1/prod", false);
        wait_removed(f, f->n - 1);
        assert_int_equal(f->n_told, QUEUE_SEEN_LINES + 6);
        assert_int_equal(f->n_quiet, 6);
        assert_int_equal(queue_state(f->queue), QUEUE_HEALTHY);
        assert_false(queue_is_reliable(f->queue));
}

static void wait_looks(Fixture *f, unsigned looks) {
        for (int rounds = 0; rounds < 1000 && f->looks[0] < looks; rounds++)
                assert_true(sd_event_run(f->client.event, 10000) >= 0);
        assert_int_equal(f->looks[0], looks);
}

/* After QUEUE_LOOK_BURST looks at once the next one comes later, and the messages that ask for it wait for that. */
static void test_looks_are_spaced(void **state) {
        const size_t batch = 10, n = (QUEUE_LOOK_BURST + 2) * batch;
        Fixture *f = *state;

        for (size_t i = 0; i < n; i++)
                put(f, HINT("api"));
        run(f, "http://127.0.0.1/1/prod", false);
        wait_looks(f, QUEUE_LOOK_BURST);
        f->judged[0] = QUEUE_LOOK_BURST;
        queue_looked(f->queue);
        for (size_t i = 0; i < QUEUE_LOOK_BURST * batch; i++)
                wait_removed(f, i);
        drain(f);
        assert_int_equal(f->looks[0], QUEUE_LOOK_BURST);
        assert_int_equal(f->where[n - 1], IN_FLIGHT);
        f->now += QUEUE_LOOK_INTERVAL;
        wait_looks(f, QUEUE_LOOK_BURST + 1);
        f->judged[0] = QUEUE_LOOK_BURST + 1;
        queue_looked(f->queue);
        for (size_t i = QUEUE_LOOK_BURST * batch; i < n; i++)
                wait_removed(f, i);
}

static size_t memory(void) {
        struct mallinfo2 info = mallinfo2();

        return info.uordblks + info.hblkhd;
}

static char *large(char c, size_t size) {
        char *text = malloc(size + 1);

        assert_non_null(text);
        memset(text, c, size);
        text[size] = '\0';
        return text;
}

/* What is to become of a body in a shared queue. */
typedef struct Shape {
        const char *body;
        Where end; /* IN_FLIGHT: given back or set aside */
} Shape;

typedef struct Flood {
        const Shape *small;
        size_t n_small;
        const Shape *large;
        size_t n_large;
} Flood;

static const Shape *shape_of(const Flood *flood, size_t i) {
        return i % FLOOD_LARGE_EVERY > 0 ? &flood->small[i % flood->n_small]
                                         : &flood->large[i / FLOOD_LARGE_EVERY % flood->n_large];
}

static size_t flood_messages(void) {
        const char *text = getenv("FLOOD_MESSAGES");
        size_t n = text ? strtoul(text, NULL, 10) : FLOOD_USUAL;

        assert_true(n > 0 && n <= MESSAGES_MAX);
        return n;
}

/* Lets time pass, and the looks come to their judgement, until all is done. The most memory that was in use meanwhile. */
static size_t sail_through(Fixture *f, const Flood *flood) {
        size_t most = 0, left = f->n;

        for (int rounds = 0; rounds < 1000000 && left > 0; rounds++) {
                f->now += QUEUE_LOOK_INTERVAL / 50;
                assert_true(sd_event_run(f->client.event, 100000) >= 0);
                memcpy(f->judged, f->looks, sizeof(f->judged));
                queue_looked(f->queue);
                most = MAX(most, memory());
                if (rounds % 100 > 0)
                        continue;
                left = 0;
                for (size_t i = 0; i < f->n; i++)
                        left += f->deliveries[i] == 0 || f->where[i] != shape_of(flood, i)->end;
        }
        assert_int_equal(left, 0);
        return most;
}

/* Everything that may come, again and again: what is good is acted on, the rest stays where it belongs, and the queue's
 * length costs no memory. */
static void test_flood(void **state) {
        Fixture *f = *state;
        _cleanup_free_ char *letters = large('x', 256 * 1024), *deep = large('[', 256 * 1024),
                            *controls = large('\1', 256 * 1024), *long_hint = large(' ', 256 * 1024);
        const Shape small[] = {
                { HINT("api"), REMOVED },
                { FOREIGN, IN_FLIGHT },
                { "hello", IN_FLIGHT },
                { TEST_EVENT, REMOVED },
                { TARGET, IN_FLIGHT },
                { HINT("web"), REMOVED },
                { OBJECT("depot", "apps/api/groups/prod/target.json"), REMOVED },
                { OBJECT("depot", "apps/api/releases/1.0.json"), REMOVED },
                { OBJECT("foreign", "apps/api/groups/prod/target.json"), IN_FLIGHT },
                { EVENTBRIDGE("aws.s3", "Object Created",
                              "{\"bucket\":{\"name\":\"depot\"},\"object\":{\"key\":\"root/2.json\"}}"),
                  REMOVED },
                { EVENTBRIDGE("aws.health", "x", "{}"), IN_FLIGHT },
                { LIFECYCLE("i-1"), REMOVED },
                { LIFECYCLE("i-2"), IN_FLIGHT },
                { "{\"Type\":\"Notification\",\"Message\":\"{\\\"muster\\\":\\\"changed\\\",\\\"app\\\":\\\"api\\\"}\"}",
                  REMOVED },
                { "{\"Type\":\"Notification\",\"Message\":\"hello\"}", IN_FLIGHT },
                { EVENTBRIDGE("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action", LIFECYCLE("i-2")),
                  IN_FLIGHT },
                { "{\"muster\":\"changed\",\"muster\":\"changed\"}", IN_FLIGHT },
        };
        const Shape large_ones[] = {
                { letters, IN_FLIGHT },
                { deep, IN_FLIGHT },
                { controls, IN_FLIGHT },
                { long_hint, REMOVED },
        };
        const Flood flood = { small, ELEMENTSOF(small), large_ones, ELEMENTSOF(large_ones) };
        size_t n = flood_messages(), before, most;

        memcpy(long_hint, HINT("api"), strlen(HINT("api")));
        f->offered = -EKEYREJECTED;
        f->offer_fault = FAULT_INPUT;
        for (size_t i = 0; i < n; i++)
                put(f, shape_of(&flood, i)->body);
        before = memory();
        begin(f, "http://127.0.0.1/1/prod", true);
        most = sail_through(f, &flood);
        print_message("%zu messages: %zu KiB at most\n", n, (most - MIN(most, before)) / 1024);
        assert_true(most < before + FLOOD_MEMORY_MAX);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(f->deliveries[i], 1);
        assert_int_equal(count(f, "received"), n);
        assert_int_equal(f->n_told, n > 11); /* once, of all that have one id */
        assert_true(f->looks[0] <= QUEUE_LOOK_BURST + 1 + (f->now - START) / QUEUE_LOOK_INTERVAL);
        assert_int_equal(queue_state(f->queue), QUEUE_HEALTHY);
}

/* Whatever answers it does not wait: it is asked ever more seldom, and as before when it does. */
static void test_nothing_at_once(void **state) {
        uint64_t until = clock_boottime(&clock_system) + USEC_PER_SEC;
        Fixture *f = *state;

        f->hasty = true;
        begin(f, "http://127.0.0.1/1/prod", false);
        while (clock_boottime(&clock_system) < until)
                assert_true(sd_event_run(f->client.event, 50 * USEC_PER_MSEC) >= 0);
        assert_int_equal(queue_state(f->queue), QUEUE_HEALTHY);
        assert_in_range(test_server_requests(f->client.server), 3, 10);
        f->hasty = false;
        test_wait(f->client.event, &f->asleep);
}

static void test_out_of_reach(void **state) {
        Fixture *f = *state;

        f->status = 403;
        f->asleep = false;
        put(f, HINT("api"));
        {
                static const QueueApp apps[] = { { "api", "prod" } };
                static Clock clock;
                const QueueContext context = { .event = f->client.event,
                                               .clock = &clock,
                                               .aws = f->client.aws,
                                               .name = "prod",
                                               .self = { "i-1", "s3://d", apps, 1 } };

                clock = clock_of(f);
                assert_int_equal(queue_new(&context, &handlers, f, &f->queue, NULL), 0);
        }
        while (test_server_requests(f->client.server) < 2)
                assert_true(sd_event_run(f->client.event, 100000) >= 0);
        assert_int_equal(queue_state(f->queue), QUEUE_FAILING);
        assert_int_equal(f->n_changed, 1); /* one line for as long as it lasts */
        assert_int_equal(f->n_gone, 0);
        f->status = 0;
        test_wait(f->client.event, &f->asleep);
        assert_int_equal(queue_state(f->queue), QUEUE_HEALTHY);
        assert_int_equal(f->n_changed, 2);
        assert_int_equal(f->looks[0], 1);
}

/* Whoever made it is told, and may have it tried at once when it is there again. */
static void test_gone(void **state) {
        Fixture *f = *state;

        run(f, "http://127.0.0.1/1/prod", false);
        put(f, HINT("api"));
        f->status = 400;
        f->code = "QueueDoesNotExist";
        f->asleep = false;
        queue_free(f->queue); /* the long poll, that is */
        {
                static const QueueApp apps[] = { { "api", "prod" } };
                static Clock clock;
                const QueueContext context = { .event = f->client.event,
                                               .clock = &clock,
                                               .aws = f->client.aws,
                                               .name = "muster-prod-i-1",
                                               .url = "http://127.0.0.1/1/prod",
                                               .self = { "i-1", "s3://d", apps, 1 } };

                clock = clock_of(f);
                assert_int_equal(queue_new(&context, &handlers, f, &f->queue, NULL), 0);
        }
        for (int rounds = 0; rounds < 1000 && f->n_gone == 0; rounds++)
                assert_true(sd_event_run(f->client.event, 10000) >= 0);
        assert_int_equal(f->n_gone, 1);
        f->status = 0;
        queue_receive_now(f->queue);
        test_wait(f->client.event, &f->asleep);
        assert_int_equal(queue_state(f->queue), QUEUE_HEALTHY);
        assert_int_equal(f->looks[0], 1);
}

static void test_too_large_together(void **state) {
        Fixture *f = *state;

        f->too_large = true;
        put(f, TEST_EVENT);
        put(f, TEST_EVENT);
        run(f, "http://127.0.0.1/1/prod", false);
        wait_removed(f, 0);
        wait_removed(f, 1);
        assert_int_equal(queue_state(f->queue), QUEUE_HEALTHY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_removed_once_known),
                TEST(test_name_is_asked_for),
                TEST(test_root),
                TEST(test_foreign),
                TEST(test_foreign_in_own_queue),
                TEST(test_not_understood),
                cmocka_unit_test(test_offers),
                TEST(test_lifecycle),
                TEST(test_lifecycle_flood),
                TEST(test_looks_are_spaced),
                TEST(test_flood),
                TEST(test_nothing_at_once),
                TEST(test_out_of_reach),
                TEST(test_gone),
                TEST(test_too_large_together),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
