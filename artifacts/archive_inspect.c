#include <string.h>
#include <sys/stat.h>

#include "artifacts/archive_inspect.h"
#include "artifacts/unpack_reader.h"

typedef struct Inspection {
        const char *member;
        size_t member_limit;
        Buffer *content;
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
        return 0;
}

static int on_data(const void *data, size_t size, void *userdata, Error *error) {
        Inspection *inspection = userdata;

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

int archive_inspect(int fd, const char *member, size_t member_limit, Buffer *content, ArchiveFacts *ret,
                    Error *error) {
        Inspection inspection = { .member = member, .member_limit = member_limit, .content = content };
        const UnpackSink sink = { .entry = on_entry, .data = on_data, .userdata = &inspection };
        UnpackFile file = { .fd = fd };
        UnpackSource source = unpack_source_file(&file);
        char entry[UNPACK_ENTRY_SHOWN_MAX + 1];
        ArchiveFacts facts = {};
        UnpackCounts counts;
        UnpackLimits limits;
        int r;

        r = detect(fd, &facts, error);
        if (r < 0)
                return r;
        limits = unpack_limits(facts.format, facts.size, UNPACK_ENTRIES_MAX, UNPACK_BYTES_MAX);
        r = unpack_read(&limits, &source, &sink, &counts, entry, error);
        if (r < 0) {
                name_entry(entry, error);
                return r;
        }
        if (member && !inspection.found)
                return error_set_fault(error, -ENOENT, FAULT_INPUT, "the archive has no file \"%s\"", member);
        facts.entries = counts.entries;
        facts.unpacked_size = counts.bytes;
        *ret = facts;
        return 0;
}
