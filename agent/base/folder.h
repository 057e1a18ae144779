#pragma once

/* What is in a folder, name by name, for everybody who reads one: without "." and "..", and with an error told from the end,
 * which readdir(3) makes easy to forget. The functions return a negative errno on failure. */

#include <dirent.h>

/* Of the folder PATH in DIRFD; a link is not followed. */
int folder_open(int dirfd, const char *path, DIR **ret);

/* Of an open folder's descriptor, which is the DIR's from now on, and closed if there is none. */
int folder_take(int fd, DIR **ret);

/* 1 with the next name, valid until the next call; 0 at the end. */
int folder_next(DIR *dir, const char **ret_name);

/* All of them, sorted byte by byte: an order that is the same everywhere. New memory, NULL-terminated, NULL for none. */
int folder_names(DIR *dir, char ***ret);
