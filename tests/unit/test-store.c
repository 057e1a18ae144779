#include <string.h>
#include <sys/stat.h>

#include "tests/unit/store_fixture.h"

#include "agent/base/hex.h"
#include "artifacts/store_tree.h"

/* What was on the disk when it was synced last, and whether that was before the folder was renamed. */
static struct {
        bool synced;
        bool envelope_is_there; /* whole */
        bool root_is_given;     /* the folder had the mode that it gets last */
        bool renamed_synced;
} disk;

int __real_syncfs(int fd);
int __wrap_syncfs(int fd);
int __wrap_syncfs(int fd) {
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        disk.synced = true;
        disk.root_is_given = (st.st_mode & 07777) == 0755;
        disk.envelope_is_there =
                fstatat(fd, "../../releases/" NAME_1 ".json", &st, 0) == 0 && st.st_size == 2;
        return __real_syncfs(fd);
}

int __real_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags) {
        disk.renamed_synced = disk.synced;
        return __real_renameat2(from_fd, from, to_fd, to, flags);
}

static void test_names(_unused_ void **state) {
        char name[STORE_NAME_SIZE];

        assert_int_equal(store_name("1.4.2", SHA_1, name), 0);
        assert_string_equal(name, "1.4.2-111111111111");
        assert_true(store_name_is_valid(name));
        assert_int_equal(store_name("../x", SHA_1, name), -EINVAL);
        assert_int_equal(store_name("1.0", "11", name), -EINVAL);
        assert_true(store_name_is_valid("a-b-111111111111"));
        assert_false(store_name_is_valid(""));
        assert_false(store_name_is_valid("-111111111111"));
        assert_false(store_name_is_valid("1.0-11111111111"));
        assert_false(store_name_is_valid("1.0-11111111111g"));
        assert_false(store_name_is_valid("a/b-111111111111"));
        assert_false(store_name_is_valid("1.0-111111111111.json"));
}

static void test_open(void **state) {
        StoreFixture *f = *state;
        _cleanup_(store_freep) ReleaseStore *again = NULL;
        struct stat st;

        assert_int_equal(fstat(f->store->staging_fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        assert_int_equal(fstat(f->store->releases_fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0755);
        assert_int_equal(store_open(f->folder, "api", &again, NULL), 0);
        assert_int_equal(store_open(f->folder, "../api", &again, NULL), -EINVAL);
}

static void test_commit(void **state) {
        StoreFixture *f = *state;
        _cleanup_buffer_ Buffer envelope = {};
        _cleanup_close_ int fd = -1;
        struct stat st;

        assert_false(store_has(f->store, NAME_1));
        assert_int_equal(store_open_release(f->store, NAME_1, NULL), -ENOENT);
        store_test_commit(f, "1.0", SHA_1);
        assert_true(store_has(f->store, NAME_1));
        fd = store_open_release(f->store, NAME_1, NULL);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0755);
        assert_int_equal(fstatat(fd, "bin/app", &st, 0), 0);
        assert_int_equal(st.st_size, 8);
        assert_int_equal(store_read_envelope(f->store, NAME_1, &envelope, NULL), 0);
        assert_string_equal(buffer_string(&envelope), "{}");
        store_test_commit(f, "1.0", SHA_1); /* it is kept as it is */
        assert_true(store_has(f->store, NAME_1));
}

static void expect_refused(StoreFixture *f, const StoreStaging *staging, const char *word) {
        StoreRelease release = store_test_release("1.0", SHA_1);
        Error error = {};

        assert_int_equal(store_commit(f->store, staging, &release, &error), -EBADMSG);
        assert_int_equal(error.fault, FAULT_RELEASE);
        if (!strstr(error.message, word))
                fail_msg("\"%s\" is not in: %s", word, error.message);
        assert_false(store_has(f->store, NAME_1));
}

#define REFUSAL_TEST(test, word, ...)                                                                        \
        static void test(void **state) {                                                                     \
                StoreFixture *f = *state;                                                                    \
                _cleanup_(store_staging_freep) StoreStaging *staging = store_test_stage(f);                  \
                int fd = staging->fd;                                                                        \
                                                                                                             \
                __VA_ARGS__;                                                                                 \
                expect_refused(f, staging, word);                                                            \
        }

REFUSAL_TEST(test_more_entries, "more entries", store_test_write(fd, "fifth", "", 0644))
REFUSAL_TEST(test_fewer_entries, "were unpacked", assert_int_equal(unlinkat(fd, "bin/link", 0), 0))
REFUSAL_TEST(test_more_bytes, "more bytes", assert_int_equal(unlinkat(fd, "bin/link", 0), 0);
             store_test_write(fd, "x", "y", 0644))
REFUSAL_TEST(test_setuid, "\"bin/app\"", assert_int_equal(fchmodat(fd, "bin/app", 04755, 0), 0))
REFUSAL_TEST(test_writable, "\"appspec.yml\"", assert_int_equal(fchmodat(fd, "appspec.yml", 0666, 0), 0))
REFUSAL_TEST(test_fifo, "neither", assert_int_equal(unlinkat(fd, "bin/link", 0), 0);
             assert_int_equal(mkfifoat(fd, "bin/link", 0644), 0))
REFUSAL_TEST(test_link_out, "links out", assert_int_equal(unlinkat(fd, "bin/link", 0), 0);
             assert_int_equal(symlinkat("../../x", fd, "bin/link"), 0))

static void test_foreign_owner(void **state) {
        StoreFixture *f = *state;
        _cleanup_(store_staging_freep) StoreStaging *staging = store_test_stage(f);
        StoreRelease release = store_test_release("1.0", SHA_1);
        Error error = {};

        release.unpacker = getuid() + 1;
        assert_int_equal(store_commit(f->store, staging, &release, &error), -EBADMSG);
}

/* A file with two names is one content. */
static void test_hard_link(void **state) {
        StoreFixture *f = *state;
        _cleanup_(store_staging_freep) StoreStaging *staging = store_test_stage(f);
        StoreRelease release = store_test_release("1.0", SHA_1);
        Error error = {};

        release.entries = 5;
        assert_int_equal(linkat(staging->fd, "bin/app", staging->fd, "copy", 0), 0);
        if (store_commit(f->store, staging, &release, &error) < 0)
                fail_msg("%s", error.message);
}

/* An envelope must not make a folder whole that nobody committed, or whose own was lost: it changes places with what is
 * fetched. */
static void test_folder_without_envelope(void **state) {
        StoreFixture *f = *state;
        _cleanup_(store_staging_freep) StoreStaging *staging = store_test_stage(f);
        StoreRelease release = store_test_release("1.0", SHA_1);
        _cleanup_buffer_ Buffer envelope = {};

        assert_int_equal(mkdirat(f->store->releases_fd, NAME_1, 0755), 0);
        store_test_write(f->store->releases_fd, NAME_1 "/other", "x", 0644);
        assert_false(store_has(f->store, NAME_1));
        assert_int_equal(store_commit(f->store, staging, &release, NULL), 0);
        assert_true(store_has(f->store, NAME_1));
        assert_int_equal(store_read_envelope(f->store, NAME_1, &envelope, NULL), 0);
        assert_string_equal(buffer_string(&envelope), "{}");
        assert_false(store_test_exists(f->store->releases_fd, NAME_1 "/other"));
        assert_true(store_test_exists(f->store->releases_fd, NAME_1 "/bin/app"));
}

/* A crash left the envelope of a commit that did not come to its rename, cut short. The next one replaces it, and has
 * everything on the disk before the folder gets its name. */
static void test_durable_before_rename(void **state) {
        StoreFixture *f = *state;
        _cleanup_buffer_ Buffer envelope = {};

        store_test_write(f->store->releases_fd, NAME_1 ".json", "{\"payl", 0600);
        assert_false(store_has(f->store, NAME_1));
        memset(&disk, 0, sizeof(disk));
        store_test_commit(f, "1.0", SHA_1);
        assert_true(disk.synced && disk.envelope_is_there && disk.root_is_given);
        assert_true(disk.renamed_synced);
        assert_int_equal(store_read_envelope(f->store, NAME_1, &envelope, NULL), 0);
        assert_string_equal(buffer_string(&envelope), "{}");
}

static void test_current(void **state) {
        StoreFixture *f = *state;
        char name[STORE_NAME_SIZE];
        Error error = {};

        assert_int_equal(store_current(f->store, name, NULL), 0);
        assert_int_equal(store_switch_current(f->store, NAME_1, NULL), -ENOENT);
        store_test_commit(f, "1.0", SHA_1);
        store_test_commit(f, "2.0", SHA_2);
        assert_int_equal(store_switch_current(f->store, NAME_1, NULL), 0);
        assert_int_equal(store_current(f->store, name, NULL), 1);
        assert_string_equal(name, NAME_1);
        assert_int_equal(store_switch_current(f->store, NAME_2, NULL), 0);
        assert_int_equal(store_current(f->store, name, NULL), 1);
        assert_string_equal(name, NAME_2);
        assert_int_equal(store_remove_current(f->store, NULL), 0);
        assert_int_equal(store_remove_current(f->store, NULL), 0);
        assert_int_equal(store_current(f->store, name, NULL), 0);
        assert_int_equal(symlinkat("/etc", f->store->app_fd, "current"), 0);
        assert_int_equal(store_current(f->store, name, &error), -EBADMSG);
        assert_non_null(strstr(error.message, "/etc"));
}

/* A folder in the place of `current` is moved out of the way, whatever it holds. */
static void test_folder_as_current(void **state) {
        StoreFixture *f = *state;
        int app = f->store->app_fd;

        store_test_commit(f, "1.0", SHA_1);
        for (unsigned i = 0; i < 2; i++) { /* one that was moved before goes */
                assert_int_equal(mkdirat(app, "current", 0755), 0);
                store_test_write(app, i == 0 ? "current/a" : "current/b", "x", 0644);
                assert_false(store_is_current(f->store, NAME_1));
                if (i == 0)
                        assert_int_equal(store_switch_current(f->store, NAME_1, NULL), 0);
                assert_int_equal(store_is_current(f->store, NAME_1), i == 0);
                assert_int_equal(store_remove_current(f->store, NULL), 0);
        }
        assert_false(store_test_exists(app, "current"));
        assert_true(store_test_exists(app, "current.bad/b"));
        assert_false(store_test_exists(app, "current.bad/a"));
}

static void test_is_current(void **state) {
        StoreFixture *f = *state;
        Error error = {};

        store_test_commit(f, "1.0", SHA_1);
        assert_false(store_is_current(f->store, NAME_1));
        assert_int_equal(store_switch_current(f->store, NAME_1, NULL), 0);
        assert_true(store_is_current(f->store, NAME_1));
        assert_false(store_is_current(f->store, NAME_2));
        assert_int_equal(unlinkat(f->store->releases_fd, NAME_1 ".json", 0), 0);
        assert_true(store_is_current(f->store, NAME_1)); /* it serves all the same */
        assert_int_equal(file_remove_tree_at(f->store->releases_fd, NAME_1), 0);
        assert_false(store_is_current(f->store, NAME_1));
        assert_int_equal(store_switch_current(f->store, NAME_1, &error), -ENOENT);
        assert_int_equal(error.fault, FAULT_HOST);
}

static void test_in_place(void **state) {
        static const char *const folders[] = { "apps/api/staging", "apps/api/releases", "apps/api" };
        StoreFixture *f = *state;
        _cleanup_close_ int top = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                assert_true(store_is_in_place(f->store));
                assert_int_equal(renameat(top, folders[i], top, "away"), 0);
                assert_false(store_is_in_place(f->store));
                assert_int_equal(mkdirat(top, folders[i], 0755), 0);
                assert_false(store_is_in_place(f->store)); /* another one */
                assert_int_equal(unlinkat(top, folders[i], AT_REMOVEDIR), 0);
                assert_int_equal(renameat(top, "away", top, folders[i]), 0);
        }
        assert_true(store_is_in_place(f->store));
}

static void test_list(void **state) {
        StoreFixture *f = *state;
        _cleanup_free_ StoreEntry *entries = NULL, *again = NULL;
        size_t count = 99;

        assert_int_equal(store_list(f->store, &entries, &count, NULL), 0);
        assert_int_equal(count, 0);
        store_test_commit(f, "1.0", SHA_1);
        store_test_commit(f, "2.0", SHA_2);
        usleep(20000);
        assert_int_equal(store_switch_current(f->store, NAME_1, NULL), 0);
        assert_int_equal(mkdirat(f->store->releases_fd, "3.0-333333333333", 0755), 0);
        assert_int_equal(store_list(f->store, &again, &count, NULL), 0);
        assert_int_equal(count, 2);
        assert_string_equal(again[0].name, NAME_1); /* used last */
        assert_string_equal(again[1].name, NAME_2);
}

/* The tree that store_test_stage() makes, with the digest that a publisher would sign. */
static StoreTree tree_of(StoreFixture *f, char sha256[static DIGEST_HEX_SIZE]) {
        _cleanup_close_ int fd = store_open_release(f->store, NAME_1, NULL);
        uint8_t digest[DIGEST_SIZE];
        Error error = {};

        assert_true(fd >= 0);
        if (tree_describe(fd, NULL, NULL, digest, &error) < 0)
                fail_msg("%s", error.message);
        hex_encode(digest, sizeof(digest), sha256);
        return (StoreTree){ .sha256 = sha256, .entries = 4, .rules = { .uid = getuid(), .gid = getgid() } };
}

static int add_drift(const TreeDrift *drift, void *userdata, _unused_ Error *error) {
        return buffer_printf(userdata, "%s %s\n", tree_drift_kind_to_string(drift->kind), drift->path);
}

static void expect_tree(StoreFixture *f, const StoreTree *tree, bool make, StoreTreeState state,
                        const char *drifts) {
        _cleanup_buffer_ Buffer text = {};
        Error error = {};
        int r = store_tree_check(f->store, NAME_1, tree, make, add_drift, &text, &error);

        if (r < 0)
                fail_msg("%s", error.message);
        assert_int_equal(r, state);
        assert_string_equal(buffer_string(&text), drifts);
}

static void append_to(StoreFixture *f, const char *path) {
        _cleanup_close_ int fd = openat(f->store->releases_fd, path, O_WRONLY | O_APPEND);

        assert_true(fd >= 0);
        assert_int_equal(file_write_fd(fd, "x", 1), 0);
}

static void test_tree(void **state) {
        StoreFixture *f = *state;
        char sha256[DIGEST_HEX_SIZE];
        StoreTree tree, other;

        store_test_commit(f, "1.0", SHA_1);
        tree = tree_of(f, sha256);
        other = tree;
        other.sha256 = SHA_2;
        expect_tree(f, &tree, false, STORE_TREE_WHOLE, "");
        assert_int_equal(faccessat(f->store->releases_fd, NAME_1 ".tree", F_OK, 0), -1);
        expect_tree(f, &other, true, STORE_TREE_UNKNOWN, ""); /* nothing is kept that is not as signed */
        assert_int_equal(faccessat(f->store->releases_fd, NAME_1 ".tree", F_OK, 0), -1);
        expect_tree(f, &tree, true, STORE_TREE_WHOLE, "");
        assert_int_equal(faccessat(f->store->releases_fd, NAME_1 ".tree", F_OK, 0), 0);
        append_to(f, NAME_1 "/bin/app");
        expect_tree(f, &tree, true, STORE_TREE_DRIFTED, "changed bin/app\n");
        assert_int_equal(store_tree_check(f->store, NAME_2, &tree, true, add_drift, NULL, NULL), -ENOENT);
}

/* Made while it comes in, and held against what was signed. */
static void test_tree_of_commit(void **state) {
        StoreFixture *f = *state;
        _cleanup_(store_staging_freep) StoreStaging *one = store_test_stage(f), *two = store_test_stage(f);
        StoreRelease release = store_test_release("1.0", SHA_1);
        char sha256[DIGEST_HEX_SIZE];
        uint8_t digest[DIGEST_SIZE];
        StoreTree tree;
        Error error = {};

        release.tree_sha256 = SHA_2;
        assert_int_equal(store_commit(f->store, one, &release, &error), -EBADMSG);
        assert_string_equal(error.message,
                            "what was unpacked is not the tree that the release was signed for");
        assert_int_equal(error.fault, FAULT_RELEASE);
        assert_false(store_has(f->store, NAME_1));
        assert_int_equal(tree_describe(two->fd, NULL, NULL, digest, NULL), 0);
        hex_encode(digest, sizeof(digest), sha256);
        release.tree_sha256 = sha256;
        if (store_commit(f->store, two, &release, &error) < 0)
                fail_msg("%s", error.message);
        append_to(f, NAME_1 "/bin/app");
        tree = (StoreTree){ .sha256 = sha256, .entries = 4, .rules = { .uid = getuid(), .gid = getgid() } };
        expect_tree(f, &tree, false, STORE_TREE_DRIFTED, "changed bin/app\n");
}

/* A manifest that somebody wrote over is as if there were none, whatever it says. */
static void test_tampered_manifest(void **state) {
        static const char *const texts[] = {
                "",
                "muster-tree 1\n",
                "muster-tree 1\nd\t0755\t../../../etc\n",
                "muster-tree 1\nd\t0755\ta\nb\n",
        };
        StoreFixture *f = *state;
        char sha256[DIGEST_HEX_SIZE];
        StoreTree tree;

        store_test_commit(f, "1.0", SHA_1);
        tree = tree_of(f, sha256);
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                assert_int_equal(file_replace_at(f->store->releases_fd, NAME_1 ".tree", texts[i],
                                                 strlen(texts[i]), 0600),
                                 0);
                expect_tree(f, &tree, false, STORE_TREE_WHOLE, "");
        }
        append_to(f, NAME_1 "/bin/app");
        expect_tree(f, &tree, true, STORE_TREE_UNKNOWN, "");
        test_assert_content(f->store->releases_fd, NAME_1 ".tree", texts[3]);
        assert_int_equal(unlinkat(f->store->releases_fd, NAME_1 ".tree", 0), 0);
        assert_int_equal(symlinkat("/etc/passwd", f->store->releases_fd, NAME_1 ".tree"), 0);
        expect_tree(f, &tree, true, STORE_TREE_UNKNOWN, "");
}

/* Published without a digest: what it is held against is how it came, if that is as many entries as were signed. */
static void test_unsigned_tree(void **state) {
        StoreFixture *f = *state;
        char sha256[DIGEST_HEX_SIZE];
        StoreTree tree;

        store_test_commit(f, "1.0", SHA_1);
        tree = tree_of(f, sha256);
        tree.sha256 = "";
        tree.entries = 5;
        expect_tree(f, &tree, true, STORE_TREE_UNKNOWN, "");
        tree.entries = 4;
        expect_tree(f, &tree, true, STORE_TREE_KEPT, "");
        append_to(f, NAME_1 "/bin/app");
        expect_tree(f, &tree, true, STORE_TREE_DRIFTED, "changed bin/app\n");
}

/* A release that has drifted changes places with one that was fetched anew. */
static void test_replace(void **state) {
        StoreFixture *f = *state;
        _cleanup_(store_staging_freep) StoreStaging *staging = NULL;
        StoreRelease release = store_test_release("1.0", SHA_1);
        _cleanup_close_ int old = -1;
        struct stat st, was;

        store_test_commit(f, "1.0", SHA_1);
        append_to(f, NAME_1 "/bin/app");
        old = store_open_release(f->store, NAME_1, NULL);
        staging = store_test_stage(f);
        release.replace = true;
        assert_int_equal(store_commit(f->store, staging, &release, NULL), 0);
        assert_int_equal(fstatat(f->store->releases_fd, NAME_1 "/bin/app", &st, 0), 0);
        assert_int_equal(st.st_size, 8);
        assert_int_equal(fstat(old, &was), 0);
        assert_int_equal(fstatat(f->store->staging_fd, staging->name, &st, 0), 0);
        assert_true(st.st_ino == was.st_ino); /* whoever runs from it goes on until it is cleaned away */
}

static int admit(StoreFixture *f, uint64_t bytes, uint64_t entries, uint64_t reserve_bytes,
                 uint64_t reserve_inodes, Error *error) {
        const StoreNeed need = { .bytes = bytes, .entries = entries };
        const StoreReserve reserve = { .bytes = reserve_bytes, .inodes = reserve_inodes };

        return store_admit(f->store, &need, &reserve, error);
}

static void test_admit(void **state) {
        StoreFixture *f = *state;
        Error error = {};

        assert_int_equal(admit(f, 1000, 10, STORE_RESERVE_AUTO, STORE_RESERVE_AUTO, NULL), 0);
        assert_int_equal(admit(f, UINT64_MAX, 10, 0, 0, &error), -ENOSPC);
        assert_int_equal(error.fault, FAULT_HOST);
        assert_non_null(strstr(error.message, "not enough space"));
        assert_int_equal(admit(f, 0, UINT64_MAX, 0, 0, &error), -ENOSPC);
        assert_int_equal(admit(f, 0, UINT64_C(1) << 50, 0, 0, &error), -ENOSPC);
        /* What stays reserved is not given away. */
        assert_int_equal(admit(f, 1000, 10, UINT64_C(1) << 60, 0, &error), -ENOSPC);
        assert_non_null(strstr(error.message, " stay reserved"));
}

static void on_commit(_unused_ StoreCommit *op, int result, const Error *error, void *userdata) {
        store_test_ended(userdata, result, error);
}

static void test_commit_in_child(void **state) {
        StoreFixture *f = *state;
        _cleanup_(store_staging_freep) StoreStaging *staging = store_test_stage(f);
        _cleanup_(store_commit_freep) StoreCommit *op = NULL;
        StoreRelease release = store_test_release("1.0", SHA_1);
        StoreOutcome outcome = { .event = store_test_event(), .result = 99 };

        assert_int_equal(store_commit_start(f->store, outcome.event, staging, &release, on_commit, &outcome,
                                            &op, NULL),
                         0);
        assert_int_equal(outcome.result, 99);
        assert_int_equal(sd_event_loop(outcome.event), 0);
        assert_int_equal(outcome.result, 0);
        assert_true(store_has(f->store, NAME_1));
        op = store_commit_free(op);
        sd_event_unref(outcome.event);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                STORE_TEST(test_tree),
                STORE_TEST(test_tampered_manifest),
                STORE_TEST(test_unsigned_tree),
                STORE_TEST(test_tree_of_commit),
                STORE_TEST(test_replace),
                STORE_TEST(test_open),
                STORE_TEST(test_commit),
                STORE_TEST(test_more_entries),
                STORE_TEST(test_fewer_entries),
                STORE_TEST(test_more_bytes),
                STORE_TEST(test_setuid),
                STORE_TEST(test_writable),
                STORE_TEST(test_fifo),
                STORE_TEST(test_link_out),
                STORE_TEST(test_foreign_owner),
                STORE_TEST(test_hard_link),
                STORE_TEST(test_folder_without_envelope),
                STORE_TEST(test_durable_before_rename),
                STORE_TEST(test_current),
                STORE_TEST(test_folder_as_current),
                STORE_TEST(test_is_current),
                STORE_TEST(test_in_place),
                STORE_TEST(test_list),
                STORE_TEST(test_admit),
                STORE_TEST(test_commit_in_child),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
