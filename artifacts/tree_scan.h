#pragma once

/* Walks a tree that is installed, in the order of its manifest (tree_manifest.h), following no link. Programs run from it
 * and may write in it meanwhile: what goes away while it is looked at was not there. */

#include <sys/stat.h>

#include "artifacts/tree_manifest.h"

/* Deeper than any release is; what lies deeper than this is not looked at. */
#define TREE_SCAN_DEPTH_MAX (2 * UNPACK_DEPTH_MAX)

typedef struct TreeFound {
        const char *path;
        const char *name; /* of it, in */
        int dirfd;        /* this folder */
        const struct stat *st;
        struct TreeHasher *hasher; /* the scan's */
} TreeFound;

#define TREE_SCAN_SKIP 1 /* do not go into this folder */

typedef int (*TreeScanVisit)(const TreeFound *found, void *userdata, Error *error);

/* FD is the tree's root, which is not visited; stays the caller's. Ends with what VISIT returns if that is negative. */
int tree_scan(int fd, TreeScanVisit visit, void *userdata, Error *error);

/* Of the names, inodes, types, modes, owners, sizes and times of change of all that is in the tree: whatever is done to it
 * changes this, and reading it takes no content. It means nothing on another machine or to another copy. */
int tree_fingerprint(int fd, uint8_t ret[static DIGEST_SIZE], Error *error);

/* The SHA-256 of a file's content. -ESTALE if it is not there any more or no file, or changes while it is read. */
int tree_found_digest(const TreeFound *found, uint8_t ret[static DIGEST_SIZE], Error *error);

/* The target of a link, new memory. -ESTALE likewise. */
int tree_found_target(const TreeFound *found, char **ret, Error *error);
