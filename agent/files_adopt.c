#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/files_adopt.h"
#include "artifacts/entry_tree.h"
#include "artifacts/tree_manifest.h"

static int compare_target(const void *path, const void *target) {
        return tree_path_compare(path, ((const FileTarget *) target)->path);
}

/* "" where the release says nothing of the path. */
static const char *source_of(const FileMap *map, const char *path) {
        const FileTarget *target =
                map->n > 0 ? bsearch(path, map->items, map->n, sizeof(*map->items), compare_target) : NULL;

        return target ? target->source : "";
}

/* 1 with the entry's attributes, or 0 for what no release installs. */
static int look(int fd, const char *name, FilesEntry *entry, char **ret_target) {
        struct stat st;
        int r;

        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        entry->mode = st.st_mode & 07777U;
        entry->uid = st.st_uid;
        entry->gid = st.st_gid;
        if (S_ISREG(st.st_mode))
                entry->type = ENTRY_FILE;
        else if (S_ISDIR(st.st_mode))
                entry->type = ENTRY_FOLDER;
        else if (S_ISLNK(st.st_mode))
                entry->type = ENTRY_LINK;
        else
                return 0;
        if (entry->type != ENTRY_LINK)
                return 1;
        r = file_read_link_at(fd, name, ret_target);
        return r < 0 ? r : 1;
}

static int add(const FilesPlace *place, const char *name, const char *source, FilesList *list) {
        _cleanup_free_ char *path = NULL, *target = NULL;
        FilesEntry entry = {};
        int r;

        r = look(place->fd, name, &entry, &target);
        if (r <= 0)
                return r;
        if (asprintf(&path, "%s/%s", place->path, name) < 0)
                return -ENOMEM;
        entry.path = path;
        entry.target = target;
        entry.source = entry.type == ENTRY_FILE ? (char *) source : NULL;
        return files_list_add(list, &entry, NULL);
}

static int add_path(const char *path, const FileMap *map, const FilesPlaceRules *rules, FilesList *list,
                    Error *error) {
        _cleanup_files_place_ FilesPlace place = { .fd = -1 };
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *folder = strndup(path, slash == path ? 1 : (size_t) (slash - path));
        int r;

        if (!folder)
                return error_oom(error);
        r = files_place_find(folder, rules, &place, error);
        if (r == -EPERM || r == -ENOTDIR || (r >= 0 && *place.rest))
                return 0;
        if (r < 0)
                return r;
        r = add(&place, slash + 1, source_of(map, path), list);
        return r < 0 ? error_set_errno(error, r, "cannot look at %s", path) : 0;
}

int files_adopt_list(char *const *paths, const FileMap *map, const FilesPlaceRules *rules, FilesList *ret,
                     Error *error) {
        FilesList list = {};
        const char *twice;
        int r = 0;

        STRV_FOREACH(path, paths)
                if (r >= 0)
                        r = add_path(*path, map, rules, &list, error);
        if (r >= 0) {
                r = files_list_sort(&list, &twice);
                if (r < 0)
                        error_set_fault(error, r, FAULT_INPUT, "%s is in the list of what is installed twice",
                                        twice);
        }
        if (r < 0) {
                files_list_deinit(&list);
                return r;
        }
        *ret = list;
        return 0;
}
