#include <errno.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "artifacts/archive_format.h"

static const char *const names[_ARCHIVE_FORMAT_COUNT] = {
        [ARCHIVE_TAR] = "tar",         [ARCHIVE_TAR_GZ] = "tar.gz", [ARCHIVE_TAR_XZ] = "tar.xz",
        [ARCHIVE_TAR_ZST] = "tar.zst", [ARCHIVE_ZIP] = "zip",
};

#define TAR_SUM_AT 148U
#define TAR_SUM_SIZE 8U

static const struct {
        size_t offset;
        size_t length;
        const char *bytes;
        ArchiveFormat format;
} magics[] = {
        { 0, 4, "\x28\xb5\x2f\xfd", ARCHIVE_TAR_ZST }, /* RFC 8878, 3.1.1 */
        { 0, 3, "\x1f\x8b\x08", ARCHIVE_TAR_GZ },      /* RFC 1952, 2.3.1; deflate */
        { 0, 6, "\xfd\x37zXZ\x00", ARCHIVE_TAR_XZ },
        { 0, 4, "PK\x03\x04", ARCHIVE_ZIP },
        { 0, 4, "PK\x05\x06", ARCHIVE_ZIP }, /* one without entries */
        { 257, 5, "ustar", ARCHIVE_TAR },    /* POSIX and GNU */
};

const char *archive_format_to_string(ArchiveFormat format) {
        return (size_t) format < ELEMENTSOF(names) ? names[format] : NULL;
}

int archive_format_from_string(const char *name, ArchiveFormat *ret) {
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcmp(name, names[i]) == 0) {
                        *ret = (ArchiveFormat) i;
                        return 0;
                }
        return -EINVAL;
}

bool archive_format_needs_seek(ArchiveFormat format) {
        return format == ARCHIVE_ZIP;
}

/* A tar of before POSIX has no magic, but a sum over its first header, whose own field counts as spaces. */
static bool is_old_tar(const uint8_t *header, size_t size) {
        unsigned sum = 0, said = 0;
        size_t digits = 0;

        if (size < ARCHIVE_DETECT_SIZE || header[0] == 0)
                return false;
        for (size_t i = 0; i < ARCHIVE_DETECT_SIZE; i++)
                sum += i >= TAR_SUM_AT && i < TAR_SUM_AT + TAR_SUM_SIZE ? ' ' : header[i];
        for (size_t i = TAR_SUM_AT; i < TAR_SUM_AT + TAR_SUM_SIZE; i++) {
                if (header[i] >= '0' && header[i] <= '7') {
                        said = said * 8 + header[i] - '0';
                        digits++;
                } else if (digits > 0 || header[i] != ' ')
                        break;
        }
        return digits > 0 && sum == said;
}

int archive_format_detect(const void *data, size_t size, ArchiveFormat *ret) {
        const char *bytes = data;

        for (size_t i = 0; i < ELEMENTSOF(magics); i++)
                if (size >= magics[i].offset + magics[i].length &&
                    memcmp(bytes + magics[i].offset, magics[i].bytes, magics[i].length) == 0) {
                        *ret = magics[i].format;
                        return 0;
                }
        if (is_old_tar(data, size)) {
                *ret = ARCHIVE_TAR;
                return 0;
        }
        return -EINVAL;
}
