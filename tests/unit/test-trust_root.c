#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "artifacts/freshness.h"
#include "artifacts/release.h"
#include "artifacts/target.h"
#include "artifacts/trust_root.h"

#define SECOND UINT64_C(1000000)
#define NOW (UINT64_C(1795000000) * SECOND)
#define LATER (NOW + 86400 * SECOND)

#define TEN_OF_A "aaaaaaaaaa"
#define DIGEST_A TEN_OF_A TEN_OF_A TEN_OF_A TEN_OF_A TEN_OF_A TEN_OF_A "aaaa"

typedef struct World {
        Key *root_key, *release_key, *target_key;
        TrustRoot *root;
} World;

static Key *new_key(void) {
        Key *key;

        assert_int_equal(key_generate(&key, NULL), 0);
        return key;
}

/* The envelope of a root that has these keys, signed by SIGNERS. */
static char *sign_root(const TrustRoot *root, Key *const *signers, size_t n, size_t *ret_size) {
        _cleanup_free_ char *payload = NULL;
        char *envelope;
        size_t size;

        assert_int_equal(trust_root_write(root, &payload, &size, NULL), 0);
        assert_int_equal(dsse_sign(TRUST_ROOT_TYPE, payload, size, signers, n, &envelope, ret_size, NULL), 0);
        return envelope;
}

static TrustRoot *new_root(uint64_t version, uint64_t expires, const World *world, const Key *root_key) {
        TrustRoot *root;

        assert_int_equal(trust_root_new(version, NOW, expires, &root, NULL), 0);
        assert_int_equal(trust_root_add_key(root, TRUST_ROLE_ROOT, root_key, NULL), 0);
        assert_int_equal(trust_root_add_key(root, TRUST_ROLE_RELEASE, world->release_key, NULL), 0);
        assert_int_equal(trust_root_add_key(root, TRUST_ROLE_TARGET, world->target_key, NULL), 0);
        return root;
}

static int set_up(void **state) {
        _cleanup_trust_root_ TrustRoot *root = NULL;
        _cleanup_free_ char *envelope = NULL;
        World *world = calloc(1, sizeof(*world));
        size_t size;

        world->root_key = new_key();
        world->release_key = new_key();
        world->target_key = new_key();
        root = new_root(1, LATER, world, world->root_key);
        envelope = sign_root(root, &world->root_key, 1, &size);
        assert_int_equal(trust_root_load("root.json", envelope, size, &world->root, NULL), 0);
        *state = world;
        return 0;
}

static int tear_down(void **state) {
        World *world = *state;

        trust_root_free(world->root);
        key_free(world->root_key);
        key_free(world->release_key);
        key_free(world->target_key);
        free(world);
        return 0;
}

static void test_release(void **state) {
        static const char payload[] =
                "{\"app\":\"api\",\"version\":\"1.4.2\",\"created\":\"2026-11-21T09:00:00Z\",\"min_agent\":\"0.1\","
                "\"artifacts\":{\"any\":{\"sha256\":\"" DIGEST_A "\",\"size\":5000,\"format\":\"tar.zst\","
                "\"unpacked_size\":10,\"entries\":2,\"chunk_size\":4096,\"chunks\":[\"" DIGEST_A
                "\",\"" DIGEST_A
                "\"]}},\"hooks\":{\"AfterInstall\":[{\"location\":\"hooks/migrate\",\"args\":[\"-v\"]}]},"
                "\"units\":[{\"name\":\"api.service\",\"file\":\"units/api.service\"}],"
                "\"health\":[{\"type\":\"http\",\"url\":\"http://127.0.0.1/\",\"body\":\"v1.4.2\"}],"
                "\"env\":{\"B\":\"2\",\"A\":\"1\"}}";
        _cleanup_free_ char *envelope = NULL, *again = NULL;
        _cleanup_release_ Release *release = NULL, *wrong = NULL;
        World *world = *state;
        Error error = {};
        size_t size, again_size;
        int r;

        assert_int_equal(dsse_sign(RELEASE_TYPE, payload, strlen(payload), &world->release_key, 1, &envelope,
                                   &size, NULL),
                         0);
        r = release_open(world->root, envelope, size, NOW, "api", "1.4.2", NULL, &release, &error);
        assert_string_equal(error.message, "");
        assert_int_equal(r, 0);
        assert_int_equal(release->artifacts.n, 1);
        assert_int_equal(release->artifacts.items[0].chunks.n, 2);
        assert_int_equal(release->hooks[LIFECYCLE_AFTER_INSTALL].n, 1);
        assert_string_equal(release->hooks[LIFECYCLE_AFTER_INSTALL].items[0].args.items[0], "-v");
        assert_null(release->hooks[LIFECYCLE_AFTER_INSTALL].items[0].args.items[1]);
        assert_int_equal(release->health.items[0].status, 200);
        assert_true(release_health_asserts_version(release, release->health.items));
        assert_string_equal(release->env.items[0].name, "A");
        assert_int_equal(release_to_json(release, &again, &again_size, NULL), 0);

        r = release_open(world->root, envelope, size, NOW, "web", "1.4.2", NULL, &wrong, &error);
        assert_int_equal(r, -EBADMSG);
        assert_string_equal(error.message, "release web 1.4.2: expected this release, found api 1.4.2");
}

static void test_expired(void **state) {
        World *world = *state;
        _cleanup_free_ uint8_t *payload = NULL;
        Error error = {};
        size_t size;

        assert_int_equal(trust_root_verify_document(world->root, TRUST_ROLE_TARGET, "target api prod",
                                                    TARGET_TYPE, "{}", 2, LATER, &payload, &size, &error),
                         -EKEYEXPIRED);
}

static void test_successor(void **state) {
        World *world = *state;
        _cleanup_key_ Key *next_key = new_key();
        _cleanup_trust_root_ TrustRoot *next = new_root(2, LATER, world, next_key), *loaded = NULL;
        Key *both[] = { world->root_key, next_key };
        _cleanup_free_ char *by_both = NULL, *by_old = NULL, *by_new = NULL;
        size_t size;

        by_both = sign_root(next, both, 2, &size);
        assert_int_equal(
                trust_root_load_successor(world->root, "root/2.json", by_both, size, NOW, &loaded, NULL), 0);
        assert_int_equal(trust_root_version(loaded), 2);
        loaded = trust_root_free(loaded);
        by_old = sign_root(next, both, 1, &size);
        assert_int_equal(
                trust_root_load_successor(world->root, "root/2.json", by_old, size, NOW, &loaded, NULL),
                -EKEYREJECTED);
        by_new = sign_root(next, both + 1, 1, &size);
        assert_int_equal(
                trust_root_load_successor(world->root, "root/2.json", by_new, size, NOW, &loaded, NULL),
                -EKEYREJECTED);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_release, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_expired, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_successor, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
