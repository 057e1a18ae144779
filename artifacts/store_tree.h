#pragma once

/* Whether a release in the store is still what was published: its tree is compared with the manifest that lies beside it as
 * releases/<name>.tree (tree_manifest.h), and the manifest with the digest that was signed.
 *
 * The manifest is made of the tree itself, while that is made durable and before anything runs in it, and kept only if its
 * digest is the signed one. For a release that was published without tree_sha256 it is kept if the tree has as many entries and bytes as was
 * signed: then it says what was installed, and what changes from then on is seen. Both read the whole tree; they run in a
 * child process. */

#include "artifacts/store.h"
#include "artifacts/tree_check.h"

/* "<name>.tree" */
#define STORE_TREE_NAME_SIZE (STORE_NAME_SIZE + 5)
void store_tree_name(const char *name, char ret[static STORE_TREE_NAME_SIZE]);

typedef struct StoreTree {
        const char *sha256; /* 64 hex digits, or "" where none was signed */
        uint64_t entries;   /* as signed */
        uint64_t unpacked_size;
        TreeRules rules;
} StoreTree;

typedef enum StoreTreeState {
        STORE_TREE_WHOLE,   /* as it was signed */
        STORE_TREE_KEPT,    /* as it was installed; nothing was signed to compare with */
        STORE_TREE_DRIFTED, /* VISIT was told what differs */
        STORE_TREE_UNKNOWN, /* other than was signed, and no manifest to tell in what: it was changed before there was one */
} StoreTreeState;

/* Makes the manifest of the tree FD, which is to become the release NAME, in a process of its own: reading what was just
 * written costs little while the disk is waited for. store_tree_join() waits for it. -EBADMSG, the release's fault: the
 * tree is not what was signed. */
typedef struct StoreTreeMaking StoreTreeMaking;

int store_tree_fork(const ReleaseStore *store, const char *name, int fd, const StoreTree *tree,
                    StoreTreeMaking **ret, Error *error);
int store_tree_join(StoreTreeMaking *making, Error *error);

/* Kills it if it still runs. Returns NULL. */
StoreTreeMaking *store_tree_making_free(StoreTreeMaking *making);
DEFINE_CLEANUP(StoreTreeMaking *, store_tree_making_free)

/* Checks the tree of the release NAME. With MAKE the manifest is written if there is no good one. A StoreTreeState, or a
 * negative errno for what is the host's fault; -ENOENT: there is no such release. */
int store_tree_check(const ReleaseStore *store, const char *name, const StoreTree *tree, bool make,
                     TreeDriftVisit visit, void *userdata, Error *error);
