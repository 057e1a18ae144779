#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "agent/base/file.h"
#include "agent/base/file_users.h"
#include "agent/base/folder.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"

#define DEPTH_MAX 256U

typedef struct Inode {
        dev_t device;
        ino_t number;
        size_t folder;
} Inode;

typedef struct Search {
        FileUsersFolder *folders;
        size_t n;
        Inode *inodes; /* of all that is in the folders, sorted */
        size_t n_inodes, allocated;
        pid_t pid; /* whose files are being looked at */
} Search;

/* The folders */

static int add_inode(Search *search, const struct stat *st, size_t folder) {
        size_t allocated = search->allocated > 0 ? search->allocated * 2 : 256;
        Inode *grown;

        if (search->n_inodes == search->allocated) {
                grown = reallocarray(search->inodes, allocated, sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                search->inodes = grown;
                search->allocated = allocated;
        }
        search->inodes[search->n_inodes++] = (Inode){ st->st_dev, st->st_ino, folder };
        return 0;
}

static int add_folder(Search *search, int dirfd, const char *name, size_t folder, unsigned depth);

static int add_name(Search *search, int dirfd, const char *name, size_t folder, unsigned depth) {
        struct stat st;
        int r;

        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        r = add_inode(search, &st, folder);
        if (r < 0 || !S_ISDIR(st.st_mode) || depth >= DEPTH_MAX)
                return r;
        return add_folder(search, dirfd, name, folder, depth + 1);
}

static int add_folder(Search *search, int dirfd, const char *name, size_t folder, unsigned depth) {
        _cleanup_closedir_ DIR *dir = NULL;
        int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r;
        const char *found;

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        r = folder_take(fd, &dir);
        if (r < 0)
                return r;
        while ((r = folder_next(dir, &found)) > 0) {
                r = add_name(search, fd, found, folder, depth);
                if (r < 0)
                        return r;
        }
        return r;
}

static int compare_inodes(const void *a, const void *b) {
        const Inode *x = a, *y = b;

        if (x->device != y->device)
                return x->device < y->device ? -1 : 1;
        return x->number < y->number ? -1 : x->number > y->number;
}

static int collect(Search *search, Error *error) {
        for (size_t i = 0; i < search->n; i++) {
                int r;

                search->folders[i].user = 0;
                r = add_name(search, AT_FDCWD, search->folders[i].path, i, 0);
                if (r < 0)
                        return error_set_errno(error, r, "%s", search->folders[i].path);
        }
        if (search->n_inodes > 0)
                qsort(search->inodes, search->n_inodes, sizeof(*search->inodes), compare_inodes);
        return 0;
}

/* What a process has */

static void note_inode(Search *search, dev_t device, ino_t number) {
        const Inode key = { .device = device, .number = number };
        const Inode *found = search->n_inodes > 0 ? bsearch(&key, search->inodes, search->n_inodes,
                                                            sizeof(key), compare_inodes)
                                                  : NULL;

        if (found)
                search->folders[found->folder].user = search->pid;
}

static void note_path(Search *search, const char *path) {
        for (size_t i = 0; i < search->n; i++) {
                size_t length = strlen(search->folders[i].path);

                if (strncmp(path, search->folders[i].path, length) == 0 &&
                    (path[length] == '/' || path[length] == '\0'))
                        search->folders[i].user = search->pid;
        }
}

static void look_at_link(Search *search, int dirfd, const char *name) {
        char path[PATH_MAX + 1];
        struct stat st;
        ssize_t n = readlinkat(dirfd, name, path, sizeof(path) - 1);

        if (n < 0)
                return;
        path[n] = '\0';
        if (*path != '/')
                return; /* a socket, a pipe and the like */
        note_path(search, path);
        if (fstatat(dirfd, name, &st, 0) == 0)
                note_inode(search, st.st_dev, st.st_ino);
}

static void look_at_open_files(Search *search, int process) {
        _cleanup_closedir_ DIR *dir = NULL;
        int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir) {
                close_fd(fd);
                return;
        }
        for (struct dirent *found; (found = readdir(dir));)
                if (found->d_name[0] != '.')
                        look_at_link(search, fd, found->d_name);
}

static FILE *open_table(int process, const char *name) {
        int fd = openat(process, name, O_RDONLY | O_CLOEXEC);
        FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");

        if (!stream)
                close_fd(fd);
        return stream;
}

/* Where file systems lie over each other (overlayfs, btrfs), device and number of maps are not those that stat(2) tells, and
 * may be those of something else: what still has a name is asked under it. */
static void note_mapping(Search *search, int process, const char *path, dev_t device, ino_t number) {
        char name[sizeof("root") + PATH_MAX];
        struct stat st;

        if (*path == '/' && !string_ends_with(path, " (deleted)") &&
            (size_t) snprintf(name, sizeof(name), "root%s", path) < sizeof(name) &&
            fstatat(process, name, &st, 0) == 0)
                note_inode(search, st.st_dev, st.st_ino);
        else
                note_inode(search, device, number);
}

/* proc(5): "address perms offset dev inode path". */
static void look_at_mapped_files(Search *search, int process) {
        FILE *stream = open_table(process, "maps");
        _cleanup_free_ char *line = NULL;
        size_t size = 0;

        while (stream && getline(&line, &size, stream) > 0) {
                unsigned major_, minor_;
                unsigned long long inode;
                int at = 0;

                line[strcspn(line, "\n")] = '\0';
                if (sscanf(line, "%*s %*s %*s %x:%x %llu %n", &major_, &minor_, &inode, &at) != 3 ||
                    inode == 0 || at == 0)
                        continue;
                note_mapping(search, process, line + at, makedev(major_, minor_), (ino_t) inode);
                if (line[at] == '/')
                        note_path(search, line + at);
        }
        if (stream)
                (void) fclose(stream);
}

/* The fourth field of mountinfo, what of its file system is mounted, ends as the folder's path does: where the file system
 * is mounted here is not known to it. */
static void note_mount(Search *search, const char *root) {
        for (size_t i = 0; i < search->n; i++) {
                const char *path = search->folders[i].path;

                for (const char *end = path; end; end = strchr(end + 1, '/')) {
                        size_t length = strlen(end);

                        /* At least ".../releases/<name>": what is shorter could be anybody's. */
                        if (!strchr(end + 1, '/'))
                                break;
                        if (strncmp(root, end, length) == 0 && (root[length] == '/' || root[length] == ' '))
                                search->folders[i].user = search->pid;
                }
        }
}

static void look_at_mounts(Search *search, int process) {
        FILE *stream = open_table(process, "mountinfo");
        _cleanup_free_ char *line = NULL;
        size_t size = 0;

        while (stream && getline(&line, &size, stream) > 0) {
                int at = 0;

                (void) sscanf(line, "%*s %*s %*s %n", &at);
                if (at > 0)
                        note_mount(search, line + at);
        }
        if (stream)
                (void) fclose(stream);
}

static void look_at_process(Search *search, int proc, const char *name) {
        static const char *const links[] = { "exe", "cwd", "root" };
        int process = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (process < 0)
                return;
        for (size_t i = 0; i < ELEMENTSOF(links); i++)
                look_at_link(search, process, links[i]);
        look_at_open_files(search, process);
        look_at_mapped_files(search, process);
        look_at_mounts(search, process);
        close_fd(process);
}

static int look_at_processes(Search *search, pid_t ignored, Error *error) {
        _cleanup_closedir_ DIR *proc = opendir("/proc");
        const char *found;
        int r;

        if (!proc)
                return error_set_errno(error, -errno, "/proc");
        while ((r = folder_next(proc, &found)) > 0) {
                uint64_t pid;

                if (parse_u64(found, &pid) < 0 || pid == (uint64_t) getpid() || pid == (uint64_t) ignored)
                        continue;
                search->pid = (pid_t) pid;
                look_at_process(search, dirfd(proc), found);
        }
        return r < 0 ? error_set_errno(error, r, "/proc") : 0;
}

int file_users_find(FileUsersFolder *folders, size_t n, pid_t ignored, Error *error) {
        Search search = { .folders = folders, .n = n };
        int r;

        r = collect(&search, error);
        if (r >= 0 && n > 0)
                r = look_at_processes(&search, ignored, error);
        free(search.inodes);
        return r;
}
