#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/codedeploy_state.h"
#include "tests/unit/test.h"

#define GROUP "1f0c7a3e-5b0d-4a0e-9a3c-0d9a4b1c2e3f"
#define POINTER "/opt/codedeploy-agent/deployment-root/" GROUP "/d-ABCDEFGHI"

static void test_pointer(_unused_ void **state) {
        static const struct {
                const char *text, *expected;
        } cases[] = {
                { POINTER, "d-ABCDEFGHI" },
                { POINTER "\n", "d-ABCDEFGHI" },
                { "/srv/cd/" GROUP "/d-1-local", "d-1-local" },
                { "/" GROUP "/d-1", "d-1" },
                { "", NULL },
                { "\n", NULL },
                { "/opt/codedeploy-agent/deployment-root/" GROUP, NULL },
                { "/opt/codedeploy-agent/deployment-root/" GROUP "/", NULL },
                { "/opt/codedeploy-agent/deployment-root/2f0c/d-ABCDEFGHI", NULL },
                { "/opt/x" GROUP "/d-ABCDEFGHI", NULL },
                { GROUP "/d-ABCDEFGHI", NULL },
                { "/opt/" GROUP "/..", NULL },
                { "/opt/" GROUP "/d 1", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *id = NULL;
                int r = codedeploy_parse_pointer(GROUP, cases[i].text, strlen(cases[i].text), &id);

                if (r != (cases[i].expected ? 0 : -EBADMSG) || !string_equal(id, cases[i].expected))
                        fail_msg("\"%s\": %d, %s", cases[i].text, r, id ?: "nothing");
        }
        assert_int_equal(codedeploy_parse_pointer(GROUP, "/a\0b/", 5, &(char *){ NULL }), -EBADMSG);
}

static void test_instructions(_unused_ void **state) {
        static const char text[] = "{\"instructions\":[{\"type\":\"mkdir\",\"directory\":\"/srv/app\"},"
                                   "{\"type\":\"copy\",\"source\":\"/a/b\",\"destination\":\"/srv/app/b\"},"
                                   "{\"type\":\"chmod\",\"mode\":\"644\",\"file\":\"/srv/app/b\"}]}";
        CodedeployInstructions found;
        Error error;

        assert_int_equal(codedeploy_parse_instructions("x", text, strlen(text), &found, &error), 0);
        assert_int_equal(found.n, 2);
        assert_string_equal(found.source, "/a/b");
        free(found.source);
        for (size_t length = 0; length < strlen(text); length++)
                assert_int_equal(codedeploy_parse_instructions("x", text, length, &found, &error), -EBADMSG);
        assert_int_equal(codedeploy_parse_instructions("x", "{}", 2, &found, &error), -EBADMSG);
}

/* A root_dir, piece by piece. */

static void put(const TestFolder *folder, const char *path, const char *text) {
        char whole[PATH_MAX], *slash;
        int fd;

        snprintf(whole, sizeof(whole), "%s", path);
        slash = strrchr(whole, '/');
        *slash = '\0';
        fd = file_open_folder_at(folder->fd, whole, 0755);
        assert_true(fd >= 0);
        assert_int_equal(file_replace_at(fd, slash + 1, text, strlen(text), 0644), 0);
        close_fd(fd);
}

static void put_group(const TestFolder *folder, const char *group, const char *last, const char *recent) {
        char path[512], text[1024];

        snprintf(path, sizeof(path), "%s/%s/deployment-archive/appspec.yml", group, last);
        put(folder, path, "version: 0.0\nos: linux\n");
        snprintf(path, sizeof(path), "deployment-instructions/%s_last_successful_install", group);
        snprintf(text, sizeof(text), "/old/place/%s/%s", group, last);
        put(folder, path, text);
        snprintf(path, sizeof(path), "deployment-instructions/%s_most_recent_install", group);
        snprintf(text, sizeof(text), "/old/place/%s/%s", group, recent);
        put(folder, path, text);
        snprintf(path, sizeof(path), "deployment-instructions/%s-install.json", group);
        snprintf(text, sizeof(text),
                 "{\"instructions\":[{\"type\":\"copy\",\"source\":\"/old/place/%s/%s/deployment-archive/a\","
                 "\"destination\":\"/srv/a\"}]}",
                 group, last);
        put(folder, path, text);
        snprintf(path, sizeof(path), "deployment-instructions/%s-cleanup", group);
        put(folder, path, "/srv/a\n");
}

static CodedeployState read_state(const TestFolder *folder) {
        CodedeployState found = {};
        Error error;

        if (codedeploy_state_read(folder->path, &found, &error) != 1)
                fail_msg("%s", error.message);
        return found;
}

static void assert_problem(const TestFolder *folder, const char *expected) {
        _cleanup_(codedeploy_state_deinit) CodedeployState found = read_state(folder);

        assert_int_equal(found.n, 1);
        if (!string_equal(found.groups[0].problem, expected))
                fail_msg("%s, expected %s", found.groups[0].problem ?: "no problem", expected ?: "none");
}

static void test_groups(void **state) {
        const TestFolder *folder = *state;
        _cleanup_(codedeploy_state_deinit) CodedeployState found = {};
        char archive[512];

        put_group(folder, "bbb", "d-2", "d-3");
        put_group(folder, "aaa", "d-1", "d-1");
        put(folder, "deployment-logs/codedeploy-agent-deployments.log", "d-9");
        put(folder, "ongoing-deployment/d-3", "command");
        put(folder, "ccc/d-7/logs/scripts.log", "");
        put(folder, "prod/d-8/x", ""); /* muster's own */
        assert_int_equal(
                symlinkat("/var/lib/muster/apps/api/releases/1", folder->fd, "prod/d-8/deployment-archive"),
                0);
        found = read_state(folder);
        assert_int_equal(found.n, 3);
        assert_string_equal(found.groups[0].id, "aaa");
        assert_string_equal(found.groups[0].last_successful, "d-1");
        assert_null(found.groups[0].problem);
        assert_int_equal(found.groups[0].n_installed, 1);
        assert_string_equal(found.groups[0].installed[0], "/srv/a");
        snprintf(archive, sizeof(archive), "%s/aaa/d-1/deployment-archive", folder->path);
        assert_string_equal(found.groups[0].archive, archive);
        assert_string_equal(found.groups[1].most_recent, "d-3");
        assert_null(found.groups[1].problem);
        assert_string_equal(found.groups[2].problem, "no revision was ever installed");
        assert_int_equal(strv_length(found.ongoing), 1);
        assert_ptr_equal(codedeploy_state_find(&found, "bbb"), &found.groups[1]);
        assert_null(codedeploy_state_find(&found, "ddd"));
}

static void test_nothing(void **state) {
        const TestFolder *folder = *state;
        _cleanup_(codedeploy_state_deinit) CodedeployState found = read_state(folder);
        CodedeployState none = {};
        Error error;

        assert_int_equal(found.n, 0);
        assert_int_equal(codedeploy_state_read("/nonexistent", &none, &error), 0);
        assert_int_equal(codedeploy_state_read("/dev/null", &none, &error), 0);
}

/* Its writer died at the worst moments. */
static void test_half_written(void **state) {
        const TestFolder *folder = *state;

        put_group(folder, "aaa", "d-1", "d-1");
        assert_problem(folder, NULL);

        put(folder, "deployment-instructions/aaa-install.json",
            "{\"instructions\":[{\"type\":\"copy\",\"source\":\"/old/place/aaa/d-2/deployment-archive/a\"}]}");
        assert_problem(folder, "an install after d-1 was begun and did not end");
        put(folder, "deployment-instructions/aaa-install.json", "{\"instructions\":[{\"type\":\"co");
        {
                _cleanup_(codedeploy_state_deinit) CodedeployState found = read_state(folder);

                assert_non_null(strstr(found.groups[0].problem, "aaa-install.json: "));
        }
        put_group(folder, "aaa", "d-1", "d-1");
        put(folder, "deployment-instructions/aaa-cleanup", "/srv/");
        assert_problem(folder, "of 1 files and folders that d-1 was to install, 0 are");
        put(folder, "deployment-instructions/aaa-cleanup", "srv/a\n");
        assert_problem(folder, "aaa-cleanup: line 1: expected an absolute path without \"..\"");
        assert_int_equal(file_remove_at(folder->fd, "deployment-instructions/aaa-cleanup"), 0);
        assert_problem(
                folder,
                "there is no list of what was installed (aaa-cleanup): an install removed it and wrote "
                "none anew");
        put_group(folder, "aaa", "d-1", "d-1");
        put(folder, "deployment-instructions/aaa_last_successful_install", "/old/pla");
        assert_problem(
                folder,
                "aaa_last_successful_install names no folder of a deployment: it was not written to its "
                "end");
        put_group(folder, "aaa", "d-1", "d-1");
        assert_int_equal(file_remove_tree_at(folder->fd, "aaa/d-1/deployment-archive"), 0);
        assert_problem(folder, "the deployment-archive of d-1 is not there");
        assert_int_equal(symlinkat("/etc", folder->fd, "aaa/d-1/deployment-archive"), 0);
        assert_problem(folder, "the deployment-archive of d-1 is not there");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pointer),
                cmocka_unit_test(test_instructions),
                cmocka_unit_test_setup_teardown(test_groups, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_nothing, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_half_written, test_folder_setup, test_folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
