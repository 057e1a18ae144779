#pragma once

/* A file that comes into being whole: written under a hidden temporary name, synced, and only then given its
 * own name by one rename. Its writer holds a lock (flock(2)) on it meanwhile, so that what a crash leaves
 * behind can be told from what is still being written. */

#include <stdbool.h>

#include "agent/base/cleanup.h"

#define FILE_WRITER_PREFIX ".tmp-"
#define FILE_WRITER_NAME_MAX (sizeof(FILE_WRITER_PREFIX) + 16)

typedef struct FileWriter {
        int folder; /* borrowed */
        int fd;     /* to write to; -1: none */
        char name[FILE_WRITER_NAME_MAX];
} FileWriter;

#define FILE_WRITER_INIT                                                                                     \
        { .folder = -1, .fd = -1 }

/* Makes a temporary file in FOLDER, which must stay open. Negative errno. */
int file_writer_open(FileWriter *writer, int folder);

/* Syncs the content. */
int file_writer_sync(FileWriter *writer);

/* Gives the file its NAME, instead of the file that has that name, and makes that durable. With CREATE there
 * must be no such file yet: -EEXIST, of all who try at the same time exactly one succeeds. */
int file_writer_commit(FileWriter *writer, const char *name, bool create);

/* Removes the temporary file unless it was committed. */
void file_writer_deinit(FileWriter *writer);

/* Removes the temporary files in FOLDER whose writers are dead. Failures do not matter and are not told. */
void file_writer_sweep(int folder);
