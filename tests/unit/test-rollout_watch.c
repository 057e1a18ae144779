#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/rollout_watch.h"
#include "tests/unit/depot-promises.h"

#define STABLE "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define CANDIDATE "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ENV "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
#define GROUP "apps/api/groups/prod"
#define FLEET 3
#define PATIENCE (60 * USEC_PER_SEC)

static TargetStage stages[] = { { .share = { .count = 1 } }, { .share = { .percent = 100 } } };
static char app[] = "api", group[] = "prod", v1[] = "1.0", v2[] = "2.0", id[] = "r-1", min_agent[] = "0.1",
            d_1[] = "d-1", broke[] = "it broke";

typedef struct Fixture Fixture;

/* An app that deploys in no time, or takes its time until it is told. */
typedef struct Instance {
        Fixture *fixture;
        char name[8];
        TestFolder *folder;
        Record record;
        RolloutWatch *watch;
        bool fails, slow, sick, absent, leaves;
        bool deploying;
        bool tried;
} Instance;

struct Fixture {
        DepotFixture base;
        TestFolder *folder;
        Target target;
        RolloutPlan plan;
        Instance instances[FLEET];
        bool (*until)(const Fixture *f);
        void (*mend)(const Fixture *f); /* what an operator does who is told a problem */
        bool told;
        RegisterOp *op;
};

/* That goes ahead of the machine's. */
static uint64_t ahead;

static uint64_t boottime(_unused_ void *userdata) {
        return clock_boottime(&clock_system) + ahead;
}

static uint64_t realtime(_unused_ void *userdata) {
        return clock_realtime(&clock_system) + ahead;
}

static const Clock test_clock = { boottime, realtime, NULL };

static void settle(Instance *i) {
        const RolloutSituation situation = { .target = &i->fixture->target,
                                             .env_sha256 = ENV,
                                             .life_known = true,
                                             .absent = i->absent,
                                             .leaves = i->leaves,
                                             .deploying = i->deploying };

        rollout_watch_settle(i->watch, &situation);
}

static const char *member(const Instance *i, const char *name) {
        static char text[640];
        json_auto_t *json = rollout_watch_to_json(i->watch, false);

        (void) snprintf(text, sizeof(text), "%s", json_string_value(json_object_get(json, name)) ?: "");
        return text;
}

/* The strings of a wish go with the watch that made it. */
static void set_good(Record *record, const TargetRelease *release) {
        static char boot[] = "boot";

        record->good.version = strcmp(release->sha256, CANDIDATE) == 0 ? v2 : v1;
        memcpy(record->good.sha256, release->sha256, sizeof(record->good.sha256));
        record->good_boot_id = boot;
}

static void deploy(Instance *i, const TargetRelease *release) {
        bool candidate = strcmp(release->sha256, CANDIDATE) == 0;
        ReleaseRef ref = { .version = release->version };

        memcpy(ref.sha256, release->sha256, sizeof(ref.sha256));
        rollout_watch_deploys(i->watch, &ref, d_1);
        i->tried |= candidate;
        if (i->slow && candidate)
                i->deploying = true;
        else if (i->fails && candidate)
                i->record.deployment = (Deployment){
                        .id = d_1, .outcome = OUTCOME_ROLLED_BACK, .reason = broke, .fault = FAULT_RELEASE
                };
        else
                set_good(&i->record, release);
        settle(i);
}

static bool is_at(const Instance *i, const TargetRelease *release) {
        return i->record.good.version && strcmp(i->record.good.sha256, release->sha256) == 0;
}

static void on_changed(_unused_ RolloutWatch *watch, void *userdata) {
        Instance *i = userdata;
        RolloutWish wish;

        settle(i);
        if (rollout_watch_wants_health(i->watch)) {
                rollout_watch_take_health(i->watch, !i->sick, "it is sick");
                settle(i);
        }
        if (!i->deploying && rollout_watch_wish(i->watch, &wish) && !wish.held && !is_at(i, wish.release))
                deploy(i, wish.release);
        if (i->fixture->mend && *member(i, "problem")) {
                i->fixture->told = true;
                i->fixture->mend(i->fixture);
        }
        if (i->fixture->until && i->fixture->until(i->fixture))
                (void) sd_event_exit(i->fixture->base.event, 0);
}

static int on_patience(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        return sd_event_exit(userdata, -ETIMEDOUT);
}

static void open_event(Fixture *f) {
        assert_true(sd_event_new(&f->base.event) >= 0);
        assert_true(sd_event_add_time_relative(f->base.event, NULL, CLOCK_BOOTTIME, PATIENCE,
                                               TIMER_ACCURACY_EXACT, on_patience, f->base.event) >= 0);
        f->base.depot = test_depot_open(f->folder, f->base.event);
}

static void open_watch(Instance *i) {
        const RolloutWatchContext context = {
                .look = { .event = i->fixture->base.event,
                          .clock = &test_clock,
                          .depot = i->fixture->base.depot,
                          .app = app,
                          .group = group,
                          .instance = i->name,
                          .report_interval = PATIENCE,
                          .look_max = 20 * USEC_PER_MSEC },
                .record = &i->record,
                .app_fd = i->folder->fd,
        };

        assert_int_equal(rollout_watch_new(&context, on_changed, i, &i->watch, NULL), 0);
}

static void close_event(Fixture *f) {
        for (unsigned n = 0; n < FLEET; n++)
                f->instances[n].watch = rollout_watch_free(f->instances[n].watch);
        f->op = register_op_free(f->op);
        f->base.depot = depot_free(f->base.depot);
        f->base.event = sd_event_unref(f->base.event);
}

static void report(Fixture *f, const Instance *i) {
        char key[128];
        DepotReply reply = {};
        DepotOp *op;

        (void) snprintf(key, sizeof(key), GROUP "/instances/%s.json", i->name);
        assert_int_equal(
                depot_put_start(f->base.depot, key, "{}", 2, DEPOT_ALWAYS, NULL, NULL, NULL, &op, NULL), 0);
        assert_int_equal(depot_wait(op, &reply, NULL), 0);
        depot_reply_deinit(&reply);
}

static void open_instance(Fixture *f, unsigned n) {
        Instance *i = &f->instances[n];

        i->fixture = f;
        (void) snprintf(i->name, sizeof(i->name), "i-%u", n);
        assert_int_equal(test_folder_setup((void **) &i->folder), 0);
        set_good(&i->record, &f->target.stable);
        memcpy(i->record.good_env_sha256, ENV, sizeof(ENV));
        report(f, i);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(test_depot_folder_setup(&f->folder), 0);
        f->target = (Target){
                .app = app,
                .group = group,
                .serial = 18,
                .issued = 1790000000 * USEC_PER_SEC,
                .min_agent = min_agent,
                .stable = { .version = v1, .sha256 = STABLE },
                .candidate = { .version = v2, .sha256 = CANDIDATE },
                .rollout = { .id = id, .not_before = USEC_PER_SEC, .stages = { stages, ELEMENTSOF(stages) } },
                .max_parallel = { .count = 1 },
                .sha256 = CANDIDATE,
        };
        rollout_plan_make(&f->target, &f->plan);
        open_event(f);
        for (unsigned n = 0; n < FLEET; n++)
                open_instance(f, n);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        ahead = 0;
        close_event(f);
        for (unsigned n = 0; n < FLEET; n++) {
                f->instances[n].record = (Record){}; /* which owns nothing here */
                test_folder_teardown((void **) &f->instances[n].folder);
        }
        test_folder_teardown((void **) &f->folder);
        free(f);
        return 0;
}

/* The operator's. */
static void on_op(_unused_ RegisterOp *op, int result, _unused_ const Error *error, void *userdata) {
        const Fixture *f = userdata;

        assert_int_equal(result, 1);
        (void) sd_event_exit(f->base.event, 0);
}

/* A loop that was left is not entered again. */
static void renew(Fixture *f) {
        close_event(f);
        open_event(f);
}

static void operate(Fixture *f, const RegisterEvent *event) {
        const RegisterSite site = { .depot = f->base.depot,
                                    .app = app,
                                    .group = group,
                                    .writer = "ana",
                                    .plan = &f->plan,
                                    .silence = PATIENCE };

        if (event)
                assert_int_equal(register_change_start(&site, event, on_op, f, &f->op, NULL), 0);
        else
                assert_int_equal(register_create_start(&site, on_op, f, &f->op, NULL), 0);
        assert_int_equal(sd_event_loop(f->base.event), 0);
        renew(f);
}

static void begin(Fixture *f, bool (*until)(const Fixture *f)) {
        f->until = until;
        for (unsigned n = 0; n < FLEET; n++) {
                open_watch(&f->instances[n]);
                settle(&f->instances[n]);
        }
}

static void run(Fixture *f, bool (*until)(const Fixture *f)) {
        begin(f, until);
        assert_int_equal(sd_event_loop(f->base.event), 0);
}

/* Goes on with what was begun, and may do so again. */
static void go_on(Fixture *f, bool (*until)(const Fixture *f)) {
        while (!until(f))
                assert_true(sd_event_run(f->base.event, UINT64_MAX) > 0);
}

static bool all_are(const Fixture *f, const char *role, const char *in) {
        for (unsigned n = 0; n < FLEET; n++)
                if (strcmp(member(&f->instances[n], "role"), role) != 0 ||
                    strcmp(member(&f->instances[n], "state"), in) != 0)
                        return false;
        return true;
}

static bool all_are_members(const Fixture *f) {
        return all_are(f, "member", "complete");
}

static bool all_are_back(const Fixture *f) {
        for (unsigned n = 0; n < FLEET; n++)
                if (!is_at(&f->instances[n], &f->target.stable) ||
                    f->instances[n].record.rollout.owes != OWES_NOTHING)
                        return false;
        return all_are(f, "waiting", "aborted");
}

/* One after the other to the candidate; and back, when somebody aborts what was complete. */
static void test_there_and_back(void **state) {
        const RegisterEvent abort = { .kind = REGISTER_ABORT, .by = "ana", .reason = "graphs" };
        Fixture *f = *state;

        operate(f, NULL);
        run(f, all_are_members);
        for (unsigned n = 0; n < FLEET; n++)
                assert_true(is_at(&f->instances[n], &f->target.candidate));
        renew(f);
        operate(f, &abort);
        run(f, all_are_back);
        assert_int_equal(f->instances[0].record.rollout.attempt, 2);
}

static bool is_aborted(const Fixture *f) {
        for (unsigned n = 0; n < FLEET; n++)
                if (strcmp(member(&f->instances[n], "state"), "aborted") != 0)
                        return false;
        return true;
}

static void test_bad_release(void **state) {
        Fixture *f = *state;
        unsigned tried = 0;

        operate(f, NULL);
        for (unsigned n = 0; n < FLEET; n++)
                f->instances[n].fails = true;
        run(f, is_aborted);
        for (unsigned n = 0; n < FLEET; n++) {
                const Instance *i = &f->instances[n];

                tried += i->tried;
                assert_true(is_at(i, &f->target.stable));
                assert_int_equal(strcmp(member(i, "role"), "failed") == 0, i->tried);
        }
        assert_int_equal(tried, 1);
}

/* On one that was sick before, it says nothing of the release: the attempt is void, and others have their turn. */
static bool has_tried(const Fixture *f) {
        for (unsigned n = 0; n < FLEET; n++)
                if (f->instances[n].tried && f->instances[n].record.rollout.attempt > 1)
                        return true;
        return false;
}

static void test_sick_before(void **state) {
        Fixture *f = *state;

        operate(f, NULL);
        for (unsigned n = 0; n < FLEET; n++)
                f->instances[n].fails = f->instances[n].sick = true;
        run(f, has_tried);
        assert_false(is_aborted(f));
        for (unsigned n = 0; n < FLEET; n++)
                assert_false(f->instances[n].record.rollout.failed);
}

static bool one_is_changing(const Fixture *f) {
        for (unsigned n = 0; n < FLEET; n++)
                if (f->instances[n].deploying)
                        return true;
        return false;
}

static Instance *who_changes(Fixture *f) {
        for (unsigned n = 0; n < FLEET; n++)
                if (f->instances[n].deploying)
                        return &f->instances[n];
        fail_msg("nobody changes");
        return NULL;
}

static bool one_objects(const Fixture *f) {
        for (unsigned n = 0; n < FLEET; n++)
                if (f->instances[n].deploying && rollout_watch_objects(f->instances[n].watch, true))
                        return true;
        return false;
}

/* In the middle of its deployment it hears of the abort; what it then ends is no failure. Before that musterd was
 * started anew. */
static void test_called_back(void **state) {
        const RegisterEvent abort = { .kind = REGISTER_ABORT, .by = "ana", .reason = "graphs" };
        Fixture *f = *state;
        Instance *i;

        operate(f, NULL);
        for (unsigned n = 0; n < FLEET; n++)
                f->instances[n].slow = true;
        run(f, one_is_changing);
        i = who_changes(f);
        assert_null(rollout_watch_objects(i->watch, true));
        assert_string_equal(i->record.rollout.deployment, d_1);
        renew(f);
        operate(f, &abort);
        run(f, one_objects);
        assert_string_equal(rollout_watch_objects(i->watch, false), "rollout r-1: the rollout was aborted");
        renew(f);
        i->deploying = false;
        i->record.deployment = (Deployment){
                .id = d_1, .outcome = OUTCOME_FAILED, .reason = broke, .fault = FAULT_HOST, .cancelled = true
        };
        run(f, all_are_back);
        assert_false(i->record.rollout.failed);
}

static bool all_miss_it(const Fixture *f) {
        return all_are(f, "waiting", "missing");
}

/* Nobody moves, nobody makes a second one; whom nothing keeps from it takes the stable release. */
static void test_no_register(void **state) {
        Fixture *f = *state;
        RolloutWish wish;

        f->instances[0].record.good = (ReleaseRef){};
        run(f, all_miss_it);
        assert_true(is_at(&f->instances[0], &f->target.stable));
        for (unsigned n = 0; n < FLEET; n++) {
                assert_true(rollout_watch_wish(f->instances[n].watch, &wish));
                assert_false(wish.candidate || wish.held || wish.ahead);
                assert_non_null(strstr(member(&f->instances[n], "waits_for"), "there is no register"));
        }
}

static bool one_is_member(const Fixture *f) {
        for (unsigned n = 0; n < FLEET; n++)
                if (f->instances[n].record.rollout.standing == STANDING_MEMBER)
                        return true;
        return false;
}

static bool others_follow(const Fixture *f) {
        for (unsigned n = 0; n < FLEET; n++)
                if (!f->instances[n].leaves && is_at(&f->instances[n], &f->target.candidate))
                        return true;
        return false;
}

static bool one_has_left(const Fixture *f) {
        for (unsigned n = 0; n < FLEET; n++)
                if (f->instances[n].leaves && f->instances[n].record.rollout.standing == STANDING_OUT &&
                    !rollout_watch_is_parting(f->instances[n].watch))
                        return !f->instances[n].record.rollout.good;
        return false;
}

/* The canary makes way, and is heard before it goes: another one takes its place. */
static void test_leaving(void **state) {
        Fixture *f = *state;

        f->target.rollout.promote = TARGET_PROMOTE_MANUAL;
        operate(f, NULL);
        run(f, one_is_member);
        renew(f);
        for (unsigned n = 0; n < FLEET; n++)
                f->instances[n].absent = f->instances[n].leaves =
                        f->instances[n].record.rollout.standing == STANDING_MEMBER;
        run(f, one_has_left);
        renew(f);
        run(f, others_follow);
}

static bool one_drains(const Fixture *f) {
        for (unsigned n = 0; n < FLEET; n++)
                if (f->instances[n].deploying && strcmp(member(&f->instances[n], "state"), "active") == 0)
                        return true;
        return false;
}

/* However long it takes to stop what runs, it is heard after that. */
static void test_leaving_slowly(void **state) {
        Fixture *f = *state;
        Instance *i;

        f->target.rollout.promote = TARGET_PROMOTE_MANUAL;
        operate(f, NULL);
        run(f, one_is_member);
        renew(f);
        for (unsigned n = 0; n < FLEET; n++)
                f->instances[n].absent = f->instances[n].leaves = f->instances[n].deploying =
                        f->instances[n].record.rollout.standing == STANDING_MEMBER;
        begin(f, NULL);
        go_on(f, one_drains);
        i = who_changes(f);
        ahead = PATIENCE;
        settle(i);
        i->deploying = false;
        assert_true(rollout_watch_is_parting(i->watch));
        settle(i);
        assert_true(rollout_watch_is_parting(i->watch));
        ahead = 2 * PATIENCE; /* and no longer than that takes */
        assert_false(rollout_watch_is_parting(i->watch));
        ahead = 0;
        go_on(f, one_has_left);
}

/* A change that needs nobody's consent leaves no part behind. */
static void test_plain_and_unlimited(void **state) {
        Fixture *f = *state;
        RolloutWish wish;

        operate(f, NULL);
        run(f, all_are_members);
        f->target.rollout = (TargetRollout){};
        f->target.candidate = (TargetRelease){};
        f->target.max_parallel = (TargetShare){};
        memcpy(f->target.sha256, STABLE, sizeof(STABLE));
        settle(&f->instances[0]);
        assert_false(rollout_watch_wish(f->instances[0].watch, &wish));
        assert_string_equal(f->instances[0].record.rollout.id, "");
}

/* Once a plain change is complete nobody has anything to do until there is another target, not even to look. */
static void test_rest(void **state) {
        Fixture *f = *state;

        f->target.stable = f->target.candidate;
        f->target.rollout = (TargetRollout){};
        f->target.candidate = (TargetRelease){};
        rollout_plan_make(&f->target, &f->plan);
        operate(f, NULL);
        run(f, all_are_members);
        renew(f);
        begin(f, NULL);
        while (sd_event_run(f->base.event, 500 * USEC_PER_MSEC) > 0)
                ;
        assert_int_not_equal(sd_event_get_state(f->base.event), SD_EVENT_FINISHED);
        assert_true(all_are_members(f));
}

static bool all_are_members_without_a_problem(const Fixture *f) {
        for (unsigned n = 0; n < FLEET; n++)
                if (*member(&f->instances[n], "problem"))
                        return false;
        return all_are_members(f);
}

static void make_way_for_marks(const Fixture *f) {
        (void) unlinkat(f->folder->fd, GROUP "/rollouts/r-1", 0);
}

/* A mark that the depot does not take is told, and made later; then there is nothing to tell any more. */
static void test_no_mark(void **state) {
        Fixture *f = *state;

        operate(f, NULL);
        assert_int_equal(file_replace_at(f->folder->fd, GROUP "/rollouts/r-1", "x", 1, 0600), 0);
        f->mend = make_way_for_marks;
        run(f, all_are_members_without_a_problem);
        assert_true(f->told);
}

static void make_way_for_record(const Fixture *f) {
        (void) unlinkat(f->instances[0].folder->fd, RECORD_FILE, AT_REMOVEDIR);
}

/* Likewise a record that cannot be written: the next one is. */
static void test_no_record(void **state) {
        Fixture *f = *state;
        int folder = f->instances[0].folder->fd;
        struct stat st;

        operate(f, NULL);
        assert_return_code(mkdirat(folder, RECORD_FILE, 0700), errno);
        f->mend = make_way_for_record;
        run(f, all_are_members_without_a_problem);
        assert_true(f->told);
        assert_return_code(fstatat(folder, RECORD_FILE, &st, 0), errno);
        assert_true(S_ISREG(st.st_mode));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_there_and_back), TEST(test_bad_release),         TEST(test_sick_before),
                TEST(test_called_back),    TEST(test_no_register),         TEST(test_leaving),
                TEST(test_leaving_slowly), TEST(test_plain_and_unlimited), TEST(test_rest),
                TEST(test_no_mark),        TEST(test_no_record),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
