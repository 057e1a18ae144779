#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/strv.h"
#include "agent/environment.h"

static const char *value_of(char *const *environment, const char *name) {
        for (; environment && *environment; environment++)
                if (strncmp(*environment, name, strlen(name)) == 0 && (*environment)[strlen(name)] == '=')
                        return *environment + strlen(name) + 1;
        return NULL;
}

static void test_group_wins(_unused_ void **state) {
        char *group[] = { (char *) "LOG_LEVEL=info", (char *) "NEW=1", NULL };
        DocumentVariable variables[] = { { (char *) "GOMAXPROCS", (char *) "4" },
                                         { (char *) "LOG_LEVEL", (char *) "debug" },
                                         { (char *) "LOG", (char *) "kept" } };
        Release release = { .env = { variables, ELEMENTSOF(variables) } };
        _cleanup_strv_ char **environment = NULL;

        assert_int_equal(environment_of_app(&release, group, &environment), 0);
        assert_int_equal(strv_length(environment), 4);
        assert_string_equal(environment[0], "GOMAXPROCS=4");
        assert_string_equal(environment[1], "LOG=kept");
        assert_string_equal(environment[2], "LOG_LEVEL=info");
        assert_string_equal(environment[3], "NEW=1");
}

static void test_nothing(_unused_ void **state) {
        _cleanup_strv_ char **environment = NULL;
        _cleanup_free_ char *text = NULL;

        assert_int_equal(environment_of_app(NULL, NULL, &environment), 0);
        assert_int_equal(strv_length(environment), 0);
        assert_int_equal(environment_to_file(environment, &text), 0);
        assert_string_equal(text, "");
}

static void test_quoting(_unused_ void **state) {
        char *environment[] = { (char *) "A=plain", (char *) "B=a \"b\" $c `d` \\e",
                                (char *) "C=", (char *) "D=x=y", NULL };
        _cleanup_free_ char *text = NULL;

        assert_int_equal(environment_to_file(environment, &text), 0);
        assert_string_equal(text, "A=\"plain\"\nB=\"a \\\"b\\\" \\$c \\`d\\` \\\\e\"\nC=\"\"\nD=\"x=y\"\n");
}

static EngineContext context_of(Record *record, ReleaseStore *store) {
        return (EngineContext){
                .store = store, .record = record, .app = "api", .group = "prod", .instance = "i-1"
        };
}

static void test_hooks(_unused_ void **state) {
        ReleaseStore store = { .path = (char *) "/var/lib/muster/apps/api" };
        Record record = { .deployment = { .id = (char *) "d-1", .step = STEP_ROLLBACK_STOP, .attempt = 2 } };
        EngineContext context = context_of(&record, &store);
        ReleaseRef subject = {
                .version = (char *) "1.0",
                .sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        };
        _cleanup_strv_ char **environment = NULL;

        record.deployment.to.version = (char *) "2.0";
        assert_int_equal(environment_of_hooks(&context, &subject, NULL, NULL, &environment), 0);
        assert_string_equal(value_of(environment, "APPLICATION_NAME"), "api");
        assert_string_equal(value_of(environment, "DEPLOYMENT_GROUP_NAME"), "prod");
        assert_string_equal(value_of(environment, "DEPLOYMENT_ID"), "d-1");
        assert_string_equal(value_of(environment, "MUSTER_VERSION"), "1.0");
        assert_string_equal(value_of(environment, "MUSTER_TO_VERSION"), "2.0");
        assert_null(value_of(environment, "MUSTER_FROM_VERSION"));
        assert_string_equal(value_of(environment, "MUSTER_ROLLBACK"), "1");
        assert_string_equal(value_of(environment, "MUSTER_RESUMED"), "1");
        assert_string_equal(value_of(environment, "MUSTER_RELEASE_DIR"),
                            "/var/lib/muster/apps/api/releases/1.0-0123456789ab");
}

/* Of what was taken from S3, hooks are told what CodeDeploy would have told them. */
static void test_origin(_unused_ void **state) {
        ReleaseStore store = { .path = (char *) "/var/lib/muster/apps/api" };
        Record record = { .deployment = { .id = (char *) "d-1" } };
        EngineContext context = context_of(&record, &store);
        ReleaseArtifact artifact = { .platform = (char *) "any",
                                     .origin = { .bucket = (char *) "builds",
                                                 .key = (char *) "api/42.zip",
                                                 .version_id = (char *) "v7",
                                                 .etag = (char *) "0123" } };
        Release release = { .artifacts = { &artifact, 1 }, .commit = (char *) "417bf4e" };
        ReleaseRef subject = { .version = (char *) "1.0" };
        _cleanup_strv_ char **environment = NULL, **plain = NULL;

        assert_int_equal(environment_of_hooks(&context, &subject, &release, NULL, &environment), 0);
        assert_string_equal(value_of(environment, "BUNDLE_BUCKET"), "builds");
        assert_string_equal(value_of(environment, "BUNDLE_KEY"), "api/42.zip");
        assert_string_equal(value_of(environment, "BUNDLE_VERSION"), "v7");
        assert_string_equal(value_of(environment, "BUNDLE_ETAG"), "0123");
        assert_string_equal(value_of(environment, "BUNDLE_COMMIT"), "417bf4e");
        artifact.origin = (ReleaseOrigin){};
        release.commit = NULL;
        assert_int_equal(environment_of_hooks(&context, &subject, &release, NULL, &plain), 0);
        assert_null(value_of(plain, "BUNDLE_BUCKET"));
        assert_null(value_of(plain, "BUNDLE_VERSION"));
        assert_null(value_of(plain, "BUNDLE_COMMIT"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_group_wins), cmocka_unit_test(test_nothing),
                cmocka_unit_test(test_quoting),    cmocka_unit_test(test_hooks),
                cmocka_unit_test(test_origin),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
