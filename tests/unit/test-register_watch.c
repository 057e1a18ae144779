#include "agent/register_watch.h"
#include "tests/unit/depot-promises.h"
#include "tests/unit/register_scene.h"

#define PATIENCE (60 * USEC_PER_SEC)
#define A_WHILE (200 * USEC_PER_MSEC)

/* One who has something to say in every write, and looks but once. */
typedef struct Fixture {
        FolderDepot *depot;
        Scene *scene;
        RegisterWatch *watch;
        uint64_t wrote;
        unsigned writes;
        bool news_in_between;
} Fixture;

static void on_role(_unused_ void *userdata, Role *ret) {
        *ret = (Role){ .writes = true, .rests = true, .look_by = USEC_INFINITY };
}

static void on_changed(void *userdata) {
        Fixture *f = userdata;
        bool first = f->writes == 0;

        if (register_watch_wrote(f->watch) != f->wrote) {
                f->wrote = register_watch_wrote(f->watch);
                f->writes++;
        }
        register_watch_go_on(f->watch);
        if (first && f->writes == 0 && f->news_in_between) /* it has just begun to write */
                register_watch_has_news(f->watch);
}

static void on_created(_unused_ RegisterOp *op, int result, _unused_ const Error *error, void *userdata) {
        assert_int_equal(result, 1);
        *(bool *) userdata = true;
}

static void create(const Fixture *f) {
        const RegisterSite site = { .depot = f->depot->base.depot,
                                    .app = "api",
                                    .group = "prod",
                                    .writer = "ana",
                                    .plan = &f->scene->plan,
                                    .silence = PATIENCE };
        bool done = false;
        RegisterOp *op;

        assert_int_equal(test_depot_put(site.depot, "apps/api/groups/prod/instances/i-0.json", "{}",
                                        DEPOT_ALWAYS, NULL, NULL),
                         DEPOT_OK);
        assert_int_equal(register_create_start(&site, on_created, &done, &op, NULL), 0);
        while (!done)
                assert_true(sd_event_run(f->depot->base.event, PATIENCE) > 0);
        register_op_free(op);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(test_folder_depot_setup((void **) &f->depot), 0);
        assert_int_equal(scene_setup((void **) &f->scene), 0);
        create(f);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        register_watch_free(f->watch);
        assert_int_equal(scene_teardown((void **) &f->scene), 0);
        assert_int_equal(test_folder_depot_teardown((void **) &f->depot), 0);
        free(f);
        return 0;
}

static void follow(Fixture *f) {
        const RegisterWatchContext context = { .event = f->depot->base.event,
                                               .clock = &clock_system,
                                               .depot = f->depot->base.depot,
                                               .app = "api",
                                               .group = "prod",
                                               .instance = "i-0",
                                               .report_interval = PATIENCE,
                                               .look_max = PATIENCE };
        const RegisterWatchHandlers handlers = { .changed = on_changed, .role = on_role, .userdata = f };

        assert_int_equal(register_watch_new(&context, &handlers, &f->watch, NULL), 0);
        register_watch_follow(f->watch, &f->scene->plan);
        register_watch_go_on(f->watch);
}

static void run_for(const Fixture *f, uint64_t usec, unsigned writes) {
        uint64_t end = clock_boottime(&clock_system) + usec;

        while (clock_boottime(&clock_system) < end && f->writes < writes)
                assert_true(sd_event_run(f->depot->base.event, 10 * USEC_PER_MSEC) >= 0);
}

/* Nothing is new: what is left to say waits for a look. */
static void test_one_write(void **state) {
        Fixture *f = *state;

        follow(f);
        run_for(f, PATIENCE, 1);
        assert_int_equal(f->writes, 1);
        run_for(f, A_WHILE, 2);
        assert_int_equal(f->writes, 1);
}

/* What is said in the middle of a write may come too late for it, and nobody may have the time to wait for a look: one that leaves says
 * `out`, and is gone soon after it has said `back`. */
static void test_news_in_a_write(void **state) {
        Fixture *f = *state;

        f->news_in_between = true;
        follow(f);
        run_for(f, PATIENCE, 2);
        assert_int_equal(f->writes, 2);
        run_for(f, A_WHILE, 3);
        assert_int_equal(f->writes, 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_one_write, setup, teardown),
                cmocka_unit_test_setup_teardown(test_news_in_a_write, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
