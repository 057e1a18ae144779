#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/test.h"

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/current_keep.h"
#include "agent/record_copy.h"
#include "agent/record_history.h"
#include "agent/record_open.h"
#include "artifacts/release.h"
#include "tests/unit/stored-release.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define NOW (UINT64_C(1790000000) * USEC_PER_SEC)

typedef struct Fixture {
        TestFolder *folder;
        ReleaseStore *store;
        ReleaseRef v1, v2;
} Fixture;

static void install(Fixture *f, const char *version, ReleaseRef *ret) {
        _cleanup_release_ Release *release = test_store_release(f->store, version, "");
        const ReleaseRef ref = test_release_ref(release);

        assert_int_equal(release_ref_copy(ret, &ref), 0);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        assert_int_equal(store_open(f->folder->path, "api", &f->store, NULL), 0);
        install(f, "1.0", &f->v1);
        install(f, "2.0", &f->v2);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        release_ref_deinit(&f->v1);
        release_ref_deinit(&f->v2);
        store_free(f->store);
        test_folder_teardown((void **) &f->folder);
        free(f);
        return 0;
}

static void make_current(Fixture *f, const ReleaseRef *ref) {
        char name[STORE_NAME_SIZE];

        assert_int_equal(store_name(ref->version, ref->sha256, name), 0);
        assert_int_equal(store_switch_current(f->store, name, NULL), 0);
}

/* Keeps a finished deployment, and makes it the last one of RECORD. */
static void deployed(Fixture *f, Record *record, const ReleaseRef *to, uint64_t serial, Outcome outcome) {
        Deployment *d = &record->deployment;
        char id[32];

        snprintf(id, sizeof(id), "d-%04u", (unsigned) serial);
        deployment_deinit(d);
        *d = (Deployment){ .serial = serial,
                           .accepted = serial,
                           .outcome = outcome,
                           .step = STEP_END,
                           .failed_step = STEP_HEALTH,
                           .fault = outcome == OUTCOME_SUCCEEDED ? FAULT_UNKNOWN : FAULT_RELEASE,
                           .finished = NOW };
        assert_int_equal(string_set(&d->id, id), 0);
        assert_int_equal(release_ref_copy(&d->to, to), 0);
        assert_int_equal(release_ref_copy(&d->from, &record->good), 0);
        record->serial = serial;
        assert_int_equal(record_end(record, "boot"), 0);
        assert_int_equal(record_keep_history(f->store->app_fd, d, NULL), 0);
}

static const RecordOwner owner = { .app = "api", .instance = "i-1" };

static void open_it(Fixture *f, Record *ret, char note[static RECORD_NOTE_MAX]) {
        Error error = {};

        if (record_open(f->store, &owner, NOW, ret, note, &error) < 0)
                fail_msg("%s", error.message);
}

static void damage(Fixture *f, const char *text) {
        assert_int_equal(file_replace_at(f->store->app_fd, RECORD_FILE, text, strlen(text), 0600), 0);
}

static void test_first_start(void **state) {
        _cleanup_(record_deinit) Record record = {};
        char note[RECORD_NOTE_MAX];

        open_it(*state, &record, note);
        assert_string_equal(note, "");
        assert_string_equal(record.instance, "i-1");
        assert_null(record.good.version);
}

/* 1.0 was good, 2.0 failed and was rolled back: all that is known again, from every kind of damage. */
static void test_damaged(void **state) {
        static const char *const texts[] = { "", "{", "nonsense", "{\"schema\": 2}", "[1]", NULL };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(record_deinit) Record before = {}, after = {}, again = {};
                char note[RECORD_NOTE_MAX];

                deployed(f, &before, &f->v1, 5, OUTCOME_SUCCEEDED);
                deployed(f, &before, &f->v2, 6, OUTCOME_ROLLED_BACK);
                make_current(f, &f->v1);
                assert_int_equal(file_remove_tree_at(f->store->app_fd, RECORD_FILE), 0);
                if (texts[i])
                        damage(f, texts[i]);
                else
                        assert_int_equal(mkdirat(f->store->app_fd, RECORD_FILE, 0700), 0);
                open_it(f, &after, note);
                assert_non_null(strstr(note, "made anew"));
                assert_string_equal(after.good.version, "1.0");
                assert_int_equal(after.good_serial, 5);
                assert_int_equal(after.serial, 6);
                assert_non_null(record_find_failure(&after, f->v2.sha256, 6, NULL));
                assert_false(deployment_is_running(&after.deployment));
                assert_int_equal(faccessat(f->store->app_fd, RECORD_BAD_FILE, F_OK, 0), 0);
                open_it(f, &again, note);
                assert_string_equal(note, "");
                assert_string_equal(again.good.version, "1.0");
        }
}

/* Also with a power cut between the two steps of that. */
static void test_missing(void **state) {
        Fixture *f = *state;
        _cleanup_(record_deinit) Record before = {}, after = {};
        char note[RECORD_NOTE_MAX];

        deployed(f, &before, &f->v1, 5, OUTCOME_SUCCEEDED);
        make_current(f, &f->v1);
        open_it(f, &after, note);
        assert_non_null(strstr(note, "missing"));
        assert_string_equal(after.good.version, "1.0");
}

/* In the middle of a deployment: what never passed its checks does not stay. */
static void test_damaged_in_the_middle(void **state) {
        Fixture *f = *state;
        _cleanup_(record_deinit) Record before = {}, after = {};
        char note[RECORD_NOTE_MAX];

        deployed(f, &before, &f->v1, 5, OUTCOME_SUCCEEDED);
        make_current(f, &f->v2);
        damage(f, "{");
        open_it(f, &after, note);
        assert_string_equal(after.good.version, "1.0");
        assert_true(deployment_is_running(&after.deployment));
        assert_int_equal(after.deployment.step, STEP_ROLLBACK_SWITCH);
        assert_string_equal(after.deployment.to.version, "2.0");
        assert_string_equal(after.deployment.from.version, "1.0");
        assert_true(strcmp(after.deployment.id, "d-0005") > 0);
}

/* The instance was out of its target groups, which nobody else knows; what another machine was out of is not this one's. */
static void test_damaged_while_out_of_traffic(void **state) {
        static const char arn[] =
                "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/api/0123456789abcdef";
        static const char *const instances[] = { "i-1", "i-2" };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(instances); i++) {
                _cleanup_(record_deinit) Record before = {}, after = {}, again = {};
                char note[RECORD_NOTE_MAX];

                deployed(f, &before, &f->v1, 5, OUTCOME_SUCCEEDED);
                make_current(f, &f->v1);
                assert_int_equal(string_set(&before.instance, instances[i]), 0);
                assert_int_equal(target_registrations_add(&before.deregistered, arn, 8080), 0);
                assert_int_equal(record_copy_keep(f->store->app_fd, &before, NULL), 0);
                damage(f, "{");
                open_it(f, &after, note);
                assert_int_equal(after.deregistered.n, i == 0 ? 1 : 0);
                if (i == 0)
                        assert_string_equal(after.deregistered.items[0].arn, arn);
                open_it(f, &again, note);
                assert_int_equal(again.deregistered.n, i == 0 ? 1 : 0);
        }
}

/* Nothing says that it is bad. */
static void test_damaged_without_history(void **state) {
        Fixture *f = *state;
        _cleanup_(record_deinit) Record after = {};
        char note[RECORD_NOTE_MAX];

        make_current(f, &f->v2);
        damage(f, "{");
        open_it(f, &after, note);
        assert_string_equal(after.good.version, "2.0");
        assert_false(deployment_is_running(&after.deployment));
}

/* Whatever started since is not what passed its checks. */
static void test_current_is_elsewhere(void **state) {
        Fixture *f = *state;
        _cleanup_(record_deinit) Record record = {}, after = {};
        char note[RECORD_NOTE_MAX];

        deployed(f, &record, &f->v1, 5, OUTCOME_SUCCEEDED);
        assert_int_equal(string_set(&record.instance, "i-1"), 0);
        assert_int_equal(record_save(f->store->app_fd, &record, NULL), 0);
        make_current(f, &f->v2);
        assert_false(current_is_right(f->store, &record));
        open_it(f, &after, note);
        assert_true(after.good_is_down);

        assert_int_equal(current_keep(f->store, &f->v1, NULL), 1);
        assert_int_equal(current_keep(f->store, &f->v1, NULL), 0);
        assert_true(current_is_right(f->store, &record));
        record_deinit(&after);
        open_it(f, &after, note);
        assert_false(after.good_is_down);
}

static void test_current_is_gone(void **state) {
        Fixture *f = *state;
        _cleanup_(record_deinit) Record record = {}, after = {};
        char note[RECORD_NOTE_MAX];

        deployed(f, &record, &f->v1, 5, OUTCOME_SUCCEEDED);
        assert_int_equal(string_set(&record.instance, "i-1"), 0);
        assert_int_equal(record_save(f->store->app_fd, &record, NULL), 0);
        open_it(f, &after, note);
        assert_string_equal(after.good.version, "1.0");
        assert_true(after.good_is_down);
}

/* A newer muster's is left alone, byte for byte. */
static void test_newer_schema(void **state) {
        static const char newer[] = "{\"schema\": 99, \"good\": {}}";
        Fixture *f = *state;
        _cleanup_buffer_ Buffer text = {};
        char note[RECORD_NOTE_MAX];
        Record record = {};
        Error error = {};

        damage(f, newer);
        assert_int_equal(record_open(f->store, &owner, NOW, &record, note, &error), -EPROTONOSUPPORT);
        assert_non_null(strstr(error.message, "a newer muster wrote the deploy record"));
        assert_int_equal(file_read_at(f->store->app_fd, RECORD_FILE, 1000, &text), 0);
        assert_string_equal(buffer_string(&text), newer);
        assert_int_equal(faccessat(f->store->app_fd, RECORD_BAD_FILE, F_OK, 0), -1);
}

/* Every prefix of a record, and nothing is lost or believed in part. */
static void test_torn(void **state) {
        Fixture *f = *state;
        _cleanup_(record_deinit) Record before = {};
        _cleanup_free_ char *text = NULL;

        deployed(f, &before, &f->v1, 5, OUTCOME_SUCCEEDED);
        make_current(f, &f->v1);
        assert_int_equal(string_set(&before.instance, "i-1"), 0);
        assert_int_equal(record_to_text(&before, &text), 0);
        for (size_t n = strlen(text); n-- > 0;) {
                _cleanup_(record_deinit) Record after = {};
                char note[RECORD_NOTE_MAX];

                text[n] = '\0';
                damage(f, text);
                open_it(f, &after, note);
                assert_string_equal(after.good.version, "1.0");
                assert_int_equal(after.serial, 5);
        }
}

static void test_another_machine(void **state) {
        Fixture *f = *state;
        _cleanup_(record_deinit) Record record = {}, after = {};
        char note[RECORD_NOTE_MAX];

        deployed(f, &record, &f->v1, 5, OUTCOME_SUCCEEDED);
        memcpy(record.target_sha256, SHA, sizeof(record.target_sha256));
        assert_int_equal(string_set(&record.group, "prod"), 0);
        assert_int_equal(string_set(&record.instance, "i-0"), 0);
        assert_int_equal(record_save(f->store->app_fd, &record, NULL), 0);
        make_current(f, &f->v1);
        open_it(f, &after, note);
        assert_non_null(strstr(note, "an image of i-0"));
        assert_null(after.good.version);
        assert_int_equal(after.n_failures, 0);
        assert_int_equal(after.serial, 5);
        assert_string_equal(after.target_sha256, SHA);
        assert_string_equal(after.group, "prod");
        assert_string_equal(after.instance, "i-1");
        assert_int_equal(after.deployment.step, STEP_ROLLBACK_SWITCH);
        assert_null(after.deployment.from.version);
        assert_int_equal(faccessat(f->store->app_fd, "history", F_OK, 0), -1);
}

/* A musterd without a configuration knows no instance id worth the name, and takes nothing for another machine's. */
static void test_not_configured(void **state) {
        static const RecordOwner nobody = { .app = "api" };
        Fixture *f = *state;
        _cleanup_(record_deinit) Record record = {}, after = {};
        char note[RECORD_NOTE_MAX];

        deployed(f, &record, &f->v1, 5, OUTCOME_SUCCEEDED);
        assert_int_equal(string_set(&record.instance, "i-0"), 0);
        assert_int_equal(record_save(f->store->app_fd, &record, NULL), 0);
        make_current(f, &f->v1);
        assert_int_equal(record_open(f->store, &nobody, NOW, &after, note, NULL), 0);
        assert_string_equal(note, "");
        assert_string_equal(after.good.version, "1.0");
        assert_string_equal(after.instance, "i-0");
}

static void test_foreign(_unused_ void **state) {
        char i_1[] = "i-1", print_1[] = "ec2-1";
        Machine machine = { .fingerprint = print_1 }, nitro = { .instance = i_1, .fingerprint = print_1 };
        Record record = { .instance = i_1, .machine = print_1 };
        static const struct {
                const char *instance, *configured, *record_instance, *record_machine;
                bool nitro, foreign;
        } cases[] = {
                { "i-1", NULL, "i-1", "other", false, false }, /* musterd knows */
                { "i-2", NULL, "i-1", "ec2-1", false, true },
                { "i-1", NULL, NULL, NULL, false, false }, /* nobody wrote it yet */
                { NULL, "i-2", "i-1", "ec2-1", false, true },
                { NULL, "i-1", "i-1", "other", false, false },
                { NULL, NULL, "i-2", "ec2-1", true, true }, /* the firmware tells */
                { NULL, NULL, "i-1", "other", true, false },
                { NULL, NULL, "i-1", "ec2-1", false, false }, /* or only who it is not */
                { NULL, NULL, "i-1", "other", false, true },
                { NULL, NULL, "i-1", NULL, false, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const RecordOwner who = { .app = "api",
                                          .instance = cases[i].instance,
                                          .configured = cases[i].configured,
                                          .machine = cases[i].nitro ? &nitro : &machine };

                record.instance = (char *) cases[i].record_instance;
                record.machine = (char *) cases[i].record_machine;
                assert_int_equal(record_is_foreign(&record, &who), cases[i].foreign);
        }
}

static void put(const Fixture *f, const char *path, const char *text) {
        _cleanup_free_ char *folder = strdup(path);

        *strrchr(folder, '/') = '\0';
        close_fd(file_open_folder_at(f->store->app_fd, folder, 0755));
        assert_int_equal(file_replace_at(f->store->app_fd, path, text, strlen(text), 0644), 0);
}

static void test_machine(void **state) {
        Fixture *f = *state;
        _cleanup_(machine_deinit) Machine none = {}, id = {}, other = {}, nitro = {};

        assert_int_equal(machine_read(f->store->path, &none), 0);
        assert_null(none.fingerprint);
        put(f, "etc/machine-id", "9eaa48c80c6a44c49309e409ad4b0f69\n");
        assert_int_equal(machine_read(f->store->path, &id), 0);
        assert_string_equal(id.fingerprint, "9eaa48c80c6a44c49309e409ad4b0f69");
        assert_null(id.instance);
        put(f, "sys/class/dmi/id/product_uuid", "ec2e1916-9099-7caf-fd21-012345abcdef\n");
        put(f, "sys/class/dmi/id/board_asset_tag", "Not Specified\n");
        assert_int_equal(machine_read(f->store->path, &other), 0);
        assert_string_equal(other.fingerprint, "ec2e1916-9099-7caf-fd21-012345abcdef");
        assert_null(other.instance);
        put(f, "sys/class/dmi/id/board_asset_tag", "i-0af01c0123456789a\n");
        assert_int_equal(machine_read(f->store->path, &nitro), 0);
        assert_string_equal(nitro.instance, "i-0af01c0123456789a");
}

#define ON_A_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                ON_A_STORE(test_first_start),
                ON_A_STORE(test_damaged),
                ON_A_STORE(test_missing),
                ON_A_STORE(test_damaged_in_the_middle),
                ON_A_STORE(test_damaged_while_out_of_traffic),
                ON_A_STORE(test_damaged_without_history),
                ON_A_STORE(test_current_is_gone),
                ON_A_STORE(test_current_is_elsewhere),
                ON_A_STORE(test_newer_schema),
                ON_A_STORE(test_torn),
                ON_A_STORE(test_another_machine),
                ON_A_STORE(test_not_configured),
                cmocka_unit_test(test_foreign),
                ON_A_STORE(test_machine),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
