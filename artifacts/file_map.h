#pragma once

/* Where each entry of a release's tree is installed, as its section `files` says, and which entry of `permissions` is about
 * it. Pure: the publisher and the instance both ask this, the one of the archive, the other of the tree in its store, so that
 * what was published can be installed.
 *
 * A folder that is a source stands for all that is in it; its own name is not part of the destination. A file that is a
 * source lies in the destination under its own name. Folders that several sources share are merged; anything else for
 * which there are two sources is an error, and so is anything beneath a file or a link. */

#include "artifacts/entry_tree.h"
#include "artifacts/release_files.h"
#include "artifacts/release_permission.h"

typedef struct FileTarget {
        EntryType type; /* ENTRY_FOLDER, ENTRY_FILE or ENTRY_LINK */
        char *path;     /* where it is installed, absolute */
        char *source;   /* of the tree; "" for the tree itself */
        char *target;   /* of a link of the tree; NULL for one of `mode: link`, which leads to SOURCE */
        unsigned mode;  /* of a file in the tree */
        uint64_t size;
        size_t file;                         /* index of the entry of `files` */
        const ReleasePermission *permission; /* borrowed; NULL: none is about it */
} FileTarget;

typedef struct FileMap {
        const char *
                name; /* of the appspec, for messages; NULL: it is a release that is read, which has no lines */
        const ReleaseFiles *files;
        const ReleasePermissions *permissions;
        FileTarget *items; /* file_map_finish() sorts them: parents first, by tree_path_compare() */
        size_t n;
        size_t allocated;
        bool *found; /* for each entry of `files`, whether its source is in the tree */
} FileMap;

/* Both are borrowed. -ENOMEM. */
int file_map_init(FileMap *map, const ReleaseFiles *files, const ReleasePermissions *permissions);
void file_map_deinit(FileMap *map);
#define _cleanup_file_map_ _cleanup_(file_map_deinit)

/* One entry of the tree; its folders come before it. TARGET: of a link. -ENOMEM, -ENAMETOOLONG (the release's fault). */
typedef struct FileSource {
        EntryType type;
        const char *path;
        const char *target;
        unsigned mode;
        uint64_t size;
} FileSource;
int file_map_add(FileMap *map, const FileSource *source, Error *error);

/* All entries of a manifest (tree_manifest.h). */
int file_map_add_manifest(FileMap *map, const void *text, size_t size, Error *error);

/* After the last entry. -EBADMSG, the release's fault, for what cannot be installed; the sentence begins with the entry
 * ("appspec.yml:14: files[2].source: …"). */
int file_map_finish(FileMap *map, Error *error);
