#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "artifacts/appspec.h"

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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_whole),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
