#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/identity_cache.h"
#include "tests/unit/test.h"

static Config *config_of(const char *group) {
        Config *config;

        assert_int_equal(config_new(&config), 0);
        assert_int_equal(string_set(&config->depot, "s3://bucket"), 0);
        assert_int_equal(string_set(&config->group, group), 0);
        return config;
}

static void test_round_trip(void **state) {
        const TestFolder *folder = *state;
        char instance[] = "i-1", group[] = "prod", report_id[] = "AROA:i-1";
        _cleanup_(config_freep) Config *config = config_of("prod"), *other = config_of("tag:other");
        const Identity identity = { .instance = instance, .group = group, .report_id = report_id };
        _cleanup_(identity_deinit) Identity back = {};
        Error error = {};

        assert_int_equal(identity_cache_load(folder->path, config, &back, &error), -ENOENT);
        assert_int_equal(identity_cache_save(folder->path, config, &identity, &error), 0);
        assert_int_equal(identity_cache_load(folder->path, other, &back, &error), -ENOENT);
        assert_null(back.instance);
        assert_int_equal(identity_cache_load(folder->path, config, &back, &error), 0);
        assert_true(identity_equal(&identity, &back));
        assert_null(back.scaling_group);
}

static void test_damaged(void **state) {
        static const char *const texts[] = { "", "{", "[]", "{\"instance\": \"../x\"}" };
        const TestFolder *folder = *state;
        _cleanup_(config_freep) Config *config = config_of("prod");
        _cleanup_(identity_deinit) Identity back = {};

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                assert_int_equal(
                        file_replace_at(folder->fd, "identity.json", texts[i], strlen(texts[i]), 0600), 0);
                assert_int_equal(identity_cache_load(folder->path, config, &back, NULL), -ENOENT);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_round_trip, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_damaged, test_folder_setup, test_folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
