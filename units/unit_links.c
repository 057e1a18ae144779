#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "units/unit_links.h"

static int remove_from(int dirfd, const char *folder, const char *name, Error *error) {
        _cleanup_free_ char *path = NULL;
        struct stat st;
        int r;

        if (asprintf(&path, "%s/%s", folder, name) < 0) {
                path = NULL;
                return error_oom(error);
        }
        if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISLNK(st.st_mode))
                return 0;
        r = file_remove_at(dirfd, path);
        return r < 0 ? error_set_errno(error, r, "cannot remove the link %s", path) : 0;
}

int unit_links_remove(int dirfd, const char *name, Error *error) {
        _cleanup_closedir_ DIR *dir = NULL;
        const struct dirent *entry;
        int fd, result = 0;

        fd = file_open_at(dirfd, ".", O_DIRECTORY | O_RDONLY, 0);
        if (fd < 0)
                return error_set_errno(error, fd, "cannot open the folder of units");
        dir = fdopendir(fd);
        if (!dir) {
                close_fd(fd);
                return error_oom(error);
        }
        while ((entry = readdir(dir))) {
                Error problem = {};
                int r = 0;

                if (string_ends_with(entry->d_name, ".wants") || string_ends_with(entry->d_name, ".requires"))
                        r = remove_from(dirfd, entry->d_name, name, &problem);
                if (r < 0 && result == 0) {
                        result = r;
                        *error = problem;
                }
        }
        return result;
}
