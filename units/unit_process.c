#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "units/unit_process.h"

#define DELETED " (deleted)" /* proc(5) appends it */

typedef struct Folder {
        int fd;
        char *path; /* resolved */
} Folder;

static void folder_deinit(Folder *folder) {
        close_fd(folder->fd);
        free(folder->path);
}

static int folder_open(const char *path, Folder *ret) {
        ret->fd = file_open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
        if (ret->fd < 0)
                return ret->fd;
        ret->path = realpath(path, NULL);
        return ret->path ? 0 : -errno;
}

static bool path_is_beneath(const char *path, const char *folder) {
        size_t n = strlen(folder);

        return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* In another mount namespace (BindPaths=, RootDirectory=) the path of the same file is another one: then some end of it
 * names the same file within FOLDER. */
static bool some_end_matches(const struct stat *what, const char *path, int folder) {
        struct stat st;

        if (fstat(folder, &st) == 0 && st.st_dev == what->st_dev && st.st_ino == what->st_ino)
                return true;
        for (const char *p = strchr(path, '/'); p; p = strchr(p, '/')) {
                _cleanup_close_ int fd = -1;

                p += strspn(p, "/");
                fd = *p ? file_open_at(folder, p, O_PATH, 0) : -1;
                if (fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == what->st_dev && st.st_ino == what->st_ino)
                        return true;
        }
        return false;
}

/* NAME is "exe" or "cwd". */
static int link_lies_in(int process, const char *name, const Folder *folder, bool *ret, char **ret_path) {
        _cleanup_free_ char *path = NULL;
        struct stat st;
        char text[PATH_MAX + sizeof(DELETED)];
        ssize_t n;

        n = readlinkat(process, name, text, sizeof(text) - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        path = strdup(text);
        if (!path)
                return -ENOMEM;
        if (fstatat(process, name, &st, 0) < 0)
                return -errno;
        *ret = st.st_nlink > 0 && !string_ends_with(path, DELETED) &&
               (path_is_beneath(path, folder->path) || some_end_matches(&st, path, folder->fd));
        *ret_path = TAKE_PTR(path);
        return 0;
}

int process_runs_from(pid_t pid, const char *folder, bool *ret, char **ret_where, Error *error) {
        _cleanup_free_ char *exe = NULL, *cwd = NULL;
        _cleanup_(folder_deinit) Folder release = { .fd = -1 };
        _cleanup_close_ int process = -1;
        bool in_exe = false, in_cwd = false;
        char name[32];
        int r;

        r = folder_open(folder, &release);
        if (r < 0)
                return error_set_errno(error, r, "%s", folder);
        snprintf(name, sizeof(name), "/proc/%d", (int) pid);
        process = file_open_at(AT_FDCWD, name, O_PATH | O_DIRECTORY, 0);
        r = process < 0 ? process : link_lies_in(process, "exe", &release, &in_exe, &exe);
        if (r >= 0)
                r = link_lies_in(process, "cwd", &release, &in_cwd, &cwd);
        if (r == -ENOENT)
                r = -ESRCH;
        if (r < 0)
                return error_set_errno(error, r, "cannot see what process %d runs", (int) pid);
        if (ret_where && asprintf(ret_where, "%s in %s", exe, cwd) < 0)
                return error_oom(error);
        *ret = in_exe || in_cwd;
        return 0;
}
