#include <errno.h>
#include <unistd.h>

#include "artifacts/unpack_source.h"

static ssize_t read_pipe(void *userdata, void *data, size_t size) {
        UnpackFile *file = userdata;
        ssize_t n;

        do
                n = read(file->fd, data, size);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

static ssize_t read_at(void *userdata, void *data, size_t size, uint64_t offset) {
        UnpackFile *file = userdata;
        ssize_t n;

        if (offset > (uint64_t) INT64_MAX - file->base)
                return -EINVAL;
        do
                n = pread(file->fd, data, size, (off_t) (file->base + offset));
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

UnpackSource unpack_source_pipe(UnpackFile *file) {
        return (UnpackSource){ .read = read_pipe, .userdata = file };
}

UnpackSource unpack_source_file(UnpackFile *file) {
        return (UnpackSource){ .read = read_pipe, .read_at = read_at, .userdata = file };
}
