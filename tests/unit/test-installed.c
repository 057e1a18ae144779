#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "agent/base/hex.h"
#include "agent/installed.h"
#include "artifacts/store_staging.h"

#define VERSION "1.0"

typedef struct Fixture {
        TestFolder *folder;
        ReleaseStore *store;
        char name[STORE_NAME_SIZE];
        int tree; /* of the release */
} Fixture;

static void write_file(int dirfd, const char *path, const char *content) {
        _cleanup_close_ int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(file_write_fd(fd, content, strlen(content)), 0);
        assert_int_equal(fchmod(fd, 0644), 0);
}

/* A local release: a document that nobody signed, but that has the digest of its tree. */
static void commit(Fixture *f, bool with_digest) {
        _cleanup_(store_staging_freep) StoreStaging *staging = NULL;
        char tree_sha256[DIGEST_HEX_SIZE], sha256[DIGEST_HEX_SIZE];
        uint8_t digest[DIGEST_SIZE];
        _cleanup_buffer_ Buffer json = {};
        StoreRelease release;
        Error error = {};

        assert_int_equal(store_stage(f->store, getuid(), getgid(), &staging, NULL), 0);
        write_file(staging->fd, "a", "one");
        write_file(staging->fd, "b", "two");
        assert_int_equal(tree_describe(staging->fd, NULL, NULL, digest, NULL), 0);
        hex_encode(digest, sizeof(digest), tree_sha256);
        assert_int_equal(
                buffer_printf(
                        &json,
                        "{\"app\":\"api\",\"version\":\"" VERSION
                        "\",\"created\":\"2026-01-01T00:00:00Z\",\"artifacts\":{\"any\":{\"sha256\":\"%s\","
                        "\"size\":1,\"format\":\"tar.zst\",\"unpacked_size\":6,\"entries\":2,%s%s%s"
                        "\"chunk_size\":1048576,\"chunks\":[\"%s\"]}}}",
                        tree_sha256, with_digest ? "\"tree_sha256\":\"" : "", with_digest ? tree_sha256 : "",
                        with_digest ? "\"," : "", tree_sha256),
                0);
        assert_int_equal(digest_sha256_hex(json.data, json.size, sha256), 0);
        assert_int_equal(store_name(VERSION, sha256, f->name), 0);
        release = (StoreRelease){
                .version = VERSION,
                .sha256 = sha256,
                .envelope = json.data,
                .envelope_size = json.size,
                .entries = 2,
                .unpacked_size = 6,
                .unpacker = getuid(),
                .owner = getuid(),
                .group = getgid(),
        };
        if (store_commit(f->store, staging, &release, &error) < 0)
                fail_msg("%s", error.message);
        f->tree = store_open_release(f->store, f->name, NULL);
        assert_true(f->tree >= 0);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        void *folder = NULL;

        assert_int_equal(test_folder_setup(&folder), 0);
        f->folder = folder;
        f->tree = -1;
        assert_int_equal(store_open(f->folder->path, "api", &f->store, NULL), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        void *folder = f->folder;

        close_fd(f->tree);
        store_free(f->store);
        free(f);
        return test_folder_teardown(&folder);
}

static void check(Fixture *f, InstalledFinding *ret) {
        const TreeRules mine = { .uid = getuid(), .gid = getgid() };

        installed_check(f->store, f->name, &mine, true, NULL, NULL, ret);
}

static void test_drift(void **state) {
        Fixture *f = *state;
        InstalledFinding finding;
        char text[512];

        commit(f, true);
        check(f, &finding);
        assert_int_equal(finding.state, INSTALLED_WHOLE);
        assert_true(installed_is_complete(&finding));
        write_file(f->tree, "new", "");
        check(f, &finding);
        assert_int_equal(finding.state, INSTALLED_DRIFTED);
        assert_true(installed_is_complete(&finding)); /* merely more, */
        assert_int_equal(fchmodat(f->tree, "b", 0755, 0), 0);
        check(f, &finding);
        assert_true(installed_is_complete(&finding)); /* or of another mode */
        write_file(f->tree, "a", "One");
        assert_int_equal(unlinkat(f->tree, "b", 0), 0);
        check(f, &finding);
        assert_false(installed_is_complete(&finding));
        assert_int_equal(installed_differences(&finding), 3);
        installed_describe(&finding, text, sizeof(text));
        assert_string_equal(
                text,
                "1 changed, 1 missing, 1 extra (a: changed, other content; b: missing, it is not there; "
                "new: extra, a file that is not in the release)");
}

static void test_without_digest(void **state) {
        Fixture *f = *state;
        InstalledFinding finding;

        commit(f, false);
        check(f, &finding);
        assert_int_equal(finding.state, INSTALLED_KEPT);
        write_file(f->tree, "a", "One");
        check(f, &finding);
        assert_int_equal(finding.state, INSTALLED_DRIFTED);
}

/* Nothing is read again while nothing has been done to the tree. */
static void test_unchanged(void **state) {
        Fixture *f = *state;
        InstalledFinding finding;

        commit(f, true);
        check(f, &finding);
        assert_true(installed_is_unchanged(f->store, &finding));
        assert_int_equal(fchmodat(f->tree, "a", 0755, 0), 0);
        assert_false(installed_is_unchanged(f->store, &finding));
        check(f, &finding);
        assert_true(installed_is_unchanged(f->store, &finding));
        assert_int_equal(unlinkat(f->tree, "b", 0), 0);
        assert_false(installed_is_unchanged(f->store, &finding));
        finding.has_fingerprint = false;
        assert_false(installed_is_unchanged(f->store, &finding));
}

/* A document that is not the one of that name is not believed. */
static void test_other_document(void **state) {
        Fixture *f = *state;
        char envelope[STORE_ENVELOPE_NAME_SIZE];
        _cleanup_buffer_ Buffer document = {};
        InstalledFinding finding;
        char *version;

        commit(f, true);
        store_envelope_name(f->name, envelope);
        assert_int_equal(store_read_envelope(f->store, f->name, &document, NULL), 0);
        assert_false(installed_is_signed(&document));
        version = strstr((char *) document.data, "2026-01-01");
        assert_non_null(version);
        version[3] = '7';
        assert_int_equal(file_replace_at(f->store->releases_fd, envelope, document.data, document.size, 0600),
                         0);
        check(f, &finding);
        assert_int_equal(finding.state, INSTALLED_FAILED);
        assert_non_null(strstr(finding.problem, "not the one that was verified"));
        assert_int_equal(file_replace_at(f->store->releases_fd, envelope, "{", 1, 0600), 0);
        check(f, &finding);
        assert_int_equal(finding.state, INSTALLED_FAILED);
        assert_false(installed_is_complete(&finding));
}

#define INSTALLED_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                INSTALLED_TEST(test_drift),
                INSTALLED_TEST(test_without_digest),
                INSTALLED_TEST(test_unchanged),
                INSTALLED_TEST(test_other_document),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
