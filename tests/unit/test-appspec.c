#include <fcntl.h>
#include <string.h>

#include "agent/base/file.h"
#include "artifacts/appspec.h"
#include "tests/unit/documents.h"
#include "tests/unit/test.h"

#define SECOND UINT64_C(1000000)
#define CREATED (UINT64_C(1795000000) * SECOND)

static const char whole[] = "# An app with everything.\n"
                            "version: 0.0\n"
                            "os: linux\n"
                            "files:\n"
                            "hooks:\n"
                            "  ApplicationStop: []\n"
                            "  AfterInstall:\n"
                            "    - location: ./hooks/migrate\n"
                            "      args: [--quick, 2]\n"
                            "      timeout: 300\n"
                            "      runas: api\n"
                            "    - location: /hooks/warm\n"
                            "      timeout: \"90\"\n"
                            "      sudo: true\n"
                            "  ValidateService:\n"
                            "    - location: hooks/check\n"
                            "units:\n"
                            "  - name: api.service\n"
                            "    file: units/api.service\n"
                            "    on_deploy: reload\n"
                            "health:\n"
                            "  - type: http\n"
                            "    url: http://127.0.0.1:8080/healthz\n"
                            "    status: \"204\"\n"
                            "    body: v${version} is ${version}\n"
                            "    interval: 2\n"
                            "    healthy: 3\n"
                            "    deadline: 2m\n"
                            "  - { type: tcp, address: 127.0.0.1:8080 }\n"
                            "  - type: command\n"
                            "    command: bin/check\n"
                            "traffic: target-group\n"
                            "env:\n"
                            "  GOMAXPROCS: 4\n"
                            "  ANSWER: on\n";

static void test_whole(void **state) {
        _cleanup_appspec_ Appspec *appspec = NULL;
        _cleanup_release_ Release *release = NULL;
        const ReleaseHook *hooks;
        Error error = {};
        int r;

        (void) state;
        r = appspec_parse("appspec.yml", whole, strlen(whole), &appspec, &error);
        assert_string_equal(error.message, "");
        assert_int_equal(r, 0);
        assert_int_equal(appspec_compile(appspec, "api", "1.4.2", CREATED, &release, &error), 0);
        assert_string_equal(release->app, "api");
        assert_int_equal(release->created, CREATED);
        hooks = release->hooks[LIFECYCLE_AFTER_INSTALL].items;
        assert_int_equal(release->hooks[LIFECYCLE_AFTER_INSTALL].n, 2);
        assert_string_equal(hooks[0].location, "hooks/migrate");
        assert_string_equal(hooks[0].args.items[1], "2");
        assert_int_equal(hooks[0].timeout, 300 * SECOND);
        assert_string_equal(hooks[0].runas, "api");
        assert_string_equal(hooks[1].location, "hooks/warm");
        assert_int_equal(hooks[1].timeout, 90 * SECOND);
        assert_int_equal(release->hooks[LIFECYCLE_VALIDATE_SERVICE].items[0].timeout, 3600 * SECOND);
        assert_int_equal(release->units.items[0].on_deploy, ON_DEPLOY_RELOAD);
        assert_int_equal(release->traffic, RELEASE_TRAFFIC_TARGET_GROUP);
        assert_int_equal(release->health.n, 3);
        assert_int_equal(release->health.items[0].status, 204);
        assert_string_equal(release->health.items[0].body, "v1.4.2 is 1.4.2");
        assert_true(release_health_asserts_version(release, release->health.items));
        assert_int_equal(release->health.items[0].interval, 2 * SECOND);
        assert_int_equal(release->health.items[0].deadline, 120 * SECOND);
        assert_string_equal(release->health.items[1].address, "127.0.0.1:8080");
        assert_string_equal(release->health.items[2].command.items[0], "bin/check");
        assert_string_equal(release->env.items[0].name, "ANSWER");
        assert_string_equal(release->env.items[0].value, "on");
}

/* hostile-appspec.txt: an appspec.yml, then "===" and the message that it gives, "good" for none. */
static void test_hostile(void **state) {
        _cleanup_buffer_ Buffer text = {};
        char *rest, *end;
        unsigned n = 0;

        (void) state;
        documents_read("hostile-appspec.txt", &text);
        rest = (char *) text.data;
        while ((end = strstr(rest, "\n==="))) {
                _cleanup_appspec_ Appspec *appspec = NULL;
                char *expected = end + 4;
                Error error = {};
                int r;

                *end = '\0';
                end = strchrnul(expected, '\n');
                r = appspec_parse("appspec.yml", rest, strlen(rest), &appspec, &error);
                if (*end)
                        *end++ = '\0';
                if (strcmp(r < 0 ? error.message : "good", expected) != 0)
                        fail_msg("%s\n    expected: %s\n    got: %s", rest, expected,
                                 r < 0 ? error.message : "good");
                if (r < 0)
                        assert_int_equal(error.fault, FAULT_INPUT);
                rest = end + strspn(end, "\n");
                n++;
        }
        assert_true(n > 0);
        assert_string_equal(rest, "");
}

/* The example in the manual is one that works. */
static void test_example_of_the_manual(void **state) {
        _cleanup_appspec_ Appspec *appspec = NULL;
        _cleanup_buffer_ Buffer page = {};
        char *start, *end;
        Error error = {};

        (void) state;
        assert_int_equal(file_read_at(AT_FDCWD, "artifacts/muster-appspec.5", APPSPEC_SIZE_MAX, &page), 0);
        start = strstr(buffer_string(&page), ".Bd -literal");
        assert_non_null(start);
        start = strchr(start, '\n') + 1;
        end = strstr(start, ".Ed");
        if (appspec_parse("appspec.yml", start, (size_t) (end - start), &appspec, &error) < 0)
                fail_msg("%s", error.message);
        assert_int_equal(appspec->health.n, 1);
}

static void test_size_is_capped(void **state) {
        _cleanup_free_ char *text = malloc(APPSPEC_SIZE_MAX + 1);
        Appspec *appspec = NULL;
        Error error;

        (void) state;
        memset(text, ' ', APPSPEC_SIZE_MAX + 1);
        assert_int_equal(appspec_parse("appspec.yml", text, APPSPEC_SIZE_MAX + 1, &appspec, &error),
                         -EBADMSG);
        assert_string_equal(error.message, "appspec.yml: expected at most 262144 bytes, found 262145");
}

/* With an artifact, what was compiled is a good release. */
static void test_compiled_is_a_release(void **state) {
        _cleanup_appspec_ Appspec *appspec = NULL;
        _cleanup_release_ Release *release = NULL, *again = NULL;
        _cleanup_free_ char *text = NULL;
        ReleaseChunk chunk = { .sha256 = { 1 } };
        ReleaseArtifact artifact = { .platform = (char *) "any",
                                     .size = 10,
                                     .format = ARCHIVE_TAR_ZST,
                                     .chunk_size = RELEASE_CHUNK_SIZE_MIN,
                                     .chunks = { &chunk, 1 } };
        size_t size;

        (void) state;
        memset(artifact.sha256, 'a', DIGEST_HEX_SIZE - 1);
        assert_int_equal(appspec_parse("appspec.yml", whole, strlen(whole), &appspec, NULL), 0);
        assert_int_equal(appspec_compile(appspec, "api", "1.4.2", CREATED, &release, NULL), 0);
        assert_int_equal(appspec->units.n, 0);
        assert_int_equal(release_add_artifact(release, &artifact, NULL), 0);
        assert_int_equal(release_to_json(release, &text, &size, NULL), 0);
        assert_int_equal(release_parse(text, size, &again, NULL), 0);
        assert_string_equal(again->min_agent, RELEASE_MIN_AGENT);
        assert_string_equal(again->hooks[LIFECYCLE_AFTER_INSTALL].items[1].location, "hooks/warm");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_whole),
                cmocka_unit_test(test_hostile),
                cmocka_unit_test(test_example_of_the_manual),
                cmocka_unit_test(test_size_is_capped),
                cmocka_unit_test(test_compiled_is_a_release),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
