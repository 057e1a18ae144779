#pragma once

/* Whether what is to be installed is in its place already, so that it need not be written once more. */

#include "agent/files_list.h"

/* The content alone: of a file all bytes, of a link where it leads; of a folder there is nothing to compare. */
bool files_same_content(const FilesEntry *entry, int release_fd, int folder, const char *name);

/* NAME in the folder FOLDER is as ENTRY says: its kind, its owners, its mode, and byte for byte the release's content. Times
 * do not count. What cannot be read is not the same. RELEASE_FD -1: the size is all that is looked at. */
bool files_same(const FilesEntry *entry, int release_fd, int folder, const char *name);
