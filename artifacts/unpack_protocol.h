#pragma once

/* What musterd and muster-unpack say to each other. Pure: bytes in, values out.
 *
 * Standard input of muster-unpack is UNPACK_HEADER_SIZE bytes of limits and then the archive, to its last byte: a
 * pipe, or, for a format that must be sought in, a file positioned at the limits. The archive's size is among the
 * limits, so that a feed that broke off (the host's fault) is told from an archive that ends early (the release's).
 *
 * Standard output of muster-unpack is lines of text: any number of "progress", then one "done" or "error", then
 * nothing. It comes from a process that has read what strangers wrote: each line is checked and bounded.
 *
 *     progress ENTRIES BYTES
 *     done ENTRIES BYTES
 *     error host|release ENTRY REASON        ENTRY is "-" where no entry is to blame; %XX escapes
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "artifacts/archive_format.h"

#define UNPACK_HEADER_SIZE 128

/* Nothing beyond these is unpacked, whatever is signed. */
#define UNPACK_ENTRIES_MAX UINT64_C(1000000)
#define UNPACK_BYTES_MAX (UINT64_C(1) << 40)
#define UNPACK_PATH_MAX 4095U
#define UNPACK_DEPTH_MAX 128U
#define UNPACK_DECODER_MEMORY_MAX (UINT64_C(1) << 30)

/* What limits are unless somebody says otherwise. `xz -9` takes 65 MiB to decode, `zstd -19` 8 MiB. */
#define UNPACK_PATH_DEFAULT 1024U
#define UNPACK_DEPTH_DEFAULT 64U
#define UNPACK_DECODER_MEMORY_DEFAULT (UINT64_C(96) << 20)

typedef struct UnpackLimits {
        ArchiveFormat format;
        uint64_t size;               /* of the archive: exactly so many bytes follow the header */
        uint64_t entries;            /* names beneath the root of the tree, exactly; see entry_tree.h */
        uint64_t unpacked_size;      /* bytes of all regular files, exactly */
        uint64_t decoder_memory_max; /* bytes of window and tables that a decompressor may take */
        uint32_t path_max;           /* bytes of a path within the archive */
        uint32_t depth_max;          /* components of a path within the archive */
        uint32_t time;               /* seconds since 1970, of entries without a time of their own (0) */
        bool wrapped;                /* all of the archive lies in one folder, which is taken off */
        bool sync;                   /* make the tree durable before saying done */
} UnpackLimits;

/* The signed numbers of an artifact, with the defaults for everything else; TIME, WRAPPED and SYNC unset. */
UnpackLimits unpack_limits(ArchiveFormat format, uint64_t size, uint64_t entries, uint64_t unpacked_size);

/* -EINVAL, and a sentence, for limits that are zero or beyond the maxima above. */
int unpack_limits_check(const UnpackLimits *limits, Error *error);

/* -EINVAL for limits that unpack_limits_check() refuses. */
int unpack_header_encode(const UnpackLimits *limits, uint8_t ret[static UNPACK_HEADER_SIZE], Error *error);

/* -EBADMSG if these bytes are no such header; -EINVAL for limits out of bounds. */
int unpack_header_decode(const uint8_t data[static UNPACK_HEADER_SIZE], UnpackLimits *ret, Error *error);

#define UNPACK_ENTRY_SHOWN_MAX 384U
#define UNPACK_REASON_MAX 512U
#define UNPACK_LINE_MAX 4096U

typedef enum UnpackReplyType {
        UNPACK_PROGRESS,
        UNPACK_DONE,
        UNPACK_ERROR,
} UnpackReplyType;

typedef struct UnpackReply {
        UnpackReplyType type;
        uint64_t entries; /* of progress and done: what has been written so far */
        uint64_t bytes;
        ErrorFault fault;                       /* of an error: FAULT_HOST or FAULT_RELEASE */
        char entry[UNPACK_ENTRY_SHOWN_MAX + 1]; /* of an error: the entry it is about, or "" */
        char reason[UNPACK_REASON_MAX + 1];
} UnpackReply;

/* Writes one line with its end of line, and a zero byte. What is too long is cut. */
void unpack_reply_encode(const UnpackReply *reply, char ret[static UNPACK_LINE_MAX]);

/* Reads one line without its end of line. Text in it is valid UTF-8 without control characters. -EBADMSG. */
int unpack_reply_decode(const char *line, size_t length, UnpackReply *ret);

/* The sentence of a reply of type UNPACK_ERROR, and its fault. Returns -EBADMSG for the release's fault, else -EIO. */
int unpack_reply_to_error(const UnpackReply *reply, Error *error);

/* Cuts a stream into replies. Zero-initialised is the beginning. */
typedef struct UnpackReplies {
        char line[UNPACK_LINE_MAX];
        size_t length;
        bool finished; /* "done" or "error" was seen */
} UnpackReplies;

/* Takes from *DATA, *SIZE (which move on) up to the end of one line. 1: *RET is set, call again; 0: all was taken, more
 * is needed; -EBADMSG: this is no reply, or one after the last. */
int unpack_replies_feed(UnpackReplies *replies, const void **data, size_t *size, UnpackReply *ret);
