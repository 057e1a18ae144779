#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/files_place.h"
#include "artifacts/entry_name.h"
#include "artifacts/release_files.h"

#define LINKS_MAX 40U /* as the kernel has it */
#define TARGET_MAX 4096U

#ifndef MQUEUE_MAGIC
#define MQUEUE_MAGIC 0x19800202
#endif

void files_place_deinit(FilesPlace *place) {
        close_fd(place->fd);
        free(place->path);
        free(place->rest);
        *place = (FilesPlace){ .fd = -1 };
}

/* A walk that is under way: PLACE is where it stands, and PLACE.rest what is to be gone yet. */
typedef struct Walk {
        const char *path; /* as it was asked for */
        const FilesPlaceRules *rules;
        FilesPlace place;
        unsigned links;
} Walk;

static int to_root(Walk *walk, Error *error) {
        int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return error_set_errno(error, -errno, "/");
        close_fd(walk->place.fd);
        walk->place.fd = fd;
        return string_set(&walk->place.path, "") < 0 ? error_oom(error) : 0;
}

/* Goes to the folder NAME of the one that it stands in, whose path is then PATH. */
static int enter(Walk *walk, const char *name, const char *path, Error *error) {
        int fd = openat(walk->place.fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0)
                return error_set_errno(error, -errno, "%s", walk->path);
        close_fd(walk->place.fd);
        walk->place.fd = fd;
        return string_set(&walk->place.path, path) < 0 ? error_oom(error) : 0;
}

static int go_up(Walk *walk, Error *error) {
        char *slash = strrchr(walk->place.path, '/');
        _cleanup_free_ char *above = NULL;

        if (!slash)
                return 0;
        above = strndup(walk->place.path, (size_t) (slash - walk->place.path));
        return above ? enter(walk, "..", above, error) : error_oom(error);
}

/* NAME, with what is to be gone after it, is a link to TARGET. */
static int turn_off(Walk *walk, const char *target, const char *after, Error *error) {
        _cleanup_free_ char *rest = NULL;

        if (asprintf(&rest, "%s/%s", target, after) < 0) {
                rest = NULL;
                return error_oom(error);
        }
        free(walk->place.rest);
        walk->place.rest = TAKE_PTR(rest);
        return *target == '/' ? to_root(walk, error) : 0;
}

/* Root's, or in a test the user's who runs it. */
static bool is_ours(uid_t uid) {
        return uid == 0 || uid == geteuid();
}

/* Only root could have made it. */
static int check_link(const Walk *walk, const char *path, const struct stat *link, Error *error) {
        struct stat folder;

        if (fstat(walk->place.fd, &folder) < 0)
                return error_set_errno(error, -errno, "%s", walk->path);
        if (is_ours(link->st_uid) && is_ours(folder.st_uid) && !(folder.st_mode & (S_IWGRP | S_IWOTH)))
                return 0;
        return error_set_fault(
                error, -EPERM, FAULT_HOST,
                "%s: %s is a symbolic link that others than root can change, and is not followed", walk->path,
                path);
}

static int follow(Walk *walk, const char *name, const char *path, const char *after, const struct stat *st,
                  Error *error) {
        char target[TARGET_MAX];
        ssize_t n;
        int r;

        r = check_link(walk, path, st, error);
        if (r < 0)
                return r;
        if (++walk->links > LINKS_MAX)
                return error_set_fault(error, -ELOOP, FAULT_HOST, "%s: too many symbolic links", walk->path);
        n = readlinkat(walk->place.fd, name, target, sizeof(target) - 1);
        if (n < 0)
                return error_set_errno(error, -errno, "%s", path);
        target[n] = '\0';
        if (!entry_text_is_valid(target, (size_t) n))
                return error_set_fault(error, -EINVAL, FAULT_HOST, "%s: a symbolic link to what is no text",
                                       path);
        return turn_off(walk, target, after, error);
}

/* 0 where the walk ends, 1 where it goes on. */
static int step_to(Walk *walk, const char *name, const char *after, Error *error) {
        _cleanup_free_ char *path = NULL, *rest = NULL;
        struct stat st;
        int r;

        if (asprintf(&path, "%s/%s", walk->place.path, name) < 0) {
                path = NULL;
                return error_oom(error);
        }
        if (fstatat(walk->place.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                if (errno == ENOENT)
                        return 0;
                return error_set_errno(error, -errno, "%s", path);
        }
        if (walk->rules->goes && walk->rules->goes(path, walk->rules->userdata))
                return 0;
        if (S_ISLNK(st.st_mode)) {
                r = follow(walk, name, path, after, &st, error);
                return r < 0 ? r : 1;
        }
        if (!S_ISDIR(st.st_mode))
                return 0;
        rest = strdup(after);
        if (!rest)
                return error_oom(error);
        r = enter(walk, name, path, error);
        if (r < 0)
                return r;
        free(walk->place.rest);
        walk->place.rest = TAKE_PTR(rest);
        return 1;
}

static int drop_first(Walk *walk, const char *after, Error *error) {
        char *rest = strdup(after);

        if (!rest)
                return error_oom(error);
        free(walk->place.rest);
        walk->place.rest = rest;
        return 1;
}

/* Takes one name off what is to be gone. */
static int take_step(Walk *walk, Error *error) {
        _cleanup_free_ char *name = NULL;
        const char *rest = walk->place.rest + strspn(walk->place.rest, "/"), *after;
        size_t n = strcspn(rest, "/");
        int r;

        if (n == 0)
                return drop_first(walk, "", error) < 0 ? -ENOMEM : 0;
        after = rest + n + strspn(rest + n, "/");
        name = strndup(rest, n);
        if (!name)
                return error_oom(error);
        if (strcmp(name, ".") == 0)
                return drop_first(walk, after, error);
        if (strcmp(name, "..") == 0) {
                r = go_up(walk, error);
                return r < 0 ? r : drop_first(walk, after, error);
        }
        r = step_to(walk, name, after, error);
        if (r == 0 && rest != walk->place.rest) /* without the slashes before it */
                memmove(walk->place.rest, rest, strlen(rest) + 1);
        return r;
}

/* What is not there is what will be made, so it must be a plain path. */
static int check_rest(const Walk *walk, Error *error) {
        for (const char *p = walk->place.rest; *p; p += strspn(p, "/")) {
                size_t n = strcspn(p, "/");

                if (n == 2 && p[0] == '.' && p[1] == '.')
                        return error_set_fault(error, -EINVAL, FAULT_HOST,
                                               "%s: a symbolic link leads out of a folder that is not there",
                                               walk->path);
                p += n;
        }
        return 0;
}

static bool is_the_kernels(int fd) {
        static const unsigned long kinds[] = {
                PROC_SUPER_MAGIC, SYSFS_MAGIC,   CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEVPTS_SUPER_MAGIC,
                DEBUGFS_MAGIC,    TRACEFS_MAGIC, SECURITYFS_MAGIC,   BPF_FS_MAGIC,        PSTOREFS_MAGIC,
                EFIVARFS_MAGIC,   SELINUX_MAGIC, BINFMTFS_MAGIC,     NSFS_MAGIC,          MQUEUE_MAGIC,
        };
        struct statfs fs;

        if (fstatfs(fd, &fs) < 0)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if ((unsigned long) fs.f_type == kinds[i])
                        return true;
        return false;
}

static int check_place(const Walk *walk, Error *error) {
        const FilesPlace *place = &walk->place;

        if (is_the_kernels(place->fd) || (*place->path && release_place_is_refused(place->path)))
                return error_set_fault(error, -EPERM, FAULT_RELEASE,
                                       "%s lies in %s, where nothing can be installed", walk->path,
                                       *place->path ? place->path : "/");
        if (*place->path && release_place_is_within(place->path, walk->rules->state_dir))
                return error_set_fault(
                        error, -EPERM, FAULT_RELEASE,
                        "%s lies in %s, where muster keeps its state: nothing can be installed there",
                        walk->path, walk->rules->state_dir);
        return 0;
}

int files_place_find(const char *path, const FilesPlaceRules *rules, FilesPlace *ret, Error *error) {
        Walk walk = { .path = path, .rules = rules, .place = { .fd = -1 } };
        int r;

        walk.place.rest = strdup(path);
        walk.place.path = strdup("");
        r = walk.place.rest && walk.place.path ? to_root(&walk, error) : error_oom(error);
        while (r >= 0 && (r = take_step(&walk, error)) > 0)
                ;
        if (r >= 0)
                r = check_rest(&walk, error);
        if (r >= 0)
                r = check_place(&walk, error);
        if (r < 0) {
                files_place_deinit(&walk.place);
                return r;
        }
        *ret = walk.place;
        return 0;
}

int files_place_open(const char *path) {
        _cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (root < 0)
                return -errno;
        return file_open_at(root, *path && path[1] ? path + 1 : ".", O_RDONLY | O_DIRECTORY, 0);
}
