#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/identity.h"
#include "agent/local.h"
#include "tests/unit/test.h"

static void make_app(int state_fd, const char *name) {
        char path[TEST_PATH_MAX];

        assert_int_equal(mkdirat(state_fd, name, 0755), 0);
        (void) snprintf(path, sizeof(path), "%s/record.json", name);
        assert_int_equal(file_replace_at(state_fd, path, "{}", 2, 0600), 0);
}

/* Only what was deployed is an app: no stray file or folder, no link, nothing with another name. */
static void test_apps(void **state) {
        const TestFolder *folder = *state;
        _cleanup_(config_freep) Config *config = NULL;
        AppConfig *api;

        assert_int_equal(config_new(&config), 0);
        assert_int_equal(local_add_apps(config, folder->fd, NULL), 0);
        assert_int_equal(config->n_apps, 0);
        assert_int_equal(mkdirat(folder->fd, "apps", 0755), 0);
        make_app(folder->fd, "apps/web");
        make_app(folder->fd, "apps/api");
        make_app(folder->fd, "apps/not an app");
        assert_int_equal(mkdirat(folder->fd, "apps/empty", 0755), 0);
        assert_int_equal(file_replace_at(folder->fd, "apps/file", "x", 1, 0600), 0);
        assert_int_equal(symlinkat("web", folder->fd, "apps/link"), 0);
        assert_int_equal(config_add_app(config, "api", &api, NULL), 0);
        assert_int_equal(local_add_apps(config, folder->fd, NULL), 0);
        assert_int_equal(config->n_apps, 2);
        assert_true(api->required); /* as the configuration has it */
        assert_string_equal(config->apps[1].name, "web");
        assert_false(config->apps[1].required);
}

static void test_unattended(void **state) {
        const TestFolder *folder = *state;
        _cleanup_(config_freep) Config *config = NULL;
        _cleanup_strv_ char **none = NULL, **names = NULL;
        AppConfig *api;

        assert_int_equal(config_new(&config), 0);
        assert_int_equal(local_find_unattended(config, folder->fd, &none, NULL), 0);
        assert_null(none);
        assert_int_equal(mkdirat(folder->fd, "apps", 0755), 0);
        make_app(folder->fd, "apps/api");
        make_app(folder->fd, "apps/gone"); /* long ago */
        make_app(folder->fd, "apps/web");
        assert_int_equal(symlinkat("releases/1.0", folder->fd, "apps/api/current"), 0);
        assert_int_equal(symlinkat("releases/1.0", folder->fd, "apps/web/current"), 0);
        assert_int_equal(config_add_app(config, "api", &api, NULL), 0);
        assert_int_equal(local_find_unattended(config, folder->fd, &names, NULL), 0);
        assert_int_equal(strv_length(names), 1);
        assert_string_equal(names[0], "web");
}

static void test_too_many(void **state) {
        const TestFolder *folder = *state;
        _cleanup_(config_freep) Config *config = NULL;
        Error error = {};

        assert_int_equal(config_new(&config), 0);
        assert_int_equal(mkdirat(folder->fd, "apps", 0755), 0);
        for (unsigned i = 0; i <= CONFIG_APPS_MAX; i++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "apps/a%u", i);
                make_app(folder->fd, name);
        }
        assert_int_equal(local_add_apps(config, folder->fd, &error), -E2BIG);
        assert_string_equal(error.message, "more than 64 apps");
}

static void test_identity(_unused_ void **state) {
        _cleanup_(config_freep) Config *config = NULL;
        Identity identity = {};

        assert_int_equal(config_new(&config), 0);
        assert_true(string_set(&config->instance_id, "by-hand") >= 0);
        assert_int_equal(identity_local(config, &identity, NULL), 0);
        assert_string_equal(identity.instance, "by-hand");
        assert_string_equal(identity.report_id, "by-hand");
        assert_string_equal(identity.group, IDENTITY_LOCAL_GROUP);
        identity_deinit(&identity);
        assert_true(string_set(&config->group, "tag:group") >= 0);
        assert_int_equal(identity_local(config, &identity, NULL), 0);
        assert_string_equal(identity.group, IDENTITY_LOCAL_GROUP);
        identity_deinit(&identity);
        assert_true(string_set(&config->group, "prod") >= 0);
        assert_int_equal(identity_local(config, &identity, NULL), 0);
        assert_string_equal(identity.group, "prod");
        identity_deinit(&identity);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_apps, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_unattended, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_too_many, test_folder_setup, test_folder_teardown),
                cmocka_unit_test(test_identity),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
