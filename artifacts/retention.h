#pragma once

/* Which releases to keep on the disk. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct RetentionItem {
        bool in_use; /* stays, whatever the limits say */
        uint64_t bytes;
        bool remove; /* set by retention_choose() */
} RetentionItem;

/* ITEMS stand in the order of their last use, the latest first. Those in use are counted first; the others stay from the
 * latest on while there are at most RELEASES with at most BYTES. From the first that does not fit on, all go. */
void retention_choose(RetentionItem *items, size_t count, uint64_t releases, uint64_t bytes);
