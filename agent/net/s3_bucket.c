#include <ctype.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/net/endpoint.h"
#include "agent/net/s3_bucket.h"

#define ACCOUNT_DIGITS 12U
#define KMS_KEY_ID_MAX 2048U
#define DIRECTORY_BUCKET_SUFFIX "--x-s3"

void s3_bucket_terms_deinit(S3BucketTerms *terms) {
        free(terms->kms_key_id);
        free(terms->owner);
        *terms = (S3BucketTerms){};
}

int s3_bucket_terms_copy(const S3BucketTerms *from, S3BucketTerms *ret) {
        S3BucketTerms copy = { .encryption = from->encryption, .requester_pays = from->requester_pays };

        if (string_set(&copy.kms_key_id, from->kms_key_id) < 0 || string_set(&copy.owner, from->owner) < 0) {
                s3_bucket_terms_deinit(&copy);
                return -ENOMEM;
        }
        *ret = copy;
        return 0;
}

static bool is_account(const char *text) {
        return strlen(text) == ACCOUNT_DIGITS && strspn(text, "0123456789") == ACCOUNT_DIGITS;
}

/* An id, an alias or an ARN. */
static bool is_kms_key(const char *text) {
        for (const char *c = text; *c; c++)
                if (!isgraph((unsigned char) *c))
                        return false;
        return strlen(text) <= KMS_KEY_ID_MAX;
}

int s3_bucket_terms_check(const S3BucketTerms *terms, Error *error) {
        bool is_kms = terms->encryption == S3_ENCRYPTION_KMS || terms->encryption == S3_ENCRYPTION_KMS_DSSE;

        if (terms->kms_key_id && !is_kms)
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "[aws] s3_sse_kms_key_id is of no use unless s3_sse is aws:kms or aws:kms:dsse");
        if (terms->kms_key_id && !is_kms_key(terms->kms_key_id))
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "[aws] s3_sse_kms_key_id is '%.64s', expected a key's id, alias or ARN",
                        terms->kms_key_id);
        if (terms->owner && !is_account(terms->owner))
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "[aws] s3_bucket_owner is '%.64s', expected an account's twelve digits",
                        terms->owner);
        return 0;
}

static const char *const encryption_names[] = {
        [S3_ENCRYPTION_AES256] = "AES256",
        [S3_ENCRYPTION_KMS] = "aws:kms",
        [S3_ENCRYPTION_KMS_DSSE] = "aws:kms:dsse",
};

int s3_bucket_terms_headers(const S3BucketTerms *terms, bool is_write, char ***headers) {
        int r = 0;

        if (is_write && terms->encryption != S3_ENCRYPTION_DEFAULT)
                r = strv_appendf(headers, "x-amz-server-side-encryption: %s",
                                 encryption_names[terms->encryption]);
        if (r >= 0 && is_write && terms->kms_key_id)
                r = strv_appendf(headers, "x-amz-server-side-encryption-aws-kms-key-id: %s",
                                 terms->kms_key_id);
        if (r >= 0 && terms->requester_pays)
                r = strv_append(headers, "x-amz-request-payer: requester");
        if (r >= 0 && terms->owner)
                r = strv_appendf(headers, "x-amz-expected-bucket-owner: %s", terms->owner);
        return r;
}

int s3_bucket_check(const char *bucket, Error *error) {
        if (!s3_bucket_is_valid(bucket))
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "bad bucket name '%.64s', expected 3 to 63 of a-z, 0-9, '.' and '-'",
                                       bucket);
        if (string_ends_with(bucket, DIRECTORY_BUCKET_SUFFIX))
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "'%s' is a directory bucket (S3 Express), which lacks what a depot needs: "
                        "take a general purpose bucket",
                        bucket);
        return 0;
}
