#include <inttypes.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "artifacts/entry_name.h"
#include "artifacts/seal.h"
#include "artifacts/unpack_protocol.h"

typedef struct Sealer {
        const SealRules *rules;
        uint64_t mount;
        uint64_t entries;
        uint64_t bytes;
        void *linked; /* inodes with several names that were seen: each is counted and given away once */
        char path[UNPACK_PATH_MAX + 1];
        size_t path_length;
        size_t depth;
        Error *error;
} Sealer;

static int refuse(Sealer *s, const char *reason) {
        return error_set_fault(s->error, -EBADMSG, FAULT_RELEASE, "unpacked entry \"%s\": %s", s->path,
                               reason);
}

static int fail(Sealer *s, int r) {
        return error_set_errno(s->error, r, "unpacked entry \"%s\"", s->path);
}

static int compare_inodes(const void *a, const void *b) {
        ino_t x = *(const ino_t *) a, y = *(const ino_t *) b;

        return x < y ? -1 : x > y;
}

/* Whether this is the first time that the inode is seen. -ENOMEM. */
static int remember_linked(Sealer *s, ino_t inode) {
        _cleanup_free_ ino_t *key = malloc(sizeof(*key));
        ino_t **found;

        if (!key)
                return error_oom(s->error);
        *key = inode;
        found = tsearch(key, &s->linked, compare_inodes);
        if (!found)
                return error_oom(s->error);
        if (*found != key)
                return 0;
        key = NULL;
        return 1;
}

static int give(Sealer *s, int dirfd, const char *name) {
        if (fchownat(dirfd, name, s->rules->uid, s->rules->gid, AT_SYMLINK_NOFOLLOW) < 0)
                return fail(s, -errno);
        return 0;
}

static int seal_file(Sealer *s, int dirfd, const char *name, const struct statx *st) {
        if (st->stx_mode & 07777U & ~ENTRY_MODE_MASK)
                return refuse(s, "its mode is not one that the unpacker gives");
        if (__builtin_add_overflow(s->bytes, st->stx_size, &s->bytes) || s->bytes > s->rules->bytes)
                return refuse(s, "with it there are more bytes than the release says");
        return give(s, dirfd, name);
}

static int seal_link(Sealer *s, int dirfd, const char *name) {
        _cleanup_free_ char *target = NULL;
        Error reason = {};
        int r;

        r = file_read_link_at(dirfd, name, &target);
        if (r < 0)
                return fail(s, r);
        if (entry_link_check(s->path, target, &reason) < 0)
                return refuse(s, reason.message);
        return give(s, dirfd, name);
}

static int seal_folder(Sealer *s, int fd);

static int seal_subfolder(Sealer *s, int dirfd, const char *name, const struct statx *st) {
        int fd, r;

        if (st->stx_mode & 07777U & ~ENTRY_FOLDER_MODE_MASK)
                return refuse(s, "its mode is not one that the unpacker gives");
        if (s->depth >= UNPACK_DEPTH_MAX)
                return refuse(s, "it lies too deep");
        fd = file_open_unmarked_at(dirfd, name, O_DIRECTORY);
        if (fd < 0)
                return fail(s, fd);
        s->depth++;
        r = seal_folder(s, fd);
        s->depth--;
        return r < 0 ? r : give(s, dirfd, name);
}

static int look_at(int dirfd, const char *name, struct statx *ret) {
        if (statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, ret) <
            0)
                return -errno;
        return 0;
}

static int seal_entry(Sealer *s, int dirfd, const char *name) {
        struct statx st;
        int r;

        r = look_at(dirfd, name, &st);
        if (r < 0)
                return fail(s, r);
        if (++s->entries > s->rules->entries)
                return refuse(s, "with it there are more entries than the release says");
        if (st.stx_mnt_id != s->mount) /* not the device: on an overlay the files of one mount have several */
                return refuse(s, "it is another file system");
        if (!S_ISDIR(st.stx_mode) && st.stx_nlink > 1) {
                r = remember_linked(s, st.stx_ino);
                if (r <= 0)
                        return r;
        }
        if (st.stx_uid != s->rules->from)
                return refuse(s, "it belongs to somebody else");
        if (S_ISDIR(st.stx_mode))
                return seal_subfolder(s, dirfd, name, &st);
        if (S_ISREG(st.stx_mode))
                return seal_file(s, dirfd, name, &st);
        if (S_ISLNK(st.stx_mode))
                return seal_link(s, dirfd, name);
        return refuse(s, "it is neither a folder nor a file nor a link");
}

/* Puts a name after the path; returns the length to cut it back to, -ENAMETOOLONG. */
static ssize_t push_name(Sealer *s, const char *name) {
        size_t was = s->path_length, length = strlen(name), slash = was > 0 ? 1 : 0;

        if (was + slash + length > UNPACK_PATH_MAX)
                return refuse(s, "a path beneath it is too long");
        if (slash)
                s->path[was] = '/';
        memcpy(s->path + was + slash, name, length + 1);
        s->path_length = was + slash + length;
        return (ssize_t) was;
}

static int seal_folder(Sealer *s, int fd) {
        _cleanup_closedir_ DIR *dir = NULL;
        const char *name;
        int r;

        r = folder_take(fd, &dir);
        if (r < 0)
                return fail(s, r);
        while ((r = folder_next(dir, &name)) > 0) {
                ssize_t was = push_name(s, name);

                if (was < 0)
                        return (int) was;
                r = seal_entry(s, dirfd(dir), name);
                if (r < 0)
                        return r;
                s->path_length = (size_t) was;
                s->path[was] = '\0';
        }
        return r < 0 ? fail(s, r) : 0;
}

static int seal_root(Sealer *s, int fd) {
        struct statx st;
        int copy, r;

        r = look_at(fd, "", &st);
        if (r < 0)
                return error_set_errno(s->error, r, "the staging folder");
        if (!S_ISDIR(st.stx_mode) || st.stx_uid != s->rules->from)
                return error_set_fault(s->error, -EBADMSG, FAULT_HOST,
                                       "the staging folder is not the unpacker's");
        s->mount = st.stx_mnt_id;
        copy = file_open_unmarked_at(fd, ".", O_DIRECTORY);
        if (copy < 0)
                return error_set_errno(s->error, copy, "the staging folder");
        r = seal_folder(s, copy);
        if (r < 0)
                return r;
        if (fchown(fd, s->rules->uid, s->rules->gid) < 0 || fchmod(fd, ENTRY_FOLDER_MODE_MASK) < 0)
                return error_set_errno(s->error, -errno, "the staging folder");
        return 0;
}

int seal_tree(int fd, const SealRules *rules, Error *error) {
        Sealer *s = malloc(sizeof(*s));
        int r;

        if (!s)
                return error_oom(error);
        *s = (Sealer){ .rules = rules, .error = error };
        r = seal_root(s, fd);
        if (r >= 0 && (s->entries != rules->entries || s->bytes != rules->bytes))
                r = error_set_fault(error, -EBADMSG, FAULT_RELEASE,
                                    "%" PRIu64 " entries of %" PRIu64
                                    " bytes were unpacked, the release says %" PRIu64 " and %" PRIu64,
                                    s->entries, s->bytes, rules->entries, rules->bytes);
        tdestroy(s->linked, free);
        free(s);
        return r;
}
