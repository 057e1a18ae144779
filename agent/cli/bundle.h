#pragma once

/* What an app's author hands over, a folder or an archive, made ready to be published: an archive with its digests, and
 * the appspec.yml that came in it. A folder is packed reproducibly; an archive is taken byte for byte. */

#include "agent/base/buffer.h"
#include "agent/cli/s3_archive.h"
#include "artifacts/archive_inspect.h"
#include "artifacts/artifact_digest.h"
#include "artifacts/release.h"

typedef struct Bundle {
        const char *path; /* as it was given; borrowed */
        const char *platform;
        int folder;               /* -1 for an archive */
        int archive;              /* -1 for a folder until it has been packed */
        bool in_use;              /* as PackOptions has it */
        const char *appspec_name; /* which of the names it has; NULL: none */
        char *appspec_elsewhere;  /* if none, where in an archive one lies, not at its root; or NULL */
        Buffer appspec;
        ArchiveFacts facts; /* of a folder from when it has been packed */
        ArtifactDigest digest;
        ReleaseOrigin origin; /* of what was taken from S3 */
} Bundle;

/* What is the same for all bundles of a release. */
typedef struct BundleContext {
        const char *const *appspec_names; /* a strv: the first that a bundle has at its root is its appspec */
        const DepotValues *aws;           /* how S3 is spoken to; NULL: nothing is taken from there */
        bool in_use;                      /* of folders, as PackOptions has it */
        const Cli *cli;
} BundleContext;

void bundle_deinit(Bundle *bundle);

/* Opens and reads the appspec; that it has none is no error. PATH is a folder, an archive, or that of one in S3
 * (s3_archive.h), which is downloaded. PLATFORM, PATH and the names of the appspec must stay. -ENOENT, and -EBADMSG for an
 * archive that could not be installed. */
int bundle_open(const char *platform, const char *path, const BundleContext *context, Bundle *ret,
                Error *error);

/* Whether a folder can be packed, as far as that can be seen without doing it. */
int bundle_check(const Bundle *bundle, Error *error);

/* Packs a folder and works out the digests. */
int bundle_seal(Bundle *bundle, const Cli *cli, Error *error);

/* Says in RELEASE what has been sealed. */
int bundle_add_to_release(const Bundle *bundle, Release *release, Error *error);
