#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/hex.h"
#include "agent/base/parse.h"
#include "artifacts/tree_manifest.h"

#define SEPARATOR '\t'
#define MODE_DIGITS 4U
#define FIELDS_MAX 5U

/* "/" before everything else. */
static unsigned rank(char c) {
        return c == '/' ? 1 : c == '\0' ? 0 : (unsigned) (uint8_t) c + 1;
}

int tree_path_compare(const char *a, const char *b) {
        while (*a && *a == *b)
                a++, b++;
        return (int) rank(*a) - (int) rank(*b);
}

int tree_entry_write(const TreeEntry *entry, Buffer *buffer) {
        char sha256[DIGEST_HEX_SIZE];

        switch (entry->type) {
        case ENTRY_FOLDER:
                return buffer_printf(buffer, "d\t%04o\t%s\n", (unsigned) entry->mode, entry->path);
        case ENTRY_LINK:
                return buffer_printf(buffer, "l\t%s\t%s\n", entry->target, entry->path);
        default:
                hex_encode(entry->sha256, DIGEST_SIZE, sha256);
                return buffer_printf(buffer, "f\t%04o\t%" PRIu64 "\t%s\t%s\n", (unsigned) entry->mode,
                                     entry->size, sha256, entry->path);
        }
}

static int refuse(const TreeReader *reader, const char *reason, Error *error) {
        return error_set_fault(error, -EBADMSG, FAULT_HOST, "line %zu: %s", reader->line, reason);
}

/* Cuts the next line off; LENGTH is that of its text. */
static int cut_line(TreeReader *reader, const char **ret, size_t *ret_length, Error *error) {
        const char *end = memchr(reader->data, '\n', reader->size);
        size_t length = end ? (size_t) (end - reader->data) : 0;

        if (!end)
                return refuse(reader, "it has no end", error);
        if (memchr(reader->data, '\0', length))
                return refuse(reader, "it has a zero byte", error);
        *ret = reader->data;
        *ret_length = length;
        reader->data += length + 1;
        reader->size -= length + 1;
        return 0;
}

typedef struct Field {
        const char *text;
        size_t length;
} Field;

static size_t split(const char *line, size_t length, Field fields[static FIELDS_MAX]) {
        size_t n = 0;

        for (;;) {
                const char *end = memchr(line, SEPARATOR, length);
                size_t taken = end ? (size_t) (end - line) : length;

                if (n == FIELDS_MAX)
                        return 0;
                fields[n++] = (Field){ line, taken };
                if (!end)
                        return n;
                line += taken + 1;
                length -= taken + 1;
        }
}

static int read_mode(const TreeReader *reader, const Field *field, mode_t least, mode_t most, mode_t *ret,
                     Error *error) {
        mode_t mode = 0;

        for (size_t i = 0; i < field->length && i < MODE_DIGITS; i++) {
                if (field->text[i] < '0' || field->text[i] > '7')
                        return refuse(reader, "its mode is no octal number", error);
                mode = mode * 8 + (mode_t) (field->text[i] - '0');
        }
        if (field->length != MODE_DIGITS || (mode & ~most) || (mode & least) != least)
                return refuse(reader, "its mode is none that a release has", error);
        *ret = mode;
        return 0;
}

static int read_size(const TreeReader *reader, const Field *field, uint64_t *ret, Error *error) {
        char digits[21];

        if (field->length >= sizeof(digits) || (field->length > 1 && field->text[0] == '0'))
                return refuse(reader, "its size is no number", error);
        memcpy(digits, field->text, field->length);
        digits[field->length] = '\0';
        if (parse_u64(digits, ret) < 0 || *ret > UNPACK_BYTES_MAX)
                return refuse(reader, "its size is no number", error);
        return 0;
}

static int read_digest(const TreeReader *reader, const Field *field, uint8_t ret[static DIGEST_SIZE],
                       Error *error) {
        char digits[DIGEST_HEX_SIZE];

        if (field->length != sizeof(digits) - 1)
                return refuse(reader, "its digest is none", error);
        memcpy(digits, field->text, field->length);
        digits[field->length] = '\0';
        return hex_decode(digits, ret, DIGEST_SIZE) < 0 ? refuse(reader, "its digest is none", error) : 0;
}

/* The folder that a path lies in is the entry before it, or one on the way to that. */
static bool lies_in_folder(const TreeReader *reader, const char *path) {
        const char *slash = strrchr(path, '/');
        size_t length = slash ? (size_t) (slash - path) : 0;

        if (length == 0)
                return true;
        if (strncmp(reader->path, path, length) != 0)
                return false;
        return reader->path[length] == '/' || (reader->path[length] == '\0' && reader->type == ENTRY_FOLDER);
}

static int read_path(TreeReader *reader, const Field *field, EntryType type, Error *error) {
        char path[UNPACK_PATH_MAX + 1], normalised[UNPACK_PATH_MAX + 1];
        Error reason = {};

        if (field->length == 0 || field->length > UNPACK_PATH_MAX)
                return refuse(reader, "its name is empty or too long", error);
        memcpy(path, field->text, field->length);
        path[field->length] = '\0';
        if (entry_name_normalise(path, UNPACK_PATH_MAX, UNPACK_DEPTH_MAX, normalised, &reason) < 0)
                return refuse(reader, reason.message, error);
        if (strcmp(path, normalised) != 0)
                return refuse(reader, "its name is not in its shortest form", error);
        if (tree_path_compare(reader->path, path) >= 0)
                return refuse(reader, "it is not in its place", error);
        if (!lies_in_folder(reader, path))
                return refuse(reader, "it lies in something that is no folder", error);
        memcpy(reader->path, path, field->length + 1);
        reader->type = type;
        return 0;
}

static int read_target(TreeReader *reader, const Field *field, Error *error) {
        Error reason = {};

        if (field->length > ENTRY_LINK_TARGET_MAX)
                return refuse(reader, "its link target is too long", error);
        memcpy(reader->target, field->text, field->length);
        reader->target[field->length] = '\0';
        if (entry_link_check(reader->path, reader->target, &reason) < 0)
                return refuse(reader, reason.message, error);
        return 0;
}

static int read_fields(TreeReader *reader, const Field *fields, size_t n, TreeEntry *ret, Error *error) {
        char letter = fields[0].length == 1 ? fields[0].text[0] : '\0';
        int r;

        if (letter == 'd' && n == 3) {
                ret->type = ENTRY_FOLDER;
                r = read_mode(reader, &fields[1], S_IRWXU, ENTRY_FOLDER_MODE_MASK, &ret->mode, error);
        } else if (letter == 'f' && n == 5) {
                ret->type = ENTRY_FILE;
                r = read_mode(reader, &fields[1], 0, ENTRY_MODE_MASK, &ret->mode, error);
                if (r >= 0)
                        r = read_size(reader, &fields[2], &ret->size, error);
                if (r >= 0)
                        r = read_digest(reader, &fields[3], ret->sha256, error);
        } else if (letter == 'l' && n == 3) {
                ret->type = ENTRY_LINK;
                ret->target = reader->target;
                r = 0;
        } else {
                return refuse(reader, "it is neither a folder's nor a file's nor a link's", error);
        }
        if (r >= 0)
                r = read_path(reader, &fields[n - 1], ret->type, error);
        if (r >= 0 && ret->type == ENTRY_LINK)
                r = read_target(reader, &fields[1], error);
        ret->path = reader->path;
        return r;
}

int tree_reader_next(TreeReader *reader, TreeEntry *ret, Error *error) {
        static const size_t header = sizeof(TREE_MANIFEST_HEADER) - 1;
        Field fields[FIELDS_MAX];
        TreeEntry entry = {};
        const char *line = NULL;
        size_t length = 0, n;
        int r;

        if (reader->line == 0) {
                reader->line++;
                if (reader->size < header || memcmp(reader->data, TREE_MANIFEST_HEADER, header) != 0)
                        return refuse(reader, "this is no manifest of a tree", error);
                reader->data += header;
                reader->size -= header;
        }
        if (reader->size == 0)
                return 0;
        reader->line++;
        r = cut_line(reader, &line, &length, error);
        if (r < 0)
                return r;
        n = split(line, length, fields);
        if (n == 0)
                return refuse(reader, "it has too many fields", error);
        r = read_fields(reader, fields, n, &entry, error);
        if (r < 0)
                return r;
        *ret = entry;
        return 1;
}
