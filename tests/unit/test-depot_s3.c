#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/url.h"
#include "artifacts/depot_s3.h"
#include "tests/unit/aws-client.h"
#include "tests/unit/depot-promises.h"

/* A small S3 of a few objects, which can lose answers, be busy and cut off what it sends. */

#define BUCKET "/bucket"
#define PREFIX "pre fix+\xc3\xa9/x"
#define OBJECTS_MAX 400U
#define PAGE 100U

typedef struct Object {
        char *key; /* NULL: not in use */
        uint8_t *data;
        size_t size;
        unsigned revision; /* its etag */
} Object;

typedef struct Fixture {
        DepotFixture base;
        TestClient client;
        Object objects[OBJECTS_MAX];
        unsigned revision;
        unsigned puts;
        char *content_type;
        unsigned lost_puts;   /* so many more are done, but the answer is not sent */
        unsigned vain_puts;   /* so many more are not done, and there is no answer either */
        unsigned conflicts;   /* so many more are answered with 409 */
        unsigned cut_gets;    /* so many more end in the middle of the body */
        const char *overtake; /* after a lost put somebody else writes that; NULL: nobody */
        bool denied;
} Fixture;

static Object *find(Fixture *f, const char *key) {
        for (size_t i = 0; i < OBJECTS_MAX; i++)
                if (string_equal(f->objects[i].key, key))
                        return &f->objects[i];
        return NULL;
}

static void forget(Object *object) {
        if (!object)
                return;
        free(object->key);
        free(object->data);
        *object = (Object){};
}

static void store(Fixture *f, const char *key, const void *data, size_t size) {
        forget(find(f, key));
        for (size_t i = 0; i < OBJECTS_MAX; i++) {
                Object *object = &f->objects[i];

                if (object->key)
                        continue;
                *object = (Object){
                        .key = strdup(key), .data = malloc(size + 1), .size = size, .revision = ++f->revision
                };
                assert_true(object->key && object->data);
                memcpy(object->data, data, size);
                return;
        }
        fail();
}

/* Status line and headers, with the Date that every answer of S3 has. */
static void head(TestReply *reply, int status, size_t size, const char *more) {
        time_t now = time(NULL);
        struct tm tm;
        char date[64];

        assert_true(strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm)) > 0);
        assert_int_equal(buffer_printf(&reply->text,
                                       "HTTP/1.1 %d Status\r\nDate: %s\r\nContent-Length: %zu\r\n%s\r\n",
                                       status, date, size, more),
                         0);
}

static void refuse(TestReply *reply, int status, const char *code) {
        _cleanup_free_ char *body = NULL;

        assert_true(asprintf(&body, "<Error><Code>%s</Code><Message>no</Message></Error>", code) > 0);
        head(reply, status, strlen(body), "");
        assert_int_equal(buffer_append(&reply->text, body, strlen(body), SIZE_MAX), 0);
}

static bool header_is(const TestRequest *request, const char *name, unsigned revision) {
        _cleanup_free_ char *value = test_request_header(request, name);
        char etag[16];

        (void) snprintf(etag, sizeof(etag), "\"%u\"", revision);
        return value && strcmp(value, etag) == 0;
}

static bool has_header(const TestRequest *request, const char *name) {
        _cleanup_free_ char *value = test_request_header(request, name);

        return value;
}

static void serve_get(Fixture *f, const TestRequest *request, const char *key, TestReply *reply) {
        _cleanup_free_ char *range = test_request_header(request, "Range");
        const Object *object = find(f, key);
        unsigned long first = 0, last;
        char more[128];

        if (!object) {
                refuse(reply, 404, "NoSuchKey");
                return;
        }
        if (has_header(request, "If-Match") && !header_is(request, "If-Match", object->revision)) {
                refuse(reply, 412, "PreconditionFailed");
                return;
        }
        (void) snprintf(more, sizeof(more), "ETag: \"%u\"\r\n", object->revision);
        if (header_is(request, "If-None-Match", object->revision)) {
                head(reply, 304, 0, more);
                return;
        }
        last = object->size - 1;
        if (range) {
                assert_int_equal(sscanf(range, "bytes=%lu-%lu", &first, &last), 2);
                if (first >= object->size) {
                        refuse(reply, 416, "InvalidRange");
                        return;
                }
                last = MIN(last, object->size - 1);
                (void) snprintf(more, sizeof(more), "ETag: \"%u\"\r\nContent-Range: bytes %lu-%lu/%zu\r\n",
                                object->revision, first, last, object->size);
        }
        head(reply, range ? 206 : 200, last + 1 - first, more);
        if (f->cut_gets > 0) {
                f->cut_gets--;
                reply->fault = TEST_FAULT_CLOSE;
                last = first + (last - first) / 2;
        }
        assert_int_equal(buffer_append(&reply->text, object->data + first, last + 1 - first, SIZE_MAX), 0);
}

static void serve_put(Fixture *f, const TestRequest *request, const char *key, TestReply *reply) {
        const Object *object = find(f, key);
        char more[64];

        f->puts++;
        free(f->content_type);
        f->content_type = test_request_header(request, "Content-Type");
        if (f->vain_puts > 0) {
                f->vain_puts--;
                reply->fault = TEST_FAULT_RESET;
        } else if (f->conflicts > 0) {
                f->conflicts--;
                refuse(reply, 409, "ConditionalRequestConflict");
        } else if (has_header(request, "If-None-Match") && object) {
                refuse(reply, 412, "PreconditionFailed");
        } else if (has_header(request, "If-Match") && !object) {
                refuse(reply, 404, "NoSuchKey");
        } else if (has_header(request, "If-Match") && !header_is(request, "If-Match", object->revision)) {
                refuse(reply, 412, "PreconditionFailed");
        } else {
                store(f, key, request->body, request->body_size);
                (void) snprintf(more, sizeof(more), "ETag: \"%u\"\r\n", f->revision);
                head(reply, 200, 0, more);
                if (f->lost_puts == 0)
                        return;
                f->lost_puts--;
                buffer_clear(&reply->text);
                reply->fault = TEST_FAULT_RESET;
                if (f->overtake)
                        store(f, key, f->overtake, strlen(f->overtake));
        }
}

static int compare_keys(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static void serve_list(Fixture *f, const char *query, TestReply *reply) {
        _cleanup_buffer_ Buffer body = {}, prefix = {};
        const char *p = strstr(query, "prefix="), *token = strstr(query, "continuation-token=");
        size_t n = 0, begin = token ? strtoul(token + 19, NULL, 10) : 0;
        char *keys[OBJECTS_MAX];

        assert_non_null(p);
        assert_int_equal(url_decode(&prefix, p + 7, strcspn(p + 7, "&"), false), 0);
        for (size_t i = 0; i < OBJECTS_MAX; i++)
                if (f->objects[i].key && string_starts_with(f->objects[i].key, buffer_string(&prefix)))
                        keys[n++] = f->objects[i].key;
        qsort(keys, n, sizeof(keys[0]), compare_keys);
        buffer_printf(&body,
                      "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>%s</IsTruncated>",
                      begin + PAGE < n ? "true" : "false");
        if (begin + PAGE < n)
                buffer_printf(&body, "<NextContinuationToken>%zu</NextContinuationToken>", begin + PAGE);
        for (size_t i = begin; i < MIN(n, begin + PAGE); i++) {
                const Object *object = find(f, keys[i]);

                buffer_printf(&body, "<Contents><Key>");
                url_encode(&body, keys[i], strlen(keys[i]), false);
                buffer_printf(
                        &body,
                        "</Key><LastModified>2026-11-21T09:00:00.000Z</LastModified><ETag>&quot;%u&quot;</ETag>"
                        "<Size>%zu</Size></Contents>",
                        object->revision, object->size);
        }
        buffer_printf(&body, "</ListBucketResult>");
        head(reply, 200, body.size, "");
        assert_int_equal(buffer_append(&reply->text, body.data, body.size, SIZE_MAX), 0);
}

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        Fixture *f = userdata;
        size_t length = strcspn(request->target, "?");
        _cleanup_buffer_ Buffer key = {};

        assert_true(string_starts_with(request->target, BUCKET "/"));
        assert_int_equal(
                url_decode(&key, request->target + strlen(BUCKET "/"), length - strlen(BUCKET "/"), false),
                0);
        if (f->denied)
                refuse(reply, 403, "AccessDenied");
        else if (strstr(request->target + length, "list-type=2"))
                serve_list(f, request->target + length, reply);
        else if (strcmp(request->method, "GET") == 0)
                serve_get(f, request, buffer_string(&key), reply);
        else if (strcmp(request->method, "PUT") == 0)
                serve_put(f, request, buffer_string(&key), reply);
        else {
                assert_string_equal(request->method, "DELETE");
                forget(find(f, buffer_string(&key)));
                head(reply, 204, 0, "");
        }
}

static int setup(void **state) {
        const AwsOptions options = { .region = "eu-central-1" };
        Fixture *f = calloc(1, sizeof(*f));

        test_client_init(&f->client, &options, handle, f);
        f->base.event = f->client.event;
        assert_int_equal(depot_open("s3://bucket/" PREFIX "/",
                                    &(DepotOptions){ .event = f->base.event, .aws = f->client.aws },
                                    &f->base.depot, NULL),
                         0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        depot_free(f->base.depot);
        test_client_deinit(&f->client);
        for (size_t i = 0; i < OBJECTS_MAX; i++)
                forget(&f->objects[i]);
        free(f->content_type);
        free(f);
        return 0;
}

static void test_uris(void **state) {
        static const char *const bad[] = { "s3://",  "s3:///x",          "s3://Bucket",
                                           "s3://b", "s3://bucket/a//b", "s3://bucket/../b" };
        Fixture *f = *state;
        DepotOptions options = { .event = f->base.event, .aws = f->client.aws };
        _cleanup_(depot_freep) Depot *depot = NULL;
        Error error = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(depot_open(bad[i], &options, &depot, &error), -EINVAL);
                assert_int_equal(error.fault, FAULT_INPUT);
                assert_non_null(strstr(error.message, bad[i]));
        }
        options.aws = NULL;
        assert_int_equal(depot_open("s3://bucket", &options, &depot, &error), -EINVAL);
        assert_string_equal(depot_uri(f->base.depot), "s3://bucket/" PREFIX);
}

static void test_without_prefix(void **state) {
        Fixture *f = *state;
        _cleanup_(depot_freep) Depot *depot = NULL;
        _cleanup_depot_reply_ DepotReply reply = {};

        assert_int_equal(depot_open("s3://bucket/",
                                    &(DepotOptions){ .event = f->base.event, .aws = f->client.aws }, &depot,
                                    NULL),
                         0);
        assert_string_equal(depot_uri(depot), "s3://bucket");
        assert_int_equal(test_depot_put(depot, "a/k.json", "hello", DEPOT_CREATE, NULL, NULL), DEPOT_OK);
        assert_non_null(find(f, "a/k.json"));
        assert_string_equal(f->content_type, "application/json");
        assert_int_equal(test_depot_list(depot, "", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 1);
        assert_string_equal(reply.entries[0].key, "a/k.json");
}

static void test_names(void **state) {
        Fixture *f = *state;

        assert_int_equal(test_depot_put(f->base.depot, "a b+c/\xc3\xa9", "hello", DEPOT_CREATE, NULL, NULL),
                         DEPOT_OK);
        assert_non_null(find(f, PREFIX "/a b+c/\xc3\xa9"));
        assert_string_equal(f->content_type, "application/octet-stream");
}

/* Foreign objects below the prefix are none of ours. */
static void test_list_foreign(void **state) {
        Fixture *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};

        store(f, PREFIX "/a/", "", 0); /* what consoles make for a folder */
        store(f, PREFIX "/a/.hidden", "", 0);
        store(f, PREFIX "/a//b", "", 0);
        store(f, PREFIX "/a/b", "x", 1);
        store(f, PREFIX "yz/a", "x", 1);
        assert_int_equal(test_depot_list(f->base.depot, "", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 1);
        assert_string_equal(reply.entries[0].key, "a/b");
}

static void test_list_pages(void **state) {
        Fixture *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};
        char key[64];

        for (unsigned i = 0; i < 350; i++) {
                (void) snprintf(key, sizeof(key), PREFIX "/m/%03u", i);
                store(f, key, "x", 1);
        }
        assert_int_equal(test_depot_list(f->base.depot, "m/", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 350);
        assert_string_equal(reply.entries[349].key, "m/349");
}

/* The write was done, its answer was lost, and the repetition meets it. */
static void test_create_lost_answer(void **state) {
        Fixture *f = *state;

        f->lost_puts = 1;
        assert_int_equal(test_depot_put(f->base.depot, "k", "hello", DEPOT_CREATE, NULL, NULL), DEPOT_OK);
        assert_int_equal(f->puts, 2);
        test_depot_assert_value(f->base.depot, "k", "hello");
}

static void test_match_lost_answer(void **state) {
        Fixture *f = *state;
        _cleanup_free_ char *etag = test_depot_put_etag(f->base.depot, "k", "hello");
        _cleanup_depot_reply_ DepotReply reply = {};
        DepotOp *op;

        f->lost_puts = 1;
        assert_int_equal(
                depot_put_start(f->base.depot, "k", "other", 5, DEPOT_MATCH, etag, NULL, NULL, &op, NULL), 0);
        assert_int_equal(depot_wait(op, &reply, NULL), 0);
        assert_int_equal(reply.outcome, DEPOT_OK);
        assert_string_equal(reply.etag, "\"2\""); /* of what was written, to go on with */
}

static void test_lost_answer_overtaken(void **state) {
        Fixture *f = *state;

        static const char *const others[] = { "other", "hell", "hello!", "" };

        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                f->lost_puts = 1;
                f->overtake = others[i];
                assert_int_equal(test_depot_put(f->base.depot, "k", "hello", DEPOT_CREATE, NULL, NULL),
                                 DEPOT_PRECONDITION_FAILED);
                test_depot_assert_value(f->base.depot, "k", others[i]);
                forget(find(f, PREFIX "/k"));
        }
}

/* The same content from another hand, and only one attempt: the race is lost all the same. */
static void test_lost_race_is_not_ours(void **state) {
        Fixture *f = *state;

        store(f, PREFIX "/k", "hello", 5);
        assert_int_equal(test_depot_put(f->base.depot, "k", "hello", DEPOT_CREATE, NULL, NULL),
                         DEPOT_PRECONDITION_FAILED);
        assert_int_equal(f->puts, 1);
}

/* No answer at all, but the last attempt was done. */
static void test_no_answer_but_written(void **state) {
        Fixture *f = *state;

        f->vain_puts = 2;
        f->lost_puts = 1;
        assert_int_equal(test_depot_put(f->base.depot, "k", "hello", DEPOT_CREATE, NULL, NULL), DEPOT_OK);
        assert_int_equal(f->puts, 3);
}

static void test_no_answer_not_written(void **state) {
        Fixture *f = *state;
        Error error = {};
        int r;

        f->vain_puts = 99;
        r = test_depot_put(f->base.depot, "k", "hello", DEPOT_CREATE, NULL, &error);
        assert_true(r == -ECONNRESET || r == -ECONNABORTED);
        assert_true(string_starts_with(error.message, "s3://bucket/" PREFIX "/k: "));
        assert_null(find(f, PREFIX "/k"));
}

static void test_file_lost_answer(void **state) {
        Fixture *f = *state;
        _cleanup_free_ uint8_t *content = test_depot_big();
        _cleanup_close_ int fd = memfd_create("content", MFD_CLOEXEC);

        assert_int_equal(file_write_fd(fd, content, TEST_DEPOT_BIG), 0);
        for (int round = 0; round < 2; round++) {
                _cleanup_depot_reply_ DepotReply reply = {};
                DepotOp *op;

                f->lost_puts = 1;
                f->overtake = round == 1 ? "other" : NULL;
                forget(find(f, PREFIX "/big"));
                assert_int_equal(depot_put_file_start(f->base.depot, "big", fd, DEPOT_CREATE, NULL, NULL,
                                                      NULL, NULL, &op, NULL),
                                 0);
                assert_int_equal(depot_wait(op, &reply, NULL), 0);
                assert_int_equal(reply.outcome, round == 0 ? DEPOT_OK : DEPOT_PRECONDITION_FAILED);
        }
}

static void test_conflict(void **state) {
        Fixture *f = *state;
        Error error = {};

        f->conflicts = 2;
        assert_int_equal(test_depot_put(f->base.depot, "k", "hello", DEPOT_CREATE, NULL, NULL), DEPOT_OK);
        assert_int_equal(f->puts, 3);
        f->conflicts = 99;
        assert_int_equal(test_depot_put(f->base.depot, "k2", "hello", DEPOT_CREATE, NULL, &error), -EBUSY);
        assert_non_null(strstr(error.message, "/k2: other writers were in the way"));
}

/* After the first byte it is the caller's to go on. */
static void test_cut_range(void **state) {
        Fixture *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};
        Error error = {};

        store(f, PREFIX "/k", "0123456789", 10);
        f->cut_gets = 1;
        assert_int_equal(test_depot_get_range(f->base.depot, "k", 2, 6, NULL, &reply, &error), -ECONNABORTED);
        assert_true(string_starts_with(error.message, "s3://bucket/" PREFIX "/k: "));
        assert_int_equal(test_depot_get_range(f->base.depot, "k", 2, 6, NULL, &reply, &error), 0);
        assert_string_equal((char *) reply.body, "234567");
}

static void test_denied(void **state) {
        Fixture *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};
        Error error = {};

        f->denied = true;
        assert_int_equal(test_depot_get(f->base.depot, "k", NULL, TEST_DEPOT_LIMIT, &reply, &error), -EACCES);
        assert_true(string_starts_with(error.message, "s3://bucket/" PREFIX "/k: "));
        assert_int_equal(error.fault, FAULT_HOST);
        assert_int_equal(test_depot_put(f->base.depot, "k", "x", DEPOT_CREATE, NULL, NULL), -EACCES);
        assert_int_equal(test_depot_list(f->base.depot, "a/", &reply, &error), -EACCES);
        assert_int_equal(test_depot_delete(f->base.depot, "k"), -EACCES);
}

static void fail_if_called(_unused_ DepotOp *op, _unused_ int result, _unused_ const Error *error,
                           _unused_ void *userdata) {
        fail();
}

static void test_cancel(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = memfd_create("content", MFD_CLOEXEC);

        assert_int_equal(file_write_fd(fd, "hello", 5), 0);
        for (int turns = 0; turns < 6; turns++)
                for (int i = 0; i < 4; i++) {
                        Depot *d = f->base.depot;
                        DepotOp *op;

                        f->conflicts = 1;
                        assert_int_equal(
                                i == 0   ? depot_get_start(d, "k", NULL, 9, fail_if_called, NULL, &op, NULL)
                                : i == 1 ? depot_put_start(d, "k", "x", 1, DEPOT_CREATE, NULL, fail_if_called,
                                                           NULL, &op, NULL)
                                : i == 2 ? depot_put_file_start(d, "k", fd, DEPOT_ALWAYS, NULL, NULL,
                                                                fail_if_called, NULL, &op, NULL)
                                         : depot_list_start(d, "", fail_if_called, NULL, &op, NULL),
                                0);
                        for (int j = 0; j < turns && !op->finished; j++)
                                assert_true(sd_event_run(f->base.event, 0) >= 0);
                        assert_null(depot_op_free(op));
                }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                DEPOT_PROMISES(TEST),
                TEST(test_uris),
                TEST(test_without_prefix),
                TEST(test_names),
                TEST(test_list_foreign),
                TEST(test_list_pages),
                TEST(test_create_lost_answer),
                TEST(test_match_lost_answer),
                TEST(test_lost_answer_overtaken),
                TEST(test_lost_race_is_not_ours),
                TEST(test_no_answer_but_written),
                TEST(test_no_answer_not_written),
                TEST(test_file_lost_answer),
                TEST(test_conflict),
                TEST(test_cut_range),
                TEST(test_denied),
                TEST(test_cancel),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
