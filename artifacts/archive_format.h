#pragma once

/* The archive formats that a release may name in its "format" field. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ArchiveFormat {
        ARCHIVE_TAR,     /* "tar": ustar, GNU or pax, not compressed */
        ARCHIVE_TAR_GZ,  /* "tar.gz" */
        ARCHIVE_TAR_XZ,  /* "tar.xz" */
        ARCHIVE_TAR_ZST, /* "tar.zst" */
        ARCHIVE_ZIP,     /* "zip": entries stored or deflated */
        _ARCHIVE_FORMAT_COUNT,
} ArchiveFormat;

/* What archive_format_detect() wants to see: enough to reach the "ustar" of a tar header. */
#define ARCHIVE_DETECT_SIZE 512

/* The name that stands in a release and ends an artifact's key in the depot. */
const char *archive_format_to_string(ArchiveFormat format);

/* -EINVAL for a name that is none of these. */
int archive_format_from_string(const char *name, ArchiveFormat *ret);

/* A zip is read from its end, so it must be whole, in a file, before it is unpacked; a tar is unpacked as it comes. */
bool archive_format_needs_seek(ArchiveFormat format);

/* Tells by the first bytes of an archive, of a tar without a magic by the sum of its header. What is compressed is
 * taken for a tar. -EINVAL if they are none of these. */
int archive_format_detect(const void *data, size_t size, ArchiveFormat *ret);
