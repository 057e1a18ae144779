#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "artifacts/file_walk.h"

typedef struct Walk {
        int folder;
        FileWalkVisit visit;
        void *userdata;
} Walk;

static int walk_folder(const Walk *walk, const char *prefix, unsigned depth, Error *error);

static int walk_entry(const Walk *walk, int dirfd, const char *prefix, const struct dirent *entry,
                      unsigned depth, Error *error) {
        _cleanup_free_ char *path = NULL;
        struct stat st;

        if (entry->d_name[0] == '.')
                return 0;
        if (fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT
                               ? 0
                               : error_set_errno(error, -errno, "cannot examine %s%s", prefix, entry->d_name);
        if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
                return 0;
        if (asprintf(&path, "%s%s%s", prefix, entry->d_name, S_ISDIR(st.st_mode) ? "/" : "") < 0)
                return error_oom(error);
        if (S_ISREG(st.st_mode))
                return walk->visit(path, walk->userdata, error);
        return walk_folder(walk, path, depth + 1, error);
}

static int walk_folder(const Walk *walk, const char *prefix, unsigned depth, Error *error) {
        _cleanup_closedir_ DIR *dir = NULL;
        int fd, r;

        if (depth > FILE_WALK_DEPTH_MAX)
                return error_set(error, -ELOOP, "%s: more than %u folders within folders", prefix,
                                 FILE_WALK_DEPTH_MAX);
        fd = file_open_at(walk->folder, *prefix ? prefix : ".", O_DIRECTORY | O_RDONLY, 0);
        if (fd == -ENOENT || fd == -ENOTDIR)
                return 0;
        if (fd < 0)
                return error_set_errno(error, fd, "cannot open the folder %s", prefix);
        dir = fdopendir(fd);
        if (!dir) {
                close_fd(fd);
                return error_oom(error);
        }
        for (;;) {
                struct dirent *entry;

                errno = 0;
                entry = readdir(dir);
                if (!entry)
                        return errno ? error_set_errno(error, -errno, "cannot read the folder %s", prefix)
                                     : 0;
                r = walk_entry(walk, fd, prefix, entry, depth, error);
                if (r < 0)
                        return r;
        }
}

int file_walk(int folder, const char *prefix, FileWalkVisit visit, void *userdata, Error *error) {
        const Walk walk = { .folder = folder, .visit = visit, .userdata = userdata };

        return walk_folder(&walk, prefix, 0, error);
}
