#include <string.h>
#include <sys/stat.h>

#include "agent/base/buffer.h"
#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/config_check.h"
#include "tests/unit/test.h"

static int parse(Config *config, const char *text, Error *error) {
        return config_parse(config, "muster.conf", text, error);
}

static void test_defaults(_unused_ void **state) {
        _cleanup_(config_freep) Config *config = NULL;
        Error error = {};

        assert_int_equal(config_new(&config), 0);
        assert_false(config_is_configured(config));
        assert_string_equal(config->state_dir, "/var/lib/muster");
        assert_true(config->poll_interval == 30 * USEC_PER_SEC);
        assert_int_equal(config->launch_failure, LAUNCH_FAILURE_ABANDON);
        assert_int_equal(config_check(config, &error), 0);
}

static void test_whole(_unused_ void **state) {
        _cleanup_(config_freep) Config *config = NULL;
        Error error = {};

        assert_int_equal(config_new(&config), 0);
        assert_int_equal(
                parse(config,
                      "# comment\n[agent]\ndepot = s3://bucket/pre fix\ngroup=prod\npoll_interval = 1m30s\n"
                      "[launch]\nhook = muster\non_failure = wait\n[app api]\n[app  worker]\nrequired = no\n"
                      "group = batch\n[aws]\ns3_addressing = path\n",
                      &error),
                0);
        assert_int_equal(config_check(config, &error), 0);
        assert_string_equal(config->depot, "s3://bucket/pre fix");
        assert_true(config->poll_interval == 90 * USEC_PER_SEC);
        assert_int_equal(config->n_apps, 2);
        assert_true(config_find_app(config, "api")->required);
        assert_false(config_find_app(config, "worker")->required);
        assert_string_equal(config_find_app(config, "worker")->group, "batch");
        assert_null(config_find_app(config, "web"));
        assert_int_equal(config->s3_addressing, S3_ADDRESSING_PATH);
        assert_int_equal(config->launch_failure, LAUNCH_FAILURE_WAIT);
}

static void test_bad_input(_unused_ void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "[agent]\ndepott = x\n", "muster.conf:2: unknown key 'depott'" },
                { "[agnet]\ndepot = x\n",
                  "muster.conf:1: unknown section 'agnet', expected agent, traffic, aws, launch, leave, notify or app NAME" },
                { "[App api]\n",
                  "muster.conf:1: unknown section 'App api', expected agent, traffic, aws, launch, leave, notify or app NAME" },
                { "[apps api]\n",
                  "muster.conf:1: unknown section 'apps api', expected agent, traffic, aws, launch, leave, notify or app NAME" },
                { "\n\n[app]\n",
                  "muster.conf:3: unknown section 'app', expected agent, traffic, aws, launch, leave, notify or app NAME" },
                { "[agent] depot = x\n",
                  "muster.conf:1: behind a section there is 'depot = x', expected nothing" },
                { "depot = x\n", "muster.conf:1: a key before any section: 'depot'" },
                { "[agent]\npoll_interval = soon\n",
                  "muster.conf:2: bad value of poll_interval: 'soon', expected a duration such as 60s or 5m" },
                { "[agent]\nstate_dir = here\n",
                  "muster.conf:2: bad value of state_dir: 'here', expected an absolute path" },
                { "[agent]\n\ndepot = a\ndepot = b\n", "muster.conf:4: key given twice: 'depot'" },
                { "[agent]\ndepot = a\n  b\n", "muster.conf:3: expected [SECTION] or KEY = VALUE" },
                { "[agent]\nnonsense\n", "muster.conf:2: expected [SECTION] or KEY = VALUE" },
                { "[agent\ndepot = a\n", "muster.conf:1: section without its ']': '[agent'" },
                { "[app a/b]\nrequired = yes\n",
                  "muster.conf:1: bad app name 'a/b', expected letters, digits, '.', '_' and '-'" },
                { "\n\n[app a/b]\n",
                  "muster.conf:3: bad app name 'a/b', expected letters, digits, '.', '_' and '-'" },
                { "[app api]\nrequired = maybe\n",
                  "muster.conf:2: bad value of required: 'maybe', expected yes or no" },
                { "[launch]\non_failure = explode\n",
                  "muster.conf:2: bad value of on_failure: 'explode', expected abandon, continue or wait" },
                { "[aws]\nendpoint_url = localhost\n",
                  "muster.conf:2: bad value of endpoint_url: 'localhost', expected a URL such as https://host:port" },
                { "[notify]\nwebhook = hooks.example.com/SECRET\n",
                  "muster.conf:2: bad value of webhook: '…', expected a URL such as "
                  "https://hooks.example.com/services/…" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(config_freep) Config *config = NULL;
                Error error = {};

                assert_int_equal(config_new(&config), 0);
                assert_int_equal(parse(config, cases[i].text, &error), -EINVAL);
                assert_string_equal(error.message, cases[i].message);
                assert_int_equal(error.fault, FAULT_INPUT);
        }
}

/* As people write it: indented, with comments behind sections, by an editor of another system. */
static void test_handwriting(_unused_ void **state) {
        _cleanup_(config_freep) Config *config = NULL;
        Error error = {};

        assert_int_equal(config_new(&config), 0);
        assert_int_equal(parse(config,
                               "\xef\xbb\xbf[agent]  ; ours\r\n  depot = s3://bucket\r\n\tgroup = prod\r\n"
                               "\r\n  [app api] # the first\r\n  required = no",
                               &error),
                         0);
        assert_int_equal(config_check(config, &error), 0);
        assert_string_equal(config->depot, "s3://bucket");
        assert_string_equal(config->group, "prod");
        assert_false(config_find_app(config, "api")->required);
}

static void test_amounts(_unused_ void **state) {
        static const struct {
                const char *text, *message;
        } bad[] = {
                { "[agent]\nkeep_releases = 0\n", "[agent] keep_releases is 0, expected at least 1" },
                { "[agent]\nstate_dir = /srv/a:b\n",
                  "[agent] state_dir is '/srv/a:b', expected an absolute path without ':'" },
                { "[agent]\nstate_dir =\n",
                  "[agent] state_dir is '', expected an absolute path without ':'" },
        };
        _cleanup_(config_freep) Config *config = NULL;
        Error error = {};

        assert_int_equal(config_new(&config), 0);
        assert_true(config->keep_releases == 5 && config->keep_bytes == UINT64_MAX);
        assert_true(config->reserve_bytes == UINT64_MAX && config->reserve_inodes == UINT64_MAX);
        assert_int_equal(parse(config,
                               "[agent]\nkeep_releases = 2\nkeep_bytes = 10G\nreserve_bytes = 500M\n"
                               "reserve_inodes = 0\n",
                               &error),
                         0);
        assert_true(config->keep_releases == 2 && config->keep_bytes == UINT64_C(10) << 30);
        assert_true(config->reserve_bytes == UINT64_C(500) << 20 && config->reserve_inodes == 0);
        assert_int_equal(parse(config, "[agent]\nkeep_bytes = unlimited\nreserve_inodes = auto\n", &error),
                         0);
        assert_true(config->keep_bytes == UINT64_MAX && config->reserve_inodes == UINT64_MAX);
        assert_int_equal(parse(config, "[agent]\nkeep_bytes = auto\n", &error), -EINVAL);
        assert_string_equal(error.message,
                            "muster.conf:2: bad value of keep_bytes: 'auto', expected a size such as "
                            "10G, or unlimited");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(config_freep) Config *refused = NULL;

                assert_int_equal(config_new(&refused), 0);
                assert_int_equal(parse(refused, bad[i].text, &error), 0);
                assert_int_equal(config_check(refused, &error), -EINVAL);
                assert_string_equal(error.message, bad[i].message);
        }
}

static void test_long_line(_unused_ void **state) {
        _cleanup_(config_freep) Config *config = NULL;
        char text[512] = "[agent]\ndepot = s3://";
        Error error = {};

        memset(text + strlen(text), 'x', 300);
        assert_int_equal(config_new(&config), 0);
        assert_int_equal(parse(config, text, &error), -EINVAL);
        assert_non_null(strstr(error.message, "muster.conf:2: line too long"));
}

static void test_apps(_unused_ void **state) {
        _cleanup_(config_freep) Config *config = NULL;
        _cleanup_buffer_ Buffer text = {};
        AppConfig *first, *app;
        Error error = {};

        assert_int_equal(config_new(&config), 0);
        assert_int_equal(config_add_app(config, "a0", &first, &error), 0);
        assert_true(first->required);
        for (unsigned i = 1; i < CONFIG_APPS_MAX; i++)
                assert_true(buffer_printf(&text, "[app a%u]\n", i) >= 0);
        assert_int_equal(parse(config, buffer_string(&text), &error), 0);
        assert_int_equal(config->n_apps, CONFIG_APPS_MAX);
        assert_int_equal(config_add_app(config, "a0", &app, &error), 0);
        assert_ptr_equal(app, first);
        assert_int_equal(config_add_app(config, "one-more", &app, &error), -E2BIG);
        assert_int_equal(parse(config, "\n[app one-more]\n", &error), -EINVAL);
        assert_string_equal(error.message, "muster.conf:2: more than 64 apps 'one-more'");
}

static void test_check(_unused_ void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "[agent]\ndepot = http://x\n[app a]\n", "expected s3://BUCKET[/PREFIX] or file:///FOLDER" },
                { "[agent]\ndepot = s3://a_bucket/x\n[app a]\n",
                  "[agent] depot: bad bucket name 'a_bucket', expected 3 to 63 of" },
                { "[agent]\ndepot = s3://fast--euc1-az1--x-s3/x\n[app a]\n",
                  "[agent] depot: 'fast--euc1-az1--x-s3' is a directory bucket (S3 Express)" },
                { "[aws]\ns3_sse_kms_key_id = k\n",
                  "s3_sse_kms_key_id is of no use unless s3_sse is aws:kms" },
                { "[aws]\ns3_bucket_owner = me\n",
                  "s3_bucket_owner is 'me', expected an account's twelve digits" },
                { "[agent]\ndepot = s3://bucket\ngroup = a b\n[app a]\n", "expected a name, tag:KEY or" },
                { "[agent]\ndepot = s3://bucket\n", "add a section [app NAME]" },
                { "[agent]\ndepot = s3://bucket\nqueue = a/b\n[app a]\n",
                  "queue is 'a/b', expected own, or the name or the URL of an SQS queue" },
                { "[agent]\ndepot = s3://bucket\nqueue = own\n[app a]\n", "queue = own needs queue_topic" },
                { "[agent]\ndepot = s3://bucket\n[notify]\ntopic = deploys\n[app a]\n",
                  "[notify] topic is 'deploys', expected the ARN of an SNS topic" },
                { "[agent]\ndepot = s3://bucket\nqueue = own\nqueue_topic = api\n[app a]\n",
                  "queue_topic is 'api', expected the ARN of an SNS topic" },
                { "[agent]\ndepot = s3://bucket\nqueue = own\nqueue_topic = arn:aws:sqs:r:1:q\n[app a]\n",
                  "expected the ARN of an SNS topic" },
                { "[agent]\ndepot = s3://bucket\nqueue = q\nqueue_topic = arn:aws:sns:r:1:t\n[app a]\n",
                  "queue_topic is for queue = own only" },
                { "[agent]\ndepot = s3://bucket\npoll_interval = 0\n[app a]\n", "must be more than 0" },
                { "[agent]\ndepot = s3://bucket\nqueue = https://sqs.eu-central-1.amazonaws.com/\n[app a]\n",
                  "expected own, or the name or the URL of an SQS queue" },
                { "[leave]\nmetadata_interval = 0\n",
                  "[leave] metadata_interval is 0s, expected at least 1s" },
                { "[launch]\nheartbeat_interval = 1ms\n",
                  "[launch] heartbeat_interval is 1ms, expected at least 1s" },
                { "[traffic]\nhealthy_timeout = 0\n", "[traffic] healthy_timeout is 0s" },
                { "[traffic]\ndrain_timeout = 999ms\n", "[traffic] drain_timeout is 999ms" },
                { "[traffic]\ntarget_groups = api web,www\n", "[traffic] target_groups has 'web,www'" },
                { "[launch]\nhook = a b\n", "[launch] hook is 'a b', expected auto, none or the name" },
                { "[leave]\nhook = drainÃ¤\n", "[leave] hook is" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(config_freep) Config *config = NULL;
                Error error = {};

                assert_int_equal(config_new(&config), 0);
                assert_int_equal(parse(config, cases[i].text, &error), 0);
                assert_int_equal(config_check(config, &error), -EINVAL);
                assert_non_null(strstr(error.message, cases[i].message));
        }
}

static void write_text(const char *folder, const char *name, const char *text) {
        _cleanup_free_ char *path = NULL;

        assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
        assert_int_equal(file_replace_at(AT_FDCWD, path, text, strlen(text), 0644), 0);
}

static void test_load(_unused_ void **state) {
        char folder[] = "/tmp/test-config-XXXXXX", path[64], drop_ins[80];
        _cleanup_(config_freep) Config *config = NULL;
        Error error = {};

        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/muster.conf", folder);
        snprintf(drop_ins, sizeof(drop_ins), "%s.d", path);
        assert_int_equal(config_load(path, &config, &error), 0);
        assert_false(config_is_configured(config));
        config = config_free(config);

        assert_int_equal(mkdir(drop_ins, 0755), 0);
        write_text(folder, "muster.conf", "[agent]\ndepot = s3://one\ngroup = a\n[app api]\n");
        write_text(drop_ins, "20.conf", "[agent]\ngroup = c\n");
        write_text(drop_ins, "10.conf", "[agent]\ngroup = b\n");
        write_text(drop_ins, "30.conf.bak", "nonsense\n");
        assert_int_equal(config_load(path, &config, &error), 0);
        assert_string_equal(config->group, "c");
        config = config_free(config);

        write_text(drop_ins, "30.conf", "[agent]\ngruop = c\n");
        assert_int_equal(config_load(path, &config, &error), -EINVAL);
        assert_non_null(strstr(error.message, "muster.conf.d/30.conf:2: unknown key 'gruop'"));
        assert_int_equal(file_remove_tree_at(AT_FDCWD, folder), 0);
}

/* Whatever is wrong with the rest, and wherever it is. */
static void test_places_of_what_is_broken(_unused_ void **state) {
        char folder[] = "/tmp/test-config-XXXXXX", path[64], drop_ins[80], long_line[1024];
        _cleanup_(config_freep) Config *config = NULL;

        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/muster.conf", folder);
        snprintf(drop_ins, sizeof(drop_ins), "%s.d", path);
        assert_int_equal(config_load_places(path, &config), 0);
        assert_string_equal(config->state_dir, "/var/lib/muster");
        config = config_free(config);

        assert_int_equal(mkdir(drop_ins, 0755), 0);
        snprintf(long_line, sizeof(long_line), "%0900d\n  [agent]\nunit_dir = /run/units\nunit_dir = units\n",
                 1);
        write_text(
                folder, "muster.conf",
                "\xef\xbb\xbf[app\nnonsense\n[agnet]\nstate_dir = /no\n[agent]\ndepot\nstate_dir = /srv/state\n"
                "state_dir =\n[app api]\nstate_dir = /no\ngruop = x\n");
        write_text(drop_ins, "10.conf", long_line);
        assert_int_equal(mkdir(strcat(drop_ins, "/05.conf"), 0755), 0);
        assert_int_equal(config_load_places(path, &config), 0);
        assert_string_equal(config->state_dir, "/srv/state");
        assert_string_equal(config->unit_dir, "/run/units");
        assert_null(config->depot);
        assert_int_equal(config->n_apps, 0);
        assert_int_equal(file_remove_tree_at(AT_FDCWD, folder), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_places_of_what_is_broken),
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_whole),
                cmocka_unit_test(test_bad_input),
                cmocka_unit_test(test_long_line),
                cmocka_unit_test(test_amounts),
                cmocka_unit_test(test_handwriting),
                cmocka_unit_test(test_apps),
                cmocka_unit_test(test_check),
                cmocka_unit_test(test_load),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
