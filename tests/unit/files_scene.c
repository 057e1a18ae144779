#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/files_scene.h"

#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/strv.h"
#include "tests/unit/stored-release.h"

#define TEXT_MAX 8192U

int files_scene_setup(void **state) {
        FilesScene *scene = calloc(1, sizeof(*scene));
        char path[TEST_PATH_MAX + 16];

        assert_int_equal(test_folder_setup((void **) &scene->folder), 0);
        snprintf(path, sizeof(path), "%s/state", scene->folder->path);
        assert_int_equal(store_open(path, "api", &scene->store, NULL), 0);
        scene->place = file_open_folder_at(scene->folder->fd, "place", 0755);
        assert_true(scene->place >= 0);
        *state = scene;
        return 0;
}

int files_scene_teardown(void **state) {
        FilesScene *scene = *state;

        record_deinit(&scene->record);
        store_free(scene->store);
        close_fd(scene->place);
        test_folder_teardown((void **) &scene->folder);
        free(scene);
        return 0;
}

void files_scene_write(int dirfd, const char *path, const char *content) {
        _cleanup_free_ char *folder = strdup(path);
        char *slash = strrchr(folder, '/');

        if (slash) {
                *slash = '\0';
                close_fd(file_open_folder_at(dirfd, folder, 0755));
        }
        assert_int_equal(file_replace_at(dirfd, path, content, strlen(content), 0644), 0);
}

/* With the place for each "@". */
static void fill_in(const FilesScene *scene, const char *files, char ret[static TEXT_MAX]) {
        size_t n = 0;

        for (; *files && n + TEST_PATH_MAX < TEXT_MAX; files++)
                if (*files == '@')
                        n += (size_t) snprintf(ret + n, TEXT_MAX - n, "%s/place", scene->folder->path);
                else
                        ret[n++] = *files;
        ret[n] = '\0';
}

Release *files_scene_release(FilesScene *scene, const char *version, const char *files,
                             const char *const *paths) {
        _cleanup_close_ int folder = -1;
        char text[TEXT_MAX];
        Release *release;

        fill_in(scene, files, text);
        release = test_store_release(scene->store, version, text);
        folder = test_open_release(scene->store, release);
        assert_int_equal(unlinkat(folder, "file", 0), 0);
        for (; *paths; paths++) {
                char content[TEST_PATH_MAX];

                snprintf(content, sizeof(content), "%s %s", version, *paths);
                files_scene_write(folder, *paths, content);
        }
        return release;
}

void files_scene_begin(FilesScene *scene, const Release *release, const char *id) {
        const ReleaseRef ref = test_release_ref(release);
        Deployment *deployment = &scene->record.deployment;

        deployment_deinit(deployment);
        *deployment = (Deployment){ .step = STEP_SWITCH };
        assert_int_equal(string_set(&deployment->id, id), 0);
        assert_int_equal(release_ref_copy(&deployment->to, &ref), 0);
}

void files_scene_commit(FilesScene *scene) {
        scene->record.deployment.outcome = OUTCOME_SUCCEEDED;
        assert_int_equal(release_ref_copy(&scene->record.good, &scene->record.deployment.to), 0);
}

void files_scene_fail(FilesScene *scene) {
        scene->record.deployment.outcome = OUTCOME_ROLLED_BACK;
}

int files_scene_install(FilesScene *scene, const Release *release, Error *error) {
        const FilesInstall install = { .store = scene->store,
                                       .record = &scene->record,
                                       .ref = &scene->record.deployment.to,
                                       .release = release };

        return files_install(&install, error);
}

void files_scene_deploy(FilesScene *scene, const Release *release, const char *id) {
        Error error = {};

        files_scene_begin(scene, release, id);
        if (files_scene_install(scene, release, &error) < 0)
                fail_msg("%s", error.message);
        files_scene_commit(scene);
        if (files_settle(scene->store, &scene->record, &error) < 0)
                fail_msg("%s", error.message);
        assert_false(files_are_unsettled(scene->store));
}

static void look_into(int dirfd, const char *prefix, Buffer *text);

static void look_at(int dirfd, const char *prefix, const char *name, Buffer *text) {
        _cleanup_free_ char *path = NULL, *target = NULL;
        _cleanup_buffer_ Buffer content = {};
        struct stat st;

        assert_true(asprintf(&path, "%s%s", prefix, name) > 0);
        assert_int_equal(fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
        if (S_ISDIR(st.st_mode)) {
                _cleanup_free_ char *inner = NULL;

                assert_true(asprintf(&inner, "%s/", path) > 0);
                assert_int_equal(buffer_printf(text, "%s %04o\n", inner, st.st_mode & 07777U), 0);
                look_into(openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), inner, text);
                return;
        }
        if (S_ISLNK(st.st_mode)) {
                assert_int_equal(file_read_link_at(dirfd, name, &target), 0);
                assert_int_equal(buffer_printf(text, "%s -> %s\n", path, target), 0);
                return;
        }
        assert_int_equal(file_read_at(dirfd, name, TEXT_MAX, &content), 0);
        assert_int_equal(
                buffer_printf(text, "%s %04o %s\n", path, st.st_mode & 07777U, buffer_string(&content)), 0);
}

static void look_into(int dirfd, const char *prefix, Buffer *text) {
        _cleanup_closedir_ DIR *dir = NULL;
        _cleanup_strv_ char **names = NULL;

        assert_int_equal(folder_take(dirfd, &dir), 0);
        assert_int_equal(folder_names(dir, &names), 0);
        STRV_FOREACH(name, names)
                look_at(dirfd, prefix, *name, text);
}

char *files_scene_look(const FilesScene *scene) {
        _cleanup_buffer_ Buffer text = {};
        char *result;

        look_into(openat(scene->place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "", &text);
        assert_int_equal(buffer_steal(&text, &result, NULL), 0);
        return result;
}
