#pragma once

/* Where a command keeps what may be larger than memory: in TMPDIR, or /var/tmp. */

#include "agent/base/error.h"

const char *temporary_folder(void);

/* A new file without a name, read and written by this process only. */
int temporary_open(Error *error);
