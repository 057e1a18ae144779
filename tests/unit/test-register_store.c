#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/register_store.h"
#include "tests/unit/test.h"

#define GROUP "apps/api/groups/prod"
#define KEY GROUP "/rollouts/r-1.json"
#define PROCESSES 8
#define CHANGES 6
#define PATIENCE (60 * USEC_PER_SEC)
#define DIGEST "3939fb7807f8cb1aa2bb54f87b61fee0b36f2987a676a6db647110add167c9ba"

static TargetStage stages[] = { { .share = { .count = 1 } }, { .share = { .percent = 100 } } };

typedef struct Fixture {
        TestFolder *folder;
        sd_event *event;
        Depot *depot;
        Target target;
        RolloutPlan plan;
        RegisterSite site;
        unsigned failures_max;
        int result;
        Error error;
        RegisterOp *op;
} Fixture;

/* What becomes of the next writes: their answers are lost, after they arrived or with them. */
static unsigned lose_answers, lose_writes;
static DepotDone real_done;

static void lose(DepotOp *op, _unused_ int result, _unused_ const Error *error, void *userdata) {
        Error lost = { FAULT_HOST, "no answer" };

        real_done(op, -ETIMEDOUT, &lost, userdata);
}

int __real_depot_put_start(Depot *depot, const char *key, const void *data, size_t size,
                           DepotCondition condition, const char *etag, DepotDone done, void *userdata,
                           DepotOp **ret, Error *error);
int __wrap_depot_put_start(Depot *depot, const char *key, const void *data, size_t size,
                           DepotCondition condition, const char *etag, DepotDone done, void *userdata,
                           DepotOp **ret, Error *error);

int __wrap_depot_put_start(Depot *depot, const char *key, const void *data, size_t size,
                           DepotCondition condition, const char *etag, DepotDone done, void *userdata,
                           DepotOp **ret, Error *error) {
        if (lose_answers == 0 && lose_writes == 0)
                return __real_depot_put_start(depot, key, data, size, condition, etag, done, userdata, ret,
                                              error);
        real_done = done;
        if (lose_answers > 0) {
                lose_answers--;
                return __real_depot_put_start(depot, key, data, size, condition, etag, lose, userdata, ret,
                                              error);
        }
        lose_writes--;
        return depot_get_start(depot, key, NULL, REGISTER_SIZE_MAX, lose, userdata, ret, error);
}

/* What does not come to an end leaves the loop. */
static int on_patience(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        const Fixture *f = userdata;

        return sd_event_exit(f->event, -ETIMEDOUT);
}

static void open_depot(Fixture *f) {
        char uri[TEST_PATH_MAX + 8];
        DepotOptions options;

        assert_true(sd_event_new(&f->event) >= 0);
        assert_true(sd_event_add_time_relative(f->event, NULL, CLOCK_BOOTTIME, PATIENCE, TIMER_ACCURACY_EXACT,
                                               on_patience, f) >= 0);
        options = (DepotOptions){ .event = f->event };
        (void) snprintf(uri, sizeof(uri), "file://%s", f->folder->path);
        assert_int_equal(depot_open(uri, &options, &f->depot, NULL), 0);
        f->site = (RegisterSite){ .depot = f->depot,
                                  .app = "api",
                                  .group = "prod",
                                  .writer = "ana",
                                  .plan = &f->plan,
                                  .silence = 180 * USEC_PER_SEC,
                                  .failures_max = f->failures_max };
}

static void close_depot(Fixture *f) {
        f->op = register_op_free(f->op);
        f->depot = depot_free(f->depot);
        f->event = sd_event_unref(f->event);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(test_depot_folder_setup(&f->folder), 0);
        f->target = (Target){
                .serial = 18,
                .candidate = { .version = (char *) "2", .sha256 = DIGEST },
                .rollout = { .id = (char *) "r-1", .not_before = USEC_PER_SEC, .stages = { stages, 2 } },
                .max_parallel = { .count = 2 },
        };
        rollout_plan_make(&f->target, &f->plan);
        open_depot(f);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        lose_answers = lose_writes = 0;
        close_depot(f);
        test_folder_teardown((void **) &f->folder);
        free(f);
        return 0;
}

static void on_done(RegisterOp *op, int result, const Error *error, void *userdata) {
        Fixture *f = userdata;

        assert_ptr_equal(op, f->op);
        assert_true((result < 0) == (error != NULL));
        f->error = error ? *error : (Error){};
        f->result = result;
        (void) sd_event_exit(f->event, 0);
}

/* Runs the operation that was started to its end; it stays, to be looked at. */
static int run(Fixture *f, int started) {
        assert_int_equal(started, 0);
        assert_int_equal(sd_event_loop(f->event), 0);
        return f->result;
}

/* A loop that has been left is not entered again. */
static void renew(Fixture *f) {
        close_depot(f);
        open_depot(f);
}

static int create(Fixture *f) {
        renew(f);
        return run(f, register_create_start(&f->site, on_done, f, &f->op, NULL));
}

static int read_it(Fixture *f, const char *if_none_match) {
        renew(f);
        return run(f, register_read_start(&f->site, if_none_match, on_done, f, &f->op, NULL));
}

static int change(Fixture *f, RegisterEventKind kind) {
        RegisterEvent event = { .kind = kind, .by = "ana", .reason = "a look" };

        renew(f);
        return run(f, register_change_start(&f->site, &event, on_done, f, &f->op, NULL));
}

static void put(Fixture *f, const char *key, const char *text) {
        DepotOp *op;
        _cleanup_depot_reply_ DepotReply reply = {};

        renew(f);
        assert_int_equal(__real_depot_put_start(f->depot, key, text, strlen(text), DEPOT_ALWAYS, NULL, NULL,
                                                NULL, &op, NULL),
                         0);
        assert_int_equal(depot_wait(op, &reply, NULL), 0);
}

static void test_life(void **state) {
        Fixture *f = *state;
        _cleanup_free_ char *etag = NULL;

        assert_int_equal(read_it(f, NULL), -ENOENT);
        assert_string_equal(f->error.message, "rollout r-1: there is no register");
        assert_int_equal(change(f, REGISTER_PAUSE), -ENOENT);
        put(f, GROUP "/instances/i-1.json", "{}");
        assert_int_equal(create(f), 1);
        assert_int_equal(register_op_register(f->op)->fleet, 1);
        assert_int_equal(create(f), -EEXIST);
        assert_int_equal(read_it(f, NULL), 1);
        assert_int_equal(register_op_register(f->op)->rev, 1);
        assert_true(register_op_time(f->op) > 0);
        etag = strdup(register_op_etag(f->op));
        assert_int_equal(read_it(f, etag), 0);
        assert_int_equal(change(f, REGISTER_PAUSE), 1);
        assert_int_equal(register_op_tally(f->op)->requests, 2);
        assert_int_equal(change(f, REGISTER_PAUSE), -EALREADY);
        assert_string_equal(f->error.message, "rollout r-1: cannot be paused, it is paused");
        assert_int_equal(change(f, REGISTER_RESUME), 1);
        assert_int_equal(register_op_register(f->op)->rev, 3);
        assert_int_equal(read_it(f, etag), 1);
}

/* From the mark to the place, and from the place to the next stage. */
static void test_take_in(void **state) {
        Fixture *f = *state;

        put(f, GROUP "/instances/i-1.json", "{}");
        assert_int_equal(create(f), 1);
        assert_int_equal(change(f, REGISTER_TAKE_IN), 0);
        put(f, GROUP "/rollouts/r-1/up-1/i-1.json", "{}");
        assert_int_equal(change(f, REGISTER_TAKE_IN), 1);
        assert_non_null(register_find_place(register_op_register(f->op), "i-1"));
        put(f, GROUP "/rollouts/r-1/good-1/i-1.json", "{}");
        while (change(f, REGISTER_TAKE_IN) > 0)
                ;
        assert_int_equal(f->result, 0);
        assert_int_equal(register_op_register(f->op)->state, REGISTER_COMPLETE);
        assert_int_equal(register_op_register(f->op)->places.n, 0);
}

/* Rubbish is left alone. */
static void test_rubbish(void **state) {
        static const char *const rubbish[] = { "", "{", "[]", "{\"id\":\"r-1\"}" };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(rubbish); i++) {
                put(f, KEY, rubbish[i]);
                assert_int_equal(read_it(f, NULL), -EBADMSG);
                assert_int_equal(change(f, REGISTER_ABORT), -EBADMSG);
                assert_int_equal(create(f), -EBADMSG);
                test_assert_content(f->folder->fd, KEY, rubbish[i]);
        }
}

/* What is larger than any register is not asked for again and again. */
static void test_huge(void **state) {
        Fixture *f = *state;
        char *text = malloc(REGISTER_SIZE_MAX + 2);

        assert_non_null(text);
        memset(text, ' ', REGISTER_SIZE_MAX + 1);
        text[REGISTER_SIZE_MAX + 1] = '\0';
        put(f, KEY, text);
        assert_int_equal(read_it(f, NULL), -EBADMSG);
        assert_int_equal(f->error.fault, FAULT_INPUT);
        assert_int_equal(register_op_tally(f->op)->requests, 1);
        assert_int_equal(create(f), -EBADMSG);
        free(text);
}

/* The write arrived, its answer did not: it is found by its nonce, and not made twice. */
static void test_answer_lost(void **state) {
        Fixture *f = *state;

        lose_answers = 1;
        assert_int_equal(create(f), 1);
        assert_int_equal(register_op_register(f->op)->rev, 1);
        lose_answers = 1;
        assert_int_equal(change(f, REGISTER_PAUSE), 1);
        assert_int_equal(register_op_register(f->op)->rev, 2);
        assert_int_equal(register_op_tally(f->op)->unclear, 1);
        assert_int_equal(register_op_tally(f->op)->conflicts, 0);
        lose_answers = 1;
        assert_int_equal(change(f, REGISTER_PAUSE), -EALREADY);
}

static void test_write_lost(void **state) {
        Fixture *f = *state;

        lose_writes = 2;
        assert_int_equal(create(f), 1);
        lose_writes = 3;
        assert_int_equal(change(f, REGISTER_PAUSE), 1);
        assert_int_equal(register_op_tally(f->op)->unclear, 3);
        assert_int_equal(read_it(f, NULL), 1);
        assert_int_equal(register_op_register(f->op)->rev, 2);
        assert_int_equal(register_op_register(f->op)->state, REGISTER_PAUSED);
}

/* Somebody waits for it, and cannot wait for long. */
static void test_failures_are_enough(void **state) {
        Fixture *f = *state;

        assert_int_equal(create(f), 1);
        f->failures_max = 2;
        lose_writes = 1;
        assert_int_equal(change(f, REGISTER_PAUSE), 1);
        lose_writes = 5;
        assert_int_equal(change(f, REGISTER_RESUME), -ETIMEDOUT);
        assert_string_equal(f->error.message, "no answer");
        assert_int_equal(lose_writes, 3);
}

static void test_freed_while_it_runs(void **state) {
        Fixture *f = *state;
        RegisterEvent event = { .kind = REGISTER_PAUSE };

        assert_int_equal(create(f), 1);
        for (unsigned rounds = 0; rounds < 6; rounds++) {
                renew(f);
                assert_int_equal(register_change_start(&f->site, &event, on_done, f, &f->op, NULL), 0);
                for (unsigned i = 0; i < rounds; i++)
                        (void) sd_event_run(f->event, 0);
                f->op = register_op_free(f->op);
        }
}

/* Pauses and resumes as often as it gets there; the number of its writes is its exit status. */
static void contend(Fixture *f, unsigned which) {
        unsigned written = 0;

        for (unsigned i = 0; i < CHANGES; i++) {
                int r = change(f, (which + i) % 2 ? REGISTER_PAUSE : REGISTER_RESUME);

                if (r < 0 && r != -EALREADY)
                        _exit(255);
                written += r > 0;
        }
        _exit((int) written);
}

/* Processes that change one register at the same time: each write that was told to be one is one, no more and no less. */
static void test_contention(void **state) {
        Fixture *f = *state;
        unsigned written = 0;
        pid_t children[PROCESSES];

        assert_int_equal(create(f), 1);
        for (unsigned i = 0; i < PROCESSES; i++) {
                children[i] = fork();
                assert_true(children[i] >= 0);
                if (children[i] == 0)
                        contend(f, i);
        }
        for (unsigned i = 0; i < PROCESSES; i++) {
                int status;

                assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= CHANGES);
                written += (unsigned) WEXITSTATUS(status);
        }
        assert_true(written > 1);
        assert_int_equal(read_it(f, NULL), 1);
        assert_int_equal(register_op_register(f->op)->rev, 1 + written);
}

static void test_backoff(void **state) {
        (void) state;
        assert_int_equal(register_backoff(0, 0), REGISTER_BACKOFF_FIRST);
        assert_int_equal(register_backoff(1, 0), 2 * REGISTER_BACKOFF_FIRST);
        assert_int_equal(register_backoff(0, 10000),
                         REGISTER_BACKOFF_FIRST + 10000 * REGISTER_BACKOFF_OF_ONE);
        for (unsigned losses = 0; losses < 100; losses++)
                for (uint64_t fleet = 1; fleet > 0; fleet *= 16) {
                        assert_true(register_backoff(losses, fleet) <= REGISTER_BACKOFF_MAX);
                        assert_true(register_backoff(losses + 1, fleet) >= register_backoff(losses, fleet));
                }
        assert_int_equal(register_backoff(50, UINT64_MAX), REGISTER_BACKOFF_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_life),       TEST(test_take_in),
                TEST(test_rubbish),    TEST(test_answer_lost),
                TEST(test_write_lost), TEST(test_freed_while_it_runs),
                TEST(test_huge),       TEST(test_failures_are_enough),
                TEST(test_contention), cmocka_unit_test(test_backoff),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
