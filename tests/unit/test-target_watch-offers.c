#include <string.h>

#include "agent/base/file.h"
#include "agent/target_watch.h"
#include "artifacts/layout.h"
#include "tests/unit/depot-promises.h"
#include "tests/unit/documents.h"
#include "tests/unit/test.h"

#define HOUR (3600 * USEC_PER_SEC)
#define TARGET_KEY "apps/api/groups/prod/target.json"

typedef struct Fixture {
        TestFolder *folder;
        sd_event *event;
        Depot *depot;
        TrustRoot *root;
        Record record;
        int depot_fd, app_fd;
        TargetWatch *watch;
        unsigned n_changed;
} Fixture;

static uint64_t fake_realtime(_unused_ void *userdata) {
        return DOCUMENTS_NOW;
}

static uint64_t fake_boottime(_unused_ void *userdata) {
        return HOUR;
}

static const Clock fake_clock = { fake_boottime, fake_realtime, NULL };

/* Key 1 is the root's and the target's; FRESHNESS: key 2 says how long a target is current. */
static TrustRoot *make_root(bool freshness) {
        Key *keys[] = { documents_key(1), documents_key(2) };
        _cleanup_trust_root_ TrustRoot *root = NULL;
        _cleanup_free_ char *payload = NULL, *envelope = NULL;
        TrustRoot *loaded = NULL;
        size_t size, envelope_size;

        assert_int_equal(trust_root_new(1, DOCUMENTS_NOW - HOUR, DOCUMENTS_NOW + HOUR, &root, NULL), 0);
        for (TrustRole role = TRUST_ROLE_ROOT; role < TRUST_ROLE_FRESHNESS; role++)
                assert_int_equal(trust_root_add_key(root, role, keys[0], NULL), 0);
        if (freshness)
                assert_int_equal(trust_root_add_key(root, TRUST_ROLE_FRESHNESS, keys[1], NULL), 0);
        assert_int_equal(trust_root_write(root, &payload, &size, NULL), 0);
        assert_int_equal(dsse_sign(TRUST_ROOT_TYPE, payload, size, keys, 1, &envelope, &envelope_size, NULL),
                         0);
        assert_int_equal(trust_root_load("root", envelope, envelope_size, &loaded, NULL), 0);
        key_free(keys[0]);
        key_free(keys[1]);
        return loaded;
}

/* The golden target with another serial, signed by key NUMBER. */
static char *make_target(uint64_t serial, const char *reason_of_pin, unsigned number) {
        Key *key = documents_key(number);
        _cleanup_buffer_ Buffer golden = {};
        _cleanup_target_ Target *target = NULL;
        _cleanup_free_ char *payload = NULL;
        char *envelope = NULL;
        size_t size, envelope_size;

        documents_read("target.json", &golden);
        assert_int_equal(target_parse(golden.data, golden.size, &target, NULL), 0);
        target->serial = serial;
        target->urgent = reason_of_pin;
        assert_int_equal(target_to_json(target, &payload, &size, NULL), 0);
        assert_int_equal(dsse_sign(TARGET_TYPE, payload, size, &key, 1, &envelope, &envelope_size, NULL), 0);
        key_free(key);
        return envelope;
}

static void put_target(Fixture *f, const char *envelope) {
        assert_int_equal(test_depot_put(f->depot, TARGET_KEY, envelope, DEPOT_ALWAYS, NULL, NULL), DEPOT_OK);
}

static void on_changed(_unused_ TargetWatch *watch, void *userdata) {
        Fixture *f = userdata;

        f->n_changed++;
}

static void open_watch(Fixture *f, bool freshness) {
        TargetWatchContext context = {
                .event = f->event,
                .clock = &fake_clock,
                .depot = f->depot,
                .record = &f->record,
                .app_fd = f->app_fd,
                .app = "api",
                .group = "prod",
                .instance = "i-1",
                .interval = HOUR,
        };

        f->root = make_root(freshness);
        context.root = f->root;
        assert_int_equal(target_watch_new(&context, on_changed, f, &f->watch, NULL), 0);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        char uri[TEST_PATH_MAX + 16];

        assert_non_null(f);
        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        f->depot_fd = file_open_folder_at(f->folder->fd, "depot", 0700);
        f->app_fd = file_open_folder_at(f->folder->fd, "app", 0700);
        assert_true(f->depot_fd >= 0 && f->app_fd >= 0);
        (void) snprintf(uri, sizeof(uri), "file://%s/depot", f->folder->path);
        assert_true(sd_event_new(&f->event) >= 0);
        assert_int_equal(depot_open(uri, &(DepotOptions){ .event = f->event }, &f->depot, NULL), 0);
        f->record.app = strdup("api");
        f->record.instance = strdup("i-1");
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        target_watch_free(f->watch);
        record_deinit(&f->record);
        trust_root_free(f->root);
        depot_free(f->depot);
        sd_event_unref(f->event);
        close_fd(f->depot_fd);
        close_fd(f->app_fd);
        assert_int_equal(test_folder_teardown((void **) &f->folder), 0);
        free(f);
        return 0;
}

static void wait_for_look(Fixture *f, uint64_t look) {
        unsigned before = f->n_changed;

        for (int i = 0; i < 1000 && !target_watch_has_looked(f->watch, look) && f->n_changed == before; i++)
                assert_true(sd_event_run(f->event, 10000) >= 0);
}

static uint64_t serial_on_disk(const Fixture *f) {
        Record record = {};
        uint64_t serial;

        assert_true(record_load(f->app_fd, &record, NULL) >= 0);
        serial = record.serial;
        record_deinit(&record);
        return serial;
}

static void test_looks(void **state) {
        _cleanup_free_ char *first = make_target(18, NULL, 1), *second = make_target(19, NULL, 1);
        Fixture *f = *state;
        uint64_t look;

        put_target(f, first);
        open_watch(f, false);
        look = target_watch_poll(f->watch);
        assert_false(target_watch_has_looked(f->watch, look));
        wait_for_look(f, look);
        assert_true(target_watch_has_looked(f->watch, look));
        assert_int_equal(target_watch_target(f->watch)->serial, 18);

        put_target(f, second);
        look = target_watch_poll(f->watch);
        assert_false(target_watch_has_looked(f->watch, look));
        wait_for_look(f, look);
        assert_true(target_watch_has_looked(f->watch, look));
        assert_int_equal(serial_on_disk(f), 19);
}

/* A look that is under way when somebody asks may have missed what he knows: only the next one counts. */
static void test_look_under_way(void **state) {
        _cleanup_free_ char *target = make_target(18, NULL, 1);
        Fixture *f = *state;
        uint64_t first, second;

        put_target(f, target);
        open_watch(f, false);
        first = target_watch_poll(f->watch);
        assert_true(sd_event_run(f->event, 10000) >= 0); /* it has begun */
        second = target_watch_poll(f->watch);
        assert_int_equal(second, first + 1);
        wait_for_look(f, first);
        assert_true(target_watch_has_looked(f->watch, first));
        assert_false(target_watch_has_looked(f->watch, second));
        wait_for_look(f, second);
        assert_true(target_watch_has_looked(f->watch, second));
}

/* A target that is refused is known; a depot that is not there knows nothing. */
static void test_what_counts_as_a_look(void **state) {
        _cleanup_free_ char *forged = make_target(18, NULL, 2);
        Fixture *f = *state;
        uint64_t look;

        put_target(f, forged);
        open_watch(f, false);
        look = target_watch_poll(f->watch);
        wait_for_look(f, look);
        assert_true(target_watch_has_looked(f->watch, look));
        assert_null(target_watch_target(f->watch));
        assert_non_null(target_watch_problem(f->watch));

        assert_int_equal(renameat(f->folder->fd, "depot", f->folder->fd, "away"), 0);
        look = target_watch_poll(f->watch);
        wait_for_look(f, look);
        assert_false(target_watch_has_looked(f->watch, look));
        assert_int_equal(renameat(f->folder->fd, "away", f->folder->fd, "depot"), 0);
        look = target_watch_poll(f->watch);
        wait_for_look(f, look);
        assert_true(target_watch_has_looked(f->watch, look));
}

static void test_offer(void **state) {
        _cleanup_free_ char *old = make_target(18, NULL, 1), *new = make_target(20, NULL, 1);
        Fixture *f = *state;
        uint64_t look;

        put_target(f, old);
        open_watch(f, false);
        assert_int_equal(target_watch_offer(f->watch, new, strlen(new), NULL), 0);
        assert_int_equal(f->n_changed, 1);
        assert_int_equal(target_watch_target(f->watch)->serial, 20);
        assert_int_equal(serial_on_disk(f), 20);
        assert_int_equal(target_watch_offer(f->watch, new, strlen(new), NULL), 0); /* twice is no harm */

        look = target_watch_poll(f->watch);
        wait_for_look(f, look); /* the depot's is older: refused */
        assert_true(target_watch_has_looked(f->watch, look));
        assert_int_equal(target_watch_target(f->watch)->serial, 20);
        put_target(f, new);
        look = target_watch_poll(f->watch);
        wait_for_look(f, look);
        assert_null(target_watch_problem(f->watch));
}

static void test_offers_refused(void **state) {
        _cleanup_free_ char *good = make_target(18, NULL, 1), *lower = make_target(17, NULL, 1);
        _cleanup_free_ char *other = make_target(18, "other content", 1), *forged = make_target(19, NULL, 2);
        Fixture *f = *state;

        open_watch(f, false);
        assert_int_equal(target_watch_offer(f->watch, good, strlen(good), NULL), 0);
        assert_int_equal(target_watch_offer(f->watch, lower, strlen(lower), NULL), -ESTALE);
        assert_int_equal(target_watch_offer(f->watch, other, strlen(other), NULL), -EEXIST);
        assert_int_equal(target_watch_offer(f->watch, forged, strlen(forged), NULL), -EKEYREJECTED);
        assert_int_equal(target_watch_offer(f->watch, "{}", 2, NULL), -EBADMSG);
        assert_int_equal(target_watch_target(f->watch)->serial, 18);
        assert_int_equal(serial_on_disk(f), 18);
}

/* Where freshness is asked for, a target of any age could be offered again: it is only a reason to look. */
static void test_offer_is_a_hint(void **state) {
        _cleanup_free_ char *target = make_target(18, NULL, 1);
        Fixture *f = *state;

        open_watch(f, true);
        assert_int_equal(target_watch_offer(f->watch, target, strlen(target), NULL), 0);
        assert_null(target_watch_target(f->watch));
        assert_int_equal(f->record.serial, 0);
}

static void test_interval(void **state) {
        _cleanup_free_ char *target = make_target(18, NULL, 1);
        Fixture *f = *state;
        uint64_t look;

        put_target(f, target);
        open_watch(f, false);
        look = target_watch_poll(f->watch);
        wait_for_look(f, look);
        assert_true(target_watch_has_looked(f->watch, look));
        target_watch_set_interval(f->watch, 1000);
        wait_for_look(f, look + 1);
        assert_true(target_watch_has_looked(f->watch, look + 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_looks),    TEST(test_look_under_way), TEST(test_what_counts_as_a_look),
                TEST(test_offer),    TEST(test_offers_refused), TEST(test_offer_is_a_hint),
                TEST(test_interval),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
