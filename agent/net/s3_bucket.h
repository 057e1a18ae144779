#pragma once

/* What is to be known of a bucket beside its name: what its policy or its owner demand of each request. Pure. "Specifying
 * server-side encryption", "Using Requester Pays buckets", "Verifying bucket ownership with bucket owner condition" (S3
 * User Guide). */

#include <stdbool.h>

#include "agent/base/error.h"

typedef enum S3Encryption {
        S3_ENCRYPTION_DEFAULT, /* the bucket's own */
        S3_ENCRYPTION_AES256,
        S3_ENCRYPTION_KMS,
        S3_ENCRYPTION_KMS_DSSE,
} S3Encryption;

typedef struct S3BucketTerms {
        S3Encryption encryption; /* of what is written */
        char *kms_key_id;        /* with the latter two; NULL: the bucket's */
        bool requester_pays;
        char *owner; /* an account's number; NULL: whoever it is */
} S3BucketTerms;

void s3_bucket_terms_deinit(S3BucketTerms *terms);
int s3_bucket_terms_copy(const S3BucketTerms *from, S3BucketTerms *ret);

/* -EINVAL: they contradict each other, or a value can be none. */
int s3_bucket_terms_check(const S3BucketTerms *terms, Error *error);

/* Adds "Name: value" for each of them that such a request must have. */
int s3_bucket_terms_headers(const S3BucketTerms *terms, bool is_write, char ***headers);

/* -EINVAL for a name that is none, and for a directory bucket (S3 Express), which speaks another protocol. */
int s3_bucket_check(const char *bucket, Error *error);
