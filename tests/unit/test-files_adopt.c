#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/files_scene.h"

#include "agent/base/file.h"
#include "agent/base/strv.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, files_scene_setup, files_scene_teardown)
#define PATHS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define WEB "\"files\":[{\"source\":\"web\",\"destination\":\"@/html\"}],"

/* CodeDeploy has put version 1.0 there, and somebody else has a file beside it. */
#define FOUND                                                                                                \
        "html/ 0755\nhtml/a 0644 1.0 web/a\nhtml/b 0644 1.0 web/b\nhtml/sub/ 0755\nhtml/sub/c 0644 1.0 "     \
        "web/sub/c\nhtml/theirs 0644 theirs\n"

static void check_look(const FilesScene *scene, const char *expected) {
        _cleanup_free_ char *found = files_scene_look(scene);

        assert_string_equal(found, expected);
}

static void put_found(FilesScene *scene) {
        static const char *const names[] = { "a", "b", "sub/c" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *path = NULL, *text = NULL;

                assert_true(asprintf(&path, "html/%s", names[i]) > 0 &&
                            asprintf(&text, "1.0 web/%s", names[i]) > 0);
                files_scene_write(scene->place, path, text);
        }
        files_scene_write(scene->place, "html/theirs", "theirs");
        check_look(scene, FOUND);
}

/* The paths of the place. */
static char **list_of(const FilesScene *scene, const char *const *names) {
        char **paths = NULL;

        for (; *names; names++)
                assert_int_equal(strv_appendf(&paths, "%s/place/%s", scene->folder->path, *names), 0);
        return paths;
}

static int adopt(FilesScene *scene, const Release *release, const char *const *names, Error *error) {
        _cleanup_strv_ char **paths = list_of(scene, names);

        return files_adopt(scene->store, &scene->record, &scene->record.deployment.to, release, paths, error);
}

#define ALL PATHS("html", "html/a", "html/b", "html/sub", "html/sub/c", "html/gone", "html/gone/x")

static void adopt_whole(FilesScene *scene, const Release *release) {
        Error error = {};

        files_scene_begin(scene, release, "d-1");
        if (adopt(scene, release, ALL, &error) != 0)
                fail_msg("%s", error.message);
        check_look(scene, FOUND);
        files_scene_commit(scene);
        assert_int_equal(files_settle(scene->store, &scene->record, &error), 0);
        assert_false(files_are_unsettled(scene->store));
        check_look(scene, FOUND);
}

/* The release after it removes what it does not have, replaces what it has, and leaves what is others'. */
static void test_next_release(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *v1 =
                files_scene_release(scene, "1.0", WEB, PATHS("web/a", "web/b", "web/sub/c"));
        _cleanup_release_ Release *v2 = files_scene_release(scene, "2.0", WEB, PATHS("web/a", "web/new"));

        put_found(scene);
        adopt_whole(scene, v1);
        files_scene_deploy(scene, v2, "d-2");
        check_look(scene,
                   "html/ 0755\nhtml/a 0644 2.0 web/a\nhtml/new 0644 2.0 web/new\nhtml/theirs 0644 theirs\n");
}

/* The way back leads to what was found. */
static void test_way_back(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *v1 =
                files_scene_release(scene, "1.0", WEB, PATHS("web/a", "web/b", "web/sub/c"));
        _cleanup_release_ Release *v2 = files_scene_release(scene, "2.0", WEB, PATHS("web/a", "web/new"));
        Error error = {};

        put_found(scene);
        adopt_whole(scene, v1);
        files_scene_begin(scene, v2, "d-2");
        assert_int_equal(files_scene_install(scene, v2, &error), 0);
        assert_int_equal(files_take_back(scene->store, &scene->record, false, &error), 0);
        check_look(scene, FOUND);
}

/* An adoption that does not commit has changed nothing: what is there is somebody else's as before. */
static void test_without_commit(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *v1 =
                files_scene_release(scene, "1.0", WEB, PATHS("web/a", "web/b", "web/sub/c"));
        Error error = {};

        put_found(scene);
        files_scene_begin(scene, v1, "d-1");
        assert_int_equal(adopt(scene, v1, ALL, &error), 0);
        assert_int_equal(adopt(scene, v1, ALL, &error), 0); /* as after musterd's end */
        files_scene_fail(scene);
        assert_int_equal(files_settle(scene->store, &scene->record, &error), 0);
        check_look(scene, FOUND);
        files_scene_begin(scene, v1, "d-2");
        assert_true(files_scene_install(scene, v1, &error) < 0);
        assert_non_null(strstr(error.message, "is there already"));
}

/* Links and what was put in place of files since. */
static void test_kinds(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *v1 = files_scene_release(scene, "1.0", WEB, PATHS("web/a"));
        _cleanup_release_ Release *none = files_scene_release(scene, "2.0", "", PATHS("other"));
        Error error = {};

        files_scene_write(scene->place, "html/a", "1.0 web/a");
        files_scene_write(scene->place, "target/x", "kept");
        assert_int_equal(symlinkat("../target", scene->place, "html/link"), 0);
        assert_int_equal(mkfifoat(scene->place, "html/pipe", 0600), 0);
        files_scene_begin(scene, v1, "d-1");
        assert_int_equal(
                adopt(scene, v1, PATHS("html", "html/a", "html/link", "html/pipe", "html/link/x"), &error),
                0);
        files_scene_commit(scene);
        assert_int_equal(files_settle(scene->store, &scene->record, &error), 0);
        files_scene_deploy(scene, none, "d-2");
        assert_int_equal(faccessat(scene->place, "html/pipe", F_OK, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(faccessat(scene->place, "html/link", F_OK, AT_SYMLINK_NOFOLLOW), -1);
        assert_int_equal(faccessat(scene->place, "html/a", F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

static void test_twice(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *v1 = files_scene_release(scene, "1.0", WEB, PATHS("web/a"));
        Error error = {};

        files_scene_write(scene->place, "html/a", "1.0 web/a");
        files_scene_begin(scene, v1, "d-1");
        assert_int_equal(adopt(scene, v1, PATHS("html/a", "html/a"), &error), -EEXIST);
        assert_non_null(strstr(error.message, "html/a is in the list of what is installed twice"));
        assert_false(files_are_unsettled(scene->store));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_next_release), TEST(test_way_back), TEST(test_without_commit),
                TEST(test_kinds),        TEST(test_twice),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
