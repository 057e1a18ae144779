#pragma once

/* Where in S3 an archive lay before it was published: what CodeDeploy calls the revision's location. Hooks are told it, as
 * CodeDeploy tells them. */

#include "artifacts/document.h"

typedef struct ReleaseOrigin {
        char *bucket; /* NULL: it did not come from S3, and all others are NULL too */
        char *key;
        char *version_id; /* NULL: the bucket keeps no versions */
        char *etag;       /* without quotes; NULL: not known */
} ReleaseOrigin;

void release_origin_deinit(ReleaseOrigin *origin);

/* -ENOMEM, and RET is empty then. */
int release_origin_copy(const ReleaseOrigin *from, ReleaseOrigin *ret);

extern const SchemaType release_origin_type;
