#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/files_place.h"
#include "agent/files_plan.h"
#include "agent/files_rights.h"
#include "agent/files_same.h"
#include "artifacts/tree_scan.h"

#define FOLDER_MODE 0755 /* CodeDeploy's, whatever the folder's mode in the bundle is */

/* A folder that something is to lie in. */
typedef struct Folder {
        char *asked;      /* as the release says it */
        char *path;       /* where it is */
        int fd;           /* -1: it is not there yet, and comes with */
        size_t operation; /* this one */
} Folder;

typedef struct Planner {
        const FilesPlan *plan;
        FilesJournal *journal;
        Folder folder; /* the last one; most files lie in the folder of the one before */
        char *tree;    /* the outermost folder that is made by */
        size_t tree_operation;
        char **removed; /* folders that go with all that is in them */
        bool *kept;     /* for each folder of plan->installed, whether it has been taken over */
        const ReleasePermission *known; /* of the last file that had any, and what it comes to */
        FilesRights known_rights;
} Planner;

static int refuse(Error *error, const char *path, const char *why) {
        return error_set_fault(error, -EEXIST, FAULT_RELEASE, "%s %s", path, why);
}

static int add_operation(Planner *p, FilesOperationKind kind, const char *path, size_t *ret, Error *error) {
        ssize_t number = files_journal_add(p->journal, kind, path);

        if (number < 0)
                return error_oom(error);
        *ret = (size_t) number;
        return 0;
}

static int add_entry(Planner *p, const FilesEntry *entry, Error *error) {
        return files_list_add(&p->journal->installed, entry, NULL) < 0 ? error_oom(error) : 0;
}

static int join(const char *folder, const char *name, char **ret, Error *error) {
        if (asprintf(ret, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name) < 0) {
                *ret = NULL;
                return error_oom(error);
        }
        if (strlen(*ret) >= FILES_PATH_MAX)
                return error_set_fault(error, -ENAMETOOLONG, FAULT_RELEASE, "%.64s…: the path is too long",
                                       *ret);
        return 0;
}

/* Whose it is */

static const FilesEntry *installed_at(const Planner *p, const char *path) {
        return files_list_find(p->plan->installed, path);
}

/* Files and links that the release before installed go, so a path through one of them is not there. */
static bool goes(const char *path, void *userdata) {
        const FilesEntry *entry = installed_at(userdata, path);

        return entry && entry->type != ENTRY_FOLDER;
}

static int check_others(const Planner *p, const char *path, Error *error) {
        const FilesEntry *entry = p->plan->others ? files_list_find(p->plan->others, path) : NULL;

        if (!entry || entry->type == ENTRY_FOLDER)
                return 0;
        return error_set_fault(error, -EEXIST, FAULT_RELEASE, "%s was installed by app %s", path,
                               entry->source);
}

/* Folders */

static void clear_folder(Planner *p) {
        close_fd(p->folder.fd);
        free(p->folder.asked);
        free(p->folder.path);
        p->folder = (Folder){ .fd = -1 };
}

/* The entry of `permissions` that is about a folder which no source stands for. */
static const ReleasePermission *permission_of(const Planner *p, const char *path) {
        const ReleasePermissions *permissions = p->plan->map->permissions;

        for (size_t i = 0; i < permissions->n; i++)
                if (release_permission_has_type(permissions->items + i, RELEASE_OBJECT_DIRECTORY) &&
                    release_permission_matches(permissions->items + i, path))
                        return permissions->items + i;
        return NULL;
}

/* How the release says a folder that is LEVELS above the one that it asks for; what leads there may be a link. */
static int ask_above(const char *asked, size_t levels, char **ret, Error *error) {
        char *path = strdup(asked);

        if (!path)
                return error_oom(error);
        for (char *slash; levels > 0 && (slash = strrchr(path, '/')); levels--)
                *slash = '\0';
        *ret = path;
        return 0;
}

static size_t count_names(const char *path) {
        size_t n = 0;

        for (path += strspn(path, "/"); *path; path += strspn(path, "/")) {
                path += strcspn(path, "/");
                n++;
        }
        return n;
}

/* A folder that OPERATION makes, and that the release calls ASKED. */
static int add_made(Planner *p, const char *path, const char *asked, size_t operation, Error *error) {
        FilesEntry entry = {
                .type = ENTRY_FOLDER,
                .path = (char *) path,
                .operation = operation,
                .permission = permission_of(p, asked),
        };
        FilesRights rights = { .mode = FOLDER_MODE, .uid = geteuid(), .gid = getegid() };
        int r;

        r = files_rights_apply(entry.permission, &rights, error);
        if (r < 0)
                return r;
        entry.mode = rights.mode;
        entry.uid = rights.uid;
        entry.gid = rights.gid;
        return add_entry(p, &entry, error);
}

typedef struct Change {
        FilesRights before, after;
        FilesAttributes attributes_before, attributes_after;
} Change;

static void change_deinit(Change *change) {
        files_attributes_deinit(&change->attributes_before);
        files_attributes_deinit(&change->attributes_after);
}

static bool changes_anything(const Change *change) {
        return change->after.mode != change->before.mode || change->after.uid != change->before.uid ||
               change->after.gid != change->before.gid ||
               !files_attributes_equal(&change->attributes_before, &change->attributes_after);
}

static int compare_folder(int fd, const ReleasePermission *permission, Change *change, Error *error) {
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return error_set_errno(error, -errno, "cannot look at a folder");
        change->before = (FilesRights){ .mode = st.st_mode & 07777U, .uid = st.st_uid, .gid = st.st_gid };
        change->after = change->before;
        r = files_rights_apply(permission, &change->after, error);
        if (r >= 0)
                r = files_attributes_make(permission, change->after.mode, fd, &change->attributes_after,
                                          error);
        if (r < 0)
                return r;
        r = files_attributes_read(fd, &change->attributes_after, &change->attributes_before);
        return r < 0 ? error_set_errno(error, r, "cannot read the access control list of a folder") : 0;
}

/* Moves the attributes. */
static int add_change(Planner *p, const char *path, Change *change, Error *error) {
        ssize_t number = files_journal_add(p->journal, FILES_CHANGE, path);
        FilesOperation *operation;

        if (number < 0)
                return error_oom(error);
        operation = p->journal->operations + number - 1;
        operation->before = change->before;
        operation->after = change->after;
        operation->attributes_before = change->attributes_before;
        operation->attributes_after = change->attributes_after;
        change->attributes_before = change->attributes_after = (FilesAttributes){};
        return 0;
}

/* A folder that muster made before, and that stays. Without a word about it in `permissions` it stays as it is: hooks
 * may have given it away. */
static int keep_made(Planner *p, const FilesEntry *made, const char *asked, Error *error) {
        FilesEntry entry = { .type = ENTRY_FOLDER,
                             .path = made->path,
                             .permission = permission_of(p, asked) };
        _cleanup_(change_deinit) Change change = {};
        _cleanup_close_ int fd = -1;
        int r;

        fd = files_place_open(made->path);
        if (fd < 0)
                return error_set_errno(error, fd, "%s", made->path);
        r = compare_folder(fd, entry.permission, &change, error);
        if (r >= 0 && changes_anything(&change) && !p->plan->missing_only)
                r = add_change(p, made->path, &change, error);
        entry.mode = change.after.mode;
        entry.uid = change.after.uid;
        entry.gid = change.after.gid;
        return r < 0 ? r : add_entry(p, &entry, error);
}

static int keep_if_made(Planner *p, const char *path, const char *asked, size_t levels, Error *error) {
        const FilesEntry *made = installed_at(p, path);
        _cleanup_free_ char *above = NULL;
        int r;

        if (!made || made->type != ENTRY_FOLDER || p->kept[made - p->plan->installed->items])
                return 0;
        p->kept[made - p->plan->installed->items] = true;
        r = ask_above(asked, levels, &above, error);
        return r < 0 ? r : keep_made(p, made, above, error);
}

/* The folders on the way to PATH, and itself, as far as muster made them. */
static int keep_all_made(Planner *p, const char *path, const char *asked, Error *error) {
        _cleanup_free_ char *way = strdup(path);
        size_t levels = count_names(path);
        int r = 0;

        if (!way)
                return error_oom(error);
        for (char *end = way; *end && r >= 0;) {
                char was;

                end += 1 + strcspn(end + 1, "/");
                was = *end;
                *end = '\0';
                r = keep_if_made(p, way, asked, --levels, error);
                *end = was;
        }
        return r;
}

/* What stands where a folder is to be made. */
static int clear_way(Planner *p, int fd, const char *name, const char *path, Error *error) {
        struct stat st;
        size_t number;

        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : error_set_errno(error, -errno, "%s", path);
        if (!goes(path, p))
                return refuse(error, path, "is no folder, and was not installed by muster");
        return add_operation(p, FILES_REMOVE, path, &number, error);
}

/* The outermost folder that is missing: all that lies in it comes with it. */
static int begin_tree(Planner *p, int fd, const char *name, const char *path, Error *error) {
        int r;

        if (string_equal(p->tree, path))
                return 0;
        r = clear_way(p, fd, name, path, error);
        if (r >= 0)
                r = add_operation(p, FILES_NEW, path, &p->tree_operation, error);
        if (r >= 0 && string_set(&p->tree, path) < 0)
                r = error_oom(error);
        return r;
}

/* Makes what is missing of a folder's path. */
static int make_way(Planner *p, const FilesPlace *place, const char *asked, char **ret, Error *error) {
        _cleanup_free_ char *path = strdup(place->path), *rest = strdup(place->rest);
        size_t levels = count_names(place->rest);
        char *names = rest;
        bool first = true;
        int r = 0;

        if (!path || !rest)
                return error_oom(error);
        for (char *name; r >= 0 && (name = strsep(&names, "/"));) {
                _cleanup_free_ char *next = NULL, *above = NULL;

                if (!*name)
                        continue;
                r = join(path, name, &next, error);
                if (r >= 0 && first)
                        r = begin_tree(p, place->fd, name, next, error);
                if (r >= 0)
                        r = ask_above(asked, --levels, &above, error);
                if (r >= 0)
                        r = add_made(p, next, above, p->tree_operation, error);
                first = false;
                free(path);
                path = TAKE_PTR(next);
        }
        if (r >= 0)
                *ret = TAKE_PTR(path);
        return r;
}

static int find_folder(Planner *p, const char *asked, Error *error) {
        const FilesPlaceRules rules = { .state_dir = p->plan->state_dir, .goes = goes, .userdata = p };
        _cleanup_files_place_ FilesPlace place = { .fd = -1 };
        int r;

        if (p->folder.path && string_equal(p->folder.asked, asked))
                return 0;
        clear_folder(p);
        r = files_place_find(asked, &rules, &place, error);
        if (r >= 0)
                r = keep_all_made(p, place.path, asked, error);
        if (r >= 0 && *place.rest)
                r = make_way(p, &place, asked, &p->folder.path, error);
        if (r < 0)
                return r;
        if (*place.rest) {
                p->folder.operation = p->tree_operation;
        } else {
                p->folder.path = TAKE_PTR(place.path);
                p->folder.fd = TAKE_FD(place.fd);
        }
        return string_set(&p->folder.asked, asked) < 0 ? error_oom(error) : 0;
}

/* Files and links */

/* Nothing lies in the folder but what the release before installed. */
typedef struct Search {
        const Planner *p;
        const char *path;
} Search;

static int is_installed(const TreeFound *found, void *userdata, Error *error) {
        const Search *search = userdata;
        _cleanup_free_ char *path = NULL;
        int r;

        r = join(search->path, found->path, &path, error);
        if (r < 0 || installed_at(search->p, path))
                return r;
        return error_set_fault(error, -EEXIST, FAULT_RELEASE,
                               "%s is a folder that has something else in it than muster installed: %s",
                               search->path, found->path);
}

static int remove_folder(Planner *p, const char *path, Error *error) {
        const Search search = { .p = p, .path = path };
        _cleanup_close_ int fd = -1;
        size_t number;
        int r;

        fd = files_place_open(path);
        if (fd < 0)
                return error_set_errno(error, fd, "%s", path);
        r = tree_scan(fd, is_installed, (void *) &search, error);
        if (r >= 0 && strv_append(&p->removed, path) < 0)
                r = error_oom(error);
        return r < 0 ? r : add_operation(p, FILES_REMOVE, path, &number, error);
}

/* What is in the way of a file or link: 1 if it is replaced, 0 if nothing is there (any more), -ECANCELED if it stays,
 * -EALREADY if it stays as what the release before installed. */
static int look_at(Planner *p, const char *name, const char *path, Error *error) {
        const FilesEntry *installed = installed_at(p, path);
        struct stat st;

        if (fstatat(p->folder.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : error_set_errno(error, -errno, "%s", path);
        if (S_ISDIR(st.st_mode) && !(installed && installed->type == ENTRY_FOLDER))
                return refuse(error, path, "is a folder, and was not made by muster");
        if (S_ISDIR(st.st_mode) && !p->plan->missing_only)
                return remove_folder(p, path, error);
        if (p->plan->missing_only)
                return installed ? -EALREADY : -ECANCELED;
        if (installed)
                return 1;
        if (p->plan->exists == RELEASE_FILE_DISALLOW)
                return refuse(
                        error, path,
                        "is there already, and was not installed by muster (file_exists_behavior is DISALLOW)");
        return p->plan->exists == RELEASE_FILE_RETAIN ? -ECANCELED : 1;
}

static int fill_file(Planner *p, const FileTarget *target, FilesEntry *entry, Error *error) {
        FilesRights rights = { .uid = geteuid(), .gid = getegid() };
        int r;

        if (target->permission && target->permission != p->known) {
                r = files_rights_apply(target->permission, &rights, error);
                if (r < 0)
                        return r;
                p->known = target->permission;
                p->known_rights = rights;
        }
        if (target->permission)
                rights = p->known_rights;
        entry->mode = target->permission && target->permission->mode ? rights.mode : target->mode;
        entry->uid = rights.uid;
        entry->gid = rights.gid;
        entry->size = target->size;
        entry->source = target->source;
        entry->permission = target->permission;
        return 0;
}

/* The texts are the target's, but for *LINK. */
static int fill_entry(Planner *p, const FileTarget *target, FilesEntry *entry, char **link, Error *error) {
        *entry = (FilesEntry){ .type = target->type, .target = target->target };
        if (target->type == ENTRY_FILE)
                return fill_file(p, target, entry, error);
        if (target->target)
                return 0;
        if (asprintf(link, "%s%s%s", p->plan->current, *target->source ? "/" : "", target->source) < 0) {
                *link = NULL;
                return error_oom(error);
        }
        entry->target = *link;
        return 0;
}

static int plan_file(Planner *p, const FileTarget *target, Error *error) {
        const char *slash = strrchr(target->path, '/');
        _cleanup_free_ char *asked = NULL, *link = NULL, *path = NULL;
        FilesEntry entry;
        int r;

        asked = slash == target->path ? strdup("/") : strndup(target->path, (size_t) (slash - target->path));
        if (!asked)
                return error_oom(error);
        r = find_folder(p, asked, error);
        if (r >= 0)
                r = join(p->folder.path, slash + 1, &path, error);
        if (r >= 0)
                r = fill_entry(p, target, &entry, &link, error);
        if (r < 0)
                return r;
        entry.path = path;
        entry.operation = p->folder.operation;
        r = check_others(p, path, error);
        if (r >= 0 && entry.operation == 0) {
                r = look_at(p, slash + 1, path, error);
                if (r == -ECANCELED)
                        return 0;
                if (r == -EALREADY)
                        return add_entry(p, installed_at(p, path), error);
                if (r > 0 && files_same(&entry, p->plan->release_fd, p->folder.fd, slash + 1))
                        return add_entry(p, &entry, error);
                if (r >= 0)
                        r = add_operation(p, r > 0 ? FILES_REPLACE : FILES_NEW, path, &entry.operation,
                                          error);
        }
        return r < 0 ? r : add_entry(p, &entry, error);
}

/* What the release before installed and this one does not */

static bool is_removed(const Planner *p, const char *path) {
        STRV_FOREACH(folder, p->removed)
                if (release_place_is_within(path, *folder))
                        return true;
        return false;
}

static int remove_entry(Planner *p, const FilesEntry *entry, Error *error) {
        const char *slash = strrchr(entry->path, '/');
        _cleanup_free_ char *folder = strndup(entry->path, (size_t) (slash - entry->path));
        _cleanup_close_ int fd = -1;
        struct stat st;
        size_t number;

        if (!folder)
                return error_oom(error);
        fd = files_place_open(folder);
        if (fd < 0 || fstatat(fd, slash + 1, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return 0; /* it is gone, or cannot be reached as it was */
        if (entry->type == ENTRY_FOLDER)
                return S_ISDIR(st.st_mode) ? add_operation(p, FILES_FORGET, entry->path, &number, error) : 0;
        return S_ISDIR(st.st_mode) ? 0 : add_operation(p, FILES_REMOVE, entry->path, &number, error);
}

static int remove_surplus(Planner *p, Error *error) {
        int r = 0;

        for (size_t i = 0; i < p->plan->installed->n && r >= 0; i++) {
                const FilesEntry *entry = p->plan->installed->items + i;

                if (!files_list_find(&p->journal->installed, entry->path) && !is_removed(p, entry->path))
                        r = remove_entry(p, entry, error);
        }
        return r;
}

static int plan_all(Planner *p, Error *error) {
        const FileMap *map = p->plan->map;
        const char *twice;
        int r = 0;

        for (size_t i = 0; i < map->n && r >= 0; i++)
                r = map->items[i].type == ENTRY_FOLDER ? find_folder(p, map->items[i].path, error)
                                                       : plan_file(p, map->items + i, error);
        if (r < 0)
                return r;
        r = files_list_sort(&p->journal->installed, &twice);
        if (r < 0)
                return refuse(error, twice, "has two sources, by two ways that lead there");
        return remove_surplus(p, error);
}

int files_plan(const FilesPlan *plan, FilesJournal *journal, Error *error) {
        Planner planner = { .plan = plan, .journal = journal, .folder = { .fd = -1 } };
        int r;

        planner.kept = calloc(plan->installed->n + 1, sizeof(*planner.kept));
        r = planner.kept ? plan_all(&planner, error) : error_oom(error);
        clear_folder(&planner);
        strv_free(planner.removed);
        free(planner.kept);
        free(planner.tree);
        return r;
}
