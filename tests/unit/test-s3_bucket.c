#include <string.h>

#include "agent/base/strv.h"
#include "agent/net/s3_bucket.h"
#include "tests/unit/test.h"

static void assert_headers(const S3BucketTerms *terms, bool is_write, const char *expected) {
        _cleanup_strv_ char **headers = NULL;
        char found[512] = "";

        assert_int_equal(s3_bucket_terms_headers(terms, is_write, &headers), 0);
        STRV_FOREACH(header, headers)
                snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s\n", *header);
        assert_string_equal(found, expected);
}

static void test_headers(_unused_ void **state) {
        const S3BucketTerms all = { S3_ENCRYPTION_KMS, (char *) "alias/depot", true,
                                    (char *) "123456789012" };
        const S3BucketTerms aes = { .encryption = S3_ENCRYPTION_AES256 };
        const S3BucketTerms dsse = { .encryption = S3_ENCRYPTION_KMS_DSSE };

        assert_headers(&(S3BucketTerms){}, true, "");
        assert_headers(&all, true,
                       "x-amz-server-side-encryption: aws:kms\n"
                       "x-amz-server-side-encryption-aws-kms-key-id: alias/depot\n"
                       "x-amz-request-payer: requester\n"
                       "x-amz-expected-bucket-owner: 123456789012\n");
        assert_headers(&all, false,
                       "x-amz-request-payer: requester\nx-amz-expected-bucket-owner: 123456789012\n");
        assert_headers(&aes, true, "x-amz-server-side-encryption: AES256\n");
        assert_headers(&dsse, true, "x-amz-server-side-encryption: aws:kms:dsse\n");
}

static void test_check(_unused_ void **state) {
        const struct {
                S3BucketTerms terms;
                const char *message; /* NULL: good */
        } cases[] = {
                { {}, NULL },
                { { S3_ENCRYPTION_KMS_DSSE, (char *) "arn:aws:kms:eu-west-1:1:key/x", true,
                    (char *) "012345678901" },
                  NULL },
                { { S3_ENCRYPTION_AES256, (char *) "k", false, NULL },
                  "[aws] s3_sse_kms_key_id is of no use unless s3_sse is aws:kms or aws:kms:dsse" },
                { { S3_ENCRYPTION_KMS, (char *) "a\r\nX: y", false, NULL },
                  "[aws] s3_sse_kms_key_id is 'a?\nX: y', expected a key's id, alias or ARN" },
                { { .owner = (char *) "12345678901" },
                  "[aws] s3_bucket_owner is '12345678901', expected an account's twelve digits" },
                { { .owner = (char *) "12345678901x" },
                  "[aws] s3_bucket_owner is '12345678901x', expected an account's twelve digits" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Error error = {};
                int r = s3_bucket_terms_check(&cases[i].terms, &error);

                assert_int_equal(r, cases[i].message ? -EINVAL : 0);
                assert_string_equal(error.message, cases[i].message ?: "");
        }
}

static void test_names(_unused_ void **state) {
        Error error = {};

        assert_int_equal(s3_bucket_check("deploys", NULL), 0);
        assert_int_equal(s3_bucket_check("x-s3", NULL), 0);
        assert_int_equal(s3_bucket_check("Deploys", NULL), -EINVAL);
        assert_int_equal(s3_bucket_check("deploys--euc1-az2--x-s3", &error), -EINVAL);
        assert_non_null(strstr(error.message, "directory bucket (S3 Express)"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_headers),
                cmocka_unit_test(test_check),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
