#include <fcntl.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "artifacts/appspec.h"
#include "artifacts/yaml_tree.h"
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

/* The matrix: documents/appspec/<section>.txt has cases, each an appspec.yml and then a line "===" with what comes of it:
 * "good", the sections that it compiles to as JSON, or the message, which may end in "..." where the rest does not matter. */

static const char *const sections[] = {
        "top", "yaml", "hooks", "files", "permissions", "units", "health", "traffic", "env",
};

#define KEYS_MAX 256U

/* A key of an appspec, wherever it may stand. */
typedef struct Key {
        const SchemaMember *member;
        const SchemaType *object; /* whose member it is */
        char path[JSON_PATH_MAX]; /* one place where it may stand */
        bool is_good, is_refused; /* there is a case */
} Key;

typedef struct Matrix {
        Key keys[KEYS_MAX];
        size_t n;
        const char *section;
        unsigned number; /* of the case */
        bool failed;
} Matrix;

static const SchemaType *element_of(const SchemaType *type) {
        while (type->element)
                type = type->element;
        return type;
}

static Key *find_key(Matrix *matrix, const SchemaType *object, const char *name, size_t length) {
        for (size_t i = 0; i < matrix->n; i++) {
                Key *key = &matrix->keys[i];

                if (key->object == object && strlen(key->member->name) == length &&
                    memcmp(key->member->name, name, length) == 0)
                        return key;
        }
        return NULL;
}

static void collect_keys(Matrix *matrix, const SchemaType *type, const char *path) {
        type = element_of(type);
        for (const SchemaMember *m = type->members; m && m->name; m++) {
                Key *key = &matrix->keys[matrix->n];

                if (find_key(matrix, type, m->name, strlen(m->name)))
                        continue;
                assert_true(++matrix->n < KEYS_MAX);
                *key = (Key){ .member = m, .object = type };
                snprintf(key->path, sizeof(key->path), "%s%s%s", path, *path ? "." : "", m->name);
                collect_keys(matrix, m->type, key->path);
        }
}

static void mark_good(Matrix *matrix, const SchemaType *type, const json_t *value) {
        const char *name;
        json_t *member;
        size_t i;

        type = element_of(type);
        json_array_foreach(value, i, member)
                mark_good(matrix, type, member);
        json_object_foreach((json_t *) value, name, member) {
                Key *key = find_key(matrix, type, name, strlen(name));

                if (!key || json_is_null(member))
                        continue;
                key->is_good = true;
                mark_good(matrix, key->member->type, member);
        }
}

/* The key that a message "appspec.yml:6: hooks.AfterInstall[0].timeout: ..." is about. */
static void mark_refused(Matrix *matrix, const char *message) {
        const char *path = strstr(message, ": ");
        const SchemaType *type = &appspec_type;
        Key *key = NULL, *next;

        for (path = path ? path + 2 : ""; *path; path += *path == '.') {
                size_t n = strcspn(path, ".[:");

                next = find_key(matrix, type, path, n);
                if (!next)
                        break;
                key = next;
                type = element_of(key->member->type);
                path += n;
                while (*path == '[')
                        path += strcspn(path, "]") + 1;
                if (*path == ':')
                        break;
        }
        if (key)
                key->is_refused = true;
}

/* What the release has of an appspec, without what every release has. */
static json_t *compiled(Appspec *appspec) {
        _cleanup_release_ Release *release = NULL;
        _cleanup_free_ char *text = NULL;
        ReleaseChunk chunk = { .sha256 = { 1 } };
        ReleaseArtifact artifact = { .platform = (char *) "any",
                                     .size = 10,
                                     .format = ARCHIVE_ZIP,
                                     .chunk_size = RELEASE_CHUNK_SIZE_MIN,
                                     .chunks = { &chunk, 1 } };
        static const char *const others[] = { "app", "version", "created", "min_agent", "artifacts" };
        Error error = {};
        json_t *json;
        size_t size;

        memset(artifact.sha256, 'a', DIGEST_HEX_SIZE - 1);
        if (appspec_compile(appspec, "api", "1.4.2", CREATED, &release, &error) < 0 ||
            release_add_artifact(release, &artifact, &error) < 0 ||
            release_to_json(release, &text, &size, &error) < 0)
                fail_msg("%s", error.message);
        json = json_loads(text, 0, NULL);
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                assert_int_equal(json_object_del(json, others[i]), 0);
        return json;
}

static void expect(Matrix *matrix, bool is_so, const char *text, const char *expected, const char *got) {
        if (is_so)
                return;
        print_error("%s.txt, case %u:\n%s    expected: %s\n    got: %s\n", matrix->section, matrix->number,
                    text, expected, got);
        matrix->failed = true;
}

static void expect_json(Matrix *matrix, Appspec *appspec, const char *text, const char *expected) {
        _cleanup_json_ json_t *wanted = json_loads(expected, 0, NULL), *got = compiled(appspec);
        _cleanup_free_ char *dump = json_dumps(got, 0);

        expect(matrix, wanted && json_equal(wanted, got), text, expected, dump);
}

static bool message_fits(const char *message, const char *expected) {
        size_t n = strlen(expected);

        if (string_ends_with(expected, "..."))
                return strncmp(message, expected, n - 3) == 0;
        return strcmp(message, expected) == 0;
}

static void try_case(Matrix *matrix, const char *text, size_t size, const char *expected) {
        _cleanup_appspec_ Appspec *appspec = NULL;
        _cleanup_(yaml_tree_freep) YamlTree *tree = NULL;
        Error error = {};
        int r;

        r = appspec_parse("appspec.yml", text, size, &appspec, &error);
        if (r < 0) {
                expect(matrix, message_fits(error.message, expected), text, expected, error.message);
                assert_int_equal(error.fault, FAULT_INPUT);
                mark_refused(matrix, error.message);
                return;
        }
        if (expected[0] == '{')
                expect_json(matrix, appspec, text, expected);
        else
                expect(matrix, strcmp(expected, "good") == 0, text, expected, "good");
        assert_int_equal(yaml_tree_parse("appspec.yml", text, size, APPSPEC_SIZE_MAX, &tree, NULL), 0);
        mark_good(matrix, &appspec_type, yaml_tree_top(tree).value);
}

static void try_section(Matrix *matrix) {
        _cleanup_buffer_ Buffer file = {};
        char name[64], *rest, *end;

        snprintf(name, sizeof(name), "appspec/%s.txt", matrix->section);
        documents_read(name, &file);
        rest = (char *) file.data;
        for (matrix->number = 1; (end = strstr(rest, "\n===")); matrix->number++) {
                char *expected = end + 4;

                end[1] = '\0';
                end = strchrnul(expected, '\n');
                if (*end)
                        *end++ = '\0';
                try_case(matrix, rest, strlen(rest), expected);
                rest = end + strspn(end, "\n");
        }
        assert_true(matrix->number > 1);
        assert_string_equal(rest, "");
}

/* What has the same type is refused for the same reasons. */
static bool is_refused_elsewhere(const Matrix *matrix, const Key *key) {
        for (size_t i = 0; i < matrix->n; i++)
                if (matrix->keys[i].member->type == key->member->type && matrix->keys[i].is_refused)
                        return true;
        return false;
}

static void check_whole(Matrix *matrix) {
        for (size_t i = 0; i < matrix->n; i++) {
                const Key *key = &matrix->keys[i];

                if (schema_size(key->member->type) == 0) /* of a later version */
                        continue;
                if (!key->is_good)
                        print_error("no good case has the key %s\n", key->path);
                if (!is_refused_elsewhere(matrix, key))
                        print_error("no case is refused for the key %s\n", key->path);
                matrix->failed |= !key->is_good || !is_refused_elsewhere(matrix, key);
        }
}

static void test_matrix(void **state) {
        static Matrix matrix;

        (void) state;
        collect_keys(&matrix, &appspec_type, "");
        assert_true(matrix.n > 30);
        for (size_t i = 0; i < ELEMENTSOF(sections); i++) {
                matrix.section = sections[i];
                try_section(&matrix);
        }
        check_whole(&matrix);
        assert_false(matrix.failed);
}

static void refuse_bytes(const char *text, size_t size, const char *message) {
        Appspec *appspec = NULL;
        Error error = {};

        assert_int_equal(appspec_parse("appspec.yml", text, size, &appspec, &error), -EBADMSG);
        assert_string_equal(error.message, message);
}

/* What does not fit into a file of cases. */
static void test_bytes(void **state) {
        static const char windows[] = "\xef\xbb\xbfversion: 0.0\r\nos: linux\r\nhooks:\r\n  AfterInstall:\r\n"
                                      "    - location: a\r\n      runas: api\r\n";
        static const char bad[] = "version: 0.0\nos: linux\nenv:\n  A: \xff\n";
        static const char wide[] = "\xff\xfev\0e\0r\0";
        static const char zero[] = "version: 0.0\nos: linux\n\0";
        _cleanup_appspec_ Appspec *appspec = NULL;
        const ReleaseHook *hook;
        Error error = {};

        (void) state;
        if (appspec_parse("appspec.yml", windows, sizeof(windows) - 1, &appspec, &error) < 0)
                fail_msg("%s", error.message);
        hook = appspec->hooks[LIFECYCLE_AFTER_INSTALL].items;
        assert_string_equal(hook->location, "a");
        assert_string_equal(hook->runas, "api");
        refuse_bytes(bad, sizeof(bad) - 1,
                     "appspec.yml:4: not valid UTF-8 text: invalid leading UTF-8 octet");
        refuse_bytes(wide, sizeof(wide) - 1,
                     "appspec.yml:1: not valid UTF-8 text: invalid leading UTF-8 octet");
        refuse_bytes(zero, sizeof(zero) - 1,
                     "appspec.yml:3: not valid UTF-8 text: control characters are not allowed");
        refuse_bytes("", 0, "appspec.yml: there is nothing in it");
}

/* What CodeDeploy ignores in its own sections is passed over, but for what may be a slip of the pen. */
static const char passed_over[] = "version: 0.0\n"
                                  "os: linux\n"
                                  "branch_config:\n"
                                  "  master: {}\n"
                                  "files:\n"
                                  "  - source: /\n"
                                  "    destination: /srv/api\n"
                                  "    overwrite: true\n"
                                  "    file_exists_behavior: OVERWRITE\n"
                                  "permissions:\n"
                                  "  - object: web/\n"
                                  "    owner: api\n"
                                  "  - object: /srv/api\n"
                                  "    recursive: yes\n"
                                  "    owner: api\n"
                                  "hooks:\n"
                                  "  AfterInstall:\n"
                                  "    - location: a\n"
                                  "      description: first of all\n"
                                  "      location: b\n"
                                  "  Install:\n"
                                  "    - location: a\n"
                                  "  CustomEvent:\n"
                                  "    - location: a\n"
                                  "  AfterAllowTraffic:\n"
                                  "    - location: a\n";

static void test_passed_over(void **state) {
        static const char *const warnings[] = {
                "3: branch_config: nothing is known of this key; it is passed over, as CodeDeploy does it",
                "8: files[0].overwrite: nothing is known of this key; it is passed over, as CodeDeploy does it",
                "9: files[0].file_exists_behavior: nothing is known of this key; it is passed over, as CodeDeploy "
                "does it",
                "11: permissions[0]: object is no absolute path, so nothing is installed there; it is passed over, "
                "as CodeDeploy does it",
                "14: permissions[1].recursive: nothing is known of this key; it is passed over, as CodeDeploy does it",
                "19: hooks.AfterInstall[0].description: nothing is known of this key; it is passed over, as "
                "CodeDeploy does it",
                "20: hooks.AfterInstall[0].location: this key stands here twice; the last one counts, as with "
                "CodeDeploy",
                "21: hooks.Install: no scripts run at this event; it is passed over",
                "23: hooks.CustomEvent: no scripts run at this event; it is passed over",
                "25: hooks.AfterAllowTraffic: runs only with \"traffic: target-group\", which is not here",
        };
        _cleanup_appspec_ Appspec *appspec = NULL;
        _cleanup_json_ json_t *release = NULL;
        Error error = {};

        (void) state;
        if (appspec_parse("appspec.yml", passed_over, strlen(passed_over), &appspec, &error) < 0)
                fail_msg("%s", error.message);
        for (size_t i = 0; i < ELEMENTSOF(warnings); i++) {
                _cleanup_free_ char *wanted = NULL;

                assert_true(asprintf(&wanted, "appspec.yml:%s", warnings[i]) > 0);
                if (!strv_contains(appspec->warnings, wanted))
                        fail_msg("%s is not told", wanted);
        }
        assert_int_equal(strv_length(appspec->warnings), ELEMENTSOF(warnings));
        release = compiled(appspec);
        assert_int_equal(json_object_size(release), 3);
        assert_int_equal(json_array_size(json_object_get(release, "permissions")), 1);
        assert_int_equal(json_object_size(json_object_get(release, "hooks")), 2);
}

/* Said either way, it is what the author wants. */
static void test_traffic_is_said(void **state) {
        static const char *const texts[] = {
                "version: 0.0\nos: linux\nhooks: {BeforeBlockTraffic: [{location: a}]}\ntraffic: none\n",
                "version: 0.0\nos: linux\nhooks: {BeforeBlockTraffic: [{location: a}]}\ntraffic: target-group\n",
                "version: 0.0\nos: linux\nhooks: {BeforeBlockTraffic: []}\n",
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_appspec_ Appspec *appspec = NULL;

                assert_int_equal(appspec_parse("appspec.yml", texts[i], strlen(texts[i]), &appspec, NULL), 0);
                assert_null(appspec->warnings);
        }
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
                cmocka_unit_test(test_whole),           cmocka_unit_test(test_matrix),
                cmocka_unit_test(test_bytes),           cmocka_unit_test(test_passed_over),
                cmocka_unit_test(test_traffic_is_said), cmocka_unit_test(test_example_of_the_manual),
                cmocka_unit_test(test_size_is_capped),  cmocka_unit_test(test_compiled_is_a_release),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
