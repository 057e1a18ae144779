#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/base/cleanup.h"
#include "agent/base/file.h"
#include "agent/spare.h"

#define FOLDER_MODE 0700
#define FILE_MODE 0600
#define NAME_SIZE 16U

static void name_of(unsigned number, char ret[static NAME_SIZE]) {
        (void) snprintf(ret, NAME_SIZE, "%u", number);
}

static bool is_kept(int folder, const char *name) {
        struct stat st;

        return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == SPARE_FILE_SIZE;
}

/* The blocks of the file are its own from now on: a file of the same size that has none would be no room. */
static bool keep(int folder, const char *name) {
        _cleanup_close_ int fd = -1;

        if (is_kept(folder, name))
                return true;
        fd = openat(folder, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
        if (fd < 0)
                return false;
        if (posix_fallocate(fd, 0, SPARE_FILE_SIZE) == 0)
                return true;
        (void) unlinkat(folder, name, 0);
        return false;
}

/* The last of the room is not taken for it: the deployment that is about to begin needs some. */
static bool there_is_room(int folder) {
        struct statvfs fs;

        if (fstatvfs(folder, &fs) < 0)
                return false;
        return (fs.f_files == 0 || fs.f_favail >= 4 * SPARE_FILES) &&
               (uint64_t) fs.f_bavail * fs.f_frsize >= (uint64_t) 4 * SPARE_FILES * SPARE_FILE_SIZE;
}

void spare_keep(int app_fd) {
        _cleanup_close_ int folder = file_open_folder_at(app_fd, SPARE_FOLDER, FOLDER_MODE);
        char name[NAME_SIZE];

        if (folder < 0 || !there_is_room(folder))
                return;
        for (unsigned i = 0; i < SPARE_FILES; i++) {
                name_of(i, name);
                if (!keep(folder, name))
                        return;
        }
}

bool spare_helps(int app_fd, int r) {
        _cleanup_close_ int folder = -1;
        char name[NAME_SIZE];
        bool given = false;

        if (r != -ENOSPC && r != -EDQUOT)
                return false;
        folder = file_open_at(app_fd, SPARE_FOLDER, O_RDONLY | O_DIRECTORY, 0);
        for (unsigned i = 0; folder >= 0 && i < SPARE_FILES; i++) {
                name_of(i, name);
                given |= unlinkat(folder, name, 0) == 0;
        }
        return given;
}
