#pragma once

/* Which code does a process run? Where services run from `current`, the answer tells a reload that took the new
 * release over from one that left the old process as it was. */

#include <stdbool.h>
#include <sys/types.h>

#include "agent/base/error.h"

/* Whether the executable or the working directory of PID lies in FOLDER (an absolute path; links in it are followed).
 * A file that was deleted since counts as not there. Sees through bind mounts of the folder or of parts of it: a path
 * that looks foreign is compared by device and inode. In *RET_WHERE (may be NULL) what it runs, for a message; new
 * memory. -ESRCH: no such process. */
int process_runs_from(pid_t pid, const char *folder, bool *ret, char **ret_where, Error *error);
