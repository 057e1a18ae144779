#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/codedeploy_paths.h"
#include "tests/unit/test.h"

static void test_use(void **state) {
        const TestFolder *folder = *state;
        ReleaseHook hooks[] = { { .location = (char *) "start" }, { .location = (char *) "stop" } };
        Release release = {};

        assert_false(codedeploy_paths_are_used(folder->fd, &release));
        release.hooks[0].items = hooks;
        release.hooks[0].n = 2;
        assert_false(codedeploy_paths_are_used(folder->fd, &release)); /* neither is there */
        assert_int_equal(file_replace_at(folder->fd, "start", "#!/bin/sh\n", 10, 0755), 0);
        assert_int_equal(file_replace_at(folder->fd, "stop", "cd /opt/codedeploy\n", 19, 0755), 0);
        assert_false(codedeploy_paths_are_used(folder->fd, &release));
        assert_int_equal(file_replace_at(folder->fd, "stop", "cd /opt/codedeploy-agent/deployment-root/$X\n",
                                         44, 0755),
                         0);
        assert_true(codedeploy_paths_are_used(folder->fd, &release));
}

static bool leads_to(const TestFolder *folder, const char *path, const char *target) {
        _cleanup_free_ char *found = NULL;

        return file_read_link_at(folder->fd, path, &found) >= 0 && string_equal(found, target);
}

static void test_links(void **state) {
        const TestFolder *folder = *state;
        char root[512];
        Error error;

        snprintf(root, sizeof(root), "%s/agent/root", folder->path);
        codedeploy_paths_prune(root, "prod", "/state/releases", NULL); /* nothing is there */
        assert_int_equal(codedeploy_paths_put(root, "prod", "d-1", "/state/releases/1", &error), 0);
        assert_int_equal(codedeploy_paths_put(root, "prod", "d-2", "/state/releases/1", &error), 0);
        assert_int_equal(codedeploy_paths_put(root, "prod", "d-2", "/state/releases/2", &error), 0);
        assert_int_equal(codedeploy_paths_put(root, "prod", "d-3", "/other/releases/2", &error), 0);
        assert_int_equal(codedeploy_paths_put(root, "prod", "d-4", "/state/releases2/1", &error), 0);
        assert_true(leads_to(folder, "agent/root/prod/d-2/deployment-archive", "/state/releases/2"));

        codedeploy_paths_prune(root, "prod", "/state/releases", "/state/releases/2");
        assert_false(leads_to(folder, "agent/root/prod/d-1/deployment-archive", "/state/releases/1"));
        assert_true(leads_to(folder, "agent/root/prod/d-2/deployment-archive", "/state/releases/2"));
        assert_true(leads_to(folder, "agent/root/prod/d-3/deployment-archive", "/other/releases/2"));
        assert_true(leads_to(folder, "agent/root/prod/d-4/deployment-archive", "/state/releases2/1"));

        codedeploy_paths_prune(root, "prod", "/state/releases2", NULL);
        codedeploy_paths_prune(root, "prod", "/other/releases", NULL);
        assert_int_equal(test_count_entries(folder->fd), 1);
        codedeploy_paths_prune(root, "prod", "/state/releases", NULL);
        assert_int_equal(test_count_entries(folder->fd), 0); /* what was made is gone */
}

/* What CodeDeploy's own agent has is its own. */
static void test_foreign(void **state) {
        const TestFolder *folder = *state;
        _cleanup_close_ int theirs = file_open_folder_at(folder->fd, "prod/d-1/deployment-archive", 0755);
        Error error;

        assert_true(theirs >= 0);
        assert_int_equal(codedeploy_paths_put(folder->path, "prod", "d-1", "/state/releases/1", &error),
                         -EEXIST);
        assert_non_null(strstr(error.message, "prod/d-1/deployment-archive is there, and is no link"));
        codedeploy_paths_prune(folder->path, "prod", "/state/releases", NULL);
        assert_int_equal(faccessat(folder->fd, "prod/d-1/deployment-archive", F_OK, 0), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_use, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_links, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_foreign, test_folder_setup, test_folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
