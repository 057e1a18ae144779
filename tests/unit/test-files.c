#include <fcntl.h>
#include <linux/xattr.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "tests/unit/files_scene.h"

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/files_check.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, files_scene_setup, files_scene_teardown)
#define PATHS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* In a child, every call that changes a disk is counted, and the CALL_AT-th fails with CALL_ERROR, or ends the process; with
 * CALLS_FAIL_ON all that follow it fail as well. */
static unsigned call_at, calls;
static int call_error;
static bool calls_fail_on;

static bool call_fails(void) {
        if (call_at == 0 || ++calls < call_at || (calls > call_at && !calls_fail_on))
                return false;
        if (call_error == 0)
                _exit(9);
        errno = call_error;
        return true;
}

#define WRAPPED(function, parameters, ...)                                                                   \
        int __real_##function parameters;                                                                    \
        int __wrap_##function parameters;                                                                    \
        int __wrap_##function parameters {                                                                   \
                return call_fails() ? -1 : __real_##function(__VA_ARGS__);                                   \
        }
WRAPPED(renameat, (int a, const char *b, int c, const char *d), a, b, c, d)
WRAPPED(renameat2, (int a, const char *b, int c, const char *d, unsigned e), a, b, c, d, e)
WRAPPED(linkat, (int a, const char *b, int c, const char *d, int e), a, b, c, d, e)
WRAPPED(unlinkat, (int a, const char *b, int c), a, b, c)
WRAPPED(mkdirat, (int a, const char *b, mode_t c), a, b, c)
WRAPPED(symlinkat, (const char *a, int b, const char *c), a, b, c)
WRAPPED(fchmod, (int a, mode_t b), a, b)

/* No test pulls the power: what is synced is not waited for. */
#define UNHURRIED(function)                                                                                  \
        int __wrap_##function(int fd);                                                                       \
        int __wrap_##function(_unused_ int fd) {                                                             \
                return call_fails() ? -1 : 0;                                                                \
        }
UNHURRIED(syncfs)
UNHURRIED(fsync)

static void check_look(const FilesScene *scene, const char *expected) {
        _cleanup_free_ char *found = files_scene_look(scene);

        assert_string_equal(found, expected);
}

static void settle(FilesScene *scene) {
        Error error = {};

        if (files_settle(scene->store, &scene->record, &error) < 0)
                fail_msg("%s", error.message);
        assert_false(files_are_unsettled(scene->store));
}

static void check_refused(FilesScene *scene, const Release *release, ErrorFault fault, const char *words) {
        _cleanup_free_ char *before = files_scene_look(scene), *after = NULL;
        Error error = {};

        files_scene_begin(scene, release, "d-refused");
        assert_true(files_scene_install(scene, release, &error) < 0);
        if (!strstr(error.message, words))
                fail_msg("\"%s\" is not in: %s", words, error.message);
        assert_int_equal(error.fault, fault);
        assert_int_equal(files_take_back(scene->store, &scene->record, false, &error), 0);
        files_scene_fail(scene);
        settle(scene);
        after = files_scene_look(scene);
        assert_string_equal(after, before);
}

#define WEB "\"files\":[{\"source\":\"web\",\"destination\":\"@/html\"}],"

static void test_first(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *release =
                files_scene_release(scene, "1.0", WEB, PATHS("web/index.html", "web/img/a.png", "other"));

        files_scene_deploy(scene, release, "d-1");
        check_look(scene, "html/ 0755\nhtml/img/ 0755\nhtml/img/a.png 0644 1.0 web/img/a.png\n"
                          "html/index.html 0644 1.0 web/index.html\n");
}

/* As CodeDeploy leaves them: it makes a script a program to run it, and installs what it has run. */
static void test_scripts(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *release = files_scene_release(
                scene, "1.0",
                WEB
                "\"hooks\":{\"BeforeInstall\":[{\"location\":\"web/before\"}],\"AfterInstall\":[{\"location\":\"web/after\"}]},",
                PATHS("web/before", "web/after"));

        files_scene_deploy(scene, release, "d-1");
        check_look(scene, "html/ 0755\nhtml/after 0644 1.0 web/after\nhtml/before 0755 1.0 web/before\n");
}

static void test_update(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *v1 =
                files_scene_release(scene, "1.0", WEB, PATHS("web/a", "web/gone/b", "web/gone/mine"));
        _cleanup_release_ Release *v2 = files_scene_release(scene, "2.0", WEB, PATHS("web/a", "web/new/c"));
        _cleanup_release_ Release *v3 = files_scene_release(scene, "3.0", "", PATHS("web/a"));

        files_scene_deploy(scene, v1, "d-1");
        files_scene_write(scene->place, "html/gone/theirs", "theirs");
        files_scene_deploy(scene, v2, "d-2");
        check_look(scene, "html/ 0755\nhtml/a 0644 2.0 web/a\nhtml/gone/ 0755\nhtml/gone/theirs 0644 theirs\n"
                          "html/new/ 0755\nhtml/new/c 0644 2.0 web/new/c\n");
        files_scene_deploy(scene, v3, "d-3");
        check_look(scene, "html/ 0755\nhtml/gone/ 0755\nhtml/gone/theirs 0644 theirs\n");
}

/* What is there and was not installed by muster. */
static void test_exists(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *disallow = files_scene_release(scene, "1.0", WEB, PATHS("web/a", "web/b"));
        _cleanup_release_ Release *retain = files_scene_release(
                scene, "2.0", WEB "\"file_exists_behavior\":\"RETAIN\",", PATHS("web/a", "web/b"));
        _cleanup_release_ Release *overwrite = files_scene_release(
                scene, "3.0", WEB "\"file_exists_behavior\":\"OVERWRITE\",", PATHS("web/a", "web/b"));

        files_scene_write(scene->place, "html/a", "theirs");
        check_refused(scene, disallow, FAULT_RELEASE, "html/a is there already");
        files_scene_deploy(scene, retain, "d-2");
        check_look(scene, "html/ 0755\nhtml/a 0644 theirs\nhtml/b 0644 2.0 web/b\n");
        files_scene_begin(scene, overwrite, "d-3");
        assert_int_equal(files_scene_install(scene, overwrite, NULL), 0);
        assert_int_equal(files_take_back(scene->store, &scene->record, false, NULL), 0);
        check_look(scene, "html/ 0755\nhtml/a 0644 theirs\nhtml/b 0644 2.0 web/b\n");
        files_scene_deploy(scene, overwrite, "d-4");
        check_look(scene, "html/ 0755\nhtml/a 0644 3.0 web/a\nhtml/b 0644 3.0 web/b\n");
        files_scene_deploy(scene, disallow, "d-5");
        check_look(scene, "html/ 0755\nhtml/a 0644 1.0 web/a\nhtml/b 0644 1.0 web/b\n");
}

/* A folder becomes a link into the current release, and a folder again; a file becomes a folder, and back. */
static void test_kinds_change(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *plain = files_scene_release(scene, "1.0", WEB, PATHS("web/a", "web/x"));
        _cleanup_release_ Release *linked = files_scene_release(
                scene, "2.0",
                "\"files\":[{\"source\":\"web\",\"destination\":\"@/html\",\"mode\":\"link\"}],",
                PATHS("web/a"));
        _cleanup_release_ Release *deep = files_scene_release(scene, "3.0", WEB, PATHS("web/a", "web/x/y"));
        _cleanup_free_ char *link = NULL;

        assert_true(asprintf(&link, "html -> %s/current/web\n", scene->store->path) > 0);
        files_scene_deploy(scene, plain, "d-1");
        files_scene_deploy(scene, linked, "d-2");
        check_look(scene, link);
        files_scene_deploy(scene, deep, "d-3");
        check_look(scene, "html/ 0755\nhtml/a 0644 3.0 web/a\nhtml/x/ 0755\nhtml/x/y 0644 3.0 web/x/y\n");
        files_scene_deploy(scene, plain, "d-4");
        check_look(scene, "html/ 0755\nhtml/a 0644 1.0 web/a\nhtml/x 0644 1.0 web/x\n");
        files_scene_write(scene->place, "html/theirs", "theirs");
        check_refused(scene, linked, FAULT_RELEASE, "something else in it than muster installed: theirs");
}

/* What is there already, byte for byte, is not written again; what somebody has changed is put right. */
static void test_unchanged(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *release =
                files_scene_release(scene, "1.0", WEB, PATHS("web/a", "web/b", "web/c"));
        struct stat before[3], after[3];

        files_scene_deploy(scene, release, "d-1");
        files_scene_write(scene->place, "html/b", "edited");
        assert_int_equal(fchmodat(scene->place, "html/c", 0600, 0), 0);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(fstatat(scene->place, PATHS("html/a", "html/b", "html/c")[i], &before[i], 0),
                                 0);
        files_scene_deploy(scene, release, "d-2");
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(fstatat(scene->place, PATHS("html/a", "html/b", "html/c")[i], &after[i], 0),
                                 0);
        assert_true(before[0].st_ino == after[0].st_ino);
        assert_true(before[1].st_ino != after[1].st_ino);
        assert_true(before[2].st_ino != after[2].st_ino);
        check_look(scene,
                   "html/ 0755\nhtml/a 0644 1.0 web/a\nhtml/b 0644 1.0 web/b\nhtml/c 0644 1.0 web/c\n");
}

/* The owner, root, the group, the mask and others of an access control list. */
static const uint8_t list[] = {
        2, 0, 0,    0,    1,    0,    6,  0, 0xff, 0xff, 0xff, 0xff, 2,    0,    6,
        0, 0, 0,    0,    0,    4,    0,  4, 0,    0xff, 0xff, 0xff, 0xff, 16,   0,
        4, 0, 0xff, 0xff, 0xff, 0xff, 32, 0, 4,    0,    0xff, 0xff, 0xff, 0xff,
};

/* What a file of the folder html is: ret_size is that of its list, -1 without one. */
static ino_t look_at_list(const FilesScene *scene, const char *path, ssize_t *ret_size) {
        _cleanup_close_ int fd = file_open_at(scene->place, path, O_RDONLY, 0);
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        *ret_size = fgetxattr(fd, XATTR_NAME_POSIX_ACL_ACCESS, NULL, 0);
        return st.st_ino;
}

static void set_list(const FilesScene *scene, const char *path, const char *name) {
        _cleanup_close_ int fd = file_open_at(scene->place, path, O_RDONLY, 0);

        if (fsetxattr(fd, name, list, sizeof(list), 0) < 0) {
                assert_int_equal(errno, EOPNOTSUPP); /* the file system has none */
                skip();
        }
}

/* A list that the release says nothing of goes, though it changes neither content nor mode; what the folder has for all that is
 * made in it stays. */
static void test_list(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *release = files_scene_release(scene, "1.0", WEB, PATHS("web/a", "web/b"));
        ino_t before, after;
        ssize_t size;

        files_scene_deploy(scene, release, "d-1");
        set_list(scene, "html/a", XATTR_NAME_POSIX_ACL_ACCESS);
        before = look_at_list(scene, "html/b", &size);
        files_scene_deploy(scene, release, "d-2");
        (void) look_at_list(scene, "html/a", &size);
        assert_int_equal(size, -1);
        assert_true(look_at_list(scene, "html/b", &size) == before);
        set_list(scene, "html", XATTR_NAME_POSIX_ACL_DEFAULT);
        files_scene_deploy(scene, release, "d-3");
        before = look_at_list(scene, "html/a", &size);
        assert_int_equal(size, sizeof(list));
        files_scene_deploy(scene, release, "d-4");
        after = look_at_list(scene, "html/a", &size);
        assert_true(before == after);
}

/* Another app of the machine. */
static void test_others(void **state) {
        FilesScene *scene = *state, other = { .folder = scene->folder, .place = scene->place };
        _cleanup_release_ Release *mine = files_scene_release(
                scene, "1.0", WEB "\"file_exists_behavior\":\"OVERWRITE\",", PATHS("web/a"));
        char path[TEST_PATH_MAX + 16];
        Release *theirs;

        snprintf(path, sizeof(path), "%s/state", scene->folder->path);
        assert_int_equal(store_open(path, "web", &other.store, NULL), 0);
        theirs = files_scene_release(&other, "1.0", WEB, PATHS("web/a", "web/b"));
        files_scene_begin(&other, theirs, "d-1");
        assert_int_equal(files_scene_install(&other, theirs, NULL), 0);
        check_refused(scene, mine, FAULT_RELEASE, "html/a was installed by app web");
        files_scene_commit(&other);
        settle(&other);
        check_refused(scene, mine, FAULT_RELEASE, "html/a was installed by app web");
        record_deinit(&other.record);
        store_free(other.store);
        release_free(theirs);
}

static void test_no_room(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *release = files_scene_release(scene, "1.0", WEB, PATHS("web/a"));
        FilesInstall install = { .store = scene->store,
                                 .record = &scene->record,
                                 .ref = &scene->record.deployment.to,
                                 .release = release,
                                 .reserve = { .bytes = UINT64_MAX - 1 } };
        Error error = {};

        files_scene_begin(scene, release, "d-1");
        assert_int_equal(files_install(&install, &error), -ENOSPC);
        assert_int_equal(error.fault, FAULT_HOST);
        check_look(scene, "");
        assert_false(files_are_unsettled(scene->store));
}

/* Many a BeforeInstall begins with removing everything. What goes back brings it again, and leaves alone what is there. */
static void test_removed_by_a_hook(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *v1 =
                files_scene_release(scene, "1.0", WEB, PATHS("web/a", "web/b", "web/img/c"));
        FilesInstall install = { .store = scene->store, .record = &scene->record, .missing_only = true };
        _cleanup_release_ Release *v2 = files_scene_release(scene, "2.0", WEB, PATHS("web/a", "web/new"));

        files_scene_deploy(scene, v1, "d-1");
        files_scene_write(scene->place, "html/b", "edited by a hook");
        assert_int_equal(unlinkat(scene->place, "html/a", 0), 0);
        assert_int_equal(file_remove_tree_at(scene->place, "html/img"), 0);
        files_scene_begin(scene, v2, "d-2");
        assert_int_equal(files_scene_install(scene, v2, NULL), 0);
        assert_int_equal(files_take_back(scene->store, &scene->record, false, NULL), 0);
        install.ref = &scene->record.good;
        install.release = v1;
        assert_int_equal(files_install(&install, NULL), 0);
        files_scene_fail(scene);
        settle(scene);
        check_look(scene, "html/ 0755\nhtml/a 0644 1.0 web/a\nhtml/b 0644 edited by a hook\nhtml/img/ 0755\n"
                          "html/img/c 0644 1.0 web/img/c\n");
        files_scene_deploy(scene, v2, "d-3");
        check_look(scene, "html/ 0755\nhtml/a 0644 2.0 web/a\nhtml/new 0644 2.0 web/new\n");
}

static int note(const TreeDrift *drift, void *userdata, _unused_ Error *error) {
        return buffer_printf(userdata, "%s %s\n", strrchr(drift->path, '/'),
                             tree_drift_kind_to_string(drift->kind));
}

/* What has become of what was installed. */
static void test_drift(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *release = files_scene_release(
                scene, "1.0", WEB, PATHS("web/a", "web/b", "web/c", "web/d", "web/sub/e"));
        _cleanup_buffer_ Buffer text = {};
        char name[STORE_NAME_SIZE];

        files_scene_deploy(scene, release, "d-1");
        assert_int_equal(store_name("1.0", release->sha256, name), 0);
        assert_int_equal(files_check(scene->store, name, note, &text, NULL), 0);
        assert_string_equal(buffer_string(&text), "");
        files_scene_write(scene->place, "html/a", "edited");
        assert_int_equal(unlinkat(scene->place, "html/b", 0), 0);
        assert_int_equal(fchmodat(scene->place, "html/c", 0600, 0), 0);
        assert_int_equal(unlinkat(scene->place, "html/d", 0), 0);
        assert_int_equal(symlinkat("a", scene->place, "html/d"), 0);
        files_scene_write(scene->place, "html/theirs", "theirs");
        assert_int_equal(files_check(scene->store, name, note, &text, NULL), 0);
        assert_string_equal(buffer_string(&text), "/a changed\n/b missing\n/c mode\n/d changed\n");
}

/* Whoever owns a folder in the place does not lead root astray. */
static void test_astray(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *release =
                files_scene_release(scene, "1.0", WEB, PATHS("web/a", "web/img/b"));

        assert_int_equal(mkdirat(scene->place, "html", 0777), 0);
        assert_int_equal(fchmodat(scene->place, "html", 0777, 0), 0);
        assert_int_equal(symlinkat("../../state", scene->place, "html/img"), 0);
        check_refused(scene, release, FAULT_HOST,
                      "html/img is a symbolic link that others than root can change");
        assert_int_equal(unlinkat(scene->place, "html/img", 0), 0);
        assert_int_equal(symlinkat("/etc/passwd", scene->place, "html/a"), 0);
        check_refused(scene, release, FAULT_RELEASE, "html/a is there already");
}

/* Every way in which a change is interrupted. */

typedef struct Story {
        FilesScene *scene;
        Release *before, *after;
        char *old, *new; /* what the place looks like */
} Story;

/* Runs FUNCTION in a child in which the N-th call fails. 0 if it makes no more calls than that. */
static int run_child(int (*function)(Story *story), Story *story, unsigned n, int error_number) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                call_at = n;
                call_error = error_number;
                _exit(function(story) < 0 || calls >= call_at ? 1 : 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static int do_install(Story *story) {
        return files_scene_install(story->scene, story->after, NULL);
}

static int do_take_back(Story *story) {
        return files_take_back(story->scene->store, &story->scene->record, false, NULL);
}

static int do_settle(Story *story) {
        return files_settle(story->scene->store, &story->scene->record, NULL);
}

static void take_back(Story *story) {
        assert_int_equal(do_take_back(story), 0);
        check_look(story->scene, story->old);
        assert_false(files_are_unsettled(story->scene->store));
}

/* As muster-recover does it, then musterd. */
static void recover(Story *story) {
        assert_int_equal(files_take_back(story->scene->store, &story->scene->record, true, NULL), 0);
        take_back(story);
}

/* Each of these interrupts one thing at its N-th call; true once it makes no more calls than that. */

static bool interrupt_install(Story *story, unsigned n, int error_number) {
        int status = run_child(do_install, story, n, error_number);

        recover(story);
        return status == 0;
}

static bool interrupt_take_back(Story *story, unsigned n, int error_number) {
        int status;

        assert_int_equal(do_install(story), 0);
        status = run_child(do_take_back, story, n, error_number);
        take_back(story);
        return status == 0;
}

/* Once it is committed it is not taken back any more. */
static bool interrupt_settle(Story *story, unsigned n, int error_number) {
        int status;

        assert_int_equal(do_install(story), 0);
        files_scene_commit(story->scene);
        status = run_child(do_settle, story, n, error_number);
        settle(story->scene);
        check_look(story->scene, story->new);
        files_scene_deploy(story->scene, story->before, "d-again");
        check_look(story->scene, story->old);
        return status == 0;
}

/* The agent was killed and does the same step again. */
static bool interrupt_and_resume(Story *story, unsigned n, int error_number) {
        int status = run_child(do_install, story, n, error_number);

        assert_int_equal(do_install(story), 0);
        take_back(story);
        return status == 0;
}

static void interrupt(Story *story, bool (*how)(Story *story, unsigned n, int error_number)) {
        static const int errors[] = { 0, EIO, ENOSPC };

        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                for (unsigned n = 1;; n++) {
                        files_scene_begin(story->scene, story->after, "d-2");
                        if (how(story, n, errors[i]))
                                break;
                        assert_true(n < 1000);
                }
}

static void interrupt_everywhere(Story *story) {
        files_scene_deploy(story->scene, story->before, "d-1");
        story->old = files_scene_look(story->scene);
        files_scene_begin(story->scene, story->after, "d-2");
        assert_int_equal(do_install(story), 0);
        files_scene_commit(story->scene);
        settle(story->scene);
        story->new = files_scene_look(story->scene);
        assert_string_not_equal(story->new, story->old);
        files_scene_deploy(story->scene, story->before, "d-3");
        check_look(story->scene, story->old);

        interrupt(story, interrupt_install);
        interrupt(story, interrupt_and_resume);
        interrupt(story, interrupt_take_back);
        interrupt(story, interrupt_settle);
        free(story->old);
        free(story->new);
        release_free(story->before);
        release_free(story->after);
}

static void test_interrupted(void **state) {
        FilesScene *scene = *state;
        Story story = { .scene = scene };

        story.before = files_scene_release(scene, "1.0", WEB "\"file_exists_behavior\":\"OVERWRITE\",",
                                           PATHS("web/a", "web/b", "web/gone/c", "web/gone/d", "web/kind"));
        story.after = files_scene_release(
                scene, "2.0",
                "\"files\":[{\"source\":\"web\",\"destination\":\"@/html\"},"
                "{\"source\":\"conf/one.conf\",\"destination\":\"@/etc/api\"}],"
                "\"permissions\":[{\"object\":\"@\",\"pattern\":\"html\",\"mode\":\"0750\"}],"
                "\"file_exists_behavior\":\"OVERWRITE\",",
                PATHS("web/a", "web/b", "web/new/e", "web/new/f/g", "web/kind/h", "conf/one.conf"));
        files_scene_write(scene->place, "html/theirs", "theirs");
        files_scene_write(scene->place, "html/gone/theirs", "theirs");
        interrupt_everywhere(&story);
}

/* A folder becomes a link into the current release, a link a folder, and a link leads elsewhere. */
static void test_interrupted_links(void **state) {
        FilesScene *scene = *state;
        Story story = { .scene = scene };

        story.before =
                files_scene_release(scene, "1.0",
                                    "\"files\":[{\"source\":\"web\",\"destination\":\"@/html\"},"
                                    "{\"source\":\"web\",\"destination\":\"@/www\",\"mode\":\"link\"},"
                                    "{\"source\":\"web/img\",\"destination\":\"@/img\",\"mode\":\"link\"}],",
                                    PATHS("web/a", "web/img/b"));
        story.after = files_scene_release(
                scene, "2.0",
                "\"files\":[{\"source\":\"web\",\"destination\":\"@/html\",\"mode\":\"link\"},"
                "{\"source\":\"web\",\"destination\":\"@/www\"},"
                "{\"source\":\"web/pic\",\"destination\":\"@/img\",\"mode\":\"link\"}],"
                "\"permissions\":[{\"object\":\"@/www\",\"type\":[\"file\"],\"mode\":\"0640\"}],",
                PATHS("web/a", "web/pic/b"));
        interrupt_everywhere(&story);
}

/* Nothing had changed yet when the place became read-only: there is nothing to take back, and what lies beside the places
 * goes once it can. */
static void test_read_only(void **state) {
        FilesScene *scene = *state;
        Story story = { .scene = scene };
        unsigned prepared = 0;

        story.before = files_scene_release(scene, "1.0", WEB, PATHS("web/a", "web/gone"));
        story.after = files_scene_release(scene, "2.0", WEB, PATHS("web/a", "web/new/e"));
        files_scene_deploy(scene, story.before, "d-1");
        story.old = files_scene_look(scene);
        for (unsigned n = 1;; n++) {
                Error error = {};

                files_scene_begin(scene, story.after, "d-2");
                if (run_child(do_install, &story, n, EROFS) == 0)
                        break;
                if (faccessat(scene->store->app_fd, FILES_PREPARE, F_OK, 0) == 0) {
                        prepared++;
                        call_at = 1;
                        call_error = EROFS;
                        calls_fail_on = true;
                        assert_int_equal(files_take_back(scene->store, &scene->record, false, &error), 0);
                        call_at = calls = 0;
                        calls_fail_on = false;
                        assert_string_equal(error.message, "");
                        assert_true(files_are_unsettled(scene->store));
                }
                take_back(&story);
        }
        assert_true(prepared > 2);
        free(story.old);
        release_free(story.before);
        release_free(story.after);
}

/* What root may not do has a reason that can be looked up. */
static void test_immutable(void **state) {
        FilesScene *scene = *state;
        _cleanup_release_ Release *before =
                files_scene_release(scene, "1.0", WEB, PATHS("web/a", "web/gone"));
        _cleanup_release_ Release *after = files_scene_release(scene, "2.0", WEB, PATHS("web/a", "web/new"));
        unsigned told = 0;

        files_scene_deploy(scene, before, "d-1");
        for (unsigned n = 1, made = 0; made + 1 >= n; n++) {
                Error error = {};

                files_scene_begin(scene, after, "d-2");
                call_at = n;
                call_error = EPERM;
                (void) files_scene_install(scene, after, &error);
                made = calls;
                call_at = calls = 0;
                assert_int_equal(files_take_back(scene->store, &scene->record, false, NULL), 0);
                told += strstr(error.message, "html/") && strstr(error.message, "immutable or append-only");
        }
        assert_int_equal(told, 5); /* two are staged, three change places */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_first),        TEST(test_update),
                TEST(test_scripts),      TEST(test_exists),
                TEST(test_kinds_change), TEST(test_unchanged),
                TEST(test_list),         TEST(test_others),
                TEST(test_no_room),      TEST(test_astray),
                TEST(test_drift),        TEST(test_removed_by_a_hook),
                TEST(test_interrupted),  TEST(test_interrupted_links),
                TEST(test_read_only),    TEST(test_immutable),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
