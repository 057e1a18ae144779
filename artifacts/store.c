#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "artifacts/store.h"

#define FOLDER_MODE 0755 /* services run from it under users of their own */
#define STAGING_MODE 0700
#define RESERVE_BYTES_MAX (UINT64_C(256) << 20)
#define RESERVE_INODES_MAX UINT64_C(10000)
#define RESERVE_DIVISOR 20U /* 5 % */
#define BESIDE_ENTRIES 8U   /* the root, what lies beside it, and what is written while it is deployed */
#define MANIFEST_LINE 128U  /* bytes for an entry, about */
#define CURRENT "current"
#define CURRENT_BAD "current.bad"
#define RELEASES "releases"
#define STAGING "staging"

int store_name(const char *version, const char *sha256, char ret[static STORE_NAME_SIZE]) {
        if (!version_is_valid(version) || strlen(sha256) != 64 || strspn(sha256, "0123456789abcdef") != 64)
                return -EINVAL;
        (void) snprintf(ret, STORE_NAME_SIZE, "%s-%.*s", version, STORE_DIGEST_DIGITS, sha256);
        return 0;
}

bool store_name_is_valid(const char *name) {
        size_t length = strlen(name), tail = STORE_DIGEST_DIGITS + 1;
        char version[STORE_NAME_SIZE];

        if (length <= tail || length >= STORE_NAME_SIZE || name[length - tail] != '-' ||
            strspn(name + length - STORE_DIGEST_DIGITS, "0123456789abcdef") != STORE_DIGEST_DIGITS)
                return false;
        memcpy(version, name, length - tail);
        version[length - tail] = '\0';
        return version_is_valid(version);
}

void store_envelope_name(const char *name, char ret[static STORE_ENVELOPE_NAME_SIZE]) {
        (void) snprintf(ret, STORE_ENVELOPE_NAME_SIZE, "%s.json", name);
}

static int open_folder(const ReleaseStore *store, int dirfd, const char *path, mode_t mode, Error *error) {
        int fd = file_open_folder_at(dirfd, path, mode);

        if (fd < 0)
                return error_set_errno(error, fd, "%s%s%s", store->path, dirfd == AT_FDCWD ? "" : "/",
                                       dirfd == AT_FDCWD ? "" : path);
        return fd;
}

/* A release comes into the store by one rename, which no file system does across its mounts. */
static int check_one_mount(const ReleaseStore *store, Error *error) {
        const int fds[] = { store->app_fd, store->releases_fd, store->staging_fd };
        struct statx stx[ELEMENTSOF(fds)];

        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                if (statx(fds[i], "", AT_EMPTY_PATH, STATX_MNT_ID, &stx[i]) < 0)
                        return error_set_errno(error, -errno, "%s", store->path);
        if (stx[0].stx_mnt_id == stx[1].stx_mnt_id && stx[0].stx_mnt_id == stx[2].stx_mnt_id)
                return 0;
        return error_set_fault(error, -EXDEV, FAULT_INPUT,
                               "%s: " RELEASES " and " STAGING
                               " must lie on one file system, and none of them may be "
                               "a mount of its own",
                               store->path);
}

int store_open(const char *state_dir, const char *app, ReleaseStore **ret, Error *error) {
        _cleanup_(store_freep) ReleaseStore *store = NULL;
        int r;

        if (!name_is_valid(app))
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "\"%s\" is no name of an app", app);
        store = malloc(sizeof(*store));
        if (!store)
                return error_oom(error);
        *store = (ReleaseStore){ .app_fd = -1, .releases_fd = -1, .staging_fd = -1 };
        if (asprintf(&store->path, "%s/apps/%s", state_dir, app) < 0) {
                store->path = NULL;
                return error_oom(error);
        }
        store->app_fd = open_folder(store, AT_FDCWD, store->path, FOLDER_MODE, error);
        if (store->app_fd < 0)
                return store->app_fd;
        store->releases_fd = open_folder(store, store->app_fd, RELEASES, FOLDER_MODE, error);
        if (store->releases_fd < 0)
                return store->releases_fd;
        store->staging_fd = open_folder(store, store->app_fd, STAGING, STAGING_MODE, error);
        if (store->staging_fd < 0)
                return store->staging_fd;
        r = check_one_mount(store, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(store);
        return 0;
}

static bool is_same_folder(int fd, int dirfd, const char *path) {
        struct stat is, named;

        return fstat(fd, &is) == 0 && fstatat(dirfd, path, &named, 0) == 0 && is.st_dev == named.st_dev &&
               is.st_ino == named.st_ino;
}

bool store_is_in_place(const ReleaseStore *store) {
        return is_same_folder(store->app_fd, AT_FDCWD, store->path) &&
               is_same_folder(store->releases_fd, store->app_fd, RELEASES) &&
               is_same_folder(store->staging_fd, store->app_fd, STAGING);
}

ReleaseStore *store_free(ReleaseStore *store) {
        if (!store)
                return NULL;
        close_fd(store->app_fd);
        close_fd(store->releases_fd);
        close_fd(store->staging_fd);
        free(store->path);
        free(store);
        return NULL;
}

StoreReserve store_reserve_of(const StoreReserve *reserve, const struct statvfs *fs) {
        uint64_t bytes = (uint64_t) fs->f_blocks * fs->f_frsize;
        StoreReserve real = *reserve;

        if (real.bytes == STORE_RESERVE_AUTO)
                real.bytes = MIN(bytes / RESERVE_DIVISOR, RESERVE_BYTES_MAX);
        if (real.inodes == STORE_RESERVE_AUTO)
                real.inodes = MIN((uint64_t) fs->f_files / RESERVE_DIVISOR, RESERVE_INODES_MAX);
        return real;
}

static int admit_bytes(const ReleaseStore *store, const struct statvfs *fs, uint64_t bytes, uint64_t reserve,
                       Error *error) {
        uint64_t available = (uint64_t) fs->f_bavail * fs->f_frsize;
        char needed_text[SIZE_TEXT_MAX], available_text[SIZE_TEXT_MAX], reserve_text[SIZE_TEXT_MAX];

        if (available >= reserve && available - reserve >= bytes)
                return 0;
        format_size(bytes, needed_text);
        format_size(available, available_text);
        format_size(reserve, reserve_text);
        return error_set_fault(
                error, -ENOSPC, FAULT_HOST,
                "%s: not enough space: the release needs %s, %s are free, of which %s stay reserved",
                store->path, needed_text, available_text, reserve_text);
}

static int admit_inodes(const ReleaseStore *store, const struct statvfs *fs, uint64_t entries,
                        uint64_t reserve, Error *error) {
        if (fs->f_files == 0) /* btrfs makes inodes as it needs them */
                return 0;
        if (fs->f_favail >= reserve && fs->f_favail - reserve >= entries)
                return 0;
        return error_set_fault(error, -ENOSPC, FAULT_HOST,
                               "%s: not enough inodes: the release needs %" PRIu64 ", %" PRIu64
                               " are free, of which %" PRIu64 " stay reserved",
                               store->path, entries, (uint64_t) fs->f_favail, reserve);
}

int store_admit(const ReleaseStore *store, const StoreNeed *need, const StoreReserve *reserve, Error *error) {
        uint64_t entries, bytes;
        StoreReserve left;
        struct statvfs fs;
        int r;

        if (fstatvfs(store->app_fd, &fs) < 0)
                return error_set_errno(error, -errno, "%s", store->path);
        if (__builtin_add_overflow(need->entries, BESIDE_ENTRIES, &entries))
                entries = UINT64_MAX;
        /* Each entry takes whole blocks. */
        if (__builtin_mul_overflow(entries, (uint64_t) fs.f_frsize, &bytes) ||
            __builtin_add_overflow(bytes, need->bytes, &bytes) ||
            __builtin_add_overflow(bytes, need->entries * MANIFEST_LINE, &bytes))
                bytes = UINT64_MAX;
        left = store_reserve_of(reserve, &fs);
        r = admit_bytes(store, &fs, bytes, left.bytes, error);
        return r < 0 ? r : admit_inodes(store, &fs, entries, left.inodes, error);
}

/* A whole release has its folder and its envelope. */
static int check_release(const ReleaseStore *store, const char *name, struct stat *ret_envelope) {
        char envelope[STORE_ENVELOPE_NAME_SIZE];
        struct stat st;

        if (!store_name_is_valid(name))
                return -EINVAL;
        if (fstatat(store->releases_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (!S_ISDIR(st.st_mode))
                return -ENOTDIR;
        store_envelope_name(name, envelope);
        if (fstatat(store->releases_fd, envelope, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size == 0)
                return -EBADMSG;
        if (ret_envelope)
                *ret_envelope = st;
        return 0;
}

bool store_has(const ReleaseStore *store, const char *name) {
        return check_release(store, name, NULL) >= 0;
}

int store_open_release(const ReleaseStore *store, const char *name, Error *error) {
        int fd, r;

        r = check_release(store, name, NULL);
        if (r < 0)
                return error_set_errno(error, r, "%s: release %s", store->path, name);
        fd = file_open_at(store->releases_fd, name, O_RDONLY | O_DIRECTORY, 0);
        return fd < 0 ? error_set_errno(error, fd, "%s: release %s", store->path, name) : fd;
}

int store_read_envelope(const ReleaseStore *store, const char *name, Buffer *buffer, Error *error) {
        char envelope[STORE_ENVELOPE_NAME_SIZE];
        int r;

        r = check_release(store, name, NULL);
        if (r < 0)
                return error_set_errno(error, r, "%s: release %s", store->path, name);
        store_envelope_name(name, envelope);
        r = file_read_at(store->releases_fd, envelope, STORE_ENVELOPE_MAX, buffer);
        return r < 0 ? error_set_errno(error, r, "%s/" RELEASES "/%s", store->path, envelope) : 0;
}

int store_write_envelope(const ReleaseStore *store, const char *name, const void *data, size_t size,
                         Error *error) {
        char envelope[STORE_ENVELOPE_NAME_SIZE];
        int r;

        store_envelope_name(name, envelope);
        r = file_replace_at(store->releases_fd, envelope, data, size, STORE_ENVELOPE_MODE);
        return r < 0 ? error_set_errno(error, r, "%s/" RELEASES "/%s", store->path, envelope) : 0;
}

static int compare_entries(const void *a, const void *b) {
        const StoreEntry *x = a, *y = b;

        if (x->used != y->used)
                return x->used > y->used ? -1 : 1;
        return strcmp(x->name, y->name);
}

static int add_entry(const ReleaseStore *store, const char *name, StoreEntry **entries, size_t *count) {
        StoreEntry entry = {};
        struct stat st = {};
        StoreEntry *more;

        if (check_release(store, name, &st) < 0)
                return 0;
        memcpy(entry.name, name, strlen(name) + 1); /* a valid name fits */
        entry.used = (uint64_t) st.st_mtim.tv_sec * USEC_PER_SEC + (uint64_t) st.st_mtim.tv_nsec / 1000;
        more = reallocarray(*entries, *count + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        *entries = more;
        more[(*count)++] = entry;
        return 0;
}

int store_list(const ReleaseStore *store, StoreEntry **ret, size_t *ret_count, Error *error) {
        _cleanup_free_ StoreEntry *entries = NULL;
        _cleanup_closedir_ DIR *dir = NULL;
        size_t count = 0;
        const char *name;
        int fd, r;

        fd = file_open_at(store->releases_fd, ".", O_RDONLY | O_DIRECTORY, 0);
        r = fd < 0 ? fd : folder_take(fd, &dir);
        while (r >= 0 && (r = folder_next(dir, &name)) > 0)
                r = add_entry(store, name, &entries, &count);
        if (r < 0)
                return error_set_errno(error, r, "%s/" RELEASES, store->path);
        if (count > 0)
                qsort(entries, count, sizeof(*entries), compare_entries);
        *ret = TAKE_PTR(entries);
        *ret_count = count;
        return 0;
}

int store_current(const ReleaseStore *store, char ret[static STORE_NAME_SIZE], Error *error) {
        _cleanup_free_ char *target = NULL;
        const char *name;
        int r;

        r = file_read_link_at(store->app_fd, CURRENT, &target);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return error_set_errno(error, r, "%s/" CURRENT, store->path);
        name = string_starts_with(target, RELEASES "/") ? target + strlen(RELEASES "/") : "";
        if (!store_has(store, name))
                return error_set_fault(error, -EBADMSG, FAULT_HOST,
                                       "%s/" CURRENT " points to \"%s\", which is no whole release",
                                       store->path, target);
        memcpy(ret, name, strlen(name) + 1);
        return 1;
}

/* A folder that somebody has put in the place of the link would stay in every deployment's way: what it holds may be
 * all that is left of somebody's work, so it is moved, not removed. */
static int set_current_aside(const ReleaseStore *store) {
        int r = file_remove_tree_at(store->app_fd, CURRENT_BAD);

        if (r >= 0 && renameat(store->app_fd, CURRENT, store->app_fd, CURRENT_BAD) < 0)
                r = -errno;
        return r;
}

static int link_current(const ReleaseStore *store, const char *target) {
        int r = file_replace_symlink_at(store->app_fd, CURRENT, target);

        if (r == -EISDIR)
                r = set_current_aside(store);
        else
                return r;
        return r < 0 ? r : file_replace_symlink_at(store->app_fd, CURRENT, target);
}

bool store_is_current(const ReleaseStore *store, const char *name) {
        _cleanup_free_ char *target = NULL;
        struct stat st;

        return file_read_link_at(store->app_fd, CURRENT, &target) >= 0 &&
               string_starts_with(target, RELEASES "/") && strcmp(target + strlen(RELEASES "/"), name) == 0 &&
               fstatat(store->releases_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

int store_switch_current(const ReleaseStore *store, const char *name, Error *error) {
        char target[sizeof(RELEASES "/") + STORE_NAME_SIZE], envelope[STORE_ENVELOPE_NAME_SIZE];
        int r;

        r = check_release(store, name, NULL);
        if (r < 0) {
                (void) error_set_errno(error, r, "%s: cannot switch to release %s", store->path, name);
                error_blame(error, FAULT_HOST);
                return r;
        }
        (void) snprintf(target, sizeof(target), RELEASES "/%s", name);
        r = link_current(store, target);
        if (r < 0)
                return error_set_errno(error, r, "%s/" CURRENT, store->path);
        store_envelope_name(name, envelope);
        (void) utimensat(store->releases_fd, envelope, NULL,
                         AT_SYMLINK_NOFOLLOW); /* only orders what is removed */
        return 0;
}

int store_remove_current(const ReleaseStore *store, Error *error) {
        int r = file_remove_at(store->app_fd, CURRENT);

        if (r == -EISDIR)
                r = set_current_aside(store);
        return r < 0 ? error_set_errno(error, r, "%s/" CURRENT, store->path) : 0;
}
