#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "agent/base/strv.h"
#include "agent/net/aws_call.h"
#include "tests/unit/http-server.h"
#include "tests/unit/outcome.h"
#include "tests/unit/test.h"

#define ERROR_XML(code, more) "<Error><Code>" code "</Code><Message>m</Message>" more "</Error>"

/* The answers to come, first one first; when there are no more: 200. */
typedef struct Answer {
        int status; /* 0: the fault */
        TestFault fault;
        const char *headers, *body;
} Answer;

typedef struct Setup {
        sd_event *event;
        AwsContext *aws;
        TestServer *server;
        const Answer *answers;
        size_t n_answers;
        char **dates;  /* X-Amz-Date of each request */
        char **scopes; /* Credential of each request */
        char *token;   /* X-Amz-Security-Token of the last request */
        Buffer body;   /* of the last request */
        char *method;
        int64_t clock_offset; /* of the injected wall clock */
        bool server_has_date;
        unsigned keys; /* that IMDS has given out */
} Setup;

static uint64_t boottime(_unused_ void *userdata) {
        return clock_boottime(&clock_system);
}

static uint64_t realtime(void *userdata) {
        return (uint64_t) ((int64_t) clock_realtime(&clock_system) + ((Setup *) userdata)->clock_offset);
}

static void answer_imds(Setup *setup, const TestRequest *request, TestReply *reply) {
        char json[256];

        if (strstr(request->target, "api/token"))
                test_reply(reply, 200, "", "token");
        else if (string_ends_with(request->target, "placement/region"))
                test_reply(reply, 200, "", "ap-south-1");
        else if (string_ends_with(request->target, "security-credentials/"))
                test_reply(reply, 200, "", "role");
        else {
                snprintf(json, sizeof(json),
                         "{\"AccessKeyId\":\"KEY%u\",\"SecretAccessKey\":\"s\",\"Token\":\"t%u\"}",
                         setup->keys + 1, setup->keys + 1);
                setup->keys++;
                test_reply(reply, 200, "", json);
        }
}

static void note_request(Setup *setup, const TestRequest *request) {
        _cleanup_free_ char *date = test_request_header(request, "X-Amz-Date");
        _cleanup_free_ char *authorization = test_request_header(request, "Authorization");
        const char *scope = strstr(authorization, "Credential=") + strlen("Credential=");

        assert_int_equal(strv_append(&setup->dates, date), 0);
        assert_int_equal(strv_appendf(&setup->scopes, "%.*s", (int) strcspn(scope, ","), scope), 0);
        free(setup->token);
        setup->token = test_request_header(request, "X-Amz-Security-Token");
        buffer_clear(&setup->body);
        assert_int_equal(buffer_append(&setup->body, request->body, request->body_size, SIZE_MAX), 0);
        free(setup->method);
        setup->method = strdup(request->method);
}

static void add_date(const Setup *setup, char *headers, size_t size) {
        time_t now = time(NULL);
        struct tm tm;

        if (setup->server_has_date)
                strftime(headers, size, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", gmtime_r(&now, &tm));
}

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        char headers[256] = "", date[64] = "";
        Setup *setup = userdata;
        const Answer *answer;

        if (string_starts_with(request->target, "/latest/")) {
                answer_imds(setup, request, reply);
                return;
        }
        note_request(setup, request);
        add_date(setup, date, sizeof(date));
        if (setup->n_answers == 0) {
                test_reply(reply, 200, date, "done");
                return;
        }
        answer = setup->answers++;
        setup->n_answers--;
        reply->fault = answer->fault;
        snprintf(headers, sizeof(headers), "%s%s", date, answer->headers ? answer->headers : "");
        if (answer->status == 206) /* and less than was promised */
                buffer_printf(&reply->text, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        else if (answer->status > 0)
                test_reply(reply, answer->status, headers, answer->body ? answer->body : "");
}

static void make_context(Setup *setup, const AwsOptions *more, char *const *more_environment) {
        static Clock clock;
        _cleanup_strv_ char **environment = NULL;
        AwsOptions options = more ? *more : (AwsOptions){ .region = "eu-central-1" };

        clock = (Clock){ boottime, realtime, setup };
        aws_context_free(setup->aws);
        assert_int_equal(strv_appendf(&environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT=%s",
                                      test_server_url(setup->server)),
                         0);
        STRV_FOREACH(variable, more_environment)
                assert_int_equal(strv_append(&environment, *variable), 0);
        options.clock = &clock;
        options.environment = environment;
        options.endpoints.url = test_server_url(setup->server);
        assert_int_equal(aws_context_new(setup->event, &options, &setup->aws, NULL), 0);
}

static char *const fixed_keys[] = { (char *) "AWS_ACCESS_KEY_ID=AKID",
                                    (char *) "AWS_SECRET_ACCESS_KEY=secret", NULL };

static int set_up(void **state) {
        Setup *setup = calloc(1, sizeof(*setup));

        assert_non_null(setup);
        setup->server_has_date = true;
        assert_true(sd_event_new(&setup->event) >= 0);
        setup->server = test_server_new(setup->event, handle, setup);
        make_context(setup, NULL, fixed_keys);
        *state = setup;
        return 0;
}

static int tear_down(void **state) {
        Setup *setup = *state;

        aws_context_free(setup->aws);
        test_server_free(setup->server);
        sd_event_unref(setup->event);
        strv_free(setup->dates);
        strv_free(setup->scopes);
        buffer_deinit(&setup->body);
        free(setup->token);
        free(setup->method);
        free(setup);
        return 0;
}

DEFINE_TEST_DONE(on_done, AwsCall)

static const AwsRequest get_object = {
        .service = AWS_S3,
        .operation = "GetObject",
        .method = "GET",
        .bucket = "bucket",
        .path = "/k",
};

static AwsCall *perform(Setup *setup, const AwsRequest *request, const Answer *answers, size_t n,
                        TestOutcome *outcome) {
        AwsCall *call = NULL;

        setup->answers = answers;
        setup->n_answers = n;
        assert_int_equal(aws_call_start(setup->aws, request, on_done, outcome, &call, NULL), 0);
        assert_false(outcome->done);
        test_wait(setup->event, &outcome->done);
        return call;
}

static void test_signed(void **state) {
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        TestOutcome outcome = {};

        call = perform(setup, &get_object, NULL, 0, &outcome);
        assert_int_equal(outcome.result, 0);
        assert_int_equal(aws_call_status(call), 200);
        assert_int_equal(aws_call_attempts(call), 1);
        assert_string_equal(buffer_string(aws_call_body(call)), "done");
        assert_null(aws_call_error(call));
        assert_true(string_starts_with(setup->scopes[0], "AKID/"));
        assert_true(string_ends_with(setup->scopes[0], "/eu-central-1/s3/aws4_request"));
        assert_memory_equal(setup->scopes[0] + 5, setup->dates[0], 8);
        assert_null(setup->token);
        assert_true(aws_call_server_time(call) + 5 * USEC_PER_SEC > clock_realtime(&clock_system));
}

static void test_transient(void **state) {
        static const Answer answers[] = { { .fault = TEST_FAULT_RESET }, { .status = 503 } };
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        TestOutcome outcome = {};

        call = perform(setup, &get_object, answers, ELEMENTSOF(answers), &outcome);
        assert_int_equal(outcome.result, 0);
        assert_int_equal(aws_call_attempts(call), 3);
        assert_int_equal(aws_context_quota(setup->aws)->left, RETRY_QUOTA_MAX - RETRY_COST);
}

static void test_gives_up(void **state) {
        static const Answer answers[] = { { .status = 500 },
                                          { .status = 500 },
                                          { .status = 503, .body = ERROR_XML("ServiceUnavailable", "") } };
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        TestOutcome outcome = {};

        call = perform(setup, &get_object, answers, ELEMENTSOF(answers), &outcome);
        assert_int_equal(outcome.result, -EAGAIN);
        assert_string_equal(outcome.error.message,
                            "S3 GetObject (3 attempts): ServiceUnavailable: m (status 503)");
        assert_int_equal(outcome.error.fault, FAULT_HOST);
        assert_int_equal(strv_length(setup->dates), 3);
        assert_string_equal(aws_call_error(call)->code, "ServiceUnavailable");
}

static void test_no_answer(void **state) {
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        TestOutcome outcome = {};

        setup->server = test_server_free(setup->server);
        call = perform(setup, &get_object, NULL, 0, &outcome);
        assert_int_equal(outcome.result, -ECONNREFUSED);
        assert_true(
                string_starts_with(outcome.error.message, "S3 GetObject (3 attempts): http://127.0.0.1:"));
        assert_null(aws_call_error(call));
}

/* Without quota a failure is final: the service has enough to do. */
static void test_empty_quota(void **state) {
        static const Answer answers[] = { { .status = 503 } };
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        TestOutcome outcome = {};

        aws_context_quota(setup->aws)->left = RETRY_COST - 1;
        call = perform(setup, &get_object, answers, ELEMENTSOF(answers), &outcome);
        assert_int_equal(outcome.result, -EAGAIN);
        assert_int_equal(aws_call_attempts(call), 1);
}

static void test_refusal(void **state) {
        static const Answer answers[] = { { .status = 403,
                                            .body = ERROR_XML("AccessDenied", "<RequestId>R</RequestId>") } };
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        TestOutcome outcome = {};

        call = perform(setup, &get_object, answers, ELEMENTSOF(answers), &outcome);
        assert_int_equal(outcome.result, -EACCES);
        assert_string_equal(outcome.error.message, "S3 GetObject: AccessDenied: m (status 403, request R)");
        assert_int_equal(aws_call_attempts(call), 1);
}

static void test_skew(void **state) {
        static const Answer answers[] = { { .status = 403, .body = ERROR_XML("RequestTimeTooSkewed", "") } };
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *call = NULL, *next = NULL;
        TestOutcome outcomes[2] = {};
        int64_t error;

        setup->clock_offset = -(int64_t) (3600 * USEC_PER_SEC);
        call = perform(setup, &get_object, answers, ELEMENTSOF(answers), &outcomes[0]);
        assert_int_equal(outcomes[0].result, 0);
        assert_int_equal(aws_call_attempts(call), 2);
        assert_string_not_equal(setup->dates[0], setup->dates[1]);
        error = aws_context_skew(setup->aws) + setup->clock_offset;
        assert_true(error < (int64_t) (3 * USEC_PER_SEC) && error > -(int64_t) (3 * USEC_PER_SEC));
        next = perform(setup, &get_object, NULL, 0, &outcomes[1]); /* and it is remembered */
        assert_int_equal(aws_call_attempts(next), 1);
        assert_true(strcmp(setup->dates[2], setup->dates[0]) > 0);
}

/* The clock is right, so the keys are wrong. */
static void test_no_skew(void **state) {
        static const Answer answers[] = { { .status = 403, .body = ERROR_XML("SignatureDoesNotMatch", "") } };
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        TestOutcome outcome = {};

        call = perform(setup, &get_object, answers, ELEMENTSOF(answers), &outcome);
        assert_int_equal(outcome.result, -EACCES);
        assert_int_equal(aws_call_attempts(call), 1);
        assert_true(aws_context_skew(setup->aws) == 0);
}

/* Nobody minds three minutes, but they are known. */
static void test_time(void **state) {
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        TestOutcome outcome = {};
        int64_t difference;

        setup->clock_offset = (int64_t) (180 * USEC_PER_SEC);
        assert_true(aws_context_time(setup->aws) > clock_realtime(&clock_system) + 170 * USEC_PER_SEC);
        call = perform(setup, &get_object, NULL, 0, &outcome);
        assert_int_equal(outcome.result, 0);
        assert_true(aws_context_skew(setup->aws) == 0);
        difference = (int64_t) (aws_context_time(setup->aws) - clock_realtime(&clock_system));
        assert_true(difference < (int64_t) (5 * USEC_PER_SEC) && difference > -(int64_t) (5 * USEC_PER_SEC));
}

/* A server whose clock jumps about is not followed for ever. */
static void test_skew_is_corrected_once(void **state) {
        static const Answer answers[] = {
                { .status = 403,
                  .headers = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
                  .body = ERROR_XML("RequestTimeTooSkewed", "") },
                { .status = 403,
                  .headers = "Date: Sun, 06 Nov 2044 08:49:37 GMT\r\n",
                  .body = ERROR_XML("RequestTimeTooSkewed", "") },
        };
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        TestOutcome outcome = {};

        setup->server_has_date = false;
        call = perform(setup, &get_object, answers, ELEMENTSOF(answers), &outcome);
        assert_int_equal(outcome.result, -EACCES);
        assert_int_equal(aws_call_attempts(call), 2);
}

#define EU_WEST "x-amz-bucket-region: eu-west-1\r\n"

static void test_other_region(void **state) {
        static const Answer redirect[] = {
                { .status = 301, .headers = EU_WEST, .body = ERROR_XML("PermanentRedirect", "") }
        };
        static const Answer malformed[] = {
                { .status = 400,
                  .body = ERROR_XML("AuthorizationHeaderMalformed", "<Region>us-west-2</Region>") },
        };
        Setup *setup = *state;
        AwsRequest elsewhere = get_object;
        _cleanup_(aws_call_freep) AwsCall *first = NULL, *second = NULL, *third = NULL;
        TestOutcome outcomes[3] = {};

        first = perform(setup, &get_object, redirect, 1, &outcomes[0]);
        assert_int_equal(outcomes[0].result, 0);
        assert_true(string_ends_with(setup->scopes[1], "/eu-west-1/s3/aws4_request"));
        second = perform(setup, &get_object, NULL, 0, &outcomes[1]); /* remembered for this bucket */
        assert_true(string_ends_with(setup->scopes[2], "/eu-west-1/s3/aws4_request"));
        elsewhere.bucket = "other";
        third = perform(setup, &elsewhere, malformed, 1, &outcomes[2]);
        assert_true(string_ends_with(setup->scopes[3], "/eu-central-1/s3/aws4_request"));
        assert_true(string_ends_with(setup->scopes[4], "/us-west-2/s3/aws4_request"));
}

static void test_redirected_twice(void **state) {
        static const Answer answers[] = {
                { .status = 301, .headers = EU_WEST, .body = ERROR_XML("PermanentRedirect", "") },
                { .status = 301,
                  .headers = "x-amz-bucket-region: us-west-2\r\n",
                  .body = ERROR_XML("PermanentRedirect", "") },
        };
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        TestOutcome outcome = {};

        call = perform(setup, &get_object, answers, ELEMENTSOF(answers), &outcome);
        assert_int_equal(outcome.result, -EREMOTEIO);
        assert_int_equal(aws_call_attempts(call), 2);
}

/* HEAD has no body to say it in. */
static void test_other_region_of_head(void **state) {
        static const Answer answers[] = { { .status = 400, .headers = EU_WEST } };
        Setup *setup = *state;
        AwsRequest head = get_object;
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        TestOutcome outcome = {};

        head.method = "HEAD";
        call = perform(setup, &head, answers, 1, &outcome);
        assert_int_equal(outcome.result, 0);
        assert_true(string_ends_with(setup->scopes[1], "/eu-west-1/s3/aws4_request"));
}

/* A redirect that does not say where to: HeadBucket does. */
static void test_region_is_looked_up(void **state) {
        static const Answer answers[] = { { .status = 307, .body = ERROR_XML("TemporaryRedirect", "") },
                                          { .status = 403, .headers = EU_WEST } };
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        TestOutcome outcome = {};

        call = perform(setup, &get_object, answers, ELEMENTSOF(answers), &outcome);
        assert_int_equal(outcome.result, 0);
        assert_int_equal(strv_length(setup->scopes), 3);
        assert_true(string_ends_with(setup->scopes[2], "/eu-west-1/s3/aws4_request"));
        assert_string_equal(aws_context_bucket_region(setup->aws, "bucket"), "eu-west-1");
}

static void test_region_stays_unknown(void **state) {
        static const Answer answers[] = { { .status = 301, .body = ERROR_XML("PermanentRedirect", "") },
                                          { .status = 301 },
                                          { .status = 301 } };
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        TestOutcome outcome = {};

        call = perform(setup, &get_object, answers, ELEMENTSOF(answers), &outcome);
        assert_int_equal(outcome.result, -EREMOTEIO);
        assert_string_equal(outcome.error.message, "S3 GetObject: PermanentRedirect: m (status 301)");
        assert_int_equal(strv_length(setup->scopes), 2);
}

static void test_expired_credentials(void **state) {
        static const Answer answers[] = { { .status = 400, .body = ERROR_XML("ExpiredToken", "") },
                                          { .status = 400, .body = ERROR_XML("ExpiredToken", "") } };
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *renewed = NULL, *refused = NULL;
        TestOutcome outcomes[2] = {};

        make_context(setup, NULL, NULL);
        renewed = perform(setup, &get_object, answers, 1, &outcomes[0]);
        assert_int_equal(outcomes[0].result, 0);
        assert_int_equal(setup->keys, 2);
        assert_string_equal(setup->token, "t2");
        refused = perform(setup, &get_object, answers, 2, &outcomes[1]);
        assert_int_equal(outcomes[1].result, -EACCES);
        assert_int_equal(setup->keys, 3); /* asked for once, not for ever */
}

/* Keys of the environment do not get newer. */
static void test_expired_for_good(void **state) {
        static const Answer answers[] = { { .status = 400, .body = ERROR_XML("ExpiredToken", "") } };
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        TestOutcome outcome = {};

        call = perform(setup, &get_object, answers, 1, &outcome);
        assert_int_equal(outcome.result, -EACCES);
        assert_int_equal(aws_call_attempts(call), 1);
}

static void test_region_of_instance(void **state) {
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        TestOutcome outcome = {};

        make_context(setup, &(AwsOptions){}, fixed_keys);
        call = perform(setup, &get_object, NULL, 0, &outcome);
        assert_int_equal(outcome.result, 0);
        assert_true(string_ends_with(setup->scopes[0], "/ap-south-1/s3/aws4_request"));
        assert_string_equal(aws_context_region(setup->aws), "ap-south-1");
}

static void test_no_region(void **state) {
        char *environment[] = { (char *) "AWS_EC2_METADATA_DISABLED=true", NULL };
        Setup *setup = *state;
        AwsCall *call = NULL;
        Error error = {};

        make_context(setup, &(AwsOptions){}, environment);
        assert_int_equal(aws_call_start(setup->aws, &get_object, on_done, NULL, &call, &error), -EOPNOTSUPP);
        assert_string_equal(
                error.message,
                "S3 GetObject: no AWS region: looked in the configuration, AWS_REGION, AWS_DEFAULT_REGION, the profile and "
                "the instance's metadata: instance metadata is turned off (AWS_EC2_METADATA_DISABLED)");
}

static int collect(_unused_ HttpTransfer *transfer, const void *data, size_t size, void *userdata) {
        return buffer_append(userdata, data, size, SIZE_MAX);
}

/* What the sink has got cannot be taken back, so its owner must go on from there. */
static void test_broken_after_first_byte(void **state) {
        static const Answer answers[] = { { .status = 206, .fault = TEST_FAULT_CLOSE } };
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *in_memory = NULL, *sunk = NULL;
        _cleanup_buffer_ Buffer data = {};
        AwsRequest request = get_object;
        TestOutcome outcomes[2] = {};

        in_memory = perform(setup, &get_object, answers, 1, &outcomes[0]);
        assert_int_equal(outcomes[0].result, 0);
        assert_string_equal(buffer_string(aws_call_body(in_memory)), "done");
        request.sink = collect;
        request.sink_userdata = &data;
        sunk = perform(setup, &request, answers, 1, &outcomes[1]);
        assert_int_equal(outcomes[1].result, -ECONNABORTED);
        assert_string_equal(buffer_string(&data), "half");
}

static void test_body_is_sent_again(void **state) {
        static const Answer answers[] = { { .status = 500 }, { .fault = TEST_FAULT_RESET } };
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *memory = NULL, *file = NULL;
        _cleanup_close_ int fd = memfd_create("body", MFD_CLOEXEC);
        AwsRequest put = get_object;
        TestOutcome outcomes[2] = {};

        put.method = "PUT";
        put.body = (HttpBody){ .data = "hello", .size = 5 };
        memory = perform(setup, &put, answers, ELEMENTSOF(answers), &outcomes[0]);
        assert_int_equal(outcomes[0].result, 0);
        assert_string_equal(buffer_string(&setup->body), "hello");
        assert_int_equal(write(fd, "world", 5), 5);
        put.body = (HttpBody){ .fd = fd, .size = 5 };
        put.body_sha256 = "486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7";
        file = perform(setup, &put, answers, ELEMENTSOF(answers), &outcomes[1]);
        assert_int_equal(outcomes[1].result, 0);
        assert_string_equal(buffer_string(&setup->body), "world");
}

/* A put that curl sent twice, because the kept connection died under it, is known to have been sent twice. */
static void test_resend_counts(void **state) {
        static const Answer answers[] = { { .fault = TEST_FAULT_CLOSE } };
        Setup *setup = *state;
        _cleanup_(aws_call_freep) AwsCall *first = NULL, *second = NULL;
        AwsRequest put = get_object;
        TestOutcome outcomes[2] = {};

        put.method = "PUT";
        put.body = (HttpBody){ .data = "hello", .size = 5 };
        first = perform(setup, &put, NULL, 0, &outcomes[0]);
        assert_int_equal(aws_call_attempts(first), 1);
        second = perform(setup, &put, answers, 1, &outcomes[1]);
        assert_int_equal(outcomes[1].result, 0);
        assert_int_equal(aws_call_attempts(second), 2);
}

static void test_free_while_running(void **state) {
        static const Answer answers[] = { { .status = 503, .headers = "x-amz-retry-after: 60000\r\n" } };
        Setup *setup = *state;
        TestOutcome outcome = {};

        setup->answers = answers;
        setup->n_answers = 1;
        for (int steps = 0; steps < 20; steps++) { /* in whatever state it is by then */
                _cleanup_(aws_call_freep) AwsCall *call = NULL;

                assert_int_equal(aws_call_start(setup->aws, &get_object, on_done, &outcome, &call, NULL), 0);
                for (int i = 0; i < steps && !outcome.done; i++)
                        assert_true(sd_event_run(setup->event, 5 * USEC_PER_MSEC) >= 0);
                outcome.done = false;
        }
}

static void test_bad_options(_unused_ void **state) {
        static const struct {
                AwsOptions options;
                const char *variable, *message;
        } cases[] = {
                { { .region = "Frankfurt" },
                  NULL,
                  "bad region 'Frankfurt', expected one such as eu-central-1" },
                { {}, "AWS_REGION=a.b", "bad region 'a.b', expected one such as eu-central-1" },
                { {}, "AWS_MAX_ATTEMPTS=0", "AWS_MAX_ATTEMPTS is '0', expected a number from 1 to 10" },
                { {}, "AWS_MAX_ATTEMPTS=many", "AWS_MAX_ATTEMPTS is 'many', expected a number from 1 to 10" },
                { {},
                  "AWS_CA_BUNDLE=/nowhere",
                  "cannot read the CA bundle /nowhere: No such file or directory" },
        };
        sd_event *event = NULL;

        assert_true(sd_event_new(&event) >= 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *environment[] = { (char *) cases[i].variable, NULL };
                AwsOptions options = cases[i].options;
                AwsContext *aws = NULL;
                Error error = {};

                options.environment = environment;
                assert_true(aws_context_new(event, &options, &aws, &error) < 0);
                assert_string_equal(error.message, cases[i].message);
                assert_null(aws);
        }
        sd_event_unref(event);
}

/* The options go before the environment, and that before what is usual. */
static void test_attempts(void **state) {
        static char *const two[] = { (char *) "AWS_MAX_ATTEMPTS=2", NULL };
        const AwsOptions one = { .region = "eu-central-1", .attempts_max = 1 };
        Setup *setup = *state;

        make_context(setup, NULL, NULL);
        assert_int_equal(aws_context_attempts(setup->aws), AWS_ATTEMPTS);
        make_context(setup, NULL, two);
        assert_int_equal(aws_context_attempts(setup->aws), 2);
        make_context(setup, &one, two);
        assert_int_equal(aws_context_attempts(setup->aws), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_signed),
                TEST(test_transient),
                TEST(test_gives_up),
                TEST(test_no_answer),
                TEST(test_empty_quota),
                TEST(test_refusal),
                TEST(test_attempts),
                TEST(test_skew),
                TEST(test_no_skew),
                TEST(test_time),
                TEST(test_skew_is_corrected_once),
                TEST(test_other_region),
                TEST(test_redirected_twice),
                TEST(test_other_region_of_head),
                TEST(test_region_is_looked_up),
                TEST(test_region_stays_unknown),
                TEST(test_expired_credentials),
                TEST(test_expired_for_good),
                TEST(test_region_of_instance),
                TEST(test_no_region),
                TEST(test_broken_after_first_byte),
                TEST(test_body_is_sent_again),
                TEST(test_resend_counts),
                TEST(test_free_while_running),
                cmocka_unit_test(test_bad_options),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
