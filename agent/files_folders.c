#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/files_folders.h"
#include "agent/files_place.h"

void files_folders_init(FilesFolders *folders) {
        *folders = (FilesFolders){ .fd = -1 };
}

void files_folders_deinit(FilesFolders *folders) {
        for (size_t i = 0; i < folders->n; i++)
                close_fd(folders->systems[i].fd);
        close_fd(folders->fd);
        free(folders->path);
        files_folders_init(folders);
}

/* Keeps the first folder of each file system open. */
static int remember_system(FilesFolders *folders, int fd) {
        struct stat st;
        int copy;

        if (fstat(fd, &st) < 0)
                return -errno;
        for (size_t i = 0; i < folders->n; i++)
                if (folders->systems[i].device == st.st_dev)
                        return 0;
        if (folders->n == FILES_SYSTEMS_MAX)
                return -E2BIG;
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
                return -errno;
        folders->systems[folders->n].device = st.st_dev;
        folders->systems[folders->n++].fd = copy;
        return 0;
}

int files_folders_open(FilesFolders *folders, const char *path, const char **ret_name) {
        const char *slash = strrchr(path, '/');
        size_t n = (size_t) (slash - path);
        int r;

        *ret_name = slash + 1;
        if (folders->path && strncmp(folders->path, path, n) == 0 && folders->path[n] == '\0')
                return folders->fd;
        folders->fd = close_fd(folders->fd);
        free(folders->path);
        folders->path = strndup(path, n);
        if (!folders->path)
                return -ENOMEM;
        folders->fd = files_place_open(folders->path);
        r = folders->fd < 0 ? folders->fd : remember_system(folders, folders->fd);
        if (r >= 0)
                return folders->fd;
        folders->fd = close_fd(folders->fd);
        free(folders->path);
        folders->path = NULL;
        return r;
}

int files_folders_fail(const char *path, int r, Error *error) {
        if (r != -EPERM)
                return error_set_errno(error, r, "%s", path);
        return error_set_fault(
                error, r, FAULT_HOST,
                "%s: it, or the folder that it is in, may be immutable or append-only (lsattr)", path);
}

int files_folders_sync(const FilesFolders *folders, Error *error) {
        for (size_t i = 0; i < folders->n; i++)
                if (syncfs(folders->systems[i].fd) < 0)
                        return error_set_errno(error, -errno, "cannot make installed files durable");
        return 0;
}
