#pragma once

/* Packs a folder reproducibly into a tar.zst: the same tree gives the same bytes, whoever packs it and whenever.
 *
 * Entries are sorted by name; owner and group are 0; times are all the same; modes are 0755 for folders and for files
 * that their owner may execute, 0644 for other files. Links stay links and must stay inside (entry_name.h). What cannot be
 * in a release is refused with its path: devices, sockets, fifos, setuid and setgid files, links that lead out, names that
 * are no text. A file that changes while it is read is refused as well. */

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/error.h"

#define PACK_LEVEL_DEFAULT 9

typedef struct PackOptions {
        int level;     /* of zstd, 1 to 19; 0 is PACK_LEVEL_DEFAULT */
        int64_t mtime; /* of every entry, seconds since 1970 */
        bool in_use; /* something runs from the folder: modes stay as they are, sockets and fifos are left out */
        /* Called now and then with what has been read so far; may be NULL. */
        void (*progress)(uint64_t entries, uint64_t bytes, void *userdata);
        void *userdata;
} PackOptions;

typedef struct PackResult {
        uint64_t entries;       /* what a release says of its artifact: names in the tree, */
        uint64_t unpacked_size; /* bytes of its files, */
        uint64_t size;          /* and bytes of the archive */
} PackResult;

/* Counts what pack_folder() would pack, for a progress bar, by the same rules. SIZE stays 0. */
int pack_measure(int folder_fd, const PackOptions *options, PackResult *ret, Error *error);

/* Writes the archive of the folder to FD, from where it stands. FOLDER_FD is any descriptor of the folder. */
int pack_folder(int folder_fd, int fd, const PackOptions *options, PackResult *ret, Error *error);
