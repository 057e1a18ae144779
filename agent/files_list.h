#pragma once

/* What a release has installed outside of its folder, as a value and as text: the manifest of an app's `files`, which lies
 * as files/installed in its folder. Pure.
 *
 *     muster-files 1
 *     d <mode> <uid> <gid> <path>              a folder that muster made
 *     f <mode> <uid> <gid> <source> <path>     a file; <source> is its path in the release's tree
 *     l <target> <path>                        a symbolic link
 *
 * with a tab where a space stands here, sorted by path as tree_path_compare() has it. Paths are absolute and have no
 * symbolic link in them: where things really lie, so that two ways to one file are one. */

#include <sys/types.h>

#include "agent/base/buffer.h"
#include "agent/base/error.h"
#include "artifacts/entry_tree.h"
#include "artifacts/release_permission.h"

#define FILES_LIST_HEADER "muster-files 1\n"
#define FILES_LIST_SIZE_MAX (UINT64_C(512) << 20)
#define FILES_PATH_MAX 4096U

typedef struct FilesEntry {
        EntryType type;
        mode_t mode; /* of folders and files, as are the owners */
        uid_t uid;
        gid_t gid;
        char *path;
        char *source; /* of files; of links "" */
        char *target; /* of links */

        /* While it is planned and staged: */
        size_t operation; /* that brings it, counted from 1; 0: it is there */
        uint64_t size;
        const ReleasePermission *permission; /* borrowed */
} FilesEntry;

typedef struct FilesList {
        FilesEntry *items;
        size_t n, allocated;
} FilesList;

void files_list_deinit(FilesList *list);
#define _cleanup_files_list_ _cleanup_(files_list_deinit)

/* Adds an entry with copies of its texts; *RET is valid until the next. -ENOMEM. */
int files_list_add(FilesList *list, const FilesEntry *entry, FilesEntry **ret);

/* A folder that is there twice is one. -EEXIST with the path of anything else that is: *RET_PATH is the list's. */
int files_list_sort(FilesList *list, const char **ret_path);

/* Of a sorted list: the entry, or NULL. */
const FilesEntry *files_list_find(const FilesList *list, const char *path);

/* Of a sorted list: the first entry that lies at PATH or beneath it, as an index; n if there is none. */
size_t files_list_first_within(const FilesList *list, const char *path);

bool files_list_equal(const FilesList *a, const FilesList *b);

/* -ENOMEM. */
int files_list_write(const FilesList *list, Buffer *buffer);

/* TEXT is changed. -EBADMSG, the host's fault, with the line, for anything that files_list_write() would not write. */
int files_list_read(char *text, FilesList *ret, Error *error);
