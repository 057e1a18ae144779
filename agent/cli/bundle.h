#pragma once

/* What an app's author hands over, a folder or an archive, made ready to be published: an archive with its digests, and
 * the appspec.yml that came in it. A folder is packed reproducibly; an archive is taken byte for byte. */

#include "agent/base/buffer.h"
#include "agent/cli/cli.h"
#include "artifacts/archive_inspect.h"
#include "artifacts/artifact_digest.h"
#include "artifacts/release.h"

typedef struct Bundle {
        const char *path; /* as it was given; borrowed */
        const char *platform;
        int folder;               /* -1 for an archive */
        int archive;              /* -1 for a folder until it has been packed */
        const char *appspec_name; /* which of the names it has; NULL: none */
        char *appspec_elsewhere;  /* if none, where in an archive one lies, not at its root; or NULL */
        Buffer appspec;
        ArchiveFacts facts; /* of a folder from when it has been packed */
        ArtifactDigest digest;
} Bundle;

void bundle_deinit(Bundle *bundle);

/* Opens and reads the appspec: the first of NAMES, a strv, that it has at its root; that it has none is no error. PLATFORM,
 * PATH and NAMES must stay. -ENOENT, and -EBADMSG for an archive that could not be installed. */
int bundle_open(const char *platform, const char *path, const char *const *names, Bundle *ret, Error *error);

/* Packs a folder and works out the digests. */
int bundle_seal(Bundle *bundle, const Cli *cli, Error *error);

/* Says in RELEASE what has been sealed. */
int bundle_add_to_release(const Bundle *bundle, Release *release, Error *error);
