#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "agent/base/file.h"
#include "agent/base/folder.h"

#define TREE_DEPTH_MAX 256U
#define REMOVAL_PAUSE 10000 /* microseconds */
#define LINK_TARGET_MAX 4096U
#define READ_SIZE 4096U
#define RESOLVE_TRIES_MAX 100U

/* The kernel gives up on a path with ".." (-EAGAIN) when anybody on the machine renames something meanwhile, since it then
 * cannot be sure that the path stayed beneath the folder. */
static int open_resolved(int dirfd, const char *path, const struct open_how *how) {
        long fd = -1;

        for (unsigned i = 0; i < RESOLVE_TRIES_MAX; i++) {
                fd = syscall(SYS_openat2, dirfd, path, how, sizeof(*how));
                if (fd >= 0 || errno != EAGAIN)
                        break;
        }
        return fd < 0 ? -errno : (int) fd;
}

int file_open_at(int dirfd, const char *path, int flags, mode_t mode) {
        const struct open_how how = {
                .flags = (uint64_t) (unsigned) (flags | O_CLOEXEC),
                .mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? mode : 0,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
        };
        int fd;

        if (dirfd != AT_FDCWD)
                return open_resolved(dirfd, path, &how);
        fd = open(path, flags | O_CLOEXEC, mode);
        return fd < 0 ? -errno : fd;
}

int file_open_beneath(int dirfd, const char *path, int flags) {
        const struct open_how how = {
                .flags = (uint64_t) (unsigned) (flags | O_CLOEXEC),
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
        };

        return open_resolved(dirfd, path, &how);
}

int file_open_unmarked_at(int dirfd, const char *name, int flags) {
        int fd;

        flags |= O_RDONLY | O_NOFOLLOW | O_CLOEXEC;
        fd = openat(dirfd, name, flags | O_NOATIME);
        if (fd < 0 && errno == EPERM) /* it belongs to somebody else, and we are not root */
                fd = openat(dirfd, name, flags);
        return fd < 0 ? -errno : fd;
}

/* The folder that holds PATH, opened, and PATH's last component within it. That is a name: what is replaced or removed
 * is never the folder itself or the one above it. */
static int open_parent(int dirfd, const char *path, const char **ret_name) {
        const char *slash = strrchr(path, '/');
        const char *name = slash ? slash + 1 : path;
        _cleanup_free_ char *parent = NULL;
        int fd;

        if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return -EINVAL;
        if (slash)
                parent = slash == path ? strdup("/") : strndup(path, (size_t) (slash - path));
        else
                parent = strdup(".");
        if (!parent)
                return -ENOMEM;
        fd = file_open_at(dirfd, parent, O_DIRECTORY | O_RDONLY, 0);
        if (fd >= 0)
                *ret_name = name;
        return fd;
}

static int make_folder(int dirfd, const char *path, mode_t mode) {
        _cleanup_close_ int parent = -1;
        const char *name;

        parent = open_parent(dirfd, path, &name);
        if (parent < 0)
                return parent;
        if (mkdirat(parent, name, mode) < 0 && errno != EEXIST)
                return -errno;
        return fsync(parent) < 0 ? -errno : 0;
}

int file_open_folder_at(int dirfd, const char *path, mode_t mode) {
        _cleanup_free_ char *copy = strdup(path);
        int fd, r;

        if (!copy)
                return -ENOMEM;
        fd = file_open_at(dirfd, path, O_DIRECTORY | O_RDONLY, 0);
        if (fd != -ENOENT)
                return fd;
        for (char *p = copy + strspn(copy, "/");;) {
                char *slash = strchr(p, '/');

                if (slash)
                        *slash = '\0';
                r = make_folder(dirfd, copy, mode);
                if (r < 0)
                        return r;
                if (!slash)
                        break;
                *slash = '/';
                p = slash + strspn(slash, "/");
                if (!*p)
                        break;
        }
        return file_open_at(dirfd, path, O_DIRECTORY | O_RDONLY, 0);
}

/* How many bytes were added, 0 at the end. */
static ssize_t read_more(int fd, Buffer *buffer) {
        ssize_t n;
        int r;

        r = buffer_reserve(buffer, buffer->size + READ_SIZE);
        if (r < 0)
                return r;
        do
                n = read(fd, buffer->data + buffer->size, buffer->allocated - buffer->size - 1);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        buffer->size += (size_t) n;
        buffer->data[buffer->size] = 0;
        return n;
}

int file_read_fd(int fd, size_t limit, Buffer *buffer) {
        size_t begin = buffer->size;
        ssize_t n;

        do {
                n = read_more(fd, buffer);
                if (n > 0 && buffer->size - begin > limit)
                        n = -E2BIG;
        } while (n > 0);
        if (n < 0 && buffer->data) {
                buffer->size = begin;
                buffer->data[begin] = 0;
        }
        return (int) n;
}

int file_read_at(int dirfd, const char *path, size_t limit, Buffer *buffer) {
        _cleanup_close_ int fd = -1;

        fd = file_open_at(dirfd, path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
        if (fd < 0)
                return fd;
        if (fcntl(fd, F_SETFL, 0) < 0)
                return -errno;
        return file_read_fd(fd, limit, buffer);
}

int file_write_fd(int fd, const void *data, size_t size) {
        const uint8_t *p = data;

        while (size > 0) {
                ssize_t n = write(fd, p, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                p += n;
                size -= (size_t) n;
        }
        return 0;
}

/* Always the same name beside NAME: what a writer leaves that was killed, the next one takes away. */
static int temporary_name(const char *name, char **ret) {
        if (asprintf(ret, ".%s.tmp", name) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int open_new(int dirfd, const char *name) {
        const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
        int fd = openat(dirfd, name, flags, 0600);

        if (fd < 0 && errno == EEXIST && unlinkat(dirfd, name, 0) == 0)
                fd = openat(dirfd, name, flags, 0600);
        return fd < 0 ? -errno : fd;
}

static int write_new(int dirfd, const char *name, const void *data, size_t size, mode_t mode) {
        _cleanup_close_ int fd = -1;
        int r;

        fd = open_new(dirfd, name);
        if (fd < 0)
                return fd;
        if (fchmod(fd, mode) < 0)
                return -errno;
        r = file_write_fd(fd, data, size);
        if (r < 0)
                return r;
        return fsync(fd) < 0 ? -errno : 0;
}

/* What stands at PATH is replaced by a file of another name, made beside it. */
typedef struct Replacement {
        int parent;
        const char *name;
        char *temporary;
} Replacement;

static int replacement_begin(Replacement *replacement, int dirfd, const char *path) {
        *replacement = (Replacement){ .parent = -1 };
        replacement->parent = open_parent(dirfd, path, &replacement->name);
        return replacement->parent < 0 ? replacement->parent
                                       : temporary_name(replacement->name, &replacement->temporary);
}

static void replacement_deinit(Replacement *replacement) {
        close_fd(replacement->parent);
        free(replacement->temporary);
}
#define _cleanup_replacement_ _cleanup_(replacement_deinit)

static int rename_durably(int dirfd, const char *from, const char *to) {
        if (renameat(dirfd, from, dirfd, to) < 0)
                return -errno;
        return fsync(dirfd) < 0 ? -errno : 0;
}

/* R tells how making the temporary file went. */
static int replacement_end(const Replacement *replacement, int r) {
        if (r >= 0)
                r = rename_durably(replacement->parent, replacement->temporary, replacement->name);
        if (r < 0)
                (void) unlinkat(replacement->parent, replacement->temporary, 0);
        return r;
}

int file_replace_at(int dirfd, const char *path, const void *data, size_t size, mode_t mode) {
        _cleanup_replacement_ Replacement replacement;
        int r;

        r = replacement_begin(&replacement, dirfd, path);
        if (r < 0)
                return r;
        return replacement_end(&replacement,
                               write_new(replacement.parent, replacement.temporary, data, size, mode));
}

static int make_symlink(const char *target, int dirfd, const char *name) {
        if (symlinkat(target, dirfd, name) == 0)
                return 0;
        if (errno == EEXIST && unlinkat(dirfd, name, 0) == 0 && symlinkat(target, dirfd, name) == 0)
                return 0;
        return -errno;
}

int file_replace_symlink_at(int dirfd, const char *path, const char *target) {
        _cleanup_replacement_ Replacement replacement;
        int r;

        r = replacement_begin(&replacement, dirfd, path);
        if (r < 0)
                return r;
        return replacement_end(&replacement, make_symlink(target, replacement.parent, replacement.temporary));
}

int file_remove_at(int dirfd, const char *path) {
        _cleanup_close_ int parent = -1;
        const char *name;

        parent = open_parent(dirfd, path, &name);
        if (parent == -ENOENT)
                return 0;
        if (parent < 0)
                return parent;
        if (unlinkat(parent, name, 0) < 0)
                return errno == ENOENT ? 0 : -errno;
        return fsync(parent) < 0 ? -errno : 0;
}

typedef struct Removal {
        dev_t device;
        unsigned names_a_pause; /* 0: none */
        unsigned names;
} Removal;

static int remove_entry(Removal *removal, int dirfd, const char *name, unsigned depth);

static int remove_folder_content(Removal *removal, int fd, unsigned depth) {
        _cleanup_closedir_ DIR *dir = NULL;
        const char *name;
        int r;

        r = folder_take(fd, &dir);
        if (r < 0)
                return r;
        while ((r = folder_next(dir, &name)) > 0) {
                r = remove_entry(removal, fd, name, depth + 1);
                if (r < 0)
                        return r;
        }
        return r;
}

static void take_breath(Removal *removal) {
        if (removal->names_a_pause > 0 && ++removal->names % removal->names_a_pause == 0)
                (void) usleep(REMOVAL_PAUSE);
}

static int remove_entry(Removal *removal, int dirfd, const char *name, unsigned depth) {
        struct stat st;
        int fd, r;

        if (depth > TREE_DEPTH_MAX)
                return -ELOOP;
        take_breath(removal);
        if (unlinkat(dirfd, name, 0) == 0)
                return 0;
        if (errno != EISDIR && errno != EPERM)
                return errno == ENOENT ? 0 : -errno;
        fd = openat(dirfd, name, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0 || st.st_dev != removal->device) {
                close_fd(fd);
                return -EXDEV;
        }
        r = remove_folder_content(removal, fd, depth);
        if (r < 0)
                return r;
        return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int file_remove_tree_slowly_at(int dirfd, const char *path, unsigned names) {
        Removal removal = { .names_a_pause = names };
        _cleanup_close_ int parent = -1;
        const char *name;
        struct stat st;

        parent = open_parent(dirfd, path, &name);
        if (parent == -ENOENT)
                return 0;
        if (parent < 0)
                return parent;
        if (fstat(parent, &st) < 0)
                return -errno;
        removal.device = st.st_dev;
        return remove_entry(&removal, parent, name, 0);
}

int file_remove_tree_at(int dirfd, const char *path) {
        return file_remove_tree_slowly_at(dirfd, path, 0);
}

int file_sync_parent_at(int dirfd, const char *path) {
        _cleanup_close_ int parent = -1;
        const char *name;

        parent = open_parent(dirfd, path, &name);
        if (parent < 0)
                return parent;
        return fsync(parent) < 0 ? -errno : 0;
}

int file_read_link_at(int dirfd, const char *path, char **ret) {
        _cleanup_close_ int fd = -1;
        char target[LINK_TARGET_MAX];
        ssize_t n;

        fd = file_open_at(dirfd, path, O_PATH | O_NOFOLLOW, 0);
        if (fd < 0)
                return fd;
        n = readlinkat(fd, "", target, sizeof(target));
        if (n < 0)
                return errno == ENOENT ? -EINVAL : -errno; /* how readlinkat says that "" is no link */
        if ((size_t) n == sizeof(target))
                return -ENAMETOOLONG;
        *ret = strndup(target, (size_t) n);
        return *ret ? 0 : -ENOMEM;
}
