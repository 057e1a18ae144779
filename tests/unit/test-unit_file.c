#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "tests/unit/test.h"
#include "units/unit_file.h"

#define BODY "[Service]\nExecStart=/bin/true\n"
#define MARK "# Installed by muster: api.service of app api. Changes made here are lost.\n"

/* "etc" is installed into, "usr" holds the system's units. */
typedef struct Fixture {
        TestFolder *folder;
        int etc;
        char usr[TEST_PATH_MAX + 8];
        const char *reserved[2];
        UnitFiles files;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        if (!f || test_folder_setup((void **) &f->folder) < 0)
                return -1;
        if (mkdirat(f->folder->fd, "etc", 0755) < 0 || mkdirat(f->folder->fd, "usr", 0755) < 0)
                return -1;
        f->etc = file_open_at(f->folder->fd, "etc", O_RDONLY | O_DIRECTORY, 0);
        snprintf(f->usr, sizeof(f->usr), "%s/usr", f->folder->path);
        f->reserved[0] = f->usr;
        f->files = (UnitFiles){ .dirfd = f->etc, .reserved = f->reserved };
        *state = f;
        return f->etc < 0 ? -1 : 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        int r;

        close_fd(f->etc);
        r = test_folder_teardown((void **) &f->folder);
        free(f);
        return r;
}

static int source(const void *data, size_t size) {
        int fd = memfd_create("unit", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(file_write_fd(fd, data, size), 0);
        return fd;
}

static int install(Fixture *f, const char *app, const char *name, const char *text, bool *ret_changed,
                   Error *error) {
        _cleanup_close_ int fd = source(text, strlen(text));

        return unit_file_install(&f->files, app, name, fd, ret_changed, error);
}

static void put(int dirfd, const char *path, const char *text) {
        assert_int_equal(file_replace_at(dirfd, path, text, strlen(text), 0644), 0);
}

static void test_install(void **state) {
        Fixture *f = *state;
        bool changed = false;
        struct stat st;

        assert_int_equal(install(f, "api", "api.service", BODY, &changed, NULL), 0);
        assert_true(changed);
        test_assert_content(f->etc, "api.service", MARK BODY);
        assert_int_equal(fstatat(f->etc, "api.service", &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
        assert_int_equal(install(f, "api", "api.service", BODY, &changed, NULL), 0);
        assert_false(changed);
        assert_int_equal(install(f, "api", "api.service", BODY "#\n", &changed, NULL), 0);
        assert_true(changed);
        test_assert_content(f->etc, "api.service", MARK BODY "#\n");
        assert_int_equal(test_count_entries(f->etc), 1);
}

static void check_refused(Fixture *f, const char *app, const char *name, int r, const char *says) {
        Error error = {};
        bool changed = false;

        assert_int_equal(install(f, app, name, BODY, &changed, &error), r);
        assert_false(changed);
        assert_non_null(strstr(error.message, says));
        assert_true(error.fault == FAULT_RELEASE || error.fault == FAULT_INPUT);
}

static void test_others_units_are_refused(void **state) {
        Fixture *f = *state;
        bool changed;
        int usr;

        usr = file_open_at(f->folder->fd, "usr", O_RDONLY | O_DIRECTORY, 0);
        put(usr, "cron.service", BODY);
        close_fd(usr);
        put(f->etc, "admin.service", BODY);
        put(f->etc, "copy.service", MARK BODY);
        assert_int_equal(symlinkat("admin.service", f->etc, "alias.service"), 0);
        assert_int_equal(mkdirat(f->etc, "folder.service", 0755), 0);
        assert_int_equal(install(f, "web", "web.service", BODY, &changed, NULL), 0);
        check_refused(f, "api", "cron.service", -EEXIST, "a unit of this system: there is ");
        check_refused(f, "api", "admin.service", -EEXIST, "not installed by muster");
        check_refused(f, "api", "copy.service", -EEXIST, "not installed by muster");
        check_refused(f, "api", "alias.service", -EEXIST, "is a link");
        check_refused(f, "api", "folder.service", -EEXIST, "not installed by muster");
        check_refused(f, "api", "web.service", -EEXIST, "belongs to app web");
        check_refused(f, "api", "systemd-journald.service", -EEXIST, "systemd or muster");
        check_refused(f, "api", "musterd.service", -EEXIST, "systemd or muster");
        check_refused(f, "api", "../api.service", -EINVAL, "'../api.service' is not the name");
        check_refused(f, "api", "api.mount", -EINVAL, "is not the name");
        check_refused(f, "a/b", "api.service", -EINVAL, "'a/b' is not the name of an app");
}

/* Nothing that the release could do about it; unmasked, it is tried again. */
static void test_masked(void **state) {
        Fixture *f = *state;
        Error error = {};
        bool changed;
        int usr;

        usr = file_open_at(f->folder->fd, "usr", O_RDONLY | O_DIRECTORY, 0);
        for (unsigned i = 0; i < 2; i++) {
                int folder = i == 0 ? f->etc : usr;

                assert_int_equal(symlinkat("/dev/null", folder, "api.service"), 0);
                assert_int_equal(install(f, "api", "api.service", BODY, &changed, &error), -EEXIST);
                assert_non_null(strstr(error.message, "api.service is masked on this instance"));
                assert_int_equal(error.fault, FAULT_HOST);
                error = (Error){};
                assert_int_equal(unit_file_check_masked(&f->files, "api.service", &error), -EBUSY);
                assert_non_null(strstr(error.message, "systemctl unmask it"));
                assert_int_equal(unit_file_check_masked(&f->files, "web.service", NULL), 0);
                assert_int_equal(unlinkat(folder, "api.service", 0), 0);
                assert_int_equal(install(f, "api", "api.service", BODY, &changed, NULL), 0);
        }
        close_fd(usr);
}

static void test_content_is_checked(void **state) {
        _cleanup_close_ int zero = source("a\0b", 3), big = memfd_create("big", MFD_CLOEXEC);
        Fixture *f = *state;
        Error error = {};
        bool changed;

        assert_int_equal(unit_file_install(&f->files, "api", "api.service", zero, &changed, &error), -EINVAL);
        assert_non_null(strstr(error.message, "zero byte"));
        assert_int_equal(ftruncate(big, UNIT_FILE_SIZE_MAX + 1), 0);
        assert_int_equal(unit_file_install(&f->files, "api", "api.service", big, &changed, &error), -E2BIG);
        assert_int_equal(test_count_entries(f->etc), 0);
}

/* A release that pretends, in the content of its unit, to be another app's. */
static void test_mark_cannot_be_forged(void **state) {
        char app[UNIT_FILE_APP_MAX];
        Fixture *f = *state;
        bool changed;

        assert_int_equal(install(f, "evil", "evil.service", MARK BODY, &changed, NULL), 0);
        assert_int_equal(unit_file_owner(&f->files, "evil", "evil.service", NULL), UNIT_OWNER_APP);
        assert_int_equal(unit_file_owner(&f->files, "api", "evil.service", NULL), UNIT_OWNER_OTHER);
        assert_true(unit_file_is_marked(MARK BODY, "api.service", app));
        assert_string_equal(app, "api");
        assert_false(unit_file_is_marked(MARK, "api", app));
        assert_false(unit_file_is_marked("\n" MARK, "api.service", app));
        assert_false(unit_file_is_marked(
                "# Installed by muster: api.service of app a\nb. Changes made here are lost.\n",
                "api.service", app));
        assert_false(unit_file_is_marked(
                "# Installed by muster: api.service of app . Changes made here are lost.\n", "api.service",
                app));
        assert_false(unit_file_is_marked("", "api.service", app));
}

static void test_environment(void **state) {
        Fixture *f = *state;
        bool changed = false;
        Error error = {};

        assert_int_equal(
                unit_file_set_environment(&f->files, "api", "api.service", "/run/env", &changed, NULL),
                -ENOENT);
        assert_int_equal(install(f, "api", "api.service", BODY, &changed, NULL), 0);
        assert_int_equal(
                unit_file_set_environment(&f->files, "api", "api.service", "/run/a%b c", &changed, NULL), 0);
        assert_true(changed);
        test_assert_content(f->etc, "api.service.d/50-muster.conf",
                            MARK "[Service]\nEnvironmentFile=/run/a%%b c\n");
        assert_int_equal(
                unit_file_set_environment(&f->files, "api", "api.service", "/run/a%b c", &changed, NULL), 0);
        assert_false(changed);
        assert_int_equal(
                unit_file_set_environment(&f->files, "web", "api.service", "/run/env", &changed, &error),
                -EEXIST);
        assert_int_equal(unit_file_set_environment(&f->files, "api", "api.service", "env", &changed, NULL),
                         -EINVAL);
        assert_int_equal(unit_file_set_environment(&f->files, "api", "api.service", "/a\nb", &changed, NULL),
                         -EINVAL);
        assert_int_equal(unit_file_set_environment(&f->files, "api", "api.socket", "/a", &changed, NULL),
                         -EINVAL);
        assert_int_equal(unit_file_set_environment(&f->files, "api", "api.service", NULL, &changed, NULL), 0);
        assert_true(changed);
        assert_int_equal(test_count_entries(f->etc), 1);
}

static void test_remove(void **state) {
        Fixture *f = *state;
        bool changed = true;
        Error error = {};

        assert_int_equal(unit_file_remove(&f->files, "api", "api.service", &changed, NULL), 0);
        assert_false(changed);
        assert_int_equal(install(f, "api", "api.service", BODY, &changed, NULL), 0);
        assert_int_equal(
                unit_file_set_environment(&f->files, "api", "api.service", "/run/env", &changed, NULL), 0);
        put(f->etc, "api.service.d/60-admin.conf", "[Service]\n");
        assert_int_equal(unit_file_remove(&f->files, "web", "api.service", &changed, &error), -EEXIST);
        assert_int_equal(unit_file_remove(&f->files, "api", "api.service", &changed, NULL), 0);
        assert_true(changed);
        assert_int_equal(faccessat(f->etc, "api.service", F_OK, 0), -1);
        assert_int_equal(faccessat(f->etc, "api.service.d/50-muster.conf", F_OK, 0), -1);
        assert_int_equal(faccessat(f->etc, "api.service.d/60-admin.conf", F_OK, 0), 0);
}

static void test_list(void **state) {
        _cleanup_strv_ char **names = NULL, **none = NULL;
        Fixture *f = *state;
        bool changed;

        assert_int_equal(install(f, "api", "api.socket", BODY, &changed, NULL), 0);
        assert_int_equal(install(f, "api", "api-worker@.service", BODY, &changed, NULL), 0);
        assert_int_equal(install(f, "web", "web.service", BODY, &changed, NULL), 0);
        put(f->etc, "admin.service", BODY);
        assert_int_equal(unit_files_list(&f->files, "api", &names, NULL), 0);
        assert_int_equal(strv_length(names), 2);
        assert_string_equal(names[0], "api-worker@.service");
        assert_string_equal(names[1], "api.socket");
        assert_int_equal(unit_files_list(&f->files, "other", &none, NULL), 0);
        assert_null(none);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_install, setup, teardown),
                cmocka_unit_test_setup_teardown(test_others_units_are_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_masked, setup, teardown),
                cmocka_unit_test_setup_teardown(test_content_is_checked, setup, teardown),
                cmocka_unit_test_setup_teardown(test_mark_cannot_be_forged, setup, teardown),
                cmocka_unit_test_setup_teardown(test_environment, setup, teardown),
                cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
                cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
