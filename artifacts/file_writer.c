#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "artifacts/file_writer.h"

#define NAME_ATTEMPTS_MAX 16U

/* One try with a fresh random name: -EEXIST if it is taken. */
static int open_fresh(FileWriter *writer) {
        struct stat st;

        (void) snprintf(writer->name, sizeof(writer->name), FILE_WRITER_PREFIX "%016" PRIx64, random_u64());
        writer->fd = openat(writer->folder, writer->name,
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (writer->fd < 0)
                return -errno;
        /* Between open and flock another writer may have taken it for a leftover and swept it away. */
        if (flock(writer->fd, LOCK_EX | LOCK_NB) == 0 && fstat(writer->fd, &st) == 0 && st.st_nlink > 0)
                return 0;
        writer->fd = close_fd(writer->fd);
        return -EEXIST;
}

int file_writer_open(FileWriter *writer, int folder) {
        int r = -EEXIST;

        *writer = (FileWriter) FILE_WRITER_INIT;
        writer->folder = folder;
        for (unsigned i = 0; i < NAME_ATTEMPTS_MAX && r == -EEXIST; i++)
                r = open_fresh(writer);
        return r;
}

int file_writer_sync(FileWriter *writer) {
        return fsync(writer->fd) < 0 ? -errno : 0;
}

static int rename_new(const FileWriter *writer, const char *name) {
        if (renameat2(writer->folder, writer->name, writer->folder, name, RENAME_NOREPLACE) == 0)
                return 0;
        if (errno != EINVAL)
                return -errno;
        /* A filesystem that cannot do that in one step. */
        if (linkat(writer->folder, writer->name, writer->folder, name, 0) < 0)
                return -errno;
        return unlinkat(writer->folder, writer->name, 0) < 0 ? -errno : 0;
}

int file_writer_commit(FileWriter *writer, const char *name, bool create) {
        int r;

        if (create)
                r = rename_new(writer, name);
        else
                r = renameat(writer->folder, writer->name, writer->folder, name) < 0 ? -errno : 0;
        if (r < 0)
                return r;
        writer->fd = close_fd(writer->fd);
        return fsync(writer->folder) < 0 ? -errno : 0;
}

void file_writer_deinit(FileWriter *writer) {
        if (writer->fd >= 0)
                (void) unlinkat(writer->folder, writer->name, 0);
        writer->fd = close_fd(writer->fd);
}

static void sweep_one(int folder, const char *name) {
        _cleanup_close_ int fd = file_open_at(folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
                (void) unlinkat(folder, name, 0);
}

void file_writer_sweep(int folder) {
        _cleanup_closedir_ DIR *dir = NULL;
        const char *name;

        if (folder_open(folder, ".", &dir) < 0)
                return;
        while (folder_next(dir, &name) > 0)
                if (string_starts_with(name, FILE_WRITER_PREFIX))
                        sweep_one(folder, name);
}
