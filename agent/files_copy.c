#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "agent/base/cleanup.h"
#include "agent/files_copy.h"

#define PIECE_MAX (UINT64_C(1) << 30)

static bool cannot(int e) {
        return e == EOPNOTSUPP || e == EXDEV || e == EINVAL || e == ENOTTY || e == ENOSYS || e == EBADF ||
               e == EPERM;
}

static ssize_t copy_piece(FilesCopy *copy, int from, int to, uint64_t left) {
        size_t size = (size_t) MIN(left, PIECE_MAX);
        ssize_t n;

        if (!copy->no_range) {
                n = copy_file_range(from, NULL, to, NULL, size, 0);
                if (n > 0 || (n < 0 && !cannot(errno)))
                        return n < 0 ? -errno : n;
                copy->no_range = true; /* some report an end where there is none */
        }
        n = sendfile(to, from, NULL, size);
        return n < 0 ? -errno : n;
}

int files_copy(FilesCopy *copy, int from, int to, uint64_t size) {
        uint64_t left = size;

        if (size > 0 && !copy->no_clone) {
                if (ioctl(to, FICLONE, from) == 0)
                        return 0;
                if (!cannot(errno))
                        return -errno;
                copy->no_clone = true;
        }
        while (left > 0) {
                ssize_t n = copy_piece(copy, from, to, left);

                if (n == -EINTR)
                        continue;
                if (n < 0)
                        return (int) n;
                if (n == 0)
                        return -EIO; /* it has become shorter */
                left -= (uint64_t) n;
                copy->copied += (uint64_t) n;
        }
        return 0;
}
