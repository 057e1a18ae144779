#include <stdarg.h>
#include <string.h>

#include "agent/base/strv.h"
#include "artifacts/file_map.h"
#include "artifacts/tree_manifest.h"

#define PATH_SIZE_MAX 4096U /* as the kernel has it */
#define POSITION_MAX 64U

int file_map_init(FileMap *map, const ReleaseFiles *files, const ReleasePermissions *permissions) {
        *map = (FileMap){ .files = files, .permissions = permissions };
        map->found = calloc(files->n + 1, sizeof(*map->found));
        return map->found ? 0 : -ENOMEM;
}

void file_map_deinit(FileMap *map) {
        for (size_t i = 0; i < map->n; i++) {
                free(map->items[i].path);
                free(map->items[i].source);
                free(map->items[i].target);
        }
        free(map->items);
        free(map->found);
        *map = (FileMap){};
}

/* "appspec.yml:14: files[2].source" */
static int _printf_(6, 0) refuse_entry(const FileMap *map, unsigned line, const char *section, size_t index,
                                       const char *key, const char *format, va_list arguments, Error *error) {
        char where[POSITION_MAX] = "", text[ERROR_MESSAGE_MAX - POSITION_MAX];

        (void) vsnprintf(text, sizeof(text), format, arguments);
        if (line > 0)
                (void) snprintf(where, sizeof(where), ":%u", line);
        return error_set_fault(error, -EBADMSG, FAULT_RELEASE, "%s%s%s%s[%zu]%s: %s", map->name ?: "",
                               map->name ? where : "", map->name ? ": " : "", section, index, key, text);
}

/* KEY of the entry is what is wrong: ".source", or "" for more than one. */
static int _printf_(5, 6)
        refuse(const FileMap *map, size_t file, const char *key, Error *error, const char *format, ...) {
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = refuse_entry(map, map->files->items[file].line, "files", file, key, format, arguments, error);
        va_end(arguments);
        return r;
}

static int _printf_(5, 6) refuse_permission(const FileMap *map, const ReleasePermission *permission,
                                            const char *key, Error *error, const char *format, ...) {
        size_t index = (size_t) (permission - map->permissions->items);
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = refuse_entry(map, permission->line, "permissions", index, key, format, arguments, error);
        va_end(arguments);
        return r;
}

static FileTarget *grow(FileMap *map) {
        size_t allocated = map->allocated > 0 ? map->allocated * 2 : 64;
        FileTarget *items;

        if (map->n == map->allocated) {
                items = reallocarray(map->items, allocated, sizeof(*items));
                if (!items)
                        return NULL;
                map->items = items;
                map->allocated = allocated;
        }
        map->items[map->n] = (FileTarget){};
        return &map->items[map->n++];
}

/* PLACE/NAME, where either may be "". */
static int join(const char *place, const char *name, char **ret) {
        const char *slash = *name && strcmp(place, "/") != 0 ? "/" : "";

        if (asprintf(ret, "%s%s%s", place, slash, name) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return strlen(*ret) < PATH_SIZE_MAX ? 0 : -ENAMETOOLONG;
}

static int add_target(FileMap *map, size_t file, const FileSource *source, const char *name, Error *error) {
        FileTarget *target = grow(map);
        int r;

        if (!target)
                return error_oom(error);
        target->type = source->type == ENTRY_HARD_LINK ? ENTRY_FILE : source->type;
        target->file = file;
        target->mode = source->mode;
        target->size = source->size;
        if (string_set(&target->source, source->path) < 0 || string_set(&target->target, source->target) < 0)
                return error_oom(error);
        r = join(map->files->items[file].destination, name, &target->path);
        if (r == -ENAMETOOLONG)
                return refuse(map, file, ".destination", error, "%s would lie deeper than paths can be long",
                              source->path);
        return r < 0 ? error_oom(error) : 0;
}

/* The link itself, for the folder that it leads to. */
static int add_link(FileMap *map, size_t file, const FileSource *source, Error *error) {
        const FileSource link = { .type = ENTRY_LINK, .path = source->path };

        if (source->type != ENTRY_FOLDER)
                return refuse(map, file, ".mode", error, "%s is no folder, which mode: link asks for",
                              source->path);
        return add_target(map, file, &link, "", error);
}

static const char *last_part(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static int add_to_file(FileMap *map, size_t i, const FileSource *source, Error *error) {
        const ReleaseFile *file = map->files->items + i;
        size_t n = strlen(file->source);

        if (n > 0 &&
            (strncmp(source->path, file->source, n) != 0 || (source->path[n] && source->path[n] != '/')))
                return 0;
        if (source->path[n] == '\0') { /* the source itself */
                map->found[i] = true;
                if (file->mode == RELEASE_FILE_LINK)
                        return add_link(map, i, source, error);
                return add_target(map, i, source, source->type == ENTRY_FOLDER ? "" : last_part(source->path),
                                  error);
        }
        if (file->mode == RELEASE_FILE_LINK)
                return 0;
        return add_target(map, i, source, source->path + n + (n > 0), error);
}

int file_map_add(FileMap *map, const FileSource *source, Error *error) {
        int r = 0;

        for (size_t i = 0; i < map->files->n && r >= 0; i++)
                r = add_to_file(map, i, source, error);
        return r;
}

int file_map_add_manifest(FileMap *map, const void *text, size_t size, Error *error) {
        _cleanup_free_ TreeReader *reader = calloc(1, sizeof(*reader));
        TreeEntry entry;
        int r;

        if (!reader)
                return error_oom(error);
        reader->data = text;
        reader->size = size;
        while ((r = tree_reader_next(reader, &entry, error)) > 0) {
                const FileSource source = { .type = entry.type,
                                            .path = entry.path,
                                            .target = entry.type == ENTRY_LINK ? entry.target : NULL,
                                            .mode = entry.mode,
                                            .size = entry.size };

                r = file_map_add(map, &source, error);
                if (r < 0)
                        break;
        }
        return r;
}

/* The tree itself has no entry of its own. */
static int add_root(FileMap *map, Error *error) {
        const FileSource root = { .type = ENTRY_FOLDER, .path = "" };
        int r = 0;

        for (size_t i = 0; i < map->files->n && r >= 0; i++)
                if (!*map->files->items[i].source)
                        r = add_to_file(map, i, &root, error);
        return r;
}

static int check_found(const FileMap *map, Error *error) {
        for (size_t i = 0; i < map->files->n; i++)
                if (!map->found[i])
                        return refuse(map, i, ".source", error, "there is no file or folder %s",
                                      map->files->items[i].source);
        return 0;
}

/* Among those of one path a folder is first, so that what is merged into it follows it. */
static int compare_targets(const void *a, const void *b) {
        const FileTarget *x = a, *y = b;
        int order = tree_path_compare(x->path, y->path);

        if (order == 0)
                order = (x->type > y->type) - (x->type < y->type);
        return order ?: (x->file > y->file) - (x->file < y->file);
}

static void drop(FileMap *map, size_t at) {
        free(map->items[at].path);
        free(map->items[at].source);
        free(map->items[at].target);
        map->items[at] = (FileTarget){};
}

/* LAST is the one before in order, of another path. */
static int check_target(const FileMap *map, const FileTarget *above, const FileTarget *target, Error *error) {
        if (above && above->type != ENTRY_FOLDER && release_place_is_within(target->path, above->path))
                return refuse(map, target->file, "", error,
                              "%s would lie beneath %s, which files[%zu] makes a %s", target->path,
                              above->path, above->file, above->type == ENTRY_LINK ? "link" : "file");
        return 0;
}

/* Takes out the folders that come more than once. */
static int merge(FileMap *map, Error *error) {
        const FileTarget *above = NULL;
        size_t kept = 0;
        int r;

        for (size_t i = 0; i < map->n; i++) {
                FileTarget *target = map->items + i, *last = kept > 0 ? map->items + kept - 1 : NULL;

                if (last && strcmp(last->path, target->path) == 0) {
                        if (last->type != ENTRY_FOLDER || target->type != ENTRY_FOLDER)
                                return refuse(map, target->file, "", error,
                                              "%s has two sources: %s, and %s of files[%zu]", target->path,
                                              target->source, last->source, last->file);
                        drop(map, i);
                        continue;
                }
                r = check_target(map, above, target, error);
                if (r < 0)
                        return r;
                if (kept != i) {
                        map->items[kept] = *target;
                        *target = (FileTarget){};
                }
                if (map->items[kept].type != ENTRY_FOLDER)
                        above = map->items + kept;
                kept++;
        }
        map->n = kept;
        return 0;
}

/* Permissions */

static int check_file_permission(const FileMap *map, const ReleasePermission *permission, const char *path,
                                 Error *error) {
        if (release_permission_has_default_acl(permission))
                return refuse_permission(map, permission, ".acls", error,
                                         "%s is a file, and only folders have default entries in their acls",
                                         path);
        if (strcmp(path, permission->object) == 0 && release_permission_chooses(permission))
                return refuse_permission(map, permission, permission->except.n > 0 ? ".except" : ".pattern",
                                         error, "%s is a file: pattern and except are for folders", path);
        return 0;
}

/* Links have no permissions of their own. */
static bool is_about(const ReleasePermission *permission, const FileTarget *target) {
        ReleaseObjectType type =
                target->type == ENTRY_FOLDER ? RELEASE_OBJECT_DIRECTORY : RELEASE_OBJECT_FILE;

        if (target->type == ENTRY_LINK || !release_permission_has_type(permission, type))
                return false;
        return (target->type == ENTRY_FILE && strcmp(permission->object, target->path) == 0) ||
               release_permission_matches(permission, target->path);
}

static int set_permission(const FileMap *map, FileTarget *target, const ReleasePermission *permission,
                          Error *error) {
        int r;

        if (target->permission)
                return refuse_permission(map, permission, ".object", error,
                                         "%s has its permissions by an entry before this one already",
                                         target->path);
        r = target->type == ENTRY_FILE ? check_file_permission(map, permission, target->path, error) : 0;
        if (r >= 0)
                target->permission = permission;
        return r;
}

static int set_permissions(const FileMap *map, Error *error) {
        int r = 0;

        for (size_t i = 0; i < map->permissions->n && r >= 0; i++) {
                const ReleasePermission *permission = map->permissions->items + i;

                for (size_t k = 0; k < map->n && r >= 0; k++)
                        if (is_about(permission, map->items + k))
                                r = set_permission(map, map->items + k, permission, error);
        }
        return r;
}

int file_map_finish(FileMap *map, Error *error) {
        int r;

        r = add_root(map, error);
        if (r >= 0)
                r = check_found(map, error);
        if (r < 0)
                return r;
        if (map->n > 1)
                qsort(map->items, map->n, sizeof(*map->items), compare_targets);
        r = merge(map, error);
        return r < 0 ? r : set_permissions(map, error);
}
