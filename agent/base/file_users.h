#pragma once

/* Which folders do live processes still run from? A process uses a folder if anything beneath it is its executable, its
 * working or root folder, a file that it has mapped or open, or mounted where it lives (BindPaths=). A service that was
 * reloaded gracefully may drain for an hour from a release that was replaced long ago.
 *
 * A file is recognised by device and inode, or by its path; where a container or a layered file system shows other
 * ones, the other of the two helps. Takes a while: reads the folders and all of /proc. Needs CAP_SYS_PTRACE. */

#include <stdbool.h>
#include <sys/types.h>

#include "agent/base/error.h"

typedef struct FileUsersFolder {
        const char *path; /* absolute, without links in it */
        pid_t user;       /* out: a process that uses it; 0: none does */
} FileUsersFolder;

/* IGNORED is a process that does not count, apart from the calling one. A folder that is not there is not used. */
int file_users_find(FileUsersFolder *folders, size_t n, pid_t ignored, Error *error);
