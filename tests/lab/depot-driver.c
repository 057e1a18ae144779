/* Does one thing with a depot and says on standard error, in "name=value" lines, what came of it; what is
 * read goes to standard output. The hands of tests/lab/test_depot.py and tests/bench/fetch_limited.py.
 *
 *     depot-driver get URI KEY [ETAG]
 *     depot-driver put URI KEY FILE always|create|match [ETAG]         from memory
 *     depot-driver put-file URI KEY FILE always|create|match [ETAG]    from the descriptor
 *     depot-driver list URI PREFIX
 *     depot-driver delete URI KEY
 *     depot-driver fetch URI KEY DESCRIPTION
 *
 * DESCRIPTION is a file: size, chunk size and SHA-256 of the whole (or "-") in the first line, then one line with the
 * SHA-256 of each chunk. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/hex.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/aws.h"
#include "artifacts/depot.h"
#include "artifacts/fetch.h"

#define VALUE_MAX (16U << 20)
#define DESCRIPTION_MAX (1U << 20)

typedef struct Driver {
        sd_event *event;
        Depot *depot;
        char **arguments; /* from the key on */
        int result;
} Driver;

static const char *argument(const Driver *driver, size_t i) {
        return i < strv_length(driver->arguments) ? driver->arguments[i] : NULL;
}

static int report(int result, const DepotReply *reply, const Error *error) {
        static const char *const outcomes[] = { "ok", "not-modified", "not-found", "precondition-failed" };

        fprintf(stderr, "result=%d\n", result);
        if (result < 0) {
                fprintf(stderr, "error=%s\nfault=%s\n", error->message, error_fault_to_string(error->fault));
                return result;
        }
        fprintf(stderr, "outcome=%s\netag=%s\nsize=%ju\nserver_time=%ju\n", outcomes[reply->outcome],
                reply->etag ? reply->etag : "", (uintmax_t) reply->size, (uintmax_t) reply->server_time);
        return 0;
}

/* R is that of the start of OP. */
static int finish(int r, DepotOp *op, Error *error) {
        _cleanup_depot_reply_ DepotReply reply = {};

        if (r >= 0)
                r = depot_wait(op, &reply, error);
        if (r >= 0 && reply.body)
                fwrite(reply.body, 1, reply.body_size, stdout);
        for (size_t i = 0; r >= 0 && i < reply.n_entries; i++)
                printf("%s\t%s\t%ju\n", reply.entries[i].key,
                       reply.entries[i].etag ? reply.entries[i].etag : "", (uintmax_t) reply.entries[i].size);
        return report(r, &reply, error);
}

static int do_get(Driver *driver) {
        DepotOp *op = NULL;
        Error error = {};
        int r;

        r = depot_get_start(driver->depot, argument(driver, 0), argument(driver, 1), VALUE_MAX, NULL, NULL,
                            &op, &error);
        return finish(r, op, &error);
}

static DepotCondition condition_of(const Driver *driver) {
        const char *word = argument(driver, 2);

        return string_equal(word, "create")  ? DEPOT_CREATE
               : string_equal(word, "match") ? DEPOT_MATCH
                                             : DEPOT_ALWAYS;
}

static int do_put(Driver *driver) {
        _cleanup_buffer_ Buffer content = {};
        DepotOp *op = NULL;
        Error error = {};
        int r;

        r = file_read_at(AT_FDCWD, argument(driver, 1), VALUE_MAX, &content);
        if (r < 0)
                return r;
        r = depot_put_start(driver->depot, argument(driver, 0), content.data, content.size,
                            condition_of(driver), argument(driver, 3), NULL, NULL, &op, &error);
        return finish(r, op, &error);
}

static int do_put_file(Driver *driver) {
        _cleanup_close_ int fd = file_open_at(AT_FDCWD, argument(driver, 1), O_RDONLY, 0);
        DepotOp *op = NULL;
        Error error = {};
        int r;

        r = depot_put_file_start(driver->depot, argument(driver, 0), fd, condition_of(driver),
                                 argument(driver, 3), NULL, NULL, NULL, &op, &error);
        return finish(r, op, &error);
}

static int do_list(Driver *driver) {
        DepotOp *op = NULL;
        Error error = {};
        int r;

        r = depot_list_start(driver->depot, argument(driver, 0), NULL, NULL, &op, &error);
        return finish(r, op, &error);
}

static int do_delete(Driver *driver) {
        DepotOp *op = NULL;
        Error error = {};
        int r;

        r = depot_delete_start(driver->depot, argument(driver, 0), NULL, NULL, &op, &error);
        return finish(r, op, &error);
}

/* The most memory that this process ever had, in KiB. (What the kernel tells a parent counts its own as
 * well.) */
static uint64_t peak_memory(void) {
        _cleanup_buffer_ Buffer status = {};
        const char *line;
        uint64_t kib = 0;

        if (file_read_at(AT_FDCWD, "/proc/self/status", 65536, &status) < 0)
                return 0;
        line = strstr(buffer_string(&status), "VmHWM:");
        return line && sscanf(line, "VmHWM: %ju", (uintmax_t *) &kib) == 1 ? kib : 0;
}

static void on_fetched(Fetch *fetch, int result, const Error *error, void *userdata) {
        FetchStatistics statistics = fetch_statistics(fetch);
        Driver *driver = userdata;

        driver->result = result;
        fprintf(stderr, "result=%d\nerror=%s\nfault=%s\n", result, result < 0 ? error->message : "",
                error_fault_to_string(result < 0 ? error->fault : FAULT_UNKNOWN));
        fprintf(stderr, "written=%ju\nreceived=%ju\nrequests=%u\nfailures=%u\nstreams=%u\nmemory=%ju\n",
                (uintmax_t) statistics.written, (uintmax_t) statistics.received, statistics.requests,
                statistics.failures, statistics.streams_max, (uintmax_t) peak_memory());
        fetch_free(fetch);
        (void) sd_event_exit(driver->event, 0);
}

/* The lines of the description; DIGESTS is new memory. */
static int read_description(const char *path, char ***ret_lines, FetchArtifact *ret,
                            uint8_t (**ret_digests)[DIGEST_SIZE]) {
        _cleanup_strv_ char **lines = NULL;
        _cleanup_buffer_ Buffer text = {};
        uint8_t(*digests)[DIGEST_SIZE];
        size_t n;
        int r;

        r = file_read_at(AT_FDCWD, path, DESCRIPTION_MAX, &text);
        if (r >= 0)
                r = strv_split(buffer_string(&text), " \n", &lines);
        if (r < 0)
                return r;
        n = strv_length(lines);
        digests = n > 3 ? calloc(n - 3, sizeof(*digests)) : NULL;
        if (!digests)
                return -EINVAL;
        *ret_digests = digests;
        if (parse_u64(lines[0], &ret->size) < 0 || parse_u64(lines[1], &ret->chunk_size) < 0)
                return -EINVAL;
        for (size_t i = 3; i < n; i++)
                if (hex_decode(lines[i], digests[i - 3], DIGEST_SIZE) < 0)
                        return -EINVAL;
        ret->sha256 = string_equal(lines[2], "-") ? NULL : lines[2];
        ret->chunks = (const uint8_t(*)[DIGEST_SIZE]) digests;
        ret->n_chunks = n - 3;
        *ret_lines = TAKE_PTR(lines);
        return 0;
}

static int do_fetch(Driver *driver) {
        _cleanup_free_ uint8_t(*digests)[DIGEST_SIZE] = NULL;
        _cleanup_strv_ char **lines = NULL;
        FetchArtifact artifact = {};
        Error error = {};
        Fetch *fetch;
        int r;

        r = read_description(argument(driver, 1), &lines, &artifact, &digests);
        if (r < 0)
                return r;
        r = fetch_start(driver->depot, argument(driver, 0), &artifact, STDOUT_FILENO, NULL, on_fetched,
                        driver, &fetch, &error);
        if (r < 0)
                return report(r, NULL, &error);
        r = sd_event_loop(driver->event);
        return r < 0 ? r : driver->result;
}

static const struct {
        const char *name;
        size_t arguments_min;
        int (*run)(Driver *driver);
} verbs[] = {
        { "get", 1, do_get },   { "put", 3, do_put },       { "put-file", 3, do_put_file },
        { "list", 1, do_list }, { "delete", 1, do_delete }, { "fetch", 2, do_fetch },
};

static int run(Driver *driver, const char *verb, const char *uri) {
        _cleanup_(aws_context_freep) AwsContext *aws = NULL;
        _cleanup_(depot_freep) Depot *depot = NULL;
        Error error = {};
        int r;

        r = aws_context_new(driver->event, &(AwsOptions){}, &aws, &error);
        if (r >= 0)
                r = depot_open(uri, &(DepotOptions){ .event = driver->event, .aws = aws }, &depot, &error);
        if (r < 0)
                return report(r, NULL, &error);
        driver->depot = depot;
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (strcmp(verb, verbs[i].name) == 0 &&
                    strv_length(driver->arguments) >= verbs[i].arguments_min)
                        return verbs[i].run(driver);
        fputs("usage: see the top of tests/lab/depot-driver.c\n", stderr);
        return -EINVAL;
}

int main(int argc, char **argv) {
        Driver driver = { .arguments = argv + MIN(argc, 3) };
        int r;

        (void) signal(SIGPIPE, SIG_IGN);
        if (argc < 3 || sd_event_default(&driver.event) < 0)
                return 2;
        r = run(&driver, argv[1], argv[2]);
        sd_event_unref(driver.event);
        return r < 0 ? 1 : 0;
}
