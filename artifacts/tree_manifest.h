#pragma once

/* The manifest of a tree: what a release looks like once it is unpacked, as text that is the same wherever it is made. Its
 * SHA-256 is the artifact's `tree_sha256`, which is signed; so the digest of a folder says whether it is what was
 * published. Pure: entries in, text out, and back.
 *
 *     muster-tree 1
 *     d <mode> <path>                      a folder
 *     f <mode> <size> <sha256> <path>      a file; each name of a file with several is one of its own
 *     l <target> <path>                    a symbolic link
 *
 * with a tab where a space stands here, and a newline at the end of each line. Names have no control characters
 * (entry_name.h), so nothing is escaped. <mode> is four octal digits within ENTRY_MODE_MASK, for a folder within
 * ENTRY_FOLDER_MODE_MASK and 0700 at least;
 * <size> is decimal. Every name beneath the root has a line, the root has none. Lines are sorted by path, byte by byte,
 * with "/" before everything else: the order of a walk that reads each folder sorted. Times, owners and the inodes of
 * hard links are not in it: owners are always root, and the rest changes nothing of what runs. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/buffer.h"
#include "agent/base/error.h"
#include "agent/net/digest.h"
#include "artifacts/entry_name.h"
#include "artifacts/entry_tree.h"
#include "artifacts/unpack_protocol.h"

#define TREE_MANIFEST_HEADER "muster-tree 1\n"
#define TREE_MANIFEST_SIZE_MAX (UINT64_C(512) << 20)

typedef struct TreeEntry {
        EntryType type; /* never ENTRY_HARD_LINK */
        mode_t mode;    /* of folders and files */
        uint64_t size;  /* of files, as is the digest */
        uint8_t sha256[DIGEST_SIZE];
        const char *target; /* of links */
        const char *path;
} TreeEntry;

/* The order of lines: negative, 0 or positive. */
int tree_path_compare(const char *a, const char *b);

/* Adds the entry's line. -ENOMEM. */
int tree_entry_write(const TreeEntry *entry, Buffer *buffer);

/* Reads a manifest line by line. Zero-initialised but for DATA and SIZE is the beginning; what it gives points into it
 * and holds until the next call. */
typedef struct TreeReader {
        const char *data;
        size_t size;
        size_t line; /* the one that was read last, from 1 */
        EntryType type;
        char path[UNPACK_PATH_MAX + 1]; /* of the entry that was given last */
        char target[ENTRY_LINK_TARGET_MAX + 1];
} TreeReader;

/* 1: *RET is the next entry; 0: the end. -EBADMSG with the line for anything that tree_entry_write() would not write, out
 * of order, or beneath something that is no folder. */
int tree_reader_next(TreeReader *reader, TreeEntry *ret, Error *error);
