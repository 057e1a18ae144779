#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "artifacts/unpack_writer.h"

/* A large file's bytes are sent to the disk in pieces while the rest still comes; for small files see unpack_flush.h. */
#define WRITE_BACK_SIZE (UINT64_C(8) << 20)

typedef struct Folder {
        int fd;
        size_t length; /* of its path */
        struct timespec mtime;
} Folder;

struct UnpackWriter {
        int root_fd;
        Folder folders[UNPACK_DEPTH_MAX]; /* the open ones, each in the one before */
        size_t depth;
        char path[UNPACK_PATH_MAX + 1]; /* of the last entry; every open folder lies on the way to it */
        int file_fd;
        struct timespec file_mtime;
        uint64_t file_left;
        uint64_t file_written;
        uint64_t written_back; /* of the file, */
        uint64_t sent;         /* of all files */
        UnpackCounts counts;
};

static int fail(int r, const char *what, Error *error) {
        r = error_set_errno(error, r, "cannot %s", what);
        error_blame(error, FAULT_HOST);
        return r;
}

/* A folder's time is set when everything in it has been made. */
static int close_folder(UnpackWriter *w, Error *error) {
        Folder *folder = w->folders + --w->depth;
        const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, folder->mtime };
        int r = futimens(folder->fd, times) < 0 ? -errno : 0;

        close_fd(folder->fd);
        return r < 0 ? fail(r, "set a folder's time", error) : 0;
}

static int close_file(UnpackWriter *w, Error *error) {
        const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, w->file_mtime };
        int fd = TAKE_FD(w->file_fd), r = 0;

        if (fd < 0)
                return 0;
        if (futimens(fd, times) < 0)
                r = -errno;
        if (close(fd) < 0 && r >= 0)
                r = -errno;
        return r < 0 ? fail(r, "finish a file", error) : 0;
}

static int parent_fd(const UnpackWriter *w) {
        return w->depth > 0 ? w->folders[w->depth - 1].fd : w->root_fd;
}

/* Opens the folder that the first LENGTH bytes of the path name; NAME of them is its own name. */
static int open_folder(UnpackWriter *w, const char *name, size_t length, const struct timespec *mtime,
                       Error *error) {
        Folder *folder = w->folders + w->depth;
        struct stat st;

        if (w->depth == ELEMENTSOF(w->folders))
                return fail(-ELOOP, "open a folder", error);
        folder->fd = openat(parent_fd(w), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (folder->fd < 0)
                return fail(-errno, "open a folder", error);
        w->depth++;
        folder->length = length;
        if (mtime)
                folder->mtime = *mtime;
        else if (fstat(folder->fd, &st) < 0)
                return fail(-errno, "open a folder", error);
        else
                folder->mtime = st.st_mtim; /* it was left before, with the time that it is to have */
        return 0;
}

/* Whether the open folder lies on the way to PATH. */
static bool leads_to(const UnpackWriter *w, const Folder *folder, const char *path) {
        return memcmp(path, w->path, folder->length) == 0 && path[folder->length] == '/';
}

/* Opens the folder in which PATH lies and makes PATH the current one; gives its last component. */
static int enter_parent(UnpackWriter *w, const char *path, const char **ret_name, Error *error) {
        size_t length = strlen(path), at;
        int r;

        if (length > UNPACK_PATH_MAX)
                return fail(-ENAMETOOLONG, "make an entry", error);
        while (w->depth > 0 &&
               (w->folders[w->depth - 1].length >= length || !leads_to(w, w->folders + w->depth - 1, path))) {
                r = close_folder(w, error);
                if (r < 0)
                        return r;
        }
        memcpy(w->path, path, length + 1);
        at = w->depth > 0 ? w->folders[w->depth - 1].length + 1 : 0;
        for (char *slash; (slash = strchr(w->path + at, '/')); at = (size_t) (slash - w->path) + 1) {
                *slash = '\0';
                r = open_folder(w, w->path + at, (size_t) (slash - w->path), NULL, error);
                *slash = '/';
                if (r < 0)
                        return r;
        }
        *ret_name = w->path + at;
        return 0;
}

static struct timespec time_of(const UnpackEntry *entry) {
        return (struct timespec){ .tv_sec = (time_t) entry->mtime, .tv_nsec = (long) entry->mtime_nsec };
}

static int make_folder(UnpackWriter *w, const UnpackEntry *entry, const char *name, Error *error) {
        struct timespec mtime = time_of(entry);
        int r;

        if (!entry->exists && mkdirat(parent_fd(w), name, entry->mode) < 0)
                return fail(-errno, "make a folder", error);
        r = open_folder(w, name, strlen(w->path), &mtime, error);
        if (r < 0)
                return r;
        if (entry->exists && fchmod(parent_fd(w), entry->mode) < 0)
                return fail(-errno, "set a folder's mode", error);
        return 0;
}

static int make_file(UnpackWriter *w, const UnpackEntry *entry, const char *name, Error *error) {
        w->file_fd =
                openat(parent_fd(w), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, entry->mode);
        if (w->file_fd < 0)
                return fail(-errno, "make a file", error);
        w->file_mtime = time_of(entry);
        w->file_left = entry->size;
        w->file_written = 0;
        w->written_back = 0;
        return 0;
}

static int make_link(UnpackWriter *w, const UnpackEntry *entry, const char *name, Error *error) {
        const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, time_of(entry) };

        if (symlinkat(entry->target, parent_fd(w), name) < 0 ||
            utimensat(parent_fd(w), name, times, AT_SYMLINK_NOFOLLOW) < 0)
                return fail(-errno, "make a link", error);
        return 0;
}

/* By one folder after the other: systemd answers openat2() with ENOSYS wherever RestrictSUIDSGID holds. */
static int open_target_folder(const UnpackWriter *w, const char *target, const char **ret_name) {
        const char *slash;
        int fd = openat(w->root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

        for (; fd >= 0 && (slash = strchr(target, '/')); target = slash + 1) {
                _cleanup_free_ char *name = strndup(target, (size_t) (slash - target));
                _cleanup_close_ int above = fd;

                if (!name)
                        return -ENOMEM;
                fd = openat(above, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        *ret_name = target;
        return fd < 0 ? -errno : fd;
}

static int make_hard_link(UnpackWriter *w, const UnpackEntry *entry, const char *name, Error *error) {
        const char *target_name;
        _cleanup_close_ int fd = open_target_folder(w, entry->target, &target_name);

        if (fd < 0)
                return fail(fd, "make a hard link", error);
        if (linkat(fd, target_name, parent_fd(w), name, 0) < 0)
                return fail(-errno, "make a hard link", error);
        return 0;
}

static int write_entry(const UnpackEntry *entry, void *userdata, Error *error) {
        UnpackWriter *w = userdata;
        const char *name = NULL;
        int r;

        r = close_file(w, error);
        if (r < 0)
                return r;
        r = enter_parent(w, entry->path, &name, error);
        if (r < 0)
                return r;
        w->counts.entries += entry->exists ? 0 : 1;
        switch (entry->type) {
        case ENTRY_FOLDER:
                return make_folder(w, entry, name, error);
        case ENTRY_FILE:
                return make_file(w, entry, name, error);
        case ENTRY_LINK:
                return make_link(w, entry, name, error);
        case ENTRY_HARD_LINK:
                return make_hard_link(w, entry, name, error);
        }
        return fail(-EINVAL, "make an entry", error);
}

/* Only a hint: what it does not do, syncfs does. */
static void write_back(UnpackWriter *w) {
        if (w->file_written - w->written_back < WRITE_BACK_SIZE)
                return;
        (void) sync_file_range(w->file_fd, (off_t) w->written_back,
                               (off_t) (w->file_written - w->written_back), SYNC_FILE_RANGE_WRITE);
        w->sent += w->file_written - w->written_back;
        w->written_back = w->file_written;
}

static int write_data(const void *data, size_t size, void *userdata, Error *error) {
        UnpackWriter *w = userdata;
        int r;

        if (w->file_fd < 0 || size > w->file_left)
                return fail(-EPROTO, "write a file", error);
        r = file_write_fd(w->file_fd, data, size);
        if (r < 0)
                return fail(r, "write a file", error);
        w->file_left -= size;
        w->file_written += size;
        w->counts.bytes += size;
        write_back(w);
        return 0;
}

int unpack_writer_new(int root_fd, UnpackWriter **ret, Error *error) {
        UnpackWriter *w = calloc(1, sizeof(*w));

        if (!w)
                return error_oom(error);
        w->root_fd = root_fd;
        w->file_fd = -1;
        *ret = w;
        return 0;
}

UnpackWriter *unpack_writer_free(UnpackWriter *w) {
        if (!w)
                return NULL;
        while (w->depth > 0)
                close_fd(w->folders[--w->depth].fd);
        close_fd(w->file_fd);
        free(w);
        return NULL;
}

UnpackSink unpack_writer_sink(UnpackWriter *w) {
        return (UnpackSink){ .entry = write_entry, .data = write_data, .userdata = w };
}

int unpack_writer_finish(UnpackWriter *w, bool sync, Error *error) {
        int r;

        r = close_file(w, error);
        while (r >= 0 && w->depth > 0)
                r = close_folder(w, error);
        if (r < 0)
                return r;
        if (sync && syncfs(w->root_fd) < 0)
                return fail(-errno, "make the files durable", error);
        return 0;
}

uint64_t unpack_writer_unsent(const UnpackWriter *w) {
        return w->counts.bytes - w->sent;
}

UnpackCounts unpack_writer_counts(const UnpackWriter *w) {
        return w->counts;
}

const char *unpack_writer_path(const UnpackWriter *w) {
        return w->path;
}
