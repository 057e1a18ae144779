#pragma once

/* Where an archive's bytes come from: a pipe, a file, memory. */

#include <stdint.h>
#include <sys/types.h>

typedef struct UnpackSource {
        /* The next bytes, at most SIZE; 0 at the end; a negative errno. */
        ssize_t (*read)(void *userdata, void *data, size_t size);
        /* Bytes from OFFSET on, likewise; NULL where it cannot be sought. */
        ssize_t (*read_at)(void *userdata, void *data, size_t size, uint64_t offset);
        void *userdata;
} UnpackSource;

/* A descriptor, the archive beginning at BASE of it; a pipe has no read_at. */
typedef struct UnpackFile {
        int fd;
        uint64_t base;
} UnpackFile;

UnpackSource unpack_source_pipe(UnpackFile *file);
UnpackSource unpack_source_file(UnpackFile *file);
