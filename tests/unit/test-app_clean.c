#include <string.h>

#include "tests/unit/test.h"

#include "agent/app_clean.h"
#include "tests/unit/stored-release.h"

typedef struct Fixture {
        TestFolder *folder;
        ReleaseStore *store;
        Release *release;
        char name[STORE_NAME_SIZE];
        Record record;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        assert_int_equal(store_open(f->folder->path, "api", &f->store, NULL), 0);
        f->release = test_store_release(f->store, "1.0", "");
        assert_int_equal(store_name("1.0", f->release->sha256, f->name), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        record_deinit(&f->record);
        release_free(f->release);
        store_free(f->store);
        test_folder_teardown((void **) &f->folder);
        free(f);
        return 0;
}

static bool is_needed(const Fixture *f) {
        return app_clean_is_needed(f->store, &f->record, f->name);
}

static void test_nothing_needs_it(void **state) {
        const Fixture *f = *state;

        assert_false(is_needed(f));
}

/* Whatever in the record names it is reason enough to keep it. */
static void test_what_the_record_names(void **state) {
        Fixture *f = *state;
        ReleaseRef *const refs[] = { &f->record.good, &f->record.previous, &f->record.deployment.to,
                                     &f->record.deployment.from, &f->record.pin.release };
        const ReleaseRef ref = test_release_ref(f->release);

        for (size_t i = 0; i < ELEMENTSOF(refs); i++) {
                assert_int_equal(release_ref_copy(refs[i], &ref), 0);
                assert_true(is_needed(f));
                release_ref_deinit(refs[i]);
                assert_false(is_needed(f));
        }
}

/* One of the same version that is another release does not keep it. */
static void test_another_digest(void **state) {
        Fixture *f = *state;
        const ReleaseRef ref = test_release_ref(f->release);

        assert_int_equal(release_ref_copy(&f->record.good, &ref), 0);
        f->record.good.sha256[0] = f->record.good.sha256[0] == '0' ? '1' : '0';
        assert_false(is_needed(f));
}

/* Whatever the record says. */
static void test_current(void **state) {
        const Fixture *f = *state;

        assert_int_equal(store_switch_current(f->store, f->name, NULL), 0);
        assert_true(is_needed(f));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_nothing_needs_it),
                TEST(test_what_the_record_names),
                TEST(test_another_digest),
                TEST(test_current),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
