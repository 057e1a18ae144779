#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "agent/base/hex.h"
#include "agent/cli/release_source.h"
#include "artifacts/pack.h"

#define APPSPEC                                                                                              \
        "version: 0.0\n"                                                                                     \
        "os: linux\n"                                                                                        \
        "hooks:\n  AfterInstall:\n    - location: hooks/migrate\n"                                           \
        "health:\n  - type: command\n    command: [checks/ok]\n"

static void write_file(int folder, const char *path, const char *text) {
        assert_int_equal(file_replace_at(folder, path, text, strlen(text), 0755), 0);
}

static void make_app(int dirfd, const char *name, const char *appspec) {
        _cleanup_close_ int folder = file_open_folder_at(dirfd, name, 0755);

        assert_true(folder >= 0);
        assert_int_equal(mkdirat(folder, "hooks", 0755), 0);
        assert_int_equal(mkdirat(folder, "checks", 0755), 0);
        write_file(folder, "hooks/migrate", "#!/bin/sh\n");
        write_file(folder, "checks/ok", "#!/bin/sh\n");
        if (appspec)
                write_file(folder, "appspec.yml", appspec);
}

typedef struct Opened {
        Cli cli;
        ReleaseSource source;
        char warnings[1024];
        Error error;
        int r;
} Opened;

static void open_app(Opened *opened, const char *path, char **platforms, const char *appspec) {
        const ReleaseRequest request = {
                .app = "api", .version = "1.0", .path = path, .platforms = platforms, .appspec = appspec
        };

        *opened = (Opened){};
        cli_init(&opened->cli, stdout, fmemopen(opened->warnings, sizeof(opened->warnings) - 1, "w"));
        opened->cli.quiet = true;
        opened->r = release_source_open(&request, &opened->cli, &opened->source, &opened->error);
        if (opened->r >= 0)
                opened->r = release_source_seal(&opened->source, &opened->cli, &opened->error);
        fclose(opened->cli.err);
}

static void refuse(const char *path, char **platforms, const char *appspec, int r, const char *message) {
        Opened opened;

        open_app(&opened, path, platforms, appspec);
        if (opened.r != r || !strstr(opened.error.message, message))
                fail_msg("%d: %s", opened.r, opened.error.message);
        release_source_deinit(&opened.source);
}

static int enter(void **state) {
        if (test_folder_setup(state) < 0)
                return -1;
        return fchdir(((TestFolder *) *state)->fd);
}

static int leave(void **state) {
        return chdir("/") < 0 ? -1 : test_folder_teardown(state);
}

static void test_folder(void **state) {
        TestFolder *f = *state;
        const ReleaseArtifact *artifact;
        Opened opened;
        struct stat st;

        make_app(f->fd, "app", APPSPEC);
        open_app(&opened, "app", NULL, NULL);
        if (opened.r < 0)
                fail_msg("%s", opened.error.message);
        assert_string_equal(opened.source.release->app, "api");
        artifact = release_find_artifact(opened.source.release, "linux/amd64");
        assert_string_equal(artifact->platform, "any");
        assert_int_equal(artifact->format, ARCHIVE_TAR_ZST);
        assert_int_equal(artifact->entries, 5);
        assert_int_equal(fstat(opened.source.bundles[0].archive, &st), 0);
        assert_int_equal(artifact->size, st.st_size);
        assert_int_equal(artifact->chunks.n, 1);
        assert_int_equal(st.st_nlink, 0);
        release_source_deinit(&opened.source);
        assert_int_equal(test_count_entries(f->fd), 1);
}

static void test_platforms(void **state) {
        TestFolder *f = *state;
        Opened opened;

        make_app(f->fd, "amd", APPSPEC);
        make_app(f->fd, "arm", APPSPEC);
        open_app(&opened, NULL, (char *[]){ "linux/amd64=amd", "linux/arm64=arm", NULL }, NULL);
        if (opened.r < 0)
                fail_msg("%s", opened.error.message);
        assert_int_equal(opened.source.release->artifacts.n, 2);
        release_source_deinit(&opened.source);

        open_app(&opened, "amd", (char *[]){ "linux/amd64", NULL }, NULL);
        assert_int_equal(opened.r, 0);
        assert_non_null(release_find_artifact(opened.source.release, "linux/amd64"));
        assert_null(release_find_artifact(opened.source.release, "linux/arm64"));
        release_source_deinit(&opened.source);

        refuse("amd", (char *[]){ "linux/amd64", "linux/arm64", NULL }, NULL, -EINVAL, "linux/amd64=DIR");
        refuse(NULL, (char *[]){ "linux/amd64", NULL }, NULL, -EINVAL, "linux/amd64=DIR");
        refuse(NULL, NULL, NULL, -EDESTADDRREQ, "Give a folder");
        refuse("amd", (char *[]){ "any=arm", NULL }, NULL, -EEXIST, "any");
}

static void test_appspec(void **state) {
        TestFolder *f = *state;
        Opened opened;

        make_app(f->fd, "app", APPSPEC);
        make_app(f->fd, "bare", NULL);
        make_app(f->fd, "other", APPSPEC "env: {A: 1}\n");
        refuse("bare", NULL, NULL, -ENOENT, "bare has no appspec.yml at its root");
        refuse(NULL, (char *[]){ "linux/amd64=app", "linux/arm64=other", NULL }, NULL, -EINVAL,
               "the appspec.yml of other differs from that of app");
        open_app(&opened, NULL, (char *[]){ "linux/amd64=bare", "linux/arm64=other", NULL },
                 "app/appspec.yml");
        assert_int_equal(opened.r, 0);
        assert_int_equal(opened.source.release->env.n, 0);
        release_source_deinit(&opened.source);
        refuse("app", NULL, "gone.yml", -ENOENT, "gone.yml");
}

static void test_named_files(void **state) {
        TestFolder *f = *state;

        make_app(f->fd, "app", APPSPEC);
        assert_int_equal(unlinkat(f->fd, "app/checks/ok", 0), 0);
        refuse("app", NULL, NULL, -ENOENT,
               "app/appspec.yml:8: health[0].command: there is no file checks/ok in app");
        assert_int_equal(unlinkat(f->fd, "app/hooks/migrate", 0), 0);
        refuse("app", NULL, NULL, -ENOENT,
               "app/appspec.yml:5: hooks.AfterInstall[0].location: there is no file hooks/migrate in app");
        assert_int_equal(mkdirat(f->fd, "app/hooks/migrate", 0755), 0);
        refuse("app", NULL, NULL, -ENOENT, "no file hooks/migrate in app");
}

/* What cannot be installed is told where it stands, as everything that is wrong with an appspec. */
static void test_install(void **state) {
        static const struct {
                const char *sections, *message;
        } cases[] = {
                { "files:\n  - destination: /srv\n    source: web\n",
                  "app/appspec.yml:5: files[0].source: there is no file or folder web" },
                { "files:\n  - {source: hooks/migrate, destination: /srv}\n  - source: hooks\n    destination: /srv\n",
                  "app/appspec.yml:5: files[1]: /srv/migrate has two sources: hooks/migrate, and hooks/migrate of "
                  "files[0]" },
                { "files:\n  - source: hooks/migrate\n    destination: /srv\n    mode: link\n",
                  "app/appspec.yml:4: files[0].mode: hooks/migrate is no folder, which mode: link asks for" },
                { "files:\n  - source: hooks\n    destination: /srv\npermissions:\n  - object: /srv\n    mode: 600\n"
                  "  - object: /srv/migrate\n    mode: 700\n",
                  "app/appspec.yml:9: permissions[1].object: /srv/migrate has its permissions by an entry before this "
                  "one already" },
        };
        TestFolder *f = *state;

        make_app(f->fd, "app", NULL);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;

                assert_true(asprintf(&text, "version: 0.0\nos: linux\n%s", cases[i].sections) > 0);
                write_file(f->fd, "app/appspec.yml", text);
                refuse("app", NULL, NULL, -EBADMSG, cases[i].message);
                write_file(f->fd, "own.yml", text);
                assert_int_equal(unlinkat(f->fd, "app/appspec.yml", 0), 0);
                refuse("app", NULL, "own.yml", -EBADMSG, strchr(cases[i].message, ':'));
        }
}

/* Scripts of events that do not happen may be missing: CodeDeploy never looks for them either. */
static void test_idle_events(void **state) {
        static const char idle[] =
                "version: 0.0\nos: linux\nhooks:\n  BeforeBlockTraffic:\n    - location: gone\n";
        TestFolder *f = *state;
        Opened opened;

        make_app(f->fd, "app", idle);
        open_app(&opened, "app", NULL, NULL);
        assert_int_equal(opened.r, 0);
        assert_string_equal(
                opened.warnings,
                "muster: warning: app/appspec.yml:4: hooks.BeforeBlockTraffic: runs only with \"traffic: "
                "target-group\", which is not here\n"
                "muster: warning: app/appspec.yml:5: hooks.BeforeBlockTraffic[0].location: there is no file "
                "gone in app\n");
        release_source_deinit(&opened.source);
        make_app(
                f->fd, "other",
                "version: 0.0\nos: linux\ntraffic: target-group\nhooks: {BeforeBlockTraffic: [{location: gone}]}\n");
        refuse("other", NULL, NULL, -ENOENT,
               "other/appspec.yml:4: hooks.BeforeBlockTraffic[0].location: there is no file gone in other");
}

static void test_archive(void **state) {
        TestFolder *f = *state;
        Opened folder, archive;
        _cleanup_buffer_ Buffer bytes = {};
        char path[64];

        make_app(f->fd, "app", APPSPEC);
        open_app(&folder, "app", NULL, NULL);
        assert_int_equal(folder.r, 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", folder.source.bundles[0].archive);
        assert_int_equal(file_read_at(AT_FDCWD, path, SIZE_MAX, &bytes), 0);
        assert_int_equal(file_replace_at(f->fd, "app.tar.zst", bytes.data, bytes.size, 0644), 0);

        open_app(&archive, "app.tar.zst", NULL, NULL);
        if (archive.r < 0)
                fail_msg("%s", archive.error.message);
        assert_memory_equal(archive.source.bundles[0].digest.sha256, folder.source.bundles[0].digest.sha256,
                            DIGEST_SIZE);
        assert_int_equal(archive.source.release->artifacts.items[0].entries, 5);
        assert_int_equal(strlen(folder.source.release->artifacts.items[0].tree_sha256), 2 * DIGEST_SIZE);
        assert_string_equal(folder.source.release->artifacts.items[0].tree_sha256,
                            archive.source.release->artifacts.items[0].tree_sha256);
        release_source_deinit(&archive.source);
        release_source_deinit(&folder.source);

        write_file(f->fd, "text", "text");
        refuse("text", NULL, NULL, -EBADMSG, "text: this is no archive");
        refuse("gone", NULL, NULL, -ENOENT, "gone");
}

/* CodeDeploy's other name, and one of one's own: in the bundle first, then as a file. */
static void test_names_of_the_appspec(void **state) {
        TestFolder *f = *state;
        Opened opened;

        make_app(f->fd, "app", NULL);
        write_file(f->fd, "app/appspec.yaml", APPSPEC "env: {FROM: yaml}\n");
        open_app(&opened, "app", NULL, NULL);
        assert_int_equal(opened.r, 0);
        assert_string_equal(opened.source.release->env.items[0].value, "yaml");
        release_source_deinit(&opened.source);

        write_file(f->fd, "app/appspec.yml", APPSPEC "env: {FROM: yml}\n");
        open_app(&opened, "app", NULL, NULL);
        assert_string_equal(opened.source.release->env.items[0].value, "yml");
        release_source_deinit(&opened.source);

        write_file(f->fd, "app/hooks/spec.yml", APPSPEC "env: {FROM: bundle}\n");
        assert_int_equal(mkdirat(f->fd, "hooks", 0755), 0);
        write_file(f->fd, "hooks/spec.yml", APPSPEC "env: {FROM: here}\n");
        open_app(&opened, "app", NULL, "hooks/spec.yml");
        assert_string_equal(opened.source.release->env.items[0].value, "bundle");
        release_source_deinit(&opened.source);
        open_app(&opened, "app", NULL, "./hooks/spec.yml");
        assert_string_equal(opened.source.release->env.items[0].value, "here");
        release_source_deinit(&opened.source);

        make_app(f->fd, "other", APPSPEC);
        refuse(NULL, (char *[]){ "linux/amd64=app", "linux/arm64=other", NULL }, "hooks/spec.yml", -ENOENT,
               "other has no hooks/spec.yml at its root");
        write_file(f->fd, "app/hooks/bad.yml", "version: 0.0\nos: beos\n");
        refuse("app", NULL, "hooks/bad.yml", -EBADMSG, "app/hooks/bad.yml:2: os");
}

static void pack_into(int folder, const char *what, const char *name) {
        _cleanup_close_ int from = file_open_folder_at(folder, what, 0755);
        _cleanup_close_ int to = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        PackResult result;

        assert_int_equal(pack_folder(from, to, NULL, &result, NULL), 0);
}

static void test_wrapping_folder(void **state) {
        TestFolder *f = *state;
        const ReleaseArtifact *artifact;
        Opened wrapped, plain;

        assert_int_equal(mkdirat(f->fd, "top", 0755), 0);
        make_app(f->fd, "top/api-1.0", APPSPEC);
        pack_into(f->fd, "top", "wrapped.tar.zst");
        pack_into(f->fd, "top/api-1.0", "plain.tar.zst");
        open_app(&wrapped, "wrapped.tar.zst", NULL, NULL);
        if (wrapped.r < 0)
                fail_msg("%s", wrapped.error.message);
        open_app(&plain, "plain.tar.zst", NULL, NULL);
        artifact = &wrapped.source.release->artifacts.items[0];
        assert_true(artifact->wrapping_folder);
        assert_false(plain.source.release->artifacts.items[0].wrapping_folder);
        assert_int_equal(artifact->entries, 5);
        assert_string_equal(artifact->tree_sha256, plain.source.release->artifacts.items[0].tree_sha256);
        release_source_deinit(&wrapped.source);
        release_source_deinit(&plain.source);

        write_file(f->fd, "top/.DS_Store", "");
        pack_into(f->fd, "top", "beside.tar.zst");
        refuse("beside.tar.zst", NULL, NULL, -ENOENT,
               "beside.tar.zst has no appspec.yml at its root (but api-1.0/appspec.yml)");
        open_app(&plain, "beside.tar.zst", NULL, "api-1.0/appspec.yml");
        assert_int_equal(plain.r, -ENOENT); /* it is read, but the files that it names lie elsewhere */
        assert_non_null(strstr(plain.error.message, "no file hooks/migrate"));
        release_source_deinit(&plain.source);
        /* A folder is taken as it is. */
        refuse("top", NULL, NULL, -ENOENT, "top has no appspec.yml at its root");
}

static void test_scripts(void **state) {
        TestFolder *f = *state;
        Opened opened;

        make_app(f->fd, "app", APPSPEC);
        write_file(f->fd, "app/hooks/migrate", "#!/bin/sh\r\necho\r\n");
        refuse("app", NULL, NULL, -ENOEXEC,
               "app/appspec.yml:5: hooks.AfterInstall[0].location: hooks/migrate: its first line ends in CR LF");
        pack_into(f->fd, "app", "app.tar.zst");
        refuse("app.tar.zst", NULL, NULL, -ENOEXEC,
               "app.tar.zst/appspec.yml:5: hooks.AfterInstall[0].location: hooks/migrate: its first line ends in CR LF");
        assert_int_equal(file_replace_at(f->fd, "app/hooks/migrate", "\177ELF", 4, 0644), 0);
        refuse("app", NULL, NULL, -ENOEXEC, "a program without a run bit");
        assert_int_equal(file_replace_at(f->fd, "app/hooks/migrate", "#!/bin/sh\n", 10, 0644), 0);
        open_app(&opened, "app", NULL, NULL);
        assert_int_equal(opened.r, 0);
        assert_string_equal(
                opened.warnings,
                "muster: warning: app/appspec.yml:5: hooks.AfterInstall[0].location: hooks/migrate: it has no run "
                "bit (chmod +x); it is run all the same\n");
        release_source_deinit(&opened.source);
}

#define FOLDER_TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)

int main(void) {
        const struct CMUnitTest tests[] = {
                FOLDER_TEST(test_folder),          FOLDER_TEST(test_platforms),
                FOLDER_TEST(test_appspec),         FOLDER_TEST(test_named_files),
                FOLDER_TEST(test_archive),         FOLDER_TEST(test_names_of_the_appspec),
                FOLDER_TEST(test_wrapping_folder), FOLDER_TEST(test_scripts),
                FOLDER_TEST(test_install),         FOLDER_TEST(test_idle_events),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
