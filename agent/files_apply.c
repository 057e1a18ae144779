#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/files_apply.h"
#include "agent/files_folders.h"
#include "artifacts/release_files.h"

/* An operation that is looked at: the folder it happens in, and the names there. */
typedef struct Spot {
        const FilesJournal *journal;
        const FilesOperation *operation;
        size_t number;
        int fd;
        const char *name;
        char new[FILES_NAME_SIZE];
        char old[FILES_NAME_SIZE];
} Spot;

typedef int (*SpotFunction)(const Spot *spot);

static bool is_there(int fd, const char *name) {
        struct stat st;

        return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_folder(int fd, const char *name) {
        struct stat st;

        return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* Without replacing anything. Not every file system can be asked to see to that itself. */
static int move(int fd, const char *from, const char *to) {
        if (renameat2(fd, from, fd, to, RENAME_NOREPLACE) == 0)
                return 0;
        if (errno != EINVAL)
                return -errno;
        if (is_there(fd, to))
                return -EEXIST;
        return renameat(fd, from, fd, to) < 0 ? -errno : 0;
}

/* Forward */

static int switch_new(const Spot *spot) {
        return move(spot->fd, spot->new, spot->name);
}

/* What is replaced gets a second name before, so that there is a file at the place all the time. Where there are no second
 * names it is moved there. */
static int switch_replace(const Spot *spot) {
        if (linkat(spot->fd, spot->name, spot->fd, spot->old, 0) < 0) {
                int r = errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK
                                ? move(spot->fd, spot->name, spot->old)
                                : -errno;

                if (r < 0)
                        return r;
        }
        return renameat(spot->fd, spot->new, spot->fd, spot->name) < 0 ? -errno : 0;
}

static int switch_remove(const Spot *spot) {
        int r = move(spot->fd, spot->name, spot->old);

        return r == -ENOENT ? 0 : r;
}

static int set_rights(const Spot *spot, const FilesRights *rights, const FilesAttributes *attributes) {
        _cleanup_close_ int fd = -1;

        fd = openat(spot->fd, spot->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (fchown(fd, rights->uid, rights->gid) < 0 || fchmod(fd, rights->mode) < 0)
                return -errno;
        return files_attributes_set(fd, attributes);
}

static int switch_change(const Spot *spot) {
        return set_rights(spot, &spot->operation->after, &spot->operation->attributes_after);
}

static int do_nothing(_unused_ const Spot *spot) {
        return 0;
}

/* Back */

static int undo_new(const Spot *spot) {
        int r;

        if (is_there(spot->fd, spot->new))
                return 0;
        r = move(spot->fd, spot->name, spot->new);
        return r == -ENOENT ? 0 : r;
}

static bool is_same_file(const Spot *spot) {
        struct stat a, b;

        return fstatat(spot->fd, spot->name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
               fstatat(spot->fd, spot->old, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev &&
               a.st_ino == b.st_ino;
}

/* Of what has only got its second name yet nothing is to be put right: drop_replaced() takes that name away. */
static int undo_replace(const Spot *spot) {
        if (!is_there(spot->fd, spot->old) || is_same_file(spot))
                return 0;
        return renameat(spot->fd, spot->old, spot->fd, spot->name) < 0 ? -errno : 0;
}

static int undo_remove(const Spot *spot) {
        if (!is_there(spot->fd, spot->old))
                return 0;
        return renameat(spot->fd, spot->old, spot->fd, spot->name) < 0 ? -errno : 0;
}

static int undo_change(const Spot *spot) {
        int r = set_rights(spot, &spot->operation->before, &spot->operation->attributes_before);

        return r == -ENOENT ? 0 : r;
}

/* What arrived goes */

/* What the release brought is not there, or somebody has put something else there, or something into it. */
static bool is_gone(int e) {
        return e == ENOENT || e == ENOTEMPTY || e == EEXIST || e == EISDIR || e == ENOTDIR || e == ELOOP;
}

static int remove_made(const Spot *spot, const FilesEntry *entry) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int parent = -1;
        char *slash;

        if (asprintf(&path, "%s%s", spot->new, entry->path + strlen(spot->operation->path)) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        slash = strrchr(path, '/');
        if (slash)
                *slash = '\0';
        parent = file_open_at(spot->fd, slash ? path : ".", O_RDONLY | O_DIRECTORY, 0);
        if (parent < 0)
                return is_gone(-parent) ? 0 : parent;
        if (unlinkat(parent, slash ? slash + 1 : path, entry->type == ENTRY_FOLDER ? AT_REMOVEDIR : 0) == 0)
                return 0;
        return is_gone(errno) ? 0 : -errno;
}

/* Of a folder goes what the release brought; what else is in it makes that it stays. */
static int drop_folder(const Spot *spot) {
        const FilesList *installed = &spot->journal->installed;
        size_t first = files_list_first_within(installed, spot->operation->path), end = first;
        int r = 0;

        while (end < installed->n &&
               release_place_is_within(installed->items[end].path, spot->operation->path))
                end++;
        while (end > first && r >= 0)
                r = remove_made(spot, installed->items + --end);
        if (r >= 0 && is_there(spot->fd, spot->new))
                r = move(spot->fd, spot->new, spot->name);
        return r == -EEXIST ? 0 : r;
}

/* Where nothing can be written, not even a name that is not there can be removed. */
static int remove_name(int fd, const char *name) {
        if (unlinkat(fd, name, 0) == 0 || errno == ENOENT)
                return 0;
        return errno == EROFS && !is_there(fd, name) ? 0 : -errno;
}

static int drop_new(const Spot *spot) {
        return is_folder(spot->fd, spot->new) ? drop_folder(spot) : remove_name(spot->fd, spot->new);
}

static int drop_replaced(const Spot *spot) {
        int r = remove_name(spot->fd, spot->new);

        return r < 0 ? r : remove_name(spot->fd, spot->old);
}

/* The end */

static int finish_old(const Spot *spot) {
        return file_remove_tree_at(spot->fd, spot->old);
}

static int finish_forget(const Spot *spot) {
        if (unlinkat(spot->fd, spot->name, AT_REMOVEDIR) == 0 || errno == ENOENT || errno == ENOTEMPTY ||
            errno == EEXIST || errno == ENOTDIR || errno == EBUSY)
                return 0;
        return -errno;
}

/* All of them */

static const SpotFunction forward[FILES_OPERATION_KINDS] = {
        [FILES_NEW] = switch_new,       [FILES_REPLACE] = switch_replace, [FILES_REMOVE] = switch_remove,
        [FILES_CHANGE] = switch_change, [FILES_FORGET] = do_nothing,
};
static const SpotFunction back[FILES_OPERATION_KINDS] = {
        [FILES_NEW] = undo_new,       [FILES_REPLACE] = undo_replace, [FILES_REMOVE] = undo_remove,
        [FILES_CHANGE] = undo_change, [FILES_FORGET] = do_nothing,
};
static const SpotFunction drop[FILES_OPERATION_KINDS] = {
        [FILES_NEW] = drop_new,      [FILES_REPLACE] = drop_replaced, [FILES_REMOVE] = do_nothing,
        [FILES_CHANGE] = do_nothing, [FILES_FORGET] = do_nothing,
};
static const SpotFunction finish[FILES_OPERATION_KINDS] = {
        [FILES_NEW] = do_nothing,    [FILES_REPLACE] = finish_old,   [FILES_REMOVE] = finish_old,
        [FILES_CHANGE] = do_nothing, [FILES_FORGET] = finish_forget,
};

typedef struct Pass {
        const FilesJournal *journal;
        const SpotFunction *functions;
        bool lenient; /* a folder that is not there (any more) has nothing in it to put right */
} Pass;

static int visit(const Pass *pass, FilesFolders *folders, size_t i, Error *error) {
        const FilesOperation *operation = pass->journal->operations + i;
        Spot spot = { .journal = pass->journal, .operation = operation, .number = i + 1 };
        int r;

        if (pass->functions[operation->kind] == do_nothing)
                return 0;
        spot.fd = files_folders_open(folders, operation->path, &spot.name);
        if (spot.fd == -ENOENT && pass->lenient)
                return 0;
        files_journal_new_name(pass->journal, i + 1, spot.new);
        files_journal_old_name(pass->journal, i + 1, spot.old);
        r = spot.fd < 0 ? spot.fd : pass->functions[operation->kind](&spot);
        if (r == -EEXIST)
                return error_set_fault(error, r, FAULT_HOST,
                                       "%s: somebody else has put something there meanwhile",
                                       operation->path);
        return r < 0 ? files_folders_fail(operation->path, r, error) : 0;
}

static int visit_all(const Pass *pass, bool in_order, Error *error) {
        _cleanup_files_folders_ FilesFolders folders;
        size_t n = pass->journal->n;
        int r = 0;

        files_folders_init(&folders);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = visit(pass, &folders, in_order ? i : n - 1 - i, error);
        return r < 0 ? r : files_folders_sync(&folders, error);
}

int files_apply_switch(const FilesJournal *journal, Error *error) {
        return visit_all(&(Pass){ .journal = journal, .functions = forward }, true, error);
}

int files_apply_undo(const FilesJournal *journal, Error *error) {
        return visit_all(&(Pass){ .journal = journal, .functions = back, .lenient = true }, false, error);
}

int files_apply_drop(const FilesJournal *journal, Error *error) {
        return visit_all(&(Pass){ .journal = journal, .functions = drop, .lenient = true }, false, error);
}

int files_apply_finish(const FilesJournal *journal, Error *error) {
        return visit_all(&(Pass){ .journal = journal, .functions = finish, .lenient = true }, false, error);
}
