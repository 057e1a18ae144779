#pragma once

/* The names of the regular files below a folder. Names that begin with a dot, symbolic links and everything
 * else that is neither file nor folder are passed over; nothing is followed. */

#include "agent/base/error.h"

#define FILE_WALK_DEPTH_MAX 64U /* folders within folders: -ELOOP */

/* Gets a path relative to the folder that was given. A negative errno ends the walk with that. */
typedef int (*FileWalkVisit)(const char *path, void *userdata, Error *error);

/* Visits all files whose path begins with PREFIX, which is "" or ends with a slash, in no particular order. A
 * missing folder holds none. */
int file_walk(int folder, const char *prefix, FileWalkVisit visit, void *userdata, Error *error);
