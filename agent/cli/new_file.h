#pragma once

/* Files that a command makes for the operator: never in the place of another one. */

#include <sys/types.h>

#include "agent/base/error.h"

/* Writes DATA to PATH, which must not exist, and makes it durable. -EEXIST with a sentence; on any failure there is no
 * file. */
int new_file_write(const char *path, const void *data, size_t size, mode_t mode, Error *error);

/* Fails as new_file_write() would if PATH exists already; for asking before work is done. */
int new_file_check(const char *path, Error *error);
