#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "artifacts/file_lock.h"

int file_lock_try(int dirfd, const char *path) {
        _cleanup_close_ int fd = -1, again = -1;
        struct stat ours, now;

        fd = file_open_at(dirfd, path, O_RDONLY | O_CREAT | O_NOCTTY, 0666);
        if (fd < 0)
                return fd;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -errno;
        /* If somebody removed the file by hand meanwhile, the lock that we hold excludes nobody. */
        again = file_open_at(dirfd, path, O_RDONLY | O_NOCTTY, 0);
        if (again < 0 || fstat(fd, &ours) < 0 || fstat(again, &now) < 0 || ours.st_ino != now.st_ino ||
            ours.st_dev != now.st_dev)
                return -EAGAIN;
        return TAKE_FD(fd);
}
