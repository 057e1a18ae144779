#pragma once

/* Looks at a tree that somebody less trusted made, and takes it over. Every name in it must be a folder, a file or a
 * symbolic link that stays within the tree (entry_name.h), belong to that user, lie on one file system, and have no mode
 * bits beyond ENTRY_MODE_MASK or ENTRY_FOLDER_MODE_MASK; their number and the files' bytes must be what was signed. Whatever else is there,
 * nothing is changed outside the tree: no link is followed, and what belongs to somebody else is refused, not taken.
 *
 * Nobody else may be writing there any more. */

#include <stdint.h>
#include <sys/types.h>

#include "agent/base/error.h"

typedef struct SealRules {
        uid_t from; /* whom everything belongs to */
        uid_t uid;  /* whom it is given to; (uid_t) -1 and (gid_t) -1 change nothing */
        gid_t gid;
        uint64_t entries; /* names beneath the folder */
        uint64_t bytes;   /* of regular files, each counted once */
} SealRules;

/* -EBADMSG, the release's fault, for a tree that breaks a rule; errors of the disk are the host's. */
int seal_tree(int fd, const SealRules *rules, Error *error);
