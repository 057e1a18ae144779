#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/cli/new_file.h"

static int refuse_existing(const char *path, Error *error) {
        return error_set_fault(error, -EEXIST, FAULT_INPUT, "%s exists already and is not overwritten", path);
}

int new_file_check(const char *path, Error *error) {
        struct stat st;

        return lstat(path, &st) < 0 ? 0 : refuse_existing(path, error);
}

/* Complete and durable. */
static int fill(int fd, const char *path, const void *data, size_t size, mode_t mode) {
        int r;

        r = file_write_fd(fd, data, size);
        if (r >= 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0)) /* the mode whatever the umask */
                r = -errno;
        return r < 0 ? r : file_sync_parent_at(AT_FDCWD, path);
}

int new_file_write(const char *path, const void *data, size_t size, mode_t mode, Error *error) {
        _cleanup_close_ int fd = -1;
        int r;

        fd = file_open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode & 0600);
        if (fd == -EEXIST)
                return refuse_existing(path, error);
        if (fd < 0)
                return error_set_errno(error, fd, "cannot create %s", path);
        r = fill(fd, path, data, size, mode);
        if (r < 0) {
                (void) unlink(path);
                return error_set_errno(error, r, "cannot write %s", path);
        }
        return 0;
}
