#include <string.h>
#include <sys/stat.h>

#include "tests/unit/test.h"

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/instance_pin.h"
#include "agent/record_copy.h"
#include "artifacts/release.h"
#include "tests/unit/stored-release.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define AT (UINT64_C(1767225600) * USEC_PER_SEC)

typedef struct Fixture {
        TestFolder *folder;
        ReleaseStore *store;
        Record record;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        assert_int_equal(store_open(f->folder->path, "api", &f->store, NULL), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        record_deinit(&f->record);
        store_free(f->store);
        test_folder_teardown((void **) &f->folder);
        free(f);
        return 0;
}

/* SALT makes the digest another one. */
static void install(Fixture *f, const char *version, const char *salt, char name[static STORE_NAME_SIZE]) {
        _cleanup_release_ Release *release = NULL;
        char more[64];

        snprintf(more, sizeof(more), "\"env\":{\"SALT\":\"%s\"},", salt);
        release = test_store_release(f->store, version, more);
        assert_int_equal(store_name(version, release->sha256, name), 0);
}

static int pin(Fixture *f, const char *version, const char *reason, bool *ret_changed, Error *error) {
        const InstancePinOrder order = { version, reason, AT };

        return instance_pin_set(f->store, &f->record, &order, ret_changed, error);
}

/* What the record's file says, as the next start of the agent would read it. */
static void expect_recorded(const Fixture *f, const char *version, const char *reason) {
        _cleanup_(record_deinit) Record record = {};

        assert_true(record_load(f->store->app_fd, &record, NULL) >= 0);
        if (!version) {
                assert_null(record.pin.release.version);
                return;
        }
        assert_string_equal(record.pin.release.version, version);
        assert_string_equal(record.pin.reason, reason);
        assert_true(record.pin.since == AT);
}

/* What the next start of this or another instance would find if the record could not be read. */
static void expect_copied(const Fixture *f, const char *instance, const char *version) {
        _cleanup_(record_deinit) Record found = {};

        assert_int_equal(record_copy_take(f->store->app_fd, instance, &found), 0);
        assert_int_equal(!!found.pin.release.version, !!version);
        if (version) {
                assert_string_equal(found.pin.release.version, version);
                assert_string_equal(found.pin.reason, "heap dump");
                assert_true(found.pin.since == AT);
        }
}

static void test_copy(void **state) {
        Fixture *f = *state;
        char name[STORE_NAME_SIZE];
        bool changed;

        f->record.instance = strdup("i-1");
        install(f, "1.0", "a", name);
        expect_copied(f, "i-1", NULL);
        assert_int_equal(pin(f, "1.0", "heap dump", &changed, NULL), 0);
        expect_copied(f, "i-1", "1.0");
        expect_copied(f, "i-2", NULL);
        expect_copied(f, NULL, NULL);
        assert_int_equal(unlinkat(f->store->app_fd, RECORD_COPY_FILE, 0), 0); /* as an older muster left it */
        assert_int_equal(record_copy_keep(f->store->app_fd, &f->record, NULL), 0);
        expect_copied(f, "i-1", "1.0");
        assert_int_equal(instance_pin_clear(f->store, &f->record, &changed, NULL), 0);
        expect_copied(f, "i-1", NULL);
        assert_int_equal(record_copy_keep(f->store->app_fd, &f->record, NULL), 0);
        assert_int_equal(file_replace_at(f->store->app_fd, RECORD_COPY_FILE, "{", 1, 0600), 0);
        expect_copied(f, "i-1", NULL);
}

/* What cannot be kept does not hold: the pin is refused, and nothing of it is left. */
static void test_copy_cannot_be_written(void **state) {
        Fixture *f = *state;
        char name[STORE_NAME_SIZE];
        Error error = {};
        bool changed;

        install(f, "1.0", "a", name);
        assert_int_equal(mkdirat(f->store->app_fd, RECORD_COPY_FILE, 0755), 0);
        assert_true(pin(f, "1.0", "heap dump", &changed, &error) < 0);
        assert_non_null(strstr(error.message, "the copy of the deploy record"));
        assert_null(f->record.pin.release.version);
}

static void test_set_and_clear(void **state) {
        Fixture *f = *state;
        char name[STORE_NAME_SIZE], other[STORE_NAME_SIZE];
        bool changed;

        install(f, "1.0", "a", name);
        install(f, "1.1", "a", other);
        assert_int_equal(pin(f, "1.0", "heap dump", &changed, NULL), 0);
        assert_true(changed);
        expect_recorded(f, "1.0", "heap dump");
        assert_string_equal(strncmp(name + 4, f->record.pin.release.sha256, 12) == 0 ? "same" : "other",
                            "same");

        /* It does not serve yet: said again, it is tried again. */
        assert_int_equal(pin(f, "1.0", "heap dump", &changed, NULL), 0);
        assert_true(changed);
        assert_int_equal(release_ref_copy(&f->record.good, &f->record.pin.release), 0);
        assert_int_equal(pin(f, "1.0", "heap dump", &changed, NULL), 0);
        assert_false(changed);
        f->record.good_is_down = true;
        assert_int_equal(pin(f, "1.0", "heap dump", &changed, NULL), 0);
        assert_true(changed);
        f->record.good_is_down = false;
        assert_int_equal(pin(f, "1.0", "another", &changed, NULL), 0);
        assert_true(changed);
        assert_int_equal(pin(f, "1.1", "another", &changed, NULL), 0);
        assert_true(changed);
        expect_recorded(f, "1.1", "another");

        assert_int_equal(instance_pin_clear(f->store, &f->record, &changed, NULL), 0);
        assert_true(changed);
        expect_recorded(f, NULL, NULL);
        assert_int_equal(instance_pin_clear(f->store, &f->record, &changed, NULL), 0);
        assert_false(changed);
}

static void test_what_failed_is_forgotten(void **state) {
        Fixture *f = *state;
        char name[STORE_NAME_SIZE];
        bool changed;

        install(f, "1.0", "a", name);
        assert_int_equal(pin(f, "1.0", "one", &changed, NULL), 0);
        assert_int_equal(release_ref_copy(&f->record.deployment.to, &f->record.pin.release), 0);
        f->record.deployment.fault = FAULT_RELEASE;
        f->record.deployment.outcome = OUTCOME_FAILED;
        assert_int_equal(record_end(&f->record, "boot"), 0);
        f->record.deployment.serial = 7;
        assert_int_equal(record_end(&f->record, "boot"), 0);
        assert_int_equal(f->record.n_failures, 2);
        assert_int_equal(pin(f, "1.0", "one", &changed, NULL), 0);
        assert_int_equal(f->record.n_failures, 1); /* what failed under a target stays failed there */
        assert_true(f->record.failures[0].serial == 7);
}

static void refuse(Fixture *f, const char *version, const char *reason, int r, const char *message) {
        Error error = {};
        bool changed;

        assert_int_equal(pin(f, version, reason, &changed, &error), r);
        if (!strstr(error.message, message))
                fail_msg("%s", error.message);
        assert_null(f->record.pin.release.version);
        expect_recorded(f, NULL, NULL);
}

static void test_refused(void **state) {
        Fixture *f = *state;
        char first[STORE_NAME_SIZE], second[STORE_NAME_SIZE], envelope[STORE_ENVELOPE_NAME_SIZE];
        bool changed;

        refuse(f, "1.0", "why", -ENOENT, "release 1.0 is not on this instance; there is: none");
        install(f, "1.0", "a", first);
        refuse(f, "1", "why", -ENOENT, "release 1 is not on this instance; there is: 1.0");
        refuse(f, "1.0-", "why", -ENOENT, "not on this instance");
        refuse(f, "../../etc", "why", -ENOENT, "not on this instance");
        refuse(f, "", "why", -ENOENT, "not on this instance");
        refuse(f, "1.0", "", -EINVAL, "reason");
        refuse(f, "1.0", "two\nlines", -EINVAL, "one line of text");

        /* Two of a name, as deployments by hand make them. */
        install(f, "1.0", "b", second);
        refuse(f, "1.0", "why", -EINVAL, second);
        refuse(f, "1.0", "why", -EINVAL, first);
        assert_int_equal(pin(f, second, "why", &changed, NULL), 0);
        assert_memory_equal(f->record.pin.release.sha256, second + 4, 12);
        assert_int_equal(release_ref_copy(&f->record.good, &f->record.pin.release), 0);
        assert_int_equal(pin(f, "1.0", "the one that serves", &changed, NULL), 0);
        assert_memory_equal(f->record.pin.release.sha256, second + 4, 12);

        /* A document that is another release's. */
        assert_int_equal(instance_pin_clear(f->store, &f->record, &changed, NULL), 0);
        store_envelope_name(second, envelope);
        assert_int_equal(file_replace_at(f->store->releases_fd, envelope, "{}", 2, 0644), 0);
        refuse(f, second, "why", -EBADMSG, "release");
}

static void test_record_that_cannot_be_written(void **state) {
        Fixture *f = *state;
        char name[STORE_NAME_SIZE];
        Error error = {};
        bool changed;

        install(f, "1.0", "a", name);
        assert_int_equal(mkdirat(f->store->app_fd, "record.json", 0700), 0);
        assert_true(pin(f, "1.0", "why", &changed, &error) < 0);
        assert_non_null(strstr(error.message, "cannot write the deploy record"));
        assert_null(f->record.pin.release.version);
        assert_int_equal(unlinkat(f->store->app_fd, "record.json", AT_REMOVEDIR), 0);
        assert_int_equal(pin(f, "1.0", "why", &changed, NULL), 0);
        assert_int_equal(unlinkat(f->store->app_fd, "record.json", 0), 0);
        assert_int_equal(mkdirat(f->store->app_fd, "record.json", 0700), 0);
        assert_true(instance_pin_clear(f->store, &f->record, &changed, NULL) < 0);
        assert_string_equal(f->record.pin.release.version, "1.0");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_copy),          TEST(test_copy_cannot_be_written),
                TEST(test_set_and_clear), TEST(test_what_failed_is_forgotten),
                TEST(test_refused),       TEST(test_record_that_cannot_be_written),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
