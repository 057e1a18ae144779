#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/files_copy.h"
#include "agent/files_folders.h"
#include "agent/files_stage.h"

typedef struct Stage {
        const FilesJournal *journal;
        int release_fd;
        FilesFolders folders;
        FilesCopy copy;
} Stage;

/* Where nobody has said it better. */
static int fail(int r, const FilesEntry *entry, Error *error) {
        if (error && error->message[0])
                return r;
        return r == -EPERM ? files_folders_fail(entry->path, r, error)
                           : error_set_errno(error, r, "cannot install %s", entry->path);
}

static int set_rights(int fd, const FilesEntry *entry, Error *error) {
        _cleanup_files_attributes_ FilesAttributes attributes = {};
        int r;

        if (fchown(fd, entry->uid, entry->gid) < 0 || fchmod(fd, entry->mode) < 0)
                return -errno;
        if (!entry->permission)
                return 0;
        r = files_attributes_make(entry->permission, entry->mode, fd, &attributes, error);
        return r < 0 ? r : files_attributes_set(fd, &attributes);
}

static int make_folder(int parent, const char *name, const FilesEntry *entry, Error *error) {
        _cleanup_close_ int fd = -1;

        if (mkdirat(parent, name, 0700) < 0)
                return -errno;
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? -errno : set_rights(fd, entry, error);
}

static int fill_file(Stage *stage, int from, int to, const FilesEntry *entry, Error *error) {
        struct timespec times[2];
        struct stat st;
        int r;

        if (fstat(from, &st) < 0)
                return -errno;
        r = files_copy(&stage->copy, from, to, (uint64_t) st.st_size);
        if (r >= 0)
                r = set_rights(to, entry, error);
        if (r < 0)
                return r;
        times[0] = times[1] = st.st_mtim;
        return futimens(to, times) < 0 ? -errno : 0;
}

static int make_file(Stage *stage, int parent, const char *name, const FilesEntry *entry, Error *error) {
        _cleanup_close_ int from = -1, to = -1;

        /* Root may leave the time of access alone: nothing is to be written in the release. */
        from = file_open_at(stage->release_fd, entry->source, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_NOATIME,
                            0);
        if (from < 0)
                return from;
        to = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        return to < 0 ? -errno : fill_file(stage, from, to, entry, error);
}

/* Where it arrives: the place of its operation under the operation's own name, and what is beneath it beneath that. */
static int arrival_of(const FilesJournal *journal, const FilesEntry *entry, char **ret) {
        const char *place = journal->operations[entry->operation - 1].path;
        char name[FILES_NAME_SIZE];

        files_journal_new_name(journal, entry->operation, name);
        if (asprintf(ret, "%.*s/%s%s", (int) (strrchr(place, '/') - place), place, name,
                     entry->path + strlen(place)) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int stage_entry(Stage *stage, const FilesEntry *entry, Error *error) {
        _cleanup_free_ char *path = NULL;
        const char *name;
        int parent, r;

        r = arrival_of(stage->journal, entry, &path);
        if (r < 0)
                return fail(r, entry, error);
        parent = files_folders_open(&stage->folders, path, &name);
        if (parent < 0)
                return fail(parent, entry, error);
        if (entry->type == ENTRY_FOLDER)
                r = make_folder(parent, name, entry, error);
        else if (entry->type == ENTRY_LINK)
                r = symlinkat(entry->target, parent, name) < 0 ? -errno : 0;
        else
                r = make_file(stage, parent, name, entry, error);
        return r < 0 ? fail(r, entry, error) : 0;
}

int files_stage(const FilesJournal *journal, int release_fd, Error *error) {
        Stage stage = { .journal = journal, .release_fd = release_fd };
        int r = 0;

        files_folders_init(&stage.folders);
        for (size_t i = 0; i < journal->installed.n && r >= 0; i++)
                if (journal->installed.items[i].operation > 0)
                        r = stage_entry(&stage, journal->installed.items + i, error);
        if (r >= 0)
                r = files_folders_sync(&stage.folders, error);
        files_folders_deinit(&stage.folders);
        return r;
}
