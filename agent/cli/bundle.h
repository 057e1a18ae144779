#pragma once

/* What an app's author hands over, a folder or an archive, made ready to be published: an archive with its digests, and
 * the appspec.yml that came in it. A folder is packed reproducibly; an archive is taken byte for byte. */

#include "agent/base/buffer.h"
#include "agent/cli/cli.h"
#include "artifacts/artifact_digest.h"
#include "artifacts/release.h"

typedef struct Bundle {
        const char *path; /* as it was given; borrowed */
        const char *platform;
        int folder;  /* -1 for an archive */
        int archive; /* -1 for a folder until it has been packed */
        bool has_appspec;
        Buffer appspec;
        ArchiveFormat format;
        uint64_t entries, unpacked_size;
        uint8_t tree_sha256[DIGEST_SIZE];
        ArtifactDigest digest;
} Bundle;

void bundle_deinit(Bundle *bundle);

/* Opens and reads appspec.yml. PLATFORM and PATH must stay. -ENOENT, and -EBADMSG for an archive that could not be
 * installed. */
int bundle_open(const char *platform, const char *path, Bundle *ret, Error *error);

/* Whether each file that RELEASE names (hooks, unit files, commands of health checks) is in the bundle. -ENOENT with a
 * sentence that names file and section. */
int bundle_check_files(const Bundle *bundle, const Release *release, Error *error);

/* Packs a folder and works out the digests. */
int bundle_seal(Bundle *bundle, const Cli *cli, Error *error);

/* Says in RELEASE what has been sealed. */
int bundle_add_to_release(const Bundle *bundle, Release *release, Error *error);
