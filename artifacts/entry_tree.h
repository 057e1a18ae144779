#pragma once

/* The names of a tree while its archive is read: tells a name that comes twice, a name beneath something that is no
 * folder, a hard link to something that is no file, and counts. In memory only, so that an archive is judged the same
 * way where it is published and where it is unpacked.
 *
 * What counts as an entry is every name beneath the root: folders (also those that an archive only implies, as zips
 * often do), files, symbolic and hard links. `find . | wc -l` of the unpacked tree is one more. */

#include <stdint.h>

#include "agent/base/cleanup.h"
#include "agent/base/error.h"

/* For the names and what is known of them: enough for a million entries of usual names. */
#define ENTRY_TREE_MEMORY_MAX (64U << 20)

typedef enum EntryType {
        ENTRY_FOLDER,
        ENTRY_FILE,
        ENTRY_LINK,      /* symbolic */
        ENTRY_HARD_LINK, /* another name of a file */
} EntryType;

typedef struct EntryTree EntryTree;

/* ENTRIES_MAX: how many entries are let in. -ENOMEM. */
int entry_tree_new(uint64_t entries_max, EntryTree **ret);
EntryTree *entry_tree_free(EntryTree *tree);
DEFINE_CLEANUP(EntryTree *, entry_tree_free)

/* Called for each folder that an entry implies, the outermost first. */
typedef int (*EntryTreeImplied)(const char *path, void *userdata, Error *error);

/* Adds a normalised path (entry_name.h), not the root. 0: it is new; 1: it is a folder that was only implied before.
 * -EBADMSG with the reason, which does not name the entry. What IMPLIED returns if it is negative. */
int entry_tree_add(EntryTree *tree, const char *path, EntryType type, EntryTreeImplied implied,
                   void *userdata, Error *error);

/* -EBADMSG with the reason, unless PATH is a file (or a hard link to one). */
int entry_tree_check_file(EntryTree *tree, const char *path, Error *error);

uint64_t entry_tree_count(const EntryTree *tree);
