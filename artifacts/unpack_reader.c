#include <archive.h>
#include <archive_entry.h>
#include <inttypes.h>
#include <locale.h>
#include <string.h>

#include "artifacts/unpack_input.h"
#include "artifacts/unpack_reader.h"

#define NAME_MAX_RAW (2 * UNPACK_PATH_MAX) /* as it stands in the archive, with "./" and the like */

typedef struct Reader {
        const UnpackLimits *limits;
        const UnpackSink *sink;
        UnpackInput *input;
        EntryTree *tree;
        uint64_t bytes;
        char path[NAME_MAX_RAW + 1];
        char target[NAME_MAX_RAW + 1];
        char wrapping[ENTRY_COMPONENT_MAX + 1]; /* the folder that all lies in; "": not seen yet */
        Error *error;
} Reader;

static int refuse(const Reader *reader, const char *reason) {
        return error_set_fault(reader->error, -EBADMSG, FAULT_RELEASE, "%s", reason);
}

/* Takes the folder off that the release says is around everything: the first entry tells its name. */
static int unwrap(Reader *reader, char *path) {
        size_t n = strcspn(path, "/");

        if (n == 0)
                return 0;
        if (!*reader->wrapping)
                memcpy(reader->wrapping, path, n);
        if (strncmp(path, reader->wrapping, n) != 0 || reader->wrapping[n])
                return refuse(reader, "it lies outside the folder that all the others lie in");
        memmove(path, path + n + (path[n] == '/'), strlen(path + n) + (path[n] != '/'));
        return 0;
}

static int normalise(Reader *reader, const char *name, char *ret) {
        int r;

        if (!name)
                return refuse(reader, "its name cannot be read");
        if (strlen(name) > NAME_MAX_RAW)
                return refuse(reader, "its name is too long");
        r = entry_name_normalise(name, reader->limits->path_max, reader->limits->depth_max, ret,
                                 reader->error);
        return r >= 0 && reader->limits->wrapped ? unwrap(reader, ret) : r;
}

static int give_implied(const char *path, void *userdata, Error *error) {
        const Reader *reader = userdata;
        const UnpackEntry folder = {
                .type = ENTRY_FOLDER,
                .implied = true,
                .path = path,
                .mode = UNPACK_FOLDER_MODE,
                .mtime = reader->limits->time,
        };

        return reader->sink->entry(&folder, reader->sink->userdata, error);
}

static int give(Reader *reader, UnpackEntry *entry) {
        int r = entry_tree_add(reader->tree, entry->path, entry->type, give_implied, reader, reader->error);

        if (r < 0)
                return r;
        entry->exists = r > 0;
        return reader->sink->entry(entry, reader->sink->userdata, reader->error);
}

/* Only the two methods whose decoders take little memory, whatever the archive says. */
static bool has_known_method(const Reader *reader) {
        const char *format = archive_format_name(unpack_input_archive(reader->input));

        if (reader->limits->format != ARCHIVE_ZIP)
                return true;
        return format && (strstr(format, "(uncompressed)") || strstr(format, "(deflation)"));
}

static int check_file(const Reader *reader, struct archive_entry *header) {
        if (archive_entry_perm(header) & (S_ISUID | S_ISGID))
                return refuse(reader, "it is a setuid or setgid file");
        if (archive_entry_is_encrypted(header))
                return refuse(reader, "it is encrypted");
        if (archive_entry_sparse_count(header) > 0)
                return refuse(reader, "it is a sparse file; pack it without its holes");
        if (!archive_entry_size_is_set(header) || archive_entry_size(header) < 0)
                return refuse(reader, "its size is not known");
        if (!has_known_method(reader))
                return refuse(reader, "it is neither stored nor deflated");
        if ((uint64_t) archive_entry_size(header) > reader->limits->unpacked_size - reader->bytes)
                return error_set_fault(reader->error, -EBADMSG, FAULT_RELEASE,
                                       "with it there are more than %" PRIu64 " bytes",
                                       reader->limits->unpacked_size);
        return 0;
}

static int give_data(const Reader *reader, uint64_t size) {
        struct archive *archive = unpack_input_archive(reader->input);
        uint64_t done = 0;

        for (;;) {
                const void *data;
                size_t n;
                la_int64_t offset;
                int r = archive_read_data_block(archive, &data, &n, &offset);

                if (r == ARCHIVE_EOF)
                        break;
                if (r != ARCHIVE_OK)
                        return unpack_input_error(reader->input, reader->error);
                if ((uint64_t) offset != done || n > size - done)
                        return refuse(reader, "its content is not as long as its header says");
                done += n;
                r = n > 0 ? reader->sink->data(data, n, reader->sink->userdata, reader->error) : 0;
                if (r < 0)
                        return r;
        }
        return done == size ? 0 : refuse(reader, "its content is not as long as its header says");
}

static int read_file(Reader *reader, struct archive_entry *header, UnpackEntry *entry) {
        int r;

        r = check_file(reader, header);
        if (r < 0)
                return r;
        entry->type = ENTRY_FILE;
        entry->size = (uint64_t) archive_entry_size(header);
        r = give(reader, entry);
        if (r < 0)
                return r;
        reader->bytes += entry->size;
        return give_data(reader, entry->size);
}

static int read_link(Reader *reader, struct archive_entry *header, UnpackEntry *entry) {
        int r;

        entry->type = ENTRY_LINK;
        entry->target = archive_entry_symlink(header);
        if (!entry->target)
                return refuse(reader, "its link target cannot be read");
        r = entry_link_check(entry->path, entry->target, reader->error);
        return r < 0 ? r : give(reader, entry);
}

static int read_hard_link(Reader *reader, struct archive_entry *header, UnpackEntry *entry) {
        int r;

        if (archive_entry_size_is_set(header) && archive_entry_size(header) > 0)
                return refuse(reader, "it is a hard link with content of its own");
        r = normalise(reader, archive_entry_hardlink(header), reader->target);
        if (r < 0) {
                error_prefix(reader->error, "it is a hard link that leads out");
                return r;
        }
        entry->type = ENTRY_HARD_LINK;
        entry->target = reader->target;
        r = entry_tree_check_file(reader->tree, entry->target, reader->error);
        return r < 0 ? r : give(reader, entry);
}

static int read_folder(Reader *reader, UnpackEntry *entry) {
        entry->type = ENTRY_FOLDER;
        entry->mode = (entry->mode & ENTRY_FOLDER_MODE_MASK) |
                      S_IRWXU; /* its owner can always fill and remove it */
        return *entry->path ? give(reader, entry) : 0;
}

/* Where none is said libarchive gives all to the group, too; unzip, which CodeDeploy has, does not. */
static mode_t mode_of(const Reader *reader, struct archive_entry *header) {
        mode_t mode = archive_entry_perm(header) & ENTRY_MODE_MASK;

        return unpack_input_has_modes(reader->input) ? mode : mode & ~(mode_t) (S_IWGRP | S_IWOTH);
}

static int read_entry(Reader *reader, struct archive_entry *header) {
        UnpackEntry entry = {
                .path = reader->path,
                .mode = mode_of(reader, header),
                .mtime = archive_entry_mtime(header) ?: reader->limits->time,
                .mtime_nsec = (uint32_t) archive_entry_mtime_nsec(header),
        };
        mode_t type = archive_entry_filetype(header);
        int r;

        r = normalise(reader, archive_entry_pathname(header), reader->path);
        if (r < 0)
                return r;
        if (!*reader->path && type != AE_IFDIR)
                return refuse(reader, reader->limits->wrapped
                                              ? "it is not in the folder that all is to lie in"
                                              : "its name is empty");
        if (archive_entry_hardlink(header))
                return read_hard_link(reader, header, &entry);
        switch (type) {
        case AE_IFREG:
                return read_file(reader, header, &entry);
        case AE_IFDIR:
                return read_folder(reader, &entry);
        case AE_IFLNK:
                return read_link(reader, header, &entry);
        case AE_IFBLK:
        case AE_IFCHR:
                return refuse(reader, "it is a device");
        case AE_IFIFO:
                return refuse(reader, "it is a fifo");
        case AE_IFSOCK:
                return refuse(reader, "it is a socket");
        default:
                return refuse(reader, "it is of an unknown type");
        }
}

static int read_entries(Reader *reader, char shown[static UNPACK_ENTRY_SHOWN_MAX + 1]) {
        struct archive *archive = unpack_input_archive(reader->input);

        for (;;) {
                struct archive_entry *header;
                const char *name;
                int r = archive_read_next_header(archive, &header);

                if (r == ARCHIVE_EOF)
                        break;
                name = r == ARCHIVE_OK || r == ARCHIVE_WARN ? archive_entry_pathname(header) : NULL;
                (void) entry_text_clean(name ? name : "", shown, UNPACK_ENTRY_SHOWN_MAX + 1);
                if (r != ARCHIVE_OK)
                        return unpack_input_error(reader->input, reader->error);
                r = read_entry(reader, header);
                if (r < 0)
                        return r;
        }
        *shown = '\0';
        return unpack_input_finish(reader->input, reader->error);
}

static int read_archive(Reader *reader, const UnpackSource *source, UnpackCounts *ret, char *shown) {
        int r;

        r = unpack_input_open(reader->limits, source, &reader->input, reader->error);
        if (r < 0)
                return r;
        r = entry_tree_new(reader->limits->entries, &reader->tree);
        if (r < 0)
                return error_oom(reader->error);
        r = read_entries(reader, shown);
        if (r < 0)
                return r;
        *ret = (UnpackCounts){ .entries = entry_tree_count(reader->tree), .bytes = reader->bytes };
        return 0;
}

/* libarchive translates names into the thread's character set; here that is UTF-8 whatever the environment says. */
static locale_t use_utf8(locale_t *ret_was) {
        locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t) 0);

        if (utf8)
                *ret_was = uselocale(utf8);
        return utf8;
}

int unpack_read(const UnpackLimits *limits, const UnpackSource *source, const UnpackSink *sink,
                UnpackCounts *ret, char entry[static UNPACK_ENTRY_SHOWN_MAX + 1], Error *error) {
        _cleanup_free_ Reader *reader = calloc(1, sizeof(*reader));
        locale_t utf8, was;
        int r;

        *entry = '\0';
        if (!reader)
                return error_oom(error);
        reader->limits = limits;
        reader->sink = sink;
        reader->error = error;
        utf8 = use_utf8(&was);
        r = read_archive(reader, source, ret, entry);
        entry_tree_free(reader->tree);
        unpack_input_free(reader->input);
        if (utf8) {
                (void) uselocale(was);
                freelocale(utf8);
        }
        return r;
}
