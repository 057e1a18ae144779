#include <string.h>

#include "artifacts/layout.h"
#include "tests/unit/test.h"

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIXTY_FOUR "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_keys(_unused_ void **state) {
        char key[LAYOUT_KEY_MAX];

        assert_int_equal(layout_root(12, key, NULL), 0);
        assert_string_equal(key, "root/12.json");
        assert_int_equal(layout_release("api", "1.4.2+b~1", key, NULL), 0);
        assert_string_equal(key, "apps/api/releases/1.4.2+b~1.json");
        assert_int_equal(layout_artifact("api", SHA, ARCHIVE_TAR_ZST, key, NULL), 0);
        assert_string_equal(key, "apps/api/artifacts/" SHA ".tar.zst");
        assert_int_equal(layout_target("api", "prod", key, NULL), 0);
        assert_string_equal(key, "apps/api/groups/prod/target.json");
        assert_int_equal(layout_freshness("api", "prod", key, NULL), 0);
        assert_string_equal(key, "apps/api/groups/prod/freshness.json");
        assert_int_equal(layout_rollout("api", "prod", "r-20261121-1", key, NULL), 0);
        assert_string_equal(key, "apps/api/groups/prod/rollouts/r-20261121-1.json");
        assert_int_equal(layout_mark("api", "prod", "r-1", "healthy", "AROA:i-0a", key, NULL), 0);
        assert_string_equal(key, "apps/api/groups/prod/rollouts/r-1/healthy/AROA:i-0a.json");
        assert_int_equal(layout_instance("api", "prod", "AROA:i-0a", key, NULL), 0);
        assert_string_equal(key, "apps/api/groups/prod/instances/AROA:i-0a.json");
        assert_int_equal(layout_failure("api", "prod", SIXTY_FOUR, "AROA:i-0a", key, NULL), 0);
        assert_string_equal(key, "apps/api/groups/prod/failures/" SIXTY_FOUR "/AROA:i-0a.json");
        assert_int_equal(layout_failure("api", "prod", "../..", "AROA:i-0a", key, NULL), -EINVAL);
}

static void test_prefixes(_unused_ void **state) {
        char key[LAYOUT_KEY_MAX];

        assert_int_equal(layout_releases("api", key, NULL), 0);
        assert_string_equal(key, "apps/api/releases/");
        assert_int_equal(layout_artifacts("api", key, NULL), 0);
        assert_string_equal(key, "apps/api/artifacts/");
        assert_int_equal(layout_marks("api", "prod", "r-1", "failed", key, NULL), 0);
        assert_string_equal(key, "apps/api/groups/prod/rollouts/r-1/failed/");
        assert_int_equal(layout_instances("api", "prod", key, NULL), 0);
        assert_string_equal(key, "apps/api/groups/prod/instances/");
        assert_int_equal(layout_failures("api", "prod", key, NULL), 0);
        assert_string_equal(key, "apps/api/groups/prod/failures/");
        assert_int_equal(layout_failures_of_release("api", "prod", SIXTY_FOUR, key, NULL), 0);
        assert_string_equal(key, "apps/api/groups/prod/failures/" SIXTY_FOUR "/");
}

/* The longest names there are must still fit whole. */
static void test_longest(_unused_ void **state) {
        char key[LAYOUT_KEY_MAX];

        assert_int_equal(
                layout_mark(SIXTY_FOUR, SIXTY_FOUR, SIXTY_FOUR, SIXTY_FOUR, SIXTY_FOUR SIXTY_FOUR, key, NULL),
                0);
        assert_int_equal(strlen(key), strlen("apps//groups//rollouts///.json") + 6 * 64);
        assert_string_equal(key + strlen(key) - 5, ".json");
}

static void test_names_refused(_unused_ void **state) {
        static const char *const bad[] = { "",    ".",  "..",  ".lock",    "a/b",         "/a",
                                           "a b", "-a", "a\n", "\xc3\xa9", SIXTY_FOUR "a" };
        char key[LAYOUT_KEY_MAX] = "untouched";
        Error error = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(layout_release(bad[i], "1", key, NULL), -EINVAL);
                assert_int_equal(layout_release("a", bad[i], key, NULL), -EINVAL);
                assert_int_equal(layout_artifact("a", bad[i], ARCHIVE_ZIP, key, NULL), -EINVAL);
                assert_int_equal(layout_target(bad[i], "g", key, NULL), -EINVAL);
                assert_int_equal(layout_target("a", bad[i], key, NULL), -EINVAL);
                assert_int_equal(layout_rollout("a", "g", bad[i], key, NULL), -EINVAL);
                assert_int_equal(layout_mark("a", "g", "r", bad[i], "i", key, NULL), -EINVAL);
                if (i + 1 < ELEMENTSOF(bad)) /* an instance's name may be longer */
                        assert_int_equal(layout_instance("a", "g", bad[i], key, NULL), -EINVAL);
                assert_int_equal(layout_releases(bad[i], key, NULL), -EINVAL);
        }
        assert_int_equal(layout_root(0, key, NULL), -EINVAL);
        assert_string_equal(key, "untouched");

        assert_int_equal(layout_target("api", "pr od", key, &error), -EINVAL);
        assert_int_equal(error.fault, FAULT_INPUT);
        assert_non_null(strstr(error.message, "invalid group \"pr od\""));
}

static void test_artifact_parts(_unused_ void **state) {
        char key[LAYOUT_KEY_MAX];

        assert_int_equal(layout_artifact("a",
                                         "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
                                         ARCHIVE_ZIP, key, NULL),
                         -EINVAL);
        assert_int_equal(layout_artifact("a", SHA, _ARCHIVE_FORMAT_COUNT, key, NULL), -EINVAL);
}

static void test_instance_names(_unused_ void **state) {
        assert_true(layout_instance_is_valid("AROAEXAMPLEEXAMPLE:i-0123456789abcdef0"));
        assert_true(layout_instance_is_valid("AROA:name+with=odd,signs.of@sts"));
        assert_true(layout_instance_is_valid(SIXTY_FOUR SIXTY_FOUR));
        assert_false(layout_instance_is_valid(SIXTY_FOUR SIXTY_FOUR "a"));
        assert_false(layout_instance_is_valid(":i-0"));
        assert_false(layout_instance_is_valid("a:/b"));
}

static void test_document_name(_unused_ void **state) {
        char name[LAYOUT_KEY_MAX] = "untouched";

        assert_int_equal(layout_document_name("apps/a/releases/x", "apps/a/releases/", name), -EINVAL);
        assert_int_equal(layout_document_name("apps/a/releases/.json", "apps/a/releases/", name), -EINVAL);
        assert_int_equal(layout_document_name("apps/a/releases/.x.json", "apps/a/releases/", name), -EINVAL);
        assert_int_equal(layout_document_name("apps/a/releases/x/y.json", "apps/a/releases/", name), -EINVAL);
        assert_int_equal(layout_document_name("apps/b/releases/x.json", "apps/a/releases/", name), -EINVAL);
        assert_string_equal(name, "untouched");
        assert_int_equal(layout_document_name("apps/a/releases/1.2.json", "apps/a/releases/", name), 0);
        assert_string_equal(name, "1.2");
        assert_int_equal(layout_document_name("root/3.json", LAYOUT_ROOTS, name), 0);
        assert_string_equal(name, "3");
}

static void test_group_folder(_unused_ void **state) {
        assert_int_equal(layout_group_folder_length("apps/a/groups/g/target.json"),
                         strlen("apps/a/groups/g/"));
        assert_int_equal(layout_group_folder_length("apps/a/groups/g/rollouts/r/x/i.json"),
                         strlen("apps/a/groups/g/"));
        assert_int_equal(layout_group_folder_length("apps/a/groups/g"), 0);
        assert_int_equal(layout_group_folder_length("apps/a/releases/groups/g/x"), 0);
        assert_int_equal(layout_group_folder_length("apps//groups/g/x"), 0);
        assert_int_equal(layout_group_folder_length("root/1.json"), 0);
}

static void test_parse(_unused_ void **state) {
        static const struct {
                const char *key;
                LayoutKind kind;
                const char *group, *name;
        } cases[] = {
                { "apps/api/releases/1.4.2+b~1.json", LAYOUT_KIND_RELEASE, "", "1.4.2+b~1" },
                { "apps/api/artifacts/" SHA ".tar.zst", LAYOUT_KIND_ARTIFACT, "", SHA },
                { "apps/api/artifacts/" SHA ".zip", LAYOUT_KIND_ARTIFACT, "", SHA },
                { "apps/api/groups/prod/target.json", LAYOUT_KIND_TARGET, "prod", "" },
                { "apps/api/groups/prod/freshness.json", LAYOUT_KIND_FRESHNESS, "prod", "" },
                { "apps/api/groups/prod/rollouts/r-1.json", LAYOUT_KIND_REGISTER, "prod", "r-1" },
                { "apps/api/groups/prod/rollouts/r-1/up-1/A:i-1.json", LAYOUT_KIND_MARK, "prod", "r-1" },
                { "apps/api/groups/prod/instances/A:i-1.json", LAYOUT_KIND_REPORT, "prod", "A:i-1" },
                { "apps/api/groups/prod/failures/" SHA "/A:i-1.json", LAYOUT_KIND_FAILURE, "prod", SHA },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                LayoutKey key;

                layout_parse(cases[i].key, &key);
                assert_string_equal(layout_kind_to_string(key.kind), layout_kind_to_string(cases[i].kind));
                assert_string_equal(key.app, "api");
                assert_string_equal(key.group, cases[i].group);
                assert_string_equal(key.name, cases[i].name);
        }
}

static void test_parse_foreign(_unused_ void **state) {
        static const char *const keys[] = {
                "",
                "apps",
                "apps/",
                "root/1.json",
                "apps/api/releases/1.json/x",
                "apps/api/releases/.json",
                "apps/api/releases/1.jsonx",
                "apps/api/releases/a b.json",
                "apps/api/releases/",
                "apps/api/artifacts/" SHA,
                "apps/api/artifacts/" SHA ".exe",
                "apps/api/artifacts/0" SHA ".zip",
                "apps/../releases/1.json",
                "apps/api/groups/prod/target.json.old",
                "apps/api/groups/prod/rollouts/r-1/up-1/.json",
                "apps/api/groups/prod/rollouts/r-1/up-1/deep/er.json",
                "apps/api/groups/prod/failures/x/i-1.json",
                "x/apps/api/releases/1.json",
                "apps//releases/1.json",
        };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                LayoutKey key;

                layout_parse(keys[i], &key);
                if (key.kind != LAYOUT_KIND_FOREIGN || *key.app || *key.group || *key.name)
                        fail_msg("%s is taken for a %s", keys[i], layout_kind_to_string(key.kind));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_keys),           cmocka_unit_test(test_prefixes),
                cmocka_unit_test(test_longest),        cmocka_unit_test(test_names_refused),
                cmocka_unit_test(test_artifact_parts), cmocka_unit_test(test_instance_names),
                cmocka_unit_test(test_document_name),  cmocka_unit_test(test_group_folder),
                cmocka_unit_test(test_parse),          cmocka_unit_test(test_parse_foreign),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
