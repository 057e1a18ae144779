#include <string.h>
#include <sys/stat.h>

#include "artifacts/archive_inspect.h"
#include "artifacts/tree_builder.h"
#include "artifacts/unpack_reader.h"

typedef struct Inspection {
        const char *member;
        size_t member_limit;
        Buffer *content;
        TreeBuilder *tree;
        bool found;
        bool wanted; /* the data that comes now is the member's */
} Inspection;

static int on_entry(const UnpackEntry *entry, void *userdata, Error *error) {
        Inspection *inspection = userdata;

        inspection->wanted = inspection->member && entry->type == ENTRY_FILE &&
                             strcmp(entry->path, inspection->member) == 0;
        inspection->found = inspection->found || inspection->wanted;
        if (inspection->wanted && entry->size > inspection->member_limit)
                return error_set_fault(error, -E2BIG, FAULT_INPUT, "it has more than %zu bytes",
                                       inspection->member_limit);
        return tree_builder_entry(inspection->tree, entry) < 0 ? error_oom(error) : 0;
}

static int on_data(const void *data, size_t size, void *userdata, Error *error) {
        Inspection *inspection = userdata;

        if (tree_builder_data(inspection->tree, data, size) < 0)
                return error_oom(error);
        if (!inspection->wanted)
                return 0;
        return buffer_append(inspection->content, data, size, SIZE_MAX) < 0 ? error_oom(error) : 0;
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

static int read_archive(int fd, const UnpackSink *sink, ArchiveFacts *ret, Error *error) {
        UnpackFile file = { .fd = fd };
        UnpackSource source = unpack_source_file(&file);
        char entry[UNPACK_ENTRY_SHOWN_MAX + 1];
        UnpackCounts counts;
        UnpackLimits limits;
        int r;

        r = detect(fd, ret, error);
        if (r < 0)
                return r;
        limits = unpack_limits(ret->format, ret->size, UNPACK_ENTRIES_MAX, UNPACK_BYTES_MAX);
        r = unpack_read(&limits, &source, sink, &counts, entry, error);
        if (r < 0) {
                name_entry(entry, error);
                return r;
        }
        ret->entries = counts.entries;
        ret->unpacked_size = counts.bytes;
        return 0;
}

int archive_inspect(int fd, const char *member, size_t member_limit, Buffer *content, ArchiveFacts *ret,
                    Error *error) {
        _cleanup_(tree_builder_freep) TreeBuilder *tree = NULL;
        Inspection inspection = { .member = member, .member_limit = member_limit, .content = content };
        const UnpackSink sink = { .entry = on_entry, .data = on_data, .userdata = &inspection };
        ArchiveFacts facts = {};
        int r;

        if (tree_builder_new(&tree) < 0)
                return error_oom(error);
        inspection.tree = tree;
        r = read_archive(fd, &sink, &facts, error);
        if (r < 0)
                return r;
        r = tree_builder_finish(tree, NULL, facts.tree_sha256);
        if (r < 0)
                return error_set_errno(error, r, "the tree of the archive");
        if (member && !inspection.found)
                return error_set_fault(error, -ENOENT, FAULT_INPUT, "the archive has no file \"%s\"", member);
        *ret = facts;
        return 0;
}

typedef struct Search {
        const char *const *names;
        size_t n;
        bool *found;
} Search;

static int on_searched_entry(const UnpackEntry *entry, void *userdata, _unused_ Error *error) {
        const Search *search = userdata;

        for (size_t i = 0; i < search->n && entry->type != ENTRY_FOLDER; i++)
                if (strcmp(search->names[i], entry->path) == 0)
                        search->found[i] = true;
        return 0;
}

static int on_searched_data(_unused_ const void *data, _unused_ size_t size, _unused_ void *userdata,
                            _unused_ Error *error) {
        return 0;
}

int archive_find(int fd, const char *const names[], size_t n, bool found[], Error *error) {
        Search search = { .names = names, .n = n, .found = found };
        const UnpackSink sink = { .entry = on_searched_entry, .data = on_searched_data, .userdata = &search };
        ArchiveFacts facts = {};

        memset(found, 0, n * sizeof(found[0]));
        return read_archive(fd, &sink, &facts, error);
}
