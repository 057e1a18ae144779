#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "agent/base/hex.h"
#include "artifacts/store.h"
#include "artifacts/store_clean.h"
#include "artifacts/store_staging.h"
#include "artifacts/store_tree.h"

#define SHA_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define SHA_2 "2222222222222222222222222222222222222222222222222222222222222222"
#define NAME_1 "1.0-111111111111"
#define NAME_2 "2.0-222222222222"

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

typedef struct Fixture {
        char folder[64];
        ReleaseStore *store;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        Error error = {};

        strcpy(f->folder, "/tmp/test-store-XXXXXX");
        assert_non_null(mkdtemp(f->folder));
        if (store_open(f->folder, "api", &f->store, &error) < 0)
                fail_msg("%s", error.message);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        store_free(f->store);
        assert_int_equal(file_remove_tree_at(AT_FDCWD, f->folder), 0);
        free(f);
        return 0;
}

static void write_file(int dirfd, const char *path, const char *content, mode_t mode) {
        _cleanup_close_ int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL, 0600);

        assert_true(fd >= 0);
        assert_int_equal(file_write_fd(fd, content, strlen(content)), 0);
        assert_int_equal(fchmod(fd, mode), 0);
}

/* What the unpacker would leave: 4 entries, 10 bytes. */
static StoreStaging *stage(Fixture *f) {
        StoreStaging *staging = NULL;
        Error error = {};

        if (store_stage(f->store, getuid(), getgid(), &staging, &error) < 0)
                fail_msg("%s", error.message);
        assert_int_equal(mkdirat(staging->fd, "bin", 0755), 0);
        write_file(staging->fd, "bin/app", "12345678", 0755);
        write_file(staging->fd, "appspec.yml", "90", 0644);
        assert_int_equal(symlinkat("../appspec.yml", staging->fd, "bin/link"), 0);
        return staging;
}

static bool exists(int fd, const char *path) {
        return faccessat(fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static StoreRelease release_of(const char *version, const char *sha256) {
        return (StoreRelease){
                .version = version,
                .sha256 = sha256,
                .envelope = "{}",
                .envelope_size = 2,
                .entries = 4,
                .unpacked_size = 10,
                .unpacker = getuid(),
                .owner = getuid(),
                .group = getgid(),
        };
}

static void commit(Fixture *f, const char *version, const char *sha256) {
        _cleanup_(store_staging_freep) StoreStaging *staging = stage(f);
        StoreRelease release = release_of(version, sha256);
        Error error = {};

        if (store_commit(f->store, staging, &release, &error) < 0)
                fail_msg("%s", error.message);
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
        Fixture *f = *state;
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
        Fixture *f = *state;
        _cleanup_buffer_ Buffer envelope = {};
        _cleanup_close_ int fd = -1;
        struct stat st;

        assert_false(store_has(f->store, NAME_1));
        assert_int_equal(store_open_release(f->store, NAME_1, NULL), -ENOENT);
        commit(f, "1.0", SHA_1);
        assert_true(store_has(f->store, NAME_1));
        fd = store_open_release(f->store, NAME_1, NULL);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0755);
        assert_int_equal(fstatat(fd, "bin/app", &st, 0), 0);
        assert_int_equal(st.st_size, 8);
        assert_int_equal(store_read_envelope(f->store, NAME_1, &envelope, NULL), 0);
        assert_string_equal(buffer_string(&envelope), "{}");
        commit(f, "1.0", SHA_1); /* it is kept as it is */
        assert_true(store_has(f->store, NAME_1));
}

static void expect_refused(Fixture *f, const StoreStaging *staging, const char *word) {
        StoreRelease release = release_of("1.0", SHA_1);
        Error error = {};

        assert_int_equal(store_commit(f->store, staging, &release, &error), -EBADMSG);
        assert_int_equal(error.fault, FAULT_RELEASE);
        if (!strstr(error.message, word))
                fail_msg("\"%s\" is not in: %s", word, error.message);
        assert_false(store_has(f->store, NAME_1));
}

#define REFUSAL_TEST(test, word, ...)                                                                        \
        static void test(void **state) {                                                                     \
                Fixture *f = *state;                                                                         \
                _cleanup_(store_staging_freep) StoreStaging *staging = stage(f);                             \
                int fd = staging->fd;                                                                        \
                                                                                                             \
                __VA_ARGS__;                                                                                 \
                expect_refused(f, staging, word);                                                            \
        }

REFUSAL_TEST(test_more_entries, "more entries", write_file(fd, "fifth", "", 0644))
REFUSAL_TEST(test_fewer_entries, "were unpacked", assert_int_equal(unlinkat(fd, "bin/link", 0), 0))
REFUSAL_TEST(test_more_bytes, "more bytes", assert_int_equal(unlinkat(fd, "bin/link", 0), 0);
             write_file(fd, "x", "y", 0644))
REFUSAL_TEST(test_setuid, "\"bin/app\"", assert_int_equal(fchmodat(fd, "bin/app", 04755, 0), 0))
REFUSAL_TEST(test_writable, "\"appspec.yml\"", assert_int_equal(fchmodat(fd, "appspec.yml", 0666, 0), 0))
REFUSAL_TEST(test_fifo, "neither", assert_int_equal(unlinkat(fd, "bin/link", 0), 0);
             assert_int_equal(mkfifoat(fd, "bin/link", 0644), 0))
REFUSAL_TEST(test_link_out, "links out", assert_int_equal(unlinkat(fd, "bin/link", 0), 0);
             assert_int_equal(symlinkat("../../x", fd, "bin/link"), 0))

static void test_foreign_owner(void **state) {
        Fixture *f = *state;
        _cleanup_(store_staging_freep) StoreStaging *staging = stage(f);
        StoreRelease release = release_of("1.0", SHA_1);
        Error error = {};

        release.unpacker = getuid() + 1;
        assert_int_equal(store_commit(f->store, staging, &release, &error), -EBADMSG);
}

/* A file with two names is one content. */
static void test_hard_link(void **state) {
        Fixture *f = *state;
        _cleanup_(store_staging_freep) StoreStaging *staging = stage(f);
        StoreRelease release = release_of("1.0", SHA_1);
        Error error = {};

        release.entries = 5;
        assert_int_equal(linkat(staging->fd, "bin/app", staging->fd, "copy", 0), 0);
        if (store_commit(f->store, staging, &release, &error) < 0)
                fail_msg("%s", error.message);
}

/* An envelope must not make a folder whole that nobody committed, or whose own was lost: it changes places with what is
 * fetched. */
static void test_folder_without_envelope(void **state) {
        Fixture *f = *state;
        _cleanup_(store_staging_freep) StoreStaging *staging = stage(f);
        StoreRelease release = release_of("1.0", SHA_1);
        _cleanup_buffer_ Buffer envelope = {};

        assert_int_equal(mkdirat(f->store->releases_fd, NAME_1, 0755), 0);
        write_file(f->store->releases_fd, NAME_1 "/other", "x", 0644);
        assert_false(store_has(f->store, NAME_1));
        assert_int_equal(store_commit(f->store, staging, &release, NULL), 0);
        assert_true(store_has(f->store, NAME_1));
        assert_int_equal(store_read_envelope(f->store, NAME_1, &envelope, NULL), 0);
        assert_string_equal(buffer_string(&envelope), "{}");
        assert_false(exists(f->store->releases_fd, NAME_1 "/other"));
        assert_true(exists(f->store->releases_fd, NAME_1 "/bin/app"));
}

/* A crash left the envelope of a commit that did not come to its rename, cut short. The next one replaces it, and has
 * everything on the disk before the folder gets its name. */
static void test_durable_before_rename(void **state) {
        Fixture *f = *state;
        _cleanup_buffer_ Buffer envelope = {};

        write_file(f->store->releases_fd, NAME_1 ".json", "{\"payl", 0600);
        assert_false(store_has(f->store, NAME_1));
        memset(&disk, 0, sizeof(disk));
        commit(f, "1.0", SHA_1);
        assert_true(disk.synced && disk.envelope_is_there && disk.root_is_given);
        assert_true(disk.renamed_synced);
        assert_int_equal(store_read_envelope(f->store, NAME_1, &envelope, NULL), 0);
        assert_string_equal(buffer_string(&envelope), "{}");
}

static void test_current(void **state) {
        Fixture *f = *state;
        char name[STORE_NAME_SIZE];
        Error error = {};

        assert_int_equal(store_current(f->store, name, NULL), 0);
        assert_int_equal(store_switch_current(f->store, NAME_1, NULL), -ENOENT);
        commit(f, "1.0", SHA_1);
        commit(f, "2.0", SHA_2);
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
        Fixture *f = *state;
        int app = f->store->app_fd;

        commit(f, "1.0", SHA_1);
        for (unsigned i = 0; i < 2; i++) { /* one that was moved before goes */
                assert_int_equal(mkdirat(app, "current", 0755), 0);
                write_file(app, i == 0 ? "current/a" : "current/b", "x", 0644);
                assert_false(store_is_current(f->store, NAME_1));
                if (i == 0)
                        assert_int_equal(store_switch_current(f->store, NAME_1, NULL), 0);
                assert_int_equal(store_is_current(f->store, NAME_1), i == 0);
                assert_int_equal(store_remove_current(f->store, NULL), 0);
        }
        assert_false(exists(app, "current"));
        assert_true(exists(app, "current.bad/b"));
        assert_false(exists(app, "current.bad/a"));
}

static void test_is_current(void **state) {
        Fixture *f = *state;
        Error error = {};

        commit(f, "1.0", SHA_1);
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
        Fixture *f = *state;
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
        Fixture *f = *state;
        _cleanup_free_ StoreEntry *entries = NULL, *again = NULL;
        size_t count = 99;

        assert_int_equal(store_list(f->store, &entries, &count, NULL), 0);
        assert_int_equal(count, 0);
        commit(f, "1.0", SHA_1);
        commit(f, "2.0", SHA_2);
        usleep(20000);
        assert_int_equal(store_switch_current(f->store, NAME_1, NULL), 0);
        assert_int_equal(mkdirat(f->store->releases_fd, "3.0-333333333333", 0755), 0);
        assert_int_equal(store_list(f->store, &again, &count, NULL), 0);
        assert_int_equal(count, 2);
        assert_string_equal(again[0].name, NAME_1); /* used last */
        assert_string_equal(again[1].name, NAME_2);
}

/* The tree that stage() makes, with the digest that a publisher would sign. */
static StoreTree tree_of(Fixture *f, char sha256[static DIGEST_HEX_SIZE]) {
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

static void expect_tree(Fixture *f, const StoreTree *tree, bool make, StoreTreeState state,
                        const char *drifts) {
        _cleanup_buffer_ Buffer text = {};
        Error error = {};
        int r = store_tree_check(f->store, NAME_1, tree, make, add_drift, &text, &error);

        if (r < 0)
                fail_msg("%s", error.message);
        assert_int_equal(r, state);
        assert_string_equal(buffer_string(&text), drifts);
}

static void append_to(Fixture *f, const char *path) {
        _cleanup_close_ int fd = openat(f->store->releases_fd, path, O_WRONLY | O_APPEND);

        assert_true(fd >= 0);
        assert_int_equal(file_write_fd(fd, "x", 1), 0);
}

static void test_tree(void **state) {
        Fixture *f = *state;
        char sha256[DIGEST_HEX_SIZE];
        StoreTree tree, other;

        commit(f, "1.0", SHA_1);
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
        Fixture *f = *state;
        _cleanup_(store_staging_freep) StoreStaging *one = stage(f), *two = stage(f);
        StoreRelease release = release_of("1.0", SHA_1);
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
        Fixture *f = *state;
        char sha256[DIGEST_HEX_SIZE];
        StoreTree tree;

        commit(f, "1.0", SHA_1);
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
        Fixture *f = *state;
        char sha256[DIGEST_HEX_SIZE];
        StoreTree tree;

        commit(f, "1.0", SHA_1);
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
        Fixture *f = *state;
        _cleanup_(store_staging_freep) StoreStaging *staging = NULL;
        StoreRelease release = release_of("1.0", SHA_1);
        _cleanup_close_ int old = -1;
        struct stat st, was;

        commit(f, "1.0", SHA_1);
        append_to(f, NAME_1 "/bin/app");
        old = store_open_release(f->store, NAME_1, NULL);
        staging = stage(f);
        release.replace = true;
        assert_int_equal(store_commit(f->store, staging, &release, NULL), 0);
        assert_int_equal(fstatat(f->store->releases_fd, NAME_1 "/bin/app", &st, 0), 0);
        assert_int_equal(st.st_size, 8);
        assert_int_equal(fstat(old, &was), 0);
        assert_int_equal(fstatat(f->store->staging_fd, staging->name, &st, 0), 0);
        assert_true(st.st_ino == was.st_ino); /* whoever runs from it goes on until it is cleaned away */
}

static int admit(Fixture *f, uint64_t bytes, uint64_t entries, uint64_t reserve_bytes,
                 uint64_t reserve_inodes, Error *error) {
        const StoreNeed need = { .bytes = bytes, .entries = entries };
        const StoreReserve reserve = { .bytes = reserve_bytes, .inodes = reserve_inodes };

        return store_admit(f->store, &need, &reserve, error);
}

static void test_admit(void **state) {
        Fixture *f = *state;
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

typedef struct Outcome {
        sd_event *event;
        int result;
        Error error;
} Outcome;

static void on_commit(_unused_ StoreCommit *op, int result, const Error *error, void *userdata) {
        Outcome *outcome = userdata;

        outcome->result = result;
        outcome->error = *error;
        (void) sd_event_exit(outcome->event, 0);
}

static sd_event *new_event(void) {
        sd_event *event = NULL;
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        assert_int_equal(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
        assert_int_equal(sd_event_new(&event), 0);
        return event;
}

static void test_commit_in_child(void **state) {
        Fixture *f = *state;
        _cleanup_(store_staging_freep) StoreStaging *staging = stage(f);
        _cleanup_(store_commit_freep) StoreCommit *op = NULL;
        StoreRelease release = release_of("1.0", SHA_1);
        Outcome outcome = { .event = new_event(), .result = 99 };

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

static bool is_first(const char *name, _unused_ void *userdata) {
        return strcmp(name, NAME_1) == 0;
}

static void on_clean(_unused_ StoreClean *op, int result, const Error *error, void *userdata) {
        on_commit(NULL, result, error, userdata);
}

/* Whether something was left because it is used. */
static bool clean(Fixture *f, const char *in_staging, uint64_t releases, uint64_t bytes) {
        _cleanup_(store_clean_freep) StoreClean *op = NULL;
        StoreRetention retention = { .releases = releases, .bytes = bytes };
        Outcome outcome = { .event = new_event(), .result = 99 };
        bool left;

        assert_int_equal(store_clean_start(f->store, outcome.event, in_staging, &retention, is_first,
                                           on_clean, &outcome, &op, NULL),
                         0);
        assert_int_equal(sd_event_loop(outcome.event), 0);
        if (outcome.result < 0)
                fail_msg("%s", outcome.error.message);
        left = store_clean_left_some(op);
        op = store_clean_free(op);
        sd_event_unref(outcome.event);
        return left;
}

static void test_clean_retention(void **state) {
        Fixture *f = *state;

        commit(f, "1.0", SHA_1);
        usleep(20000);
        commit(f, "2.0", SHA_2);
        commit(f, "3.0", "3333333333333333333333333333333333333333333333333333333333333333");
        clean(f, NULL, 3, STORE_KEEP_ALL);
        assert_true(store_has(f->store, NAME_2));
        clean(f, NULL, 1, STORE_KEEP_ALL);
        assert_true(store_has(f->store, NAME_1)); /* in use */
        assert_false(exists(f->store->releases_fd, NAME_2));
        assert_false(exists(f->store->releases_fd, NAME_2 ".json"));
        assert_false(exists(f->store->releases_fd, "3.0-333333333333"));
        commit(f, "2.0", SHA_2);
        clean(f, NULL, 5, 1 << 30);
        assert_true(store_has(f->store, NAME_2));
        clean(f, NULL, 5, 5);
        assert_false(store_has(f->store, NAME_2));
        assert_true(store_has(f->store, NAME_1));
}

static void test_clean_leftovers(void **state) {
        Fixture *f = *state;
        _cleanup_(store_staging_freep) StoreStaging *dead = stage(f), *live = stage(f);
        int releases = f->store->releases_fd;

        commit(f, "1.0", SHA_1);
        assert_int_equal(mkdirat(releases, NAME_2, 0755), 0);
        write_file(releases, "5.0-555555555555.json", "{}", 0600);
        write_file(releases, "." NAME_2 ".json.77.tmp", "{", 0600);
        clean(f, live->name, 5, STORE_KEEP_ALL);
        assert_false(exists(f->store->staging_fd, dead->name));
        assert_true(exists(f->store->staging_fd, live->name));
        assert_true(exists(releases, "5.0-555555555555.json")); /* it may just be being committed */
        clean(f, NULL, 5, STORE_KEEP_ALL);
        assert_false(exists(f->store->staging_fd, live->name));
        assert_false(exists(releases, NAME_2));
        assert_false(exists(releases, "5.0-555555555555.json"));
        assert_false(exists(releases, "." NAME_2 ".json.77.tmp"));
        assert_true(store_has(f->store, NAME_1));
}

/* What is in use stays, whatever somebody has done to it. */
static void test_clean_spares_halves_in_use(void **state) {
        Fixture *f = *state;
        int releases = f->store->releases_fd;

        commit(f, "1.0", SHA_1);
        write_file(releases, NAME_1 ".tree", "x", 0600);
        assert_int_equal(unlinkat(releases, NAME_1 ".json", 0), 0);
        clean(f, NULL, 5, STORE_KEEP_ALL);
        assert_true(exists(releases, NAME_1 "/bin/app"));
        assert_true(exists(releases, NAME_1 ".tree"));
}

/* A process that works in a release, as an old one does that drains after a reload. */
static pid_t start_in(int dirfd, const char *name) {
        int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fds[2];
        pid_t pid;
        char byte;

        assert_true(fd >= 0);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (fchdir(fd) == 0)
                        close(fds[1]);
                pause();
                _exit(0);
        }
        close(fd);
        close(fds[1]);
        assert_int_equal(read(fds[0], &byte, 1), 0);
        close(fds[0]);
        return pid;
}

static void stop(pid_t pid) {
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_clean_spares_live(void **state) {
        Fixture *f = *state;
        pid_t one, two;

        commit(f, "1.0", SHA_1);
        commit(f, "2.0", SHA_2);
        assert_int_equal(mkdirat(f->store->staging_fd, "removed-1", 0755), 0);
        assert_int_equal(mkdirat(f->store->staging_fd, "removed-2", 0755), 0);
        one = start_in(f->store->releases_fd, NAME_2);
        two = start_in(f->store->staging_fd, "removed-1");
        assert_true(clean(f, NULL, 1, STORE_KEEP_ALL));
        assert_true(store_has(f->store, NAME_1));
        assert_true(store_has(f->store, NAME_2));
        assert_true(exists(f->store->staging_fd, "removed-1"));
        assert_false(exists(f->store->staging_fd, "removed-2"));
        stop(one);
        stop(two);
        assert_false(clean(f, NULL, 1, STORE_KEEP_ALL));
        assert_false(store_has(f->store, NAME_2));
        assert_int_equal(test_count_entries(f->store->staging_fd), 0);
}

/* What lies beside a release goes with it, and without it. */
static void test_clean_manifests(void **state) {
        Fixture *f = *state;
        char sha256[DIGEST_HEX_SIZE];
        StoreTree tree;

        commit(f, "1.0", SHA_1);
        tree = tree_of(f, sha256);
        expect_tree(f, &tree, true, STORE_TREE_WHOLE, "");
        assert_int_equal(file_replace_at(f->store->releases_fd, NAME_2 ".tree", "x", 1, 0600), 0);
        assert_false(clean(f, NULL, 5, STORE_KEEP_ALL));
        assert_true(exists(f->store->releases_fd, NAME_1 ".tree"));
        assert_false(exists(f->store->releases_fd, NAME_2 ".tree"));
}

#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                STORE_TEST(test_tree),
                STORE_TEST(test_tampered_manifest),
                STORE_TEST(test_unsigned_tree),
                STORE_TEST(test_tree_of_commit),
                STORE_TEST(test_replace),
                STORE_TEST(test_clean_spares_live),
                STORE_TEST(test_clean_manifests),
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
                STORE_TEST(test_clean_retention),
                STORE_TEST(test_clean_leftovers),
                STORE_TEST(test_clean_spares_halves_in_use),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
