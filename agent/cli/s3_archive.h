#pragma once

/* An archive that lies in S3 already, where a build has put it for CodeDeploy: s3://BUCKET/KEY, or one version of it,
 * s3://BUCKET/KEY?versionId=ID. The key is taken literally, as the AWS command line does it. */

#include <stdbool.h>

#include "agent/cli/cli.h"
#include "agent/cli/depot_access.h"
#include "artifacts/release_origin.h"

#define S3_ARCHIVE_SIZE_MAX (UINT64_C(64) << 30) /* what a release can say of an artifact */
#define S3_ARCHIVE_TIMEOUT (6 * 3600 * USEC_PER_SEC)

bool s3_archive_is_meant(const char *path);

/* Pure. Without an etag. -EINVAL. */
int s3_archive_parse(const char *uri, ReleaseOrigin *ret, Error *error);

/* Downloads it into a file without a name; a connection that breaks is taken up where it was, of the same object. *RET_ORIGIN
 * says which version it was. VALUES say how AWS is spoken to; its depot plays no part. -ENOENT, -EFBIG, -ESTALE (it was
 * replaced meanwhile), and those of net/s3.h. */
int s3_archive_get(const char *uri, const DepotValues *values, const Cli *cli, int *ret_fd,
                   ReleaseOrigin *ret_origin, Error *error);
