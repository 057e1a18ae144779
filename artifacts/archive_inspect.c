#include <string.h>
#include <sys/stat.h>

#include "artifacts/archive_inspect.h"
#include "artifacts/tree_builder.h"
#include "artifacts/unpack_reader.h"

/* The folder around everything: what lies at the top, and whether that is the sign of it. */
typedef struct Wrapping {
        char *folder; /* the first name at the top; NULL: none yet */
        bool others;  /* there are more, or it is no folder */
        bool marked;  /* a name with "appspec" in it lies right within */
} Wrapping;

typedef struct Inspection {
        ArchiveMember *member; /* NULL: none is wanted */
        TreeBuilder *tree;
        Wrapping wrapping;
        bool wanted; /* the data that comes now is the member's */
} Inspection;

void archive_member_deinit(ArchiveMember *member) {
        buffer_deinit(&member->content);
        free(member->elsewhere);
        *member = (ArchiveMember){};
}

static int watch_top(Wrapping *wrapping, const UnpackEntry *entry) {
        size_t n = strcspn(entry->path, "/");
        const char *within = entry->path[n] ? entry->path + n + 1 : NULL;

        if (!wrapping->folder) {
                wrapping->folder = strndup(entry->path, n);
                if (!wrapping->folder)
                        return -ENOMEM;
        }
        if (strncmp(wrapping->folder, entry->path, n) != 0 || wrapping->folder[n] ||
            (!within && entry->type != ENTRY_FOLDER))
                wrapping->others = true;
        if (within && !strchr(within, '/') && strcasestr(within, "appspec"))
                wrapping->marked = true;
        return 0;
}

static bool is_wrapped(const Wrapping *wrapping) {
        return wrapping->marked && !wrapping->others;
}

/* Whether PATH ends in NAME, in a folder. */
static bool lies_in_folder(const char *path, const char *name) {
        size_t n = strlen(path), m = strlen(name);

        return n > m + 1 && path[n - m - 1] == '/' && strcmp(path + n - m, name) == 0;
}

/* An earlier name wins over a later one, whichever comes first in the archive. */
static int watch_member(Inspection *inspection, const UnpackEntry *entry, Error *error) {
        ArchiveMember *member = inspection->member;

        inspection->wanted = false;
        for (const char *const *name = member ? member->names : NULL; name && *name; name++) {
                if (entry->type != ENTRY_FILE || *name == member->found)
                        break;
                if (!member->elsewhere && lies_in_folder(entry->path, *name)) {
                        member->elsewhere = strdup(entry->path);
                        if (!member->elsewhere)
                                return error_oom(error);
                }
                if (strcmp(entry->path, *name) != 0)
                        continue;
                if (entry->size > member->limit)
                        return error_set_fault(error, -E2BIG, FAULT_INPUT, "it has more than %zu bytes",
                                               member->limit);
                buffer_clear(&member->content);
                member->found = *name;
                inspection->wanted = true;
                break;
        }
        return 0;
}

static int on_entry(const UnpackEntry *entry, void *userdata, Error *error) {
        Inspection *inspection = userdata;

        if (watch_top(&inspection->wrapping, entry) < 0 || tree_builder_entry(inspection->tree, entry) < 0)
                return error_oom(error);
        return watch_member(inspection, entry, error);
}

static int on_data(const void *data, size_t size, void *userdata, Error *error) {
        Inspection *inspection = userdata;

        if (tree_builder_data(inspection->tree, data, size) < 0)
                return error_oom(error);
        if (!inspection->wanted)
                return 0;
        return buffer_append(&inspection->member->content, data, size, SIZE_MAX) < 0 ? error_oom(error) : 0;
}

static int detect(int fd, ArchiveFacts *ret, Error *error) {
        uint8_t first[ARCHIVE_DETECT_SIZE];
        struct stat st;
        ssize_t n;

        if (fstat(fd, &st) < 0 || (n = pread(fd, first, sizeof(first), 0)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
                return error_set_errno(error, -errno, "cannot read the archive");
        if (!S_ISREG(st.st_mode) || archive_format_detect(first, (size_t) n, &ret->format) < 0)
                return error_set_fault(error, -EBADMSG, FAULT_RELEASE,
                                       "this is no archive: expected tar, tar.gz, tar.xz, tar.zst or zip");
        ret->size = (uint64_t) st.st_size;
        return 0;
}

static void name_entry(const char *entry, Error *error) {
        if (*entry)
                error_prefix(error, "archive entry \"%s\"", entry);
}

/* FACTS->wrapped says how it is to be read. */
static int read_archive(int fd, const UnpackSink *sink, ArchiveFacts *facts, Error *error) {
        UnpackFile file = { .fd = fd };
        UnpackSource source = unpack_source_file(&file);
        char entry[UNPACK_ENTRY_SHOWN_MAX + 1];
        UnpackCounts counts;
        UnpackLimits limits;
        int r;

        r = detect(fd, facts, error);
        if (r < 0)
                return r;
        limits = unpack_limits(facts->format, facts->size, UNPACK_ENTRIES_MAX, UNPACK_BYTES_MAX);
        limits.wrapped = facts->wrapped;
        r = unpack_read(&limits, &source, sink, &counts, entry, error);
        if (r < 0) {
                name_entry(entry, error);
                return r;
        }
        facts->entries = counts.entries;
        facts->unpacked_size = counts.bytes;
        return 0;
}

static void forget_member(ArchiveMember *member) {
        if (!member)
                return;
        buffer_clear(&member->content);
        free(TAKE_PTR(member->elsewhere));
        member->found = NULL;
}

/* One reading of it; *RET_WRAPPED tells whether all lies in a folder that is to be taken off. */
static int inspect(int fd, ArchiveMember *member, ArchiveFacts *facts, bool *ret_wrapped, Error *error) {
        _cleanup_(tree_builder_freep) TreeBuilder *tree = NULL;
        Inspection inspection = { .member = member };
        const UnpackSink sink = { .entry = on_entry, .data = on_data, .userdata = &inspection };
        int r;

        if (tree_builder_new(&tree) < 0)
                return error_oom(error);
        inspection.tree = tree;
        r = read_archive(fd, &sink, facts, error);
        *ret_wrapped = is_wrapped(&inspection.wrapping);
        free(inspection.wrapping.folder);
        if (r < 0)
                return r;
        r = tree_builder_finish(tree, NULL, facts->tree_sha256);
        return r < 0 ? error_set_errno(error, r, "the tree of the archive") : 0;
}

int archive_inspect(int fd, ArchiveMember *member, ArchiveFacts *ret, Error *error) {
        ArchiveFacts facts = {};
        bool wrapped, ignored;
        int r;

        r = inspect(fd, member, &facts, &wrapped, error);
        if (r >= 0 && wrapped && member) {
                forget_member(member);
                facts.wrapped = true;
                r = inspect(fd, member, &facts, &ignored, error);
        }
        if (r < 0)
                return r;
        *ret = facts;
        return 0;
}

static int on_listed_entry(const UnpackEntry *entry, void *userdata, Error *error) {
        return tree_builder_entry(userdata, entry) < 0 ? error_oom(error) : 0;
}

static int on_listed_data(const void *data, size_t size, void *userdata, Error *error) {
        return tree_builder_data(userdata, data, size) < 0 ? error_oom(error) : 0;
}

int archive_manifest(int fd, const ArchiveFacts *facts, Buffer *text, Error *error) {
        _cleanup_(tree_builder_freep) TreeBuilder *tree = NULL;
        ArchiveFacts again = *facts;
        UnpackSink sink = { .entry = on_listed_entry, .data = on_listed_data };
        int r;

        if (tree_builder_new(&tree) < 0)
                return error_oom(error);
        sink.userdata = tree;
        r = read_archive(fd, &sink, &again, error);
        if (r < 0)
                return r;
        r = tree_builder_finish(tree, text, again.tree_sha256);
        return r < 0 ? error_set_errno(error, r, "the tree of the archive") : 0;
}

typedef struct Search {
        ArchiveFile *files;
        size_t n;
        bool wanted; /* the data that comes now is of one of them */
        char *path;  /* of the last entry */
} Search;

static int on_searched_entry(const UnpackEntry *entry, void *userdata, Error *error) {
        Search *search = userdata;

        search->wanted = false;
        for (size_t i = 0; i < search->n && entry->type != ENTRY_FOLDER; i++) {
                ArchiveFile *file = search->files + i;

                if (strcmp(file->path, entry->path) != 0)
                        continue;
                file->found = true;
                file->is_link = entry->type != ENTRY_FILE;
                file->mode = entry->mode;
                search->wanted = true;
        }
        if (!search->wanted)
                return 0;
        free(search->path);
        search->path = strdup(entry->path);
        return search->path ? 0 : error_oom(error);
}

static int on_searched_data(const void *data, size_t size, void *userdata, _unused_ Error *error) {
        Search *search = userdata;

        for (size_t i = 0; i < search->n && search->wanted; i++) {
                ArchiveFile *file = search->files + i;
                size_t n = MIN(size, sizeof(file->head) - file->head_size);

                if (strcmp(file->path, search->path) != 0)
                        continue;
                memcpy(file->head + file->head_size, data, n);
                file->head_size += n;
        }
        return 0;
}

int archive_find(int fd, const ArchiveFacts *facts, ArchiveFile files[], size_t n, Error *error) {
        Search search = { .files = files, .n = n };
        const UnpackSink sink = { .entry = on_searched_entry, .data = on_searched_data, .userdata = &search };
        ArchiveFacts again = *facts;
        int r;

        for (size_t i = 0; i < n; i++)
                files[i] = (ArchiveFile){ .path = files[i].path };
        r = read_archive(fd, &sink, &again, error);
        free(search.path);
        return r;
}
