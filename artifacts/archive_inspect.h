#pragma once

/* Looks at an archive that exists already, as muster-unpack will: the same reader, the same rules, with nothing written.
 * So an archive that passes can be installed, and the numbers are those that a release says of it.
 *
 * An archive in which nothing but one folder lies, and in that a file with "appspec" in its name, is taken without that
 * folder, as CodeDeploy does it; names, numbers and the tree's digest are those of what is within. */

#include <stdint.h>

#include "agent/base/buffer.h"
#include "agent/base/error.h"
#include "agent/net/digest.h"
#include "artifacts/archive_format.h"

typedef struct ArchiveFacts {
        ArchiveFormat format;
        bool wrapped; /* there is such a folder */
        uint64_t size;
        uint64_t entries;
        uint64_t unpacked_size;
        uint8_t tree_sha256[DIGEST_SIZE]; /* of what it unpacks to: tree_manifest.h */
} ArchiveFacts;

/* A file that is wanted from it: the first of NAMES, a strv, that it has. */
typedef struct ArchiveMember {
        const char *const *names;
        size_t limit;      /* bytes */
        const char *found; /* one of the names; NULL: it has none of them */
        Buffer content;
        char *elsewhere; /* if none was found, a path in a folder that ends in one of them, or NULL */
} ArchiveMember;

void archive_member_deinit(ArchiveMember *member);
#define _cleanup_archive_member_ _cleanup_(archive_member_deinit)

/* FD is a seekable file that holds the archive and nothing else; where it stands does not matter and changes. Where
 * MEMBER is NULL, the archive is taken as it is, with whatever folder. -E2BIG if the member is larger than its limit.
 * -EBADMSG, the release's fault, for an archive that breaks a rule. */
int archive_inspect(int fd, ArchiveMember *member, ArchiveFacts *ret, Error *error);

#define ARCHIVE_HEAD_SIZE 8192U

/* What is to be known of one file. */
typedef struct ArchiveFile {
        const char *path;
        bool found;   /* as a file or a link */
        bool is_link; /* symbolic: of what it leads to nothing is known here */
        mode_t mode;
        uint8_t head[ARCHIVE_HEAD_SIZE]; /* its first bytes */
        size_t head_size;
} ArchiveFile;

/* Looks for N files, each told by its path, in an archive that archive_inspect() found FACTS of. */
int archive_find(int fd, const ArchiveFacts *facts, ArchiveFile files[], size_t n, Error *error);

/* Adds the manifest of what it unpacks to (tree_manifest.h). */
int archive_manifest(int fd, const ArchiveFacts *facts, Buffer *text, Error *error);
