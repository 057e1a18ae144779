#include <string.h>

#include "agent/cli/migrate_plan.h"
#include "agent/cli/migrate_view.h"
#include "tests/unit/test.h"

static CodedeployGroup groups[] = {
        { .id = (char *) "aaa",
          .last_successful = (char *) "d-1",
          .most_recent = (char *) "d-1",
          .archive = (char *) "/cd/aaa/d-1/deployment-archive",
          .n_installed = 7 },
        { .id = (char *) "bbb",
          .last_successful = (char *) "d-2",
          .most_recent = (char *) "d-3",
          .archive = (char *) "/cd/bbb/d-2/deployment-archive",
          .n_installed = 9 },
        { .id = (char *) "ccc", .problem = (char *) "no revision was ever installed" },
};

static MigrateFacts facts_of(CodedeployGroup *first, size_t n) {
        return (MigrateFacts){ .has_root = true, .state = { .groups = first, .n = n } };
}

static void test_choice(_unused_ void **state) {
        MigrateFacts one = facts_of(groups, 1), all = facts_of(groups, 3), last = facts_of(groups + 1, 2);
        const CodedeployGroup *group;
        Error error = {};

        assert_int_equal(migrate_choose(&one, NULL, &group, &error), 0);
        assert_ptr_equal(group, &groups[0]);
        assert_int_equal(migrate_choose(&all, NULL, &group, &error), 0);
        assert_null(group);
        assert_int_equal(migrate_choose(&last, NULL, &group, &error), 0); /* nothing is of the other one */
        assert_ptr_equal(group, &groups[1]);
        assert_int_equal(migrate_choose(&all, "bbb", &group, &error), 0);
        assert_ptr_equal(group, &groups[1]);
        assert_int_equal(migrate_choose(&all, "ddd", &group, &error), -ENOENT);
        assert_string_equal(error.message, "CodeDeploy has deployed nothing of a group ddd here "
                                           "(/opt/codedeploy-agent/deployment-root)");
        assert_int_equal(migrate_choose(&all, "ccc", &group, &error), -EBADMSG);
        assert_string_equal(error.message, "group ccc cannot be taken over: no revision was ever installed");
}

static void test_lines(_unused_ void **state) {
        static const struct {
                CodedeployFile file;
                const char *name, *value, *line;
        } cases[] = {
                { CODEDEPLOY_AGENT_FILE, "max_revisions", "5", NULL },
                { CODEDEPLOY_AGENT_FILE, "max_revisions", "2", "[agent] keep_releases = 2" },
                { CODEDEPLOY_AGENT_FILE, "use_fips_mode", "false", NULL },
                { CODEDEPLOY_AGENT_FILE, "use_fips_mode", "no", NULL },
                { CODEDEPLOY_AGENT_FILE, "use_fips_mode", "true", "[aws] use_fips = yes" },
                { CODEDEPLOY_AGENT_FILE, "wait_between_runs", "20", "[agent] poll_interval = 20s" },
                { CODEDEPLOY_AGENT_FILE, "proxy_uri", "http://proxy:3128",
                  "HTTPS_PROXY=http://proxy:3128 in /etc/muster/environment" },
                { CODEDEPLOY_AGENT_FILE, "proxy_uri", "", NULL },
                { CODEDEPLOY_AGENT_FILE, "s3_endpoint_override", "https://s3.example",
                  "[aws] s3_endpoint_url = https://s3.example" },
                { CODEDEPLOY_AGENT_FILE, "verbose", "true", NULL },
                { CODEDEPLOY_AGENT_FILE, "no_such_key", "1", NULL },
                { CODEDEPLOY_ON_PREMISES_FILE, "region", "eu-central-1", "[aws] region = eu-central-1" },
                { CODEDEPLOY_ON_PREMISES_FILE, "iam_user_arn", "arn:aws:iam::1:user/CodeDeploy/till-7",
                  "[agent] instance_id = till-7" },
                { CODEDEPLOY_ON_PREMISES_FILE, "iam_user_arn", "till-7", NULL },
                { CODEDEPLOY_ON_PREMISES_FILE, "aws_secret_access_key", "hush", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const CodedeploySetting setting = { (char *) cases[i].name, (char *) cases[i].value,
                                                    codedeploy_key_find(cases[i].file, cases[i].name) };
                _cleanup_free_ char *line = NULL;

                assert_int_equal(migrate_line(&setting, &line), 0);
                if (!string_equal(line, cases[i].line))
                        fail_msg("%s: %s", cases[i].name, line ?: "nothing");
        }
}

/* Whether a warning has these words. */
static bool warns(const json_t *plan, const char *words) {
        const json_t *warning;
        size_t i;

        json_array_foreach(json_object_get(plan, "warnings"), i, warning)
                if (strstr(json_string_value(warning), words))
                        return true;
        return false;
}

static void test_warnings(_unused_ void **state) {
        MigrateFacts facts = facts_of(groups, 1);
        const MigrateWish wish = {};

        for (unsigned i = 0; i < 4; i++) {
                json_auto_t *plan = NULL;

                facts.service = (MigrateService){ .known = true, .active = i & 1, .enabled = i & 2 };
                plan = migrate_plan_make(&facts, &wish);
                assert_int_equal(json_array_size(json_object_get(plan, "warnings")), i ? 1 : 0);
                assert_true(warns(plan, "both agents act") == (i > 0));
                assert_true(warns(plan, "is active and enabled") == (i == 3));
        }
        {
                MigrateFacts all = facts_of(groups, 3);
                json_auto_t *plan = NULL;

                all.state.ongoing = (char *[]){ (char *) "d-3", NULL };
                plan = migrate_plan_make(&all, &wish);
                assert_int_equal(json_array_size(json_object_get(plan, "warnings")), 2);
                assert_true(warns(plan, "deployment d-3 runs"));
                assert_true(warns(plan, "group bbb: deployment d-3 was begun after d-2"));
        }
}

static char *view(const json_t *plan, bool verbose) {
        const Style plain = { "", "", "", "", "" };
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);

        migrate_view(plan, verbose, stream, &plain);
        fclose(stream);
        return text;
}

static void test_view(_unused_ void **state) {
        CodedeploySetting settings[] = {
                { (char *) "max_revisions", (char *) "2",
                  codedeploy_key_find(CODEDEPLOY_AGENT_FILE, "max_revisions") },
                { (char *) "pid_dir", (char *) "/run/cd",
                  codedeploy_key_find(CODEDEPLOY_AGENT_FILE, "pid_dir") },
                { (char *) "verbose", (char *) "false",
                  codedeploy_key_find(CODEDEPLOY_AGENT_FILE, "verbose") },
        };
        MigrateFacts facts = facts_of(groups, 3);
        const MigrateWish wish = { .app = "api", .group = &groups[0] };
        json_auto_t *plan = NULL;
        _cleanup_free_ char *text = NULL, *verbose = NULL;

        facts.config = (CodedeployConfig){ settings, 3 };
        plan = migrate_plan_make(&facts, &wish);
        assert_non_null(plan);
        text = view(plan, false);
        assert_non_null(strstr(text, "  max_revisions = 2\n    write  [agent] keep_releases = 2\n"));
        assert_non_null(strstr(text, "  pid_dir = /run/cd\n    needless  musterd is one process"));
        assert_null(strstr(text, "verbose"));
        assert_non_null(strstr(text, "d-1 becomes release codedeploy-d-1 of app api\n  7 files"));
        assert_non_null(strstr(text, "    cannot be taken over: no revision was ever installed\n"));
        verbose = view(plan, true);
        assert_non_null(strstr(verbose, "verbose = false"));
}

static void test_no_choice(_unused_ void **state) {
        MigrateFacts facts = facts_of(groups, 3);
        const MigrateWish none = {},
                          bad = { .group = &groups[1], .version = "7", .bundle_problem = "no appspec" };
        json_auto_t *several = migrate_plan_make(&facts, &none), *refused = migrate_plan_make(&facts, &bad);
        _cleanup_free_ char *text = view(several, false), *other = view(refused, false);

        assert_true(json_is_null(json_object_get(several, "release")));
        assert_non_null(strstr(text, "unless --deployment-group names one"));
        assert_non_null(
                strstr(other, "d-2 becomes release 7 of the app that --app names, but:\n  no appspec\n"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_choice),    cmocka_unit_test(test_lines),
                cmocka_unit_test(test_warnings),  cmocka_unit_test(test_view),
                cmocka_unit_test(test_no_choice),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
