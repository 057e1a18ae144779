#pragma once

/* From what an app's author has (folders or archives with an appspec.yml) to a release whose artifacts are ready to be
 * handed on: read, checked, packed, digested. Contacts nobody but S3, for archives that lie there. */

#include "agent/cli/bundle.h"

#define PLATFORM_ANY "any"

typedef struct ReleaseRequest {
        const char *app;
        const char *version;
        const char *path;       /* a folder or an archive, or NULL */
        const DepotValues *aws; /* for archives in S3; NULL: none are taken */
        bool in_use;            /* of a folder, as PackOptions has it */
        const char *commit;     /* of the source that it was built from; NULL: not known */
        char **platforms; /* "linux/amd64=PATH" each; or one platform without a path, which is that of PATH */
        const char *
                appspec; /* the appspec's name in them, or a file that stands for all of theirs; NULL: the usual */
} ReleaseRequest;

typedef struct ReleaseSource {
        Bundle bundles[RELEASE_PLATFORMS_MAX];
        char *platforms[RELEASE_PLATFORMS_MAX]; /* of the bundles */
        size_t n;
        const char *appspec_names[3]; /* of the request, a strv */
        char *appspec;                /* the one that was read, for messages: "api/appspec.yml" */
        Release *release;
} ReleaseSource;

void release_source_deinit(ReleaseSource *source);
#define _cleanup_release_source_ _cleanup_(release_source_deinit)

/* Reads and checks. REQUEST and its texts must stay. Fills RET as far as it comes, which must be deinitialised after a
 * failure too. -EDESTADDRREQ if there is nothing to be read. */
int release_source_open(const ReleaseRequest *request, const Cli *cli, ReleaseSource *ret, Error *error);

/* Packs, works out the digests and says them in the release: the long part. */
int release_source_seal(ReleaseSource *source, const Cli *cli, Error *error);
