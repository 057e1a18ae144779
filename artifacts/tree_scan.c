#include <string.h>

#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/strv.h"
#include "artifacts/tree_scan.h"

#define READ_SIZE (64 << 10)

/* One for all files: most trees have many small ones. */
typedef struct TreeHasher {
        DigestContext *digest;
        uint8_t buffer[READ_SIZE];
} TreeHasher;

static TreeHasher *hasher_free(TreeHasher *hasher) {
        if (hasher)
                digest_free(hasher->digest);
        free(hasher);
        return NULL;
}
DEFINE_CLEANUP(TreeHasher *, hasher_free)

static TreeHasher *hasher_new(void) {
        _cleanup_(hasher_freep) TreeHasher *hasher = calloc(1, sizeof(*hasher));

        return hasher && digest_new(&hasher->digest) >= 0 ? TAKE_PTR(hasher) : NULL;
}

typedef struct Scan {
        TreeHasher *hasher;
        TreeScanVisit visit;
        void *userdata;
        Error *error;
        char path[UNPACK_PATH_MAX + 1];
        size_t length;
        unsigned depth;
} Scan;

static int fail(const Scan *scan, int r) {
        return error_set_errno(scan->error, r, "%s", scan->length > 0 ? scan->path : "the release's folder");
}

static int scan_folder(Scan *scan, int fd);

static int scan_subfolder(Scan *scan, int dirfd, const char *name) {
        int fd, r;

        if (scan->depth >= TREE_SCAN_DEPTH_MAX)
                return 0;
        fd = file_open_unmarked_at(dirfd, name, O_DIRECTORY);
        if (fd < 0)
                return fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? 0 : fail(scan, fd);
        scan->depth++;
        r = scan_folder(scan, fd);
        scan->depth--;
        return r;
}

static int scan_name(Scan *scan, int dirfd, const char *name) {
        struct stat st;
        const TreeFound found = {
                .path = scan->path, .name = name, .dirfd = dirfd, .st = &st, .hasher = scan->hasher
        };
        int r;

        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : fail(scan, -errno);
        r = scan->visit(&found, scan->userdata, scan->error);
        if (r != 0)
                return r == TREE_SCAN_SKIP ? 0 : r;
        return S_ISDIR(st.st_mode) ? scan_subfolder(scan, dirfd, name) : 0;
}

/* Takes FD. */
static int scan_folder(Scan *scan, int fd) {
        _cleanup_closedir_ DIR *dir = NULL;
        _cleanup_strv_ char **names = NULL;
        size_t was = scan->length, slash = was > 0 ? 1 : 0;
        int r;

        r = folder_take(fd, &dir);
        if (r >= 0)
                r = folder_names(dir, &names);
        if (r < 0)
                return fail(scan, r);
        STRV_FOREACH(name, names) {
                size_t length = strlen(*name);

                if (was + slash + length > UNPACK_PATH_MAX)
                        continue; /* no release has it, and none loses by it */
                if (slash)
                        scan->path[was] = '/';
                memcpy(scan->path + was + slash, *name, length + 1);
                scan->length = was + slash + length;
                r = scan_name(scan, dirfd(dir), *name);
                scan->length = was;
                scan->path[was] = '\0';
                if (r < 0)
                        return r;
        }
        return r;
}

int tree_scan(int fd, TreeScanVisit visit, void *userdata, Error *error) {
        _cleanup_(hasher_freep) TreeHasher *hasher = hasher_new();
        _cleanup_free_ Scan *scan = calloc(1, sizeof(*scan));
        int copy;

        if (!scan || !hasher)
                return error_oom(error);
        *scan = (Scan){ .hasher = hasher, .visit = visit, .userdata = userdata, .error = error };
        copy = file_open_unmarked_at(fd, ".", O_DIRECTORY);
        return copy < 0 ? fail(scan, copy) : scan_folder(scan, copy);
}

static int changed(const TreeFound *found, Error *error) {
        return error_set_fault(error, -ESTALE, FAULT_HOST, "%s: it changed while it was read", found->path);
}

static int open_file(const TreeFound *found, Error *error) {
        struct stat st;
        int fd = file_open_unmarked_at(found->dirfd, found->name, O_NONBLOCK | O_NOCTTY);

        if (fd == -ENOENT || fd == -ELOOP || fd == -ENXIO)
                return changed(found, error);
        if (fd < 0)
                return error_set_errno(error, fd, "%s", found->path);
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_ino != found->st->st_ino) {
                close_fd(fd);
                return changed(found, error);
        }
        return fd;
}

static int digest_content(int fd, const TreeFound *found, Error *error) {
        uint64_t left = (uint64_t) found->st->st_size;

        for (;;) {
                ssize_t n = read(fd, found->hasher->buffer, READ_SIZE);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set_errno(error, -errno, "%s", found->path);
                if ((uint64_t) n > left || (n == 0 && left > 0))
                        return changed(found, error);
                left -= (uint64_t) n;
                if (digest_update(found->hasher->digest, found->hasher->buffer, (size_t) n) < 0)
                        return error_oom(error);
                if (left == 0 && n < READ_SIZE) /* less than was asked for: its end, without another call */
                        return 0;
        }
}

int tree_found_digest(const TreeFound *found, uint8_t ret[static DIGEST_SIZE], Error *error) {
        _cleanup_close_ int fd = -1;
        int r, ended;

        fd = open_file(found, error);
        if (fd < 0)
                return fd;
        r = digest_content(fd, found, error);
        ended = digest_final(found->hasher->digest, ret); /* also of a part, to be ready for the next */
        return r >= 0 && ended < 0 ? error_oom(error) : r;
}

int tree_found_target(const TreeFound *found, char **ret, Error *error) {
        int r = file_read_link_at(found->dirfd, found->name, ret);

        if (r == -ENOENT || r == -EINVAL || r == -ELOOP)
                return changed(found, error);
        return r < 0 ? error_set_errno(error, r, "%s", found->path) : 0;
}

typedef struct Trace {
        uint64_t inode, size, changed, mode, uid, gid;
} Trace;

static int add_trace(const TreeFound *found, void *userdata, Error *error) {
        const struct stat *st = found->st;
        const Trace trace = {
                .inode = st->st_ino,
                .size = (uint64_t) st->st_size,
                .changed =
                        (uint64_t) st->st_ctim.tv_sec * UINT64_C(1000000000) + (uint64_t) st->st_ctim.tv_nsec,
                .mode = st->st_mode,
                .uid = st->st_uid,
                .gid = st->st_gid,
        };

        if (digest_update(userdata, &trace, sizeof(trace)) < 0 ||
            digest_update(userdata, found->path, strlen(found->path) + 1) < 0)
                return error_oom(error);
        return 0;
}

/* The root's own time changes when it is renamed into the store, so that does not count. */
static int add_root(int fd, DigestContext *digest, Error *error) {
        struct stat st;
        Trace trace = {};

        if (fstat(fd, &st) < 0)
                return error_set_errno(error, -errno, "the release's folder");
        trace.inode = st.st_ino;
        trace.mode = st.st_mode;
        trace.uid = st.st_uid;
        trace.gid = st.st_gid;
        return digest_update(digest, &trace, sizeof(trace)) < 0 ? error_oom(error) : 0;
}

int tree_fingerprint(int fd, uint8_t ret[static DIGEST_SIZE], Error *error) {
        _cleanup_(digest_freep) DigestContext *digest = NULL;
        int r;

        if (digest_new(&digest) < 0)
                return error_oom(error);
        r = add_root(fd, digest, error);
        if (r >= 0)
                r = tree_scan(fd, add_trace, digest, error);
        if (r < 0)
                return r;
        return digest_final(digest, ret) < 0 ? error_oom(error) : 0;
}
