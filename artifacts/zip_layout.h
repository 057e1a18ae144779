#pragma once

/* Whether a file is one zip and nothing else (PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.4): local entries from the first
 * byte on, a central directory with as many entries as it says, directly after it its end records, and their comment at
 * the end of the file. libarchive is more lenient: it takes the last end record that it finds in the last 16 KiB, whatever
 * lies around it, and allocates memory for each entry of the directory, however many there are. */

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "artifacts/unpack_source.h"

/* -EBADMSG, the release's fault, for a file that is not, or that has more than ENTRIES_MAX entries. *RET_MODES: whether any
 * entry was made by a Unix, which alone writes modes. */
int zip_layout_check(const UnpackSource *source, uint64_t size, uint64_t entries_max, bool *ret_modes,
                     Error *error);
