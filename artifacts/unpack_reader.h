#pragma once

/* Reads an archive and judges it. libarchive reads the format (tar in its dialects, zip); every entry is checked here, and
 * what passes is handed to a sink: muster-unpack's writes files, the publisher's counts. Refused, with the entry's name:
 * names and links that entry_name.h or entry_tree.h refuse, devices, fifos and sockets, setuid and setgid files, sparse and
 * encrypted files, more entries or bytes than the limits say, an archive that ends early or has something after its end,
 * and whatever libarchive so much as warns of. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/error.h"
#include "artifacts/entry_name.h"
#include "artifacts/entry_tree.h"
#include "artifacts/unpack_protocol.h"
#include "artifacts/unpack_source.h"

#define UNPACK_FOLDER_MODE 0755U /* of folders that an archive only implies */

typedef struct UnpackEntry {
        EntryType type;
        bool implied;       /* a folder that the archive does not name */
        bool exists;        /* a folder that was implied by an entry before; now comes what it looks like */
        const char *path;   /* normalised, without the wrapping folder; its folder has been given before */
        const char *target; /* of links; of a hard link normalised, and given before */
        mode_t mode; /* permission bits within ENTRY_MODE_MASK; of folders within ENTRY_FOLDER_MODE_MASK and always 0700 */
        int64_t mtime; /* seconds since 1970 */
        uint32_t mtime_nsec;
        uint64_t size; /* of a file: so many bytes follow through data() */
} UnpackEntry;

/* Negative returns end the reading and come back from it. */
typedef struct UnpackSink {
        int (*entry)(const UnpackEntry *entry, void *userdata, Error *error);
        int (*data)(const void *data, size_t size, void *userdata, Error *error); /* of the last file */
        void *userdata;
} UnpackSink;

typedef struct UnpackCounts {
        uint64_t entries;
        uint64_t bytes;
} UnpackCounts;

/* LIMITS->entries and LIMITS->unpacked_size are maxima here; who knows exact numbers compares them with RET. ENTRY gets the
 * name of the entry that was being read when it failed, as it stands in the archive, or "". -EBADMSG: the release's
 * fault. The source must have read_at for a zip. */
int unpack_read(const UnpackLimits *limits, const UnpackSource *source, const UnpackSink *sink,
                UnpackCounts *ret, char entry[static UNPACK_ENTRY_SHOWN_MAX + 1], Error *error);
