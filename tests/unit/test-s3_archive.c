#include <string.h>

#include "agent/cli/s3_archive.h"
#include "tests/unit/test.h"

/* Downloading is tried against the lab's S3 (tests/lab/test_cli_bundle.py); here is how it is named. */

static void check(const char *uri, const char *bucket, const char *key, const char *version) {
        ReleaseOrigin origin;
        Error error = {};

        assert_true(s3_archive_is_meant(uri));
        if (s3_archive_parse(uri, &origin, &error) < 0)
                fail_msg("%s", error.message);
        assert_string_equal(origin.bucket, bucket);
        assert_string_equal(origin.key, key);
        if (version)
                assert_string_equal(origin.version_id, version);
        else
                assert_null(origin.version_id);
        assert_null(origin.etag);
        release_origin_deinit(&origin);
}

static void test_names(_unused_ void **state) {
        check("s3://builds/api.zip", "builds", "api.zip", NULL);
        check("s3://builds/a b/%20/api.zip?x=1", "builds", "a b/%20/api.zip?x=1", NULL);
        check("s3://builds/api.zip?versionId=3/L4kq+", "builds", "api.zip", "3/L4kq+");
        check("s3://builds/odd?versionId=/x?versionId=v", "builds", "odd?versionId=/x", "v");
        assert_false(s3_archive_is_meant("./s3://x"));
        assert_false(s3_archive_is_meant("s3:/x"));
}

static void refuse(const char *uri, const char *says) {
        ReleaseOrigin origin;
        Error error = {};

        assert_int_equal(s3_archive_parse(uri, &origin, &error), -EINVAL);
        assert_int_equal(error.fault, FAULT_INPUT);
        if (!strstr(error.message, says))
                fail_msg("%s", error.message);
}

static void test_refused(_unused_ void **state) {
        refuse("s3://", "expected s3://BUCKET/KEY");
        refuse("s3://builds", "expected s3://BUCKET/KEY");
        refuse("s3://builds/", "expected s3://BUCKET/KEY");
        refuse("s3:///key", "expected s3://BUCKET/KEY");
        refuse("s3://builds/api.zip?versionId=", "nothing after");
        refuse("s3://builds/?versionId=v", "nothing before");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
