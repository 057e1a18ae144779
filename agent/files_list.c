#include <inttypes.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/files_list.h"
#include "agent/files_text.h"
#include "artifacts/release_files.h"
#include "artifacts/tree_manifest.h"

static void clear_entry(FilesEntry *entry) {
        free(entry->path);
        free(entry->source);
        free(entry->target);
}

void files_list_deinit(FilesList *list) {
        for (size_t i = 0; i < list->n; i++)
                clear_entry(list->items + i);
        free(list->items);
        *list = (FilesList){};
}

int files_list_add(FilesList *list, const FilesEntry *entry, FilesEntry **ret) {
        FilesEntry copy = *entry, *items;
        int r;

        if (list->n == list->allocated) {
                size_t allocated = list->allocated > 0 ? list->allocated * 2 : 64;

                items = reallocarray(list->items, allocated, sizeof(*items));
                if (!items)
                        return -ENOMEM;
                list->items = items;
                list->allocated = allocated;
        }
        copy.path = copy.source = copy.target = NULL;
        r = string_set(&copy.path, entry->path);
        if (r >= 0)
                r = string_set(&copy.source, entry->source ? entry->source : "");
        if (r >= 0)
                r = string_set(&copy.target, entry->target);
        if (r < 0) {
                clear_entry(&copy);
                return r;
        }
        list->items[list->n] = copy;
        if (ret)
                *ret = list->items + list->n;
        list->n++;
        return 0;
}

static int compare_entries(const void *a, const void *b) {
        const FilesEntry *x = a, *y = b;

        return tree_path_compare(x->path, y->path);
}

int files_list_sort(FilesList *list, const char **ret_path) {
        size_t kept = 0;
        int r = 0;

        if (list->n > 1)
                qsort(list->items, list->n, sizeof(*list->items), compare_entries);
        for (size_t i = 0; i < list->n; i++) {
                FilesEntry *last = kept > 0 ? list->items + kept - 1 : NULL, entry = list->items[i];

                list->items[i] = (FilesEntry){};
                if (!last || strcmp(last->path, entry.path) != 0) {
                        list->items[kept++] = entry;
                } else if (last->type == ENTRY_FOLDER && entry.type == ENTRY_FOLDER) {
                        clear_entry(&entry);
                } else {
                        list->items[kept++] = entry;
                        *ret_path = entry.path;
                        r = -EEXIST;
                }
        }
        list->n = kept;
        return r;
}

/* The first entry that does not come before PATH. */
static size_t lower_bound(const FilesList *list, const char *path) {
        size_t low = 0, high = list->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (tree_path_compare(list->items[middle].path, path) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

const FilesEntry *files_list_find(const FilesList *list, const char *path) {
        size_t i = lower_bound(list, path);

        return i < list->n && strcmp(list->items[i].path, path) == 0 ? list->items + i : NULL;
}

size_t files_list_first_within(const FilesList *list, const char *path) {
        size_t i = lower_bound(list, path);

        return i < list->n && release_place_is_within(list->items[i].path, path) ? i : list->n;
}

static bool entry_equal(const FilesEntry *a, const FilesEntry *b) {
        return a->type == b->type && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
               strcmp(a->path, b->path) == 0 && strcmp(a->source, b->source) == 0 &&
               string_equal(a->target, b->target);
}

bool files_list_equal(const FilesList *a, const FilesList *b) {
        if (a->n != b->n)
                return false;
        for (size_t i = 0; i < a->n; i++)
                if (!entry_equal(a->items + i, b->items + i))
                        return false;
        return true;
}

/* Text */

static int write_entry(const FilesEntry *entry, Buffer *buffer) {
        switch (entry->type) {
        case ENTRY_FOLDER:
                return buffer_printf(buffer, "d\t%04o\t%u\t%u\t%s\n", (unsigned) entry->mode,
                                     (unsigned) entry->uid, (unsigned) entry->gid, entry->path);
        case ENTRY_LINK:
                return buffer_printf(buffer, "l\t%s\t%s\n", entry->target, entry->path);
        default:
                return buffer_printf(buffer, "f\t%04o\t%u\t%u\t%s\t%s\n", (unsigned) entry->mode,
                                     (unsigned) entry->uid, (unsigned) entry->gid, entry->source,
                                     entry->path);
        }
}

int files_list_write(const FilesList *list, Buffer *buffer) {
        int r = buffer_printf(buffer, "%s", FILES_LIST_HEADER);

        for (size_t i = 0; i < list->n && r >= 0; i++)
                r = write_entry(list->items + i, buffer);
        return r;
}

static int read_attributes(char *const *fields, FilesEntry *entry) {
        uint64_t mode, uid, gid;

        if (files_text_number(fields[0], 8, 07777, &mode) < 0 ||
            files_text_number(fields[1], 10, UINT32_MAX - 1, &uid) < 0 ||
            files_text_number(fields[2], 10, UINT32_MAX - 1, &gid) < 0)
                return -EBADMSG;
        entry->mode = (mode_t) mode;
        entry->uid = (uid_t) uid;
        entry->gid = (gid_t) gid;
        return 0;
}

static int read_entry(char **fields, size_t n, FilesEntry *ret) {
        *ret = (FilesEntry){};
        if (n == 5 && strcmp(fields[0], "d") == 0) {
                *ret = (FilesEntry){ .type = ENTRY_FOLDER, .path = fields[4] };
                return read_attributes(fields + 1, ret);
        }
        if (n == 6 && strcmp(fields[0], "f") == 0) {
                *ret = (FilesEntry){ .type = ENTRY_FILE, .source = fields[4], .path = fields[5] };
                return read_attributes(fields + 1, ret);
        }
        if (n == 3 && strcmp(fields[0], "l") == 0 && *fields[1]) {
                *ret = (FilesEntry){ .type = ENTRY_LINK, .target = fields[1], .path = fields[2] };
                return 0;
        }
        return -EBADMSG;
}

/* In its place, and beneath nothing that is no folder. */
static bool follows(const FilesList *list, const char *path) {
        const FilesEntry *last = list->n > 0 ? list->items + list->n - 1 : NULL;

        if (!files_text_is_path(path))
                return false;
        return !last || (tree_path_compare(last->path, path) < 0 &&
                         (last->type == ENTRY_FOLDER || !release_place_is_within(path, last->path)));
}

static int read_list(char *text, FilesList *list, Error *error) {
        char *fields[FILES_FIELDS_MAX], *line;
        size_t number = 1, n;
        FilesEntry entry;
        int r;

        if (!string_starts_with(text, FILES_LIST_HEADER))
                return error_set_fault(error, -EBADMSG, FAULT_HOST,
                                       "line 1: it is no list of installed files");
        text += strlen(FILES_LIST_HEADER);
        while ((line = files_text_line(&text))) {
                number++;
                n = files_text_fields(line, fields);
                if (read_entry(fields, n, &entry) < 0 || !follows(list, entry.path))
                        return error_set_fault(error, -EBADMSG, FAULT_HOST,
                                               "line %zu: it is no entry, or not in its place", number);
                r = files_list_add(list, &entry, NULL);
                if (r < 0)
                        return error_oom(error);
        }
        return 0;
}

int files_list_read(char *text, FilesList *ret, Error *error) {
        _cleanup_files_list_ FilesList list = {};
        int r;

        r = read_list(text, &list, error);
        if (r < 0)
                return r;
        *ret = list;
        list = (FilesList){};
        return 0;
}
