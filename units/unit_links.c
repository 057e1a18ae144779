#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/folder.h"
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
        const char *found;
        int r, result = 0;

        r = folder_open(dirfd, ".", &dir);
        if (r < 0)
                return error_set_errno(error, r, "cannot open the folder of units");
        while ((r = folder_next(dir, &found)) > 0) {
                Error problem = {};

                if (string_ends_with(found, ".wants") || string_ends_with(found, ".requires"))
                        r = remove_from(dirfd, found, name, &problem);
                if (r < 0 && result == 0) {
                        result = r;
                        *error = problem;
                }
        }
        return r < 0 && result == 0 ? error_set_errno(error, r, "cannot read the folder of units") : result;
}
