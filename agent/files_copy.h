#pragma once

/* The content of a file for another one: by reference where the file system shares blocks between files until one of them is
 * written to (FICLONE), else copied within the kernel. */

#include <stdbool.h>
#include <stdint.h>

typedef struct FilesCopy {
        bool no_clone; /* it was tried, and the file systems cannot */
        bool no_range;
        uint64_t copied; /* bytes that were really written */
} FilesCopy;

/* All of FROM, from its beginning, to TO, which is empty. A negative errno. */
int files_copy(FilesCopy *copy, int from, int to, uint64_t size);
