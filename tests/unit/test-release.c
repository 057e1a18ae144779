#include <string.h>

#include "agent/base/strv.h"
#include "artifacts/release.h"
#include "artifacts/release_health.h"
#include "artifacts/release_hook.h"
#include "artifacts/release_unit.h"
#include "tests/unit/documents.h"
#include "tests/unit/test.h"

#define SECOND UINT64_C(1000000)
#define RELEASE_SHA256 "3939fb7807f8cb1aa2bb54f87b61fee0b36f2987a676a6db647110add167c9ba"
#define OTHER_SHA256 "0000000000000000000000000000000000000000000000000000000000000000"

static Release *golden(void) {
        _cleanup_buffer_ Buffer payload = {};
        Release *release;
        Error error = {};

        documents_read("release.json", &payload);
        if (release_parse(payload.data, payload.size, &release, &error) < 0)
                fail_msg("%s", error.message);
        return release;
}

static void test_golden(void **state) {
        _cleanup_release_ Release *release = golden();
        const ReleaseArtifact *artifact = release->artifacts.items;
        uint8_t chunk[DIGEST_SIZE];

        (void) state;
        assert_string_equal(release->app, "api");
        assert_string_equal(release->version, "1.4.2");
        assert_int_equal(release->created, UINT64_C(1795251600) * SECOND);
        assert_string_equal(release->sha256, RELEASE_SHA256);
        assert_int_equal(release->artifacts.n, 2);
        assert_string_equal(artifact[0].platform, "any");
        assert_int_equal(artifact[0].format, ARCHIVE_ZIP);
        assert_string_equal(artifact[1].platform, "linux/amd64");
        assert_int_equal(artifact[1].format, ARCHIVE_TAR_ZST);
        assert_int_equal(artifact[1].size, 2100000);
        assert_int_equal(artifact[1].unpacked_size, 6120038);
        assert_int_equal(artifact[1].entries, 53);
        assert_int_equal(artifact[1].chunk_size, 1048576);
        assert_int_equal(artifact[1].chunks.n, 3);
        assert_int_equal(digest_sha256("chunk 2", 7, chunk), 0);
        assert_memory_equal(artifact[1].chunks.items[2].sha256, chunk, sizeof(chunk));
        assert_int_equal(release->env.n, 3);
        assert_string_equal(release->env.items[0].name, "EMPTY");
        assert_string_equal(release->env.items[0].value, "");
        assert_string_equal(release->env.items[2].value, "\"gr\xc3\xbc\xc3\x9f\" dich = x");
}

static void test_golden_sections(void **state) {
        _cleanup_release_ Release *release = golden();
        const ReleaseHooks *hooks = release->hooks;
        const ReleaseHealth *health = release->health.items;
        const ReleaseUnit *units = release->units.items;

        (void) state;
        for (unsigned i = 0; i < LIFECYCLE_EVENT_COUNT; i++)
                assert_int_equal(hooks[i].n, i == LIFECYCLE_AFTER_INSTALL
                                                     ? 2
                                                     : (i == LIFECYCLE_APPLICATION_STOP ? 1 : 0));
        assert_string_equal(hooks[LIFECYCLE_AFTER_INSTALL].items[0].location, "hooks/migrate");
        assert_int_equal(strv_length(hooks[LIFECYCLE_AFTER_INSTALL].items[0].args.items), 2);
        assert_int_equal(hooks[LIFECYCLE_AFTER_INSTALL].items[0].timeout, 300 * SECOND);
        assert_string_equal(hooks[LIFECYCLE_AFTER_INSTALL].items[0].runas, "api");
        assert_null(hooks[LIFECYCLE_AFTER_INSTALL].items[1].runas);

        assert_int_equal(release->units.n, 4);
        assert_string_equal(units[0].file, "units/api.service");
        assert_string_equal(release_on_deploy_to_string(units[0].on_deploy), "reload");
        assert_null(units[2].file);
        assert_string_equal(release_on_deploy_to_string(units[2].on_deploy), "reload-or-restart");

        assert_int_equal(release->health.n, 4);
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(health[i].type, i);
        assert_string_equal(release_health_type_to_string(health[0].type), "http");
        assert_int_equal(health[0].healthy, 3);
        assert_int_equal(health[0].deadline, 60 * SECOND);
        assert_string_equal(health[1].address, "[::1]:6379");
        assert_int_equal(health[1].interval, SECOND / 2);
        assert_int_equal(health[1].status, 0);
        assert_string_equal(health[2].command.items[1], "--deep");
        assert_string_equal(health[3].unit, "api.service");
        assert_int_equal(health[3].active, 5 * SECOND);
}

/* What another implementation wrote in canonical form is what we write. */
static void test_is_canonical(void **state) {
        _cleanup_release_ Release *release = golden();
        _cleanup_buffer_ Buffer payload = {};
        _cleanup_free_ char *text = NULL;
        size_t size;

        (void) state;
        documents_read("release.json", &payload);
        assert_int_equal(release_to_json(release, &text, &size, NULL), 0);
        assert_string_equal(text, buffer_string(&payload));
        assert_int_equal(size, payload.size);
}

static void test_defaults(void **state) {
        static const char text[] =
                "{\"app\":\"a\",\"version\":\"1\",\"created\":\"2026-11-21T09:00:00Z\",\"artifacts\":{\"any\":{\"sha256\":\"" OTHER_SHA256
                "\",\"size\":1,\"format\":\"tar\",\"unpacked_size\":1,\"entries\":1,\"chunk_size\":4096,"
                "\"chunks\":[\"" OTHER_SHA256 "\"]}},\"hooks\":{\"BeforeInstall\":[{\"location\":\"x\"}]},"
                "\"units\":[{\"name\":\"a.service\"},{\"name\":\"a.socket\"},"
                "{\"name\":\"b.socket\",\"on_deploy\":\"restart\"}],\"health\":[{\"type\":\"http\",\"url\":\"http://127.0.0.1\"}]}";
        _cleanup_release_ Release *release = NULL;
        const ReleaseHealth *health;

        (void) state;
        assert_int_equal(release_parse(text, strlen(text), &release, NULL), 0);
        assert_int_equal(release->hooks[LIFECYCLE_BEFORE_INSTALL].items[0].timeout, 3600 * SECOND);
        assert_int_equal(release->units.items[0].on_deploy, ON_DEPLOY_RESTART);
        assert_int_equal(release->units.items[1].on_deploy, ON_DEPLOY_START);
        assert_int_equal(release->units.items[2].on_deploy, ON_DEPLOY_RESTART);
        health = release->health.items;
        assert_int_equal(health->status, 200);
        assert_int_equal(health->interval, SECOND);
        assert_int_equal(health->timeout, 2 * SECOND);
        assert_int_equal(health->healthy, 1);
        assert_int_equal(health->deadline, 60 * SECOND);
        assert_null(release->min_agent);
}

static int parse(const void *data, size_t size, Error *error) {
        _cleanup_release_ Release *release = NULL;

        return release_parse(data, size, &release, error);
}

static void test_hostile(void **state) {
        (void) state;
        documents_try_hostile("release", parse);
}

static void test_newer_muster(void **state) {
        static const char text[] = "{\"min_agent\":\"99\",\"app\":[\"of another kind\"]}";
        Error error;

        (void) state;
        assert_int_equal(parse(text, strlen(text), &error), -EPROTONOSUPPORT);
        assert_string_equal(error.message,
                            "release: min_agent: needs muster 99 or newer, this is " MUSTER_VERSION);
}

static TrustRoot *load_root(void) {
        _cleanup_buffer_ Buffer envelope = {};
        TrustRoot *root;

        documents_read("root.envelope.json", &envelope);
        assert_int_equal(trust_root_load("root.json", envelope.data, envelope.size, &root, NULL), 0);
        return root;
}

static void test_open(void **state) {
        static const struct {
                const char *app, *version, *sha256, *message;
                int result;
        } cases[] = {
                { "api", "1.4.2", NULL, "", 0 },
                { "api", "1.4.2", RELEASE_SHA256, "", 0 },
                { "web", "1.4.2", NULL, "release web 1.4.2: expected this release, found api 1.4.2",
                  -EBADMSG },
                { "api", "1.4.1", NULL, "release api 1.4.1: expected this release, found api 1.4.2",
                  -EBADMSG },
                { "api", "1.4.2", OTHER_SHA256,
                  "release api 1.4.2: the target names the digest " OTHER_SHA256
                  ", this release has " RELEASE_SHA256,
                  -EBADMSG },
        };
        _cleanup_trust_root_ TrustRoot *root = load_root();
        _cleanup_buffer_ Buffer envelope = {};

        (void) state;
        documents_read("release.envelope.json", &envelope);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_release_ Release *release = NULL;
                Error error = {};

                assert_int_equal(release_open(root, envelope.data, envelope.size, DOCUMENTS_NOW, cases[i].app,
                                              cases[i].version, cases[i].sha256, &release, &error),
                                 cases[i].result);
                assert_string_equal(error.message, cases[i].message);
                assert_int_equal(!release, cases[i].result < 0);
        }
}

/* Signed by a key of the root, but one that has another role. */
static void test_open_wants_the_role(void **state) {
        _cleanup_trust_root_ TrustRoot *root = load_root();
        _cleanup_key_ Key *key = documents_key(3);
        _cleanup_buffer_ Buffer payload = {};
        _cleanup_free_ char *envelope = NULL;
        Release *release = NULL;
        Error error;
        size_t size;

        (void) state;
        documents_read("release.json", &payload);
        assert_int_equal(dsse_sign(RELEASE_TYPE, payload.data, payload.size, &key, 1, &envelope, &size, NULL),
                         0);
        assert_int_equal(
                release_open(root, envelope, size, DOCUMENTS_NOW, "api", "1.4.2", NULL, &release, &error),
                -EKEYREJECTED);
        assert_string_equal(
                error.message,
                "release api 1.4.2: expected good signatures by 1 of the 1 release keys, found 0");
}

static void test_find_artifact(void **state) {
        _cleanup_release_ Release *release = golden();

        (void) state;
        assert_string_equal(release_find_artifact(release, "linux/amd64")->platform, "linux/amd64");
        assert_string_equal(release_find_artifact(release, "linux/arm64")->platform, "any");
        free(release->artifacts.items[0].platform);
        release->artifacts.items[0].platform = strdup("linux/arm64");
        assert_null(release_find_artifact(release, "linux/riscv64"));
        assert_true(string_starts_with(release_platform(), "linux/"));
}

static void test_add_artifact(void **state) {
        static const char *const platforms[] = { "linux/arm64", "any", "linux/amd64" };
        static const char *const sorted[] = { "any", "linux/amd64", "linux/arm64" };
        _cleanup_release_ Release *from = golden(), *release = calloc(1, sizeof(*release));
        ReleaseArtifact artifact = from->artifacts.items[1];
        _cleanup_free_ char *text = NULL;
        Error error;
        size_t size;

        (void) state;
        release->app = strdup("api");
        release->version = strdup("2");
        release->created = from->created;
        assert_int_equal(release_to_json(release, &text, &size, &error), -EBADMSG);
        assert_string_equal(error.message, "release api 2: artifacts: missing; expected an object");
        for (size_t i = 0; i < ELEMENTSOF(platforms); i++) {
                artifact.platform = (char *) platforms[i];
                assert_int_equal(release_add_artifact(release, &artifact, NULL), 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(sorted); i++)
                assert_string_equal(release->artifacts.items[i].platform, sorted[i]);
        assert_int_equal(release_add_artifact(release, &artifact, &error), -EEXIST);
        assert_string_equal(error.message, "release api 2: there is an artifact for linux/amd64 already");
        assert_int_equal(release_to_json(release, &text, &size, NULL), 0);
}

/* 4,096 digests are a large document and a good one; one more is refused. */
static void test_chunk_limit(void **state) {
        _cleanup_release_ Release *release = golden(), *again = NULL;
        ReleaseArtifact *artifact = release->artifacts.items + 1;
        _cleanup_free_ char *text = NULL, *none = NULL;
        Error error;
        size_t size;

        (void) state;
        free(artifact->chunks.items);
        artifact->chunks.items = calloc(RELEASE_CHUNKS_MAX + 1, sizeof(*artifact->chunks.items));
        artifact->chunks.n = RELEASE_CHUNKS_MAX;
        artifact->size = artifact->chunk_size * RELEASE_CHUNKS_MAX;
        assert_int_equal(release_to_json(release, &text, &size, NULL), 0);
        assert_int_equal(release_parse(text, size, &again, NULL), 0);
        artifact->chunks.n++;
        artifact->size++;
        assert_int_equal(release_to_json(release, &none, &size, &error), -EBADMSG);
        assert_string_equal(
                error.message,
                "release api 1.4.2: artifacts.linux/amd64.chunks: expected at most 4096 elements, found 4097");
}

static void test_asserts_version(void **state) {
        static const struct {
                const char *body, *header;
                bool asserts;
        } cases[] = {
                { NULL, NULL, false },
                { "ok", NULL, false },
                { "1.4.2", NULL, true },
                { "version=1.4.2;", NULL, true },
                { "{\"version\":\"v1.4.2\"}", NULL, true },
                { "It is 1.4.2.", NULL, true },
                { "1.4.21", NULL, false },
                { "1.4.2.1", NULL, false },
                { "11.4.2", NULL, false },
                { "0.1.4.2", NULL, false },
                { "1.4.21 and 1.4.2", NULL, true },
                { "ok", "X-Version: 1.4.2", true },
        };
        _cleanup_release_ Release *release = golden();

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                ReleaseHealth health = { .body = (char *) cases[i].body, .header = (char *) cases[i].header };

                if (release_health_asserts_version(release, &health) != cases[i].asserts)
                        fail_msg("%s", cases[i].body);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_golden),        cmocka_unit_test(test_golden_sections),
                cmocka_unit_test(test_is_canonical),  cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_hostile),       cmocka_unit_test(test_newer_muster),
                cmocka_unit_test(test_open),          cmocka_unit_test(test_open_wants_the_role),
                cmocka_unit_test(test_find_artifact), cmocka_unit_test(test_add_artifact),
                cmocka_unit_test(test_chunk_limit),   cmocka_unit_test(test_asserts_version),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
