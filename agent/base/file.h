#pragma once

/* Files by descriptor, durably. Names given to the _at functions are single components or relative paths that are
 * resolved beneath the folder descriptor without following any symbolic link (openat2: RESOLVE_BENEATH,
 * RESOLVE_NO_SYMLINKS); what is to be replaced or removed must be a name, not "." or ".."; DIRFD may be AT_FDCWD
 * where a path is the operator's own, which is then followed as usual. All return a negative errno on failure and
 * open everything O_CLOEXEC. */

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/types.h>

#include "agent/base/buffer.h"
#include "agent/base/cleanup.h"

DEFINE_CLEANUP(DIR *, closedir)
#define _cleanup_closedir_ _cleanup_(closedirp)

/* A descriptor. FLAGS as for open(2). */
int file_open_at(int dirfd, const char *path, int flags, mode_t mode);

/* The same for what is there already, but links that stay beneath the folder are followed. -EXDEV if one leads out. */
int file_open_beneath(int dirfd, const char *path, int flags);

/* A descriptor to read a file or folder with whose time of access stays as it was, if we may choose that: otherwise the file
 * system writes every inode of a tree that is read for the first time once more. NAME is one component; no link is followed. */
int file_open_unmarked_at(int dirfd, const char *name, int flags);

/* Opens a folder, creating it and its parents with MODE where they are missing. A descriptor. */
int file_open_folder_at(int dirfd, const char *path, mode_t mode);

/* Reads all of a file into BUFFER (after what is there, which is all it holds on failure). -E2BIG if the file is larger
 * than LIMIT bytes. By name, a FIFO that nobody writes to is empty and not waited for. */
int file_read_fd(int fd, size_t limit, Buffer *buffer);
int file_read_at(int dirfd, const char *path, size_t limit, Buffer *buffer);

/* Writes all SIZE bytes, however many calls that takes. */
int file_write_fd(int fd, const void *data, size_t size);

/* Replaces the file by DATA: temporary file beside it, fsync, rename, fsync of the folder. Whoever reads it sees
 * the old content or the new one, also after a power cut. On failure the old content is still there, unless it was the
 * folder's sync that failed: then it is the old one or the new one. A file has one writer at a time: the temporary file
 * ".NAME.tmp" that a killed one leaves goes with the next write. */
int file_replace_at(int dirfd, const char *path, const void *data, size_t size, mode_t mode);

/* Repoints the symbolic link PATH to TARGET by one rename, durably. */
int file_replace_symlink_at(int dirfd, const char *path, const char *target);

/* Removes a file and makes that durable. A missing one is no error. */
int file_remove_at(int dirfd, const char *path);

/* Removes a whole tree without following links or crossing onto another filesystem. A missing one is no error. */
int file_remove_tree_at(int dirfd, const char *path);

/* The same in bites of so many names, with a pause of some milliseconds after each: for who has all the time. */
int file_remove_tree_slowly_at(int dirfd, const char *path, unsigned names);

/* Makes the entries of the folder that holds PATH durable. */
int file_sync_parent_at(int dirfd, const char *path);

/* The target of a symbolic link, new memory. */
int file_read_link_at(int dirfd, const char *path, char **ret);
