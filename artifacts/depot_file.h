#pragma once

/* file:///folder as a depot. The folder must exist, on a filesystem whose locks and renames are atomic for
 * all who use it: network filesystems (NFS, SMB) are refused. Each key is a file of that name below the
 * folder; nothing is followed out of it, no symbolic link and no "..".
 *
 * Writers of a group's keys (apps/<app>/groups/<group>/…) hold a flock(2) on the file .lock in the group's
 * folder, all other writers one on .lock in the depot's folder. These files are made once and never replaced.
 * Readers need none: a value comes to its name by one rename of a complete and synced temporary file.
 *
 * Names that begin with a dot are no keys, so locks and temporary files are not listed. What a crash leaves
 * of the latter is locked by nobody, and the next writer of a file into that folder removes it.
 *
 * An etag is the SHA-256 of the content: 64 hexadecimal digits in double quotes. A range carries none unless
 * If-Match was asked for, since it would cost reading the whole value.
 *
 * Work is done in steps of bounded size from the event loop; what blocks it is a read or fsync of the local
 * disk. */

#include "agent/base/clock.h"
#include "artifacts/depot_operation.h"

#define DEPOT_FILE_LOCK_TIMEOUT (10 * USEC_PER_SEC) /* -ETIMEDOUT */

extern const DepotKind depot_kind_file;

/* The name of a filesystem (statfs's f_type) on which no depot can be; NULL for any other. */
const char *depot_file_refused_filesystem(uint32_t type);
