#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "artifacts/depot.h"
#include "artifacts/depot_file.h"
#include "artifacts/file_lock.h"
#include "tests/unit/depot-promises.h"

#define HELLO_ETAG                                                                                           \
        "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"" /* SHA-256 of "hello" */

static void test_etags(void **state) {
        FolderDepot *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_free_ uint8_t *content = test_depot_big();
        _cleanup_free_ char *etag = test_depot_put_etag(f->base.depot, "k", "hello");

        assert_string_equal(etag, HELLO_ETAG);
        assert_int_equal(test_depot_get_range(f->base.depot, "k", 0, 1, NULL, &reply, NULL), 0);
        assert_null(reply.etag);
        depot_reply_deinit(&reply);
        assert_int_equal(file_replace_at(f->fd, "large", content, TEST_DEPOT_BIG, 0600), 0);
        assert_int_equal(test_depot_list(f->base.depot, "", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 2);
        assert_string_equal(reply.entries[1].key, "large");
        assert_null(reply.entries[1].etag);
        assert_int_equal(reply.entries[1].size, TEST_DEPOT_BIG);
}

/* A lock that another holds is waited for. */
static int on_unlock(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        int *held = userdata;

        *held = close_fd(*held);
        return 0;
}

static void test_waits_for_lock(void **state) {
        FolderDepot *f = *state;
        int held = file_lock_try(f->fd, ".lock");

        assert_true(held >= 0);
        assert_true(sd_event_add_time_relative(f->base.event, NULL, CLOCK_MONOTONIC, 30 * USEC_PER_MSEC, 1,
                                               on_unlock, &held) >= 0);
        assert_int_equal(test_depot_put(f->base.depot, "k", "hello", DEPOT_CREATE, NULL, NULL), DEPOT_OK);
        assert_int_equal(held, -1); /* not before it was given back */
}

static void test_list_many(void **state) {
        FolderDepot *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_(depot_op_freep) DepotOp *op = NULL;
        char key[32];

        for (unsigned i = 0; i < 300; i++) {
                (void) snprintf(key, sizeof(key), "m/%03u", i);
                assert_int_equal(file_open_folder_at(f->fd, "m", 0700) < 0, 0);
                assert_int_equal(file_replace_at(f->fd, key, key, strlen(key), 0600), 0);
        }
        assert_int_equal(depot_list_start(f->base.depot, "m/", NULL, NULL, &op, NULL), 0);
        /* Some vanish while the list is being made. */
        assert_true(sd_event_run(f->base.event, UINT64_MAX) >= 0);
        assert_true(sd_event_run(f->base.event, UINT64_MAX) >= 0);
        assert_int_equal(file_remove_at(f->fd, "m/000"), 0);
        assert_int_equal(file_remove_at(f->fd, "m/250"), 0);
        assert_int_equal(depot_wait(TAKE_PTR(op), &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 299);
        assert_string_equal(reply.entries[249].key, "m/249");
        assert_string_equal(reply.entries[250].key, "m/251");
}

static void test_hidden_names(void **state) {
        FolderDepot *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};

        assert_int_equal(test_depot_put(f->base.depot, "apps/a/groups/g/target.json", "hello", DEPOT_ALWAYS,
                                        NULL, NULL),
                         DEPOT_OK);
        assert_int_equal(faccessat(f->fd, "apps/a/groups/g/.lock", F_OK, 0), 0);
        assert_int_equal(faccessat(f->fd, ".lock", F_OK, 0), -1);
        assert_int_equal(test_depot_put(f->base.depot, "root/1.json", "hello", DEPOT_ALWAYS, NULL, NULL),
                         DEPOT_OK);
        assert_int_equal(faccessat(f->fd, ".lock", F_OK, 0), 0);
        assert_int_equal(file_replace_at(f->fd, "apps/.tmp-0123456789abcdef", "x", 1, 0600), 0);
        assert_int_equal(test_depot_list(f->base.depot, "", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 2);
}

static void test_links_are_not_followed(void **state) {
        FolderDepot *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};
        Error error = {};

        assert_int_equal(symlinkat("/etc/passwd", f->fd, "link"), 0);
        assert_int_equal(symlinkat("/tmp", f->fd, "folder"), 0);
        assert_int_equal(test_depot_get(f->base.depot, "link", NULL, TEST_DEPOT_LIMIT, &reply, &error),
                         -ELOOP);
        assert_non_null(strstr(error.message, "/link: a symbolic link"));
        assert_int_equal(test_depot_get(f->base.depot, "folder/x", NULL, TEST_DEPOT_LIMIT, &reply, &error),
                         -ELOOP);
        assert_true(test_depot_put(f->base.depot, "folder/x", "x", DEPOT_ALWAYS, NULL, NULL) < 0);
        assert_int_equal(test_depot_list(f->base.depot, "", &reply, NULL), 0);
        assert_int_equal(reply.n_entries, 0);
        /* A link is replaced, its target is not touched. */
        assert_int_equal(test_depot_put(f->base.depot, "link", "hello", DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
        test_depot_assert_value(f->base.depot, "link", "hello");
}

/* What writers that died have left is swept by the next writer of a file, what is being written is not. */
static void test_leftovers(void **state) {
        FolderDepot *f = *state;
        _cleanup_close_ int fd = memfd_create("content", MFD_CLOEXEC);
        _cleanup_(depot_op_freep) DepotOp *first = NULL;
        _cleanup_depot_reply_ DepotReply reply = {};
        DepotOp *second;

        assert_int_equal(file_write_fd(fd, "hello", 5), 0);
        assert_int_equal(file_open_folder_at(f->fd, "a", 0700) < 0, 0);
        assert_int_equal(file_replace_at(f->fd, "a/.tmp-dead", "x", 1, 0600), 0);
        assert_int_equal(depot_put_file_start(f->base.depot, "a/first", fd, DEPOT_ALWAYS, NULL, NULL, NULL,
                                              NULL, &first, NULL),
                         0);
        assert_true(sd_event_run(f->base.event, UINT64_MAX) >= 0);
        assert_int_equal(faccessat(f->fd, "a/.tmp-dead", F_OK, 0), -1);
        assert_int_equal(depot_put_file_start(f->base.depot, "a/second", fd, DEPOT_ALWAYS, NULL, NULL, NULL,
                                              NULL, &second, NULL),
                         0);
        assert_int_equal(depot_wait(second, &reply, NULL), 0);
        depot_reply_deinit(&reply);
        assert_int_equal(depot_wait(TAKE_PTR(first), &reply, NULL), 0);
        test_depot_assert_value(f->base.depot, "a/first", "hello");
        test_depot_assert_value(f->base.depot, "a/second", "hello");
}

/* Races between processes. Each child does one write and ends with status 0 if it won, 1 if it lost. */

typedef int (*Racer)(Depot *depot, unsigned number);

static int race_child(const FolderDepot *f, int barrier, Racer racer, unsigned number) {
        _cleanup_(depot_freep) Depot *depot = NULL;
        sd_event *event = NULL;
        char byte;
        int r;

        if (sd_event_new(&event) < 0 ||
            depot_open(f->uri, &(DepotOptions){ .event = event }, &depot, NULL) < 0)
                return 9;
        (void) !read(barrier, &byte, 1); /* end of file starts everybody */
        r = racer(depot, number);
        return r == DEPOT_OK ? 0 : r == DEPOT_PRECONDITION_FAILED ? 1 : 9;
}

/* How many of N won; all others lost. */
static unsigned race(const FolderDepot *f, unsigned n, Racer racer) {
        unsigned won = 0, lost = 0;
        int barrier[2], status;

        assert_int_equal(pipe2(barrier, O_CLOEXEC), 0);
        for (unsigned i = 0; i < n; i++) {
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0) {
                        close_fd(barrier[1]);
                        _exit(race_child(f, barrier[0], racer, i));
                }
        }
        close_fd(barrier[0]);
        close_fd(barrier[1]);
        for (unsigned i = 0; i < n; i++) {
                assert_true(wait(&status) > 0);
                assert_true(WIFEXITED(status));
                won += WEXITSTATUS(status) == 0;
                lost += WEXITSTATUS(status) == 1;
        }
        assert_int_equal(won + lost, n);
        return won;
}

static int racer_create(Depot *depot, unsigned number) {
        char text[16];

        (void) snprintf(text, sizeof(text), "%u", number);
        return test_depot_put(depot, "apps/a/groups/g/mark.json", text, DEPOT_CREATE, NULL, NULL);
}

static int racer_match(Depot *depot, unsigned number) {
        char text[16];

        (void) snprintf(text, sizeof(text), "%u", number);
        return test_depot_put(depot, "apps/a/groups/g/register.json", text, DEPOT_MATCH, HELLO_ETAG, NULL);
}

/* Adds 1 to a number, again and again until its compare-and-swap wins. */
static int racer_count(Depot *depot, _unused_ unsigned number) {
        for (;;) {
                _cleanup_depot_reply_ DepotReply reply = {};
                char text[16];
                int r;

                r = test_depot_get(depot, "apps/a/groups/g/count.json", NULL, TEST_DEPOT_LIMIT, &reply, NULL);
                if (r < 0)
                        return r;
                (void) snprintf(text, sizeof(text), "%d", atoi((char *) reply.body) + 1);
                r = test_depot_put(depot, "apps/a/groups/g/count.json", text, DEPOT_MATCH, reply.etag, NULL);
                if (r != DEPOT_PRECONDITION_FAILED)
                        return r;
        }
}

static void test_race_create(void **state) {
        FolderDepot *f = *state;

        for (int round = 0; round < 5; round++) {
                assert_int_equal(race(f, 16, racer_create), 1);
                assert_int_equal(test_depot_delete(f->base.depot, "apps/a/groups/g/mark.json"), 0);
        }
}

static void test_race_match(void **state) {
        FolderDepot *f = *state;

        for (int round = 0; round < 5; round++) {
                assert_int_equal(test_depot_put(f->base.depot, "apps/a/groups/g/register.json", "hello",
                                                DEPOT_ALWAYS, NULL, NULL),
                                 DEPOT_OK);
                assert_int_equal(race(f, 16, racer_match), 1);
        }
}

static void test_race_count(void **state) {
        FolderDepot *f = *state;

        assert_int_equal(
                test_depot_put(f->base.depot, "apps/a/groups/g/count.json", "0", DEPOT_ALWAYS, NULL, NULL),
                DEPOT_OK);
        assert_int_equal(race(f, 12, racer_count), 12);
        test_depot_assert_value(f->base.depot, "apps/a/groups/g/count.json", "12");
}

/* A writer that was killed holds nobody up, and its value is whole or not there. */
static void test_killed_writer(void **state) {
        FolderDepot *f = *state;
        _cleanup_free_ uint8_t *content = test_depot_big();

        for (unsigned delay = 0; delay < 10; delay++) {
                pid_t pid = fork();
                int r;

                assert_true(pid >= 0);
                if (pid == 0) {
                        for (;;)
                                (void) test_depot_put(f->base.depot, "k", (char *) content + 1, DEPOT_ALWAYS,
                                                      NULL, NULL);
                }
                usleep(2000 + delay * 700);
                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                r = test_depot_put(f->base.depot, "k", "hello", DEPOT_ALWAYS, NULL, NULL);
                assert_int_equal(r, DEPOT_OK);
                test_depot_assert_value(f->base.depot, "k", "hello");
        }
}

static void test_refused_filesystems(_unused_ void **state) {
        assert_string_equal(depot_file_refused_filesystem(0x6969), "NFS");
        assert_string_equal(depot_file_refused_filesystem(0xFE534D42), "SMB");
        assert_null(depot_file_refused_filesystem(0xEF53)); /* ext4 */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_folder_depot_setup, test_folder_depot_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                DEPOT_PROMISES(TEST),  TEST(test_etags),         TEST(test_waits_for_lock),
                TEST(test_list_many),  TEST(test_hidden_names),  TEST(test_links_are_not_followed),
                TEST(test_leftovers),  TEST(test_race_create),   TEST(test_race_match),
                TEST(test_race_count), TEST(test_killed_writer), cmocka_unit_test(test_refused_filesystems),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
