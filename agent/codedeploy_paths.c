#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/codedeploy_paths.h"

#define ARCHIVE "deployment-archive"
#define FOLDER_MODE 0755

static bool is_used(int release_fd, const char *location) {
        static const char path[] = CODEDEPLOY_ROOT_DIR;
        _cleanup_buffer_ Buffer script = {};

        return file_read_at(release_fd, location, CODEDEPLOY_SCRIPT_SIZE_MAX, &script) >= 0 &&
               script.size > 0 && memmem(script.data, script.size, path, strlen(path));
}

bool codedeploy_paths_are_used(int release_fd, const Release *release) {
        for (size_t i = 0; i < LIFECYCLE_EVENT_COUNT; i++)
                for (size_t j = 0; j < release->hooks[i].n; j++)
                        if (is_used(release_fd, release->hooks[i].items[j].location))
                                return true;
        return false;
}

int codedeploy_paths_put(const char *root, const char *group, const char *deployment, const char *target,
                         Error *error) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -1;
        struct stat st;
        int r;

        if (asprintf(&path, "%s/%s/%s", root, group, deployment) < 0) {
                path = NULL;
                return error_oom(error);
        }
        fd = file_open_folder_at(AT_FDCWD, path, FOLDER_MODE);
        if (fd < 0)
                return error_set_errno(error, fd, "cannot open %s", path);
        if (fstatat(fd, ARCHIVE, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(st.st_mode))
                return error_set(error, -EEXIST, "%s/" ARCHIVE " is there, and is no link of muster's", path);
        r = file_replace_symlink_at(fd, ARCHIVE, target);
        return r < 0 ? error_set_errno(error, r, "cannot make %s/" ARCHIVE, path) : 0;
}

/* Of one deployment. */
static void prune(int group_fd, const char *deployment, const char *folder, const char *keep) {
        int fd = openat(group_fd, deployment, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        _cleanup_free_ char *target = NULL;

        if (fd >= 0 && file_read_link_at(fd, ARCHIVE, &target) >= 0 && string_starts_with(target, folder) &&
            target[strlen(folder)] == '/' && !string_equal(target, keep)) {
                (void) unlinkat(fd, ARCHIVE, 0);
                (void) unlinkat(group_fd, deployment, AT_REMOVEDIR);
        }
        close_fd(fd);
}

/* The group's, the root and what that lies in: all that may have been made. One that is not empty stays. */
static void remove_empty(const char *root, const char *group) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/%s", root, group) < 0) {
                path = NULL;
                return;
        }
        for (unsigned i = 0; i < 3; i++) {
                if (rmdir(path) < 0)
                        return;
                *strrchr(path, '/') = '\0';
        }
}

void codedeploy_paths_prune(const char *root, const char *group, const char *folder, const char *keep) {
        _cleanup_close_ int root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int fd = root_fd < 0 ? -1 : openat(root_fd, group, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *entry;

        if (!dir) {
                close_fd(fd);
                return;
        }
        while ((entry = readdir(dir)))
                if (entry->d_name[0] != '.')
                        prune(fd, entry->d_name, folder, keep);
        remove_empty(root, group);
}
