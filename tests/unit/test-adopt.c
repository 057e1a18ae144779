#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/files_scene.h"

#include "agent/adopt.h"
#include "agent/base/file.h"
#include "agent/base/strv.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, files_scene_setup, files_scene_teardown)

static int file_of(const char *text) {
        int fd = memfd_create("paths", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(file_write_fd(fd, text, strlen(text)), 0);
        return fd;
}

static bool is_there(const ReleaseStore *store, const char *name) {
        return faccessat(store->app_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_paths(void **state) {
        FilesScene *scene = *state;
        _cleanup_close_ int good = file_of("/srv/a\n/srv/a/b\n"), bad = file_of("/srv/a\nb\n"), pipe = -1;
        _cleanup_strv_ char **paths = NULL;
        Error error = {};

        assert_int_equal(adopt_keep_paths(scene->store, bad, &error), -EINVAL);
        assert_string_equal(
                error.message,
                "the list of what is installed: line 2: expected an absolute path without \"..\"");
        assert_false(is_there(scene->store, ADOPT_FILE));
        assert_true(adopt_read_paths(scene->store, &paths, &error) < 0);

        assert_int_equal(adopt_keep_paths(scene->store, good, &error), 0);
        assert_int_equal(adopt_keep_paths(scene->store, good, &error), 0); /* wherever its offset is */
        assert_int_equal(adopt_read_paths(scene->store, &paths, &error), 0);
        assert_int_equal(strv_length(paths), 2);
        assert_string_equal(paths[1], "/srv/a/b");

        assert_int_equal(mkfifoat(scene->place, "pipe", 0600), 0);
        pipe = openat(scene->place, "pipe", O_RDWR | O_CLOEXEC);
        assert_int_equal(adopt_keep_paths(scene->store, pipe, &error), -ESPIPE);
}

/* What failed leaves no trace; what is taken over leaves its release. */
static void test_end(void **state) {
        FilesScene *scene = *state;
        _cleanup_close_ int list = file_of("");
        Error error = {};

        for (unsigned good = 0; good < 2; good++) {
                const Record record = { .good.version = good ? (char *) "1.0" : NULL };

                assert_int_equal(adopt_keep_paths(scene->store, list, &error), 0);
                assert_int_equal(symlinkat("releases/1.0-000000000000", scene->store->app_fd, "current"), 0);
                adopt_end(scene->store, &record);
                assert_false(is_there(scene->store, ADOPT_FILE));
                assert_int_equal(is_there(scene->store, "current"), good);
        }
}

/* One that goes on needs its list still; of any other it is in the way. */
static void test_end_after_crash(void **state) {
        static const struct {
                DeploymentKind kind;
                Outcome outcome;
                const char *good;
                bool list, current;
        } cases[] = {
                { KIND_ADOPT, OUTCOME_RUNNING, NULL, true, true },
                { KIND_ADOPT, OUTCOME_FAILED, NULL, false, false },
                { KIND_ADOPT, OUTCOME_SUCCEEDED, "1.0", false, true },
                { KIND_DEPLOY, OUTCOME_RUNNING, "1.0", false, true },
        };
        FilesScene *scene = *state;
        _cleanup_close_ int list = file_of("");

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const Record record = { .good.version = (char *) cases[i].good,
                                        .deployment.kind = cases[i].kind,
                                        .deployment.outcome = cases[i].outcome };

                (void) unlinkat(scene->store->app_fd, "current", 0);
                assert_int_equal(symlinkat("releases/1.0-000000000000", scene->store->app_fd, "current"), 0);
                assert_int_equal(adopt_keep_paths(scene->store, list, NULL), 0);
                adopt_end_after_crash(scene->store, &record);
                assert_int_equal(is_there(scene->store, ADOPT_FILE), cases[i].list);
                assert_int_equal(is_there(scene->store, "current"), cases[i].current);
        }
        assert_int_equal(file_remove_at(scene->store->app_fd, ADOPT_FILE), 0);
        adopt_end_after_crash(scene->store, &(Record){});
        assert_true(is_there(scene->store, "current"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_paths),
                TEST(test_end),
                TEST(test_end_after_crash),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
