#include <string.h>

#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/parse.h"
#include "agent/files.h"
#include "agent/files_journal.h"
#include "agent/files_others.h"

static int add_all(FilesList *others, const FilesList *list, const char *app) {
        int r = 0;

        for (size_t i = 0; i < list->n && r >= 0; i++) {
                FilesEntry entry = list->items[i];

                entry.source = (char *) app;
                r = files_list_add(others, &entry, NULL);
        }
        return r;
}

static int add_installed(FilesList *others, int apps_fd, const char *app) {
        _cleanup_files_list_ FilesList list = {};
        _cleanup_buffer_ Buffer text = {};
        char path[512];

        (void) snprintf(path, sizeof(path), "%s/" FILES_INSTALLED, app);
        if (file_read_at(apps_fd, path, FILES_LIST_SIZE_MAX, &text) < 0 || text.size == 0 ||
            files_list_read((char *) text.data, &list, NULL) < 0)
                return 0;
        return add_all(others, &list, app);
}

static int add_journal(FilesList *others, int apps_fd, const char *app, const char *name) {
        _cleanup_files_journal_ FilesJournal journal = {};
        _cleanup_buffer_ Buffer text = {};
        char path[512];

        (void) snprintf(path, sizeof(path), "%s/%s", app, name);
        if (file_read_at(apps_fd, path, FILES_JOURNAL_SIZE_MAX, &text) < 0 || text.size == 0 ||
            files_journal_read((char *) text.data, &journal, NULL) < 0)
                return 0;
        return add_all(others, &journal.installed, app);
}

static int add_app(FilesList *others, int apps_fd, const char *app) {
        int r;

        r = add_installed(others, apps_fd, app);
        if (r >= 0)
                r = add_journal(others, apps_fd, app, FILES_JOURNAL);
        return r < 0 ? r : add_journal(others, apps_fd, app, FILES_PREPARE);
}

int files_others_read(const ReleaseStore *store, FilesList *ret, Error *error) {
        const char *own = strrchr(store->path, '/') + 1, *name, *twice;
        _cleanup_free_ char *apps = strndup(store->path, (size_t) (own - store->path));
        _cleanup_closedir_ DIR *dir = NULL;
        int fd, r;

        if (!apps)
                return error_oom(error);
        fd = file_open_at(AT_FDCWD, apps, O_RDONLY | O_DIRECTORY, 0);
        r = fd < 0 ? fd : folder_take(fd, &dir);
        while (r >= 0 && (r = folder_next(dir, &name)) > 0)
                if (name_is_valid(name) && strcmp(name, own) != 0) {
                        r = add_app(ret, fd, name);
                        if (r < 0)
                                break;
                }
        if (r < 0)
                return error_set_errno(error, r, "%s", apps);
        (void) files_list_sort(ret, &twice); /* what is installed is in a journal, too */
        return 0;
}
