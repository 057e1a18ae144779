#pragma once

/* s3://bucket/prefix as a depot (and s3://bucket, without a prefix), on agent/net/s3.h. Each key is the
 * object prefix/key; an etag is S3's, with its quotes. The conditions of a put are S3's conditional writes,
 * so the bucket needs none of its settings changed; the caller's role needs s3:GetObject, s3:PutObject and
 * s3:ListBucket (without that one, S3 answers 403 where it means 404), and s3:DeleteObject for deletes.
 *
 * Which answers count:
 *
 *  - 409 (another conditional write is under way) is no answer: the put is sent again, DEPOT_S3_CONFLICTS_MAX
 *    times.
 *  - 412 to a put that was sent once: the race is lost. To one that was sent again after an attempt whose
 *    answer was lost, it may be the echo of our own write; likewise, an answer that was lost to the end may
 *    have been a write. Then the key is read back: if it holds what was to be written, the write was ours.
 *
 * Objects below the prefix whose names are no valid keys of a depot (depot.h) are not listed. */

#include "artifacts/depot_operation.h"

#define DEPOT_S3_CONFLICTS_MAX 5U
#define DEPOT_S3_LOWEST_RATE                                                                                 \
        (32U * 1024U) /* bytes a second: what a range may take beyond HTTP_TOTAL_TIMEOUT */

extern const DepotKind depot_kind_s3;
