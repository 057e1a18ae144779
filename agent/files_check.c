#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/utf8.h"
#include "agent/files.h"
#include "agent/files_check.h"
#include "agent/files_folders.h"
#include "agent/files_list.h"
#include "agent/files_same.h"

typedef struct Check {
        int release_fd;
        TreeDriftVisit visit;
        void *userdata;
        FilesFolders folders;
} Check;

static int _printf_(5, 6) tell(const Check *check, TreeDriftKind kind, const FilesEntry *entry, Error *error,
                               const char *format, ...) {
        TreeDrift drift = { .kind = kind, .path = entry->path };
        va_list arguments;

        va_start(arguments, format);
        utf8_vformat(drift.detail, sizeof(drift.detail), format, arguments);
        va_end(arguments);
        return check->visit(&drift, check->userdata, error);
}

static int check_rights(const Check *check, const FilesEntry *entry, const struct stat *st, Error *error) {
        mode_t mode = st->st_mode & 07777U;
        int r = 0;

        if (st->st_uid != entry->uid || st->st_gid != entry->gid)
                r = tell(check, TREE_OWNER, entry, error, "belongs to %u:%u, installed as %u:%u",
                         (unsigned) st->st_uid, (unsigned) st->st_gid, (unsigned) entry->uid,
                         (unsigned) entry->gid);
        if (r >= 0 && mode != entry->mode)
                r = tell(check, TREE_MODE, entry, error, "mode %04o, installed as %04o", (unsigned) mode,
                         (unsigned) entry->mode);
        return r;
}

static mode_t kind_of(const FilesEntry *entry) {
        return entry->type == ENTRY_FOLDER ? S_IFDIR : entry->type == ENTRY_LINK ? S_IFLNK : S_IFREG;
}

static int check_entry(Check *check, const FilesEntry *entry, Error *error) {
        const char *name;
        struct stat st;
        int fd, r = 0;

        fd = files_folders_open(&check->folders, entry->path, &name);
        if (fd < 0 || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return tell(check, TREE_MISSING, entry, error, "it is not there");
        if ((st.st_mode & S_IFMT) != kind_of(entry))
                return tell(check, TREE_CHANGED, entry, error, "it is something else than was installed");
        if (entry->type != ENTRY_LINK)
                r = check_rights(check, entry, &st, error);
        if (r >= 0 && !files_same_content(entry, check->release_fd, fd, name))
                r = tell(check, TREE_CHANGED, entry, error, "%s",
                         entry->type == ENTRY_LINK ? "links to somewhere else" : "other content");
        return r;
}

int files_check(const ReleaseStore *store, const char *name, TreeDriftVisit visit, void *userdata,
                Error *error) {
        Check check = { .release_fd = -1, .visit = visit, .userdata = userdata };
        _cleanup_files_list_ FilesList installed = {};
        int r;

        if (files_are_unsettled(store))
                return 0;
        r = files_read_installed(store, &installed, error);
        if (r <= 0)
                return r;
        check.release_fd = store_open_release(store, name, error);
        if (check.release_fd < 0)
                return check.release_fd;
        files_folders_init(&check.folders);
        for (size_t i = 0; i < installed.n && r >= 0; i++)
                r = check_entry(&check, installed.items + i, error);
        files_folders_deinit(&check.folders);
        close_fd(check.release_fd);
        return r < 0 ? r : 0;
}
