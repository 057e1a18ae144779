#include <inttypes.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/random.h"
#include "agent/base/task.h"
#include "artifacts/seal.h"
#include "artifacts/store_staging.h"
#include "artifacts/store_tree.h"
#include "artifacts/unpack_flush.h"

#define STAGING_MODE 0700

static int make_folder(const ReleaseStore *store, StoreStaging *staging, uid_t uid, gid_t gid) {
        if (mkdirat(store->staging_fd, staging->name, STAGING_MODE) < 0)
                return -errno;
        staging->fd = file_open_at(store->staging_fd, staging->name, O_RDONLY | O_DIRECTORY, 0);
        if (staging->fd < 0)
                return staging->fd;
        return fchown(staging->fd, uid, gid) < 0 ? -errno : 0;
}

int store_stage(const ReleaseStore *store, uid_t uid, gid_t gid, StoreStaging **ret, Error *error) {
        _cleanup_(store_staging_freep) StoreStaging *staging = malloc(sizeof(*staging));
        int r;

        if (!staging)
                return error_oom(error);
        *staging = (StoreStaging){ .fd = -1 };
        if (asprintf(&staging->name, "%016" PRIx64, random_u64()) < 0) {
                staging->name = NULL;
                return error_oom(error);
        }
        if (asprintf(&staging->path, "%s/staging/%s", store->path, staging->name) < 0) {
                staging->path = NULL;
                return error_oom(error);
        }
        r = make_folder(store, staging, uid, gid);
        if (r < 0)
                return error_set_errno(error, r, "%s", staging->path);
        *ret = TAKE_PTR(staging);
        return 0;
}

StoreStaging *store_staging_free(StoreStaging *staging) {
        if (!staging)
                return NULL;
        close_fd(staging->fd);
        free(staging->path);
        free(staging->name);
        free(staging);
        return NULL;
}

/* A folder whose envelope was lost is whole no more, and must not become so by the envelope that is written now. */
static bool is_half(const ReleaseStore *store, const char *name) {
        struct stat st;

        return !store_has(store, name) && fstatat(store->releases_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* One that is there already, or is cut short by a crash, has no folder beside it and means nothing. */
static int write_new(const ReleaseStore *store, const char *envelope, const StoreRelease *release) {
        _cleanup_close_ int fd = -1;
        int r = 0;

        if (unlinkat(store->releases_fd, envelope, 0) < 0 && errno != ENOENT)
                r = -errno;
        if (r >= 0)
                r = fd = file_open_at(store->releases_fd, envelope, O_WRONLY | O_CREAT | O_EXCL,
                                      STORE_ENVELOPE_MODE);
        if (r >= 0)
                r = file_write_fd(fd, release->envelope, release->envelope_size);
        return r;
}

/* The one of a release that is to be replaced belongs to a whole release, perhaps to the one that serves, until then. */
static int write_envelope(const ReleaseStore *store, const char *name, const StoreRelease *release,
                          bool replace, Error *error) {
        char envelope[STORE_ENVELOPE_NAME_SIZE];
        int r;

        if (replace)
                return store_write_envelope(store, name, release->envelope, release->envelope_size, error);
        store_envelope_name(name, envelope);
        r = write_new(store, envelope, release);
        return r < 0 ? error_set_errno(error, r, "%s/releases/%s", store->path, envelope) : 0;
}

/* By an exchange whoever looks sees the old tree or the new one; the old one is then a leftover in staging/. */
static int rename_durably(const ReleaseStore *store, const StoreStaging *staging, const char *name,
                          bool replace, Error *error) {
        int r = renameat2(store->staging_fd, staging->name, store->releases_fd, name,
                          replace ? RENAME_EXCHANGE : RENAME_NOREPLACE);

        if (r < 0 && replace && errno == ENOENT)
                r = renameat2(store->staging_fd, staging->name, store->releases_fd, name, RENAME_NOREPLACE);
        if (r < 0 || fsync(store->releases_fd) < 0 || fsync(store->staging_fd) < 0)
                return error_set_errno(error, -errno, "%s/releases/%s", store->path, name);
        return 0;
}

static int describe(const ReleaseStore *store, const StoreStaging *staging, const char *name,
                    const StoreRelease *release, StoreTreeMaking **ret, Error *error) {
        const StoreTree tree = {
                .sha256 = release->tree_sha256,
                .entries = release->entries,
                .unpacked_size = release->unpacked_size,
        };

        return release->tree_sha256 ? store_tree_fork(store, name, staging->fd, &tree, ret, error) : 0;
}

/* While a tree of many entries is looked at, what the unpacker has written goes to the disk. To look at few takes no
 * time, and then this would only be a second sync. */
static int seal_and_flush(const StoreStaging *staging, const SealRules *rules, Error *error) {
        _cleanup_(unpack_flush_freep) UnpackFlush *flush = NULL;
        int r;

        if (rules->entries < STORE_FLUSH_ENTRIES)
                return seal_tree(staging->fd, rules, error);
        r = unpack_flush_start(staging->fd, rules->bytes, &flush, error);
        if (r < 0)
                return r;
        unpack_flush_now(flush);
        r = seal_tree(staging->fd, rules, error);
        return r < 0 ? r : unpack_flush_finish(flush, error);
}

int store_commit(const ReleaseStore *store, const StoreStaging *staging, const StoreRelease *release,
                 Error *error) {
        const SealRules rules = {
                .from = release->unpacker,
                .uid = release->owner,
                .gid = release->group,
                .entries = release->entries,
                .bytes = release->unpacked_size,
        };
        _cleanup_(store_tree_making_freep) StoreTreeMaking *making = NULL;
        char name[STORE_NAME_SIZE];
        bool half;
        int r;

        if (store_name(release->version, release->sha256, name) < 0 || release->envelope_size == 0 ||
            release->envelope_size > STORE_ENVELOPE_MAX)
                return error_set(error, -EINVAL, "this is no release to keep");
        if (store_has(store, name) && !release->replace)
                return 0;
        half = is_half(store, name);
        r = describe(store, staging, name, release, &making, error);
        if (r >= 0)
                r = seal_and_flush(staging, &rules, error);
        if (r >= 0 && !half)
                r = write_envelope(store, name, release, release->replace, error);
        if (r < 0)
                return r;
        if (syncfs(staging->fd) < 0) /* the tree and the envelope, which lie on one file system */
                return error_set_errno(error, -errno, "%s", staging->path);
        r = making ? store_tree_join(making, error) : 0;
        if (r >= 0)
                r = rename_durably(store, staging, name, release->replace || half, error);
        return r >= 0 && half ? write_envelope(store, name, release, true, error) : r;
}

struct StoreCommit {
        Task *task;
        StoreCommitDone done;
        void *userdata;
};

typedef struct CommitArguments {
        const ReleaseStore *store;
        const StoreStaging *staging;
        const StoreRelease *release;
} CommitArguments;

static int run_commit(void *userdata, Error *error) {
        const CommitArguments *arguments = userdata;

        return store_commit(arguments->store, arguments->staging, arguments->release, error);
}

static void on_commit_done(_unused_ Task *task, int result, const Error *error, void *userdata) {
        StoreCommit *commit = userdata;

        commit->done(commit, result, error, commit->userdata);
}

int store_commit_start(const ReleaseStore *store, sd_event *event, const StoreStaging *staging,
                       const StoreRelease *release, StoreCommitDone done, void *userdata, StoreCommit **ret,
                       Error *error) {
        CommitArguments arguments = { .store = store, .staging = staging, .release = release };
        _cleanup_(store_commit_freep) StoreCommit *commit = malloc(sizeof(*commit));
        int r;

        if (!commit)
                return error_oom(error);
        *commit = (StoreCommit){ .done = done, .userdata = userdata };
        r = task_start(event, "commit of a release", run_commit, &arguments, on_commit_done, commit,
                       &commit->task, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(commit);
        return 0;
}

StoreCommit *store_commit_free(StoreCommit *commit) {
        if (!commit)
                return NULL;
        task_free(commit->task);
        free(commit);
        return NULL;
}
