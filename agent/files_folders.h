#pragma once

/* The folders in which files are put, opened one after the other by paths that have no link in them, and the file systems that
 * they lie on, which are made durable together. */

#include <sys/types.h>

#include "agent/base/error.h"

#define FILES_SYSTEMS_MAX 64U

typedef struct FilesFolders {
        char *path; /* the one that is open */
        int fd;
        struct {
                dev_t device;
                int fd; /* since before anything was written: so that syncfs reports every error */
        } systems[FILES_SYSTEMS_MAX];
        size_t n;
} FilesFolders;

void files_folders_init(FilesFolders *folders);
void files_folders_deinit(FilesFolders *folders);
#define _cleanup_files_folders_ _cleanup_(files_folders_deinit)

/* The folder that PATH lies in; a descriptor that is valid until the next call, and PATH's name in it. -ENOENT. */
int files_folders_open(FilesFolders *folders, const char *path, const char **ret_name);

/* R, with a sentence about PATH that says why root may not do something. */
int files_folders_fail(const char *path, int r, Error *error);

/* syncfs of all that were seen. */
int files_folders_sync(const FilesFolders *folders, Error *error);
