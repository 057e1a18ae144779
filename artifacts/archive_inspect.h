#pragma once

/* Looks at an archive that exists already, as muster-unpack will: the same reader, the same rules, with nothing written.
 * So an archive that passes can be installed, and the numbers are those that a release says of it. */

#include <stdint.h>

#include "agent/base/buffer.h"
#include "agent/base/error.h"
#include "agent/net/digest.h"
#include "artifacts/archive_format.h"

typedef struct ArchiveFacts {
        ArchiveFormat format;
        uint64_t size;
        uint64_t entries;
        uint64_t unpacked_size;
        uint8_t tree_sha256[DIGEST_SIZE]; /* of what it unpacks to: tree_manifest.h */
} ArchiveFacts;

/* FD is a seekable file that holds the archive and nothing else; where it stands does not matter and changes. If MEMBER is
 * not NULL, the content of that file in the archive (such as "appspec.yml") is added to CONTENT; -ENOENT if there is
 * none, -E2BIG if it is larger than MEMBER_LIMIT. -EBADMSG, the release's fault, for an archive that breaks a rule. */
int archive_inspect(int fd, const char *member, size_t member_limit, Buffer *content, ArchiveFacts *ret,
                    Error *error);

/* Tells of each of the N names whether the archive has a file or a link of that name. */
int archive_find(int fd, const char *const names[], size_t n, bool found[], Error *error);
