#pragma once

/* Compares a tree that is installed with its manifest (tree_manifest.h) and names what differs. */

#include <stdbool.h>

#include "artifacts/tree_manifest.h"

typedef enum TreeDriftKind {
        TREE_CHANGED, /* other content, another link target, or of another type */
        TREE_MISSING,
        TREE_EXTRA, /* not in the release; of a folder only itself is named, not what is in it */
        TREE_MODE,
        TREE_OWNER,
        TREE_DRIFT_KINDS,
} TreeDriftKind;

const char *tree_drift_kind_to_string(
        TreeDriftKind kind); /* "changed", "missing", "extra", "mode", "owner" */

#define TREE_DETAIL_MAX 160U

typedef struct TreeDrift {
        TreeDriftKind kind;
        const char *path;             /* as it is on the disk, perhaps no text; "." is the tree's root */
        char detail[TREE_DETAIL_MAX]; /* "mode 0777, signed as 0755" */
} TreeDrift;

/* A negative return ends the comparison. */
typedef int (*TreeDriftVisit)(const TreeDrift *drift, void *userdata, Error *error);

typedef struct TreeRules {
        uid_t uid; /* whom everything belongs to */
        gid_t gid;
} TreeRules;

/* Calls VISIT for each difference, in the order of the paths; a file may have several. -EBADMSG, the host's fault, for a
 * manifest that is none. */
int tree_check(int fd, const void *manifest, size_t size, const TreeRules *rules, TreeDriftVisit visit,
               void *userdata, Error *error);

/* Takes a piece of the manifest of a tree as it is. */
typedef int (*TreeText)(const void *data, size_t size, void *userdata);

/* Makes the manifest of a tree as it is, and its digest. -EBADMSG, the host's fault, for a tree with anything in it that no
 * release has. */
int tree_describe(int fd, TreeText text, void *userdata, uint8_t ret_sha256[static DIGEST_SIZE],
                  Error *error);
