#include <string.h>

#include "artifacts/trust_root.h"
#include "tests/unit/documents.h"
#include "tests/unit/test.h"

#define SECOND UINT64_C(1000000)
#define TYPE "application/vnd.test+json"
#define LATER (DOCUMENTS_NOW + 86400 * SECOND)

/* A root in which ROOT_KEY, or the keys 1 to 3 of the last N, may do everything. */
static TrustRoot *new_root(uint64_t version, uint64_t expires, Key *const *keys, size_t n,
                           uint64_t threshold) {
        TrustRoot *root;

        assert_int_equal(trust_root_new(version, DOCUMENTS_NOW, expires, &root, NULL), 0);
        for (TrustRole role = TRUST_ROLE_ROOT; role < TRUST_ROLE_FRESHNESS; role++)
                for (size_t i = 0; i < n; i++)
                        assert_int_equal(trust_root_add_key(root, role, keys[i], NULL), 0);
        assert_int_equal(trust_root_set_threshold(root, TRUST_ROLE_ROOT, threshold, NULL), 0);
        return root;
}

static char *sign_root(const TrustRoot *root, Key *const *signers, size_t n, size_t *ret_size) {
        _cleanup_free_ char *payload = NULL;
        char *envelope;
        size_t size;

        assert_int_equal(trust_root_write(root, &payload, &size, NULL), 0);
        assert_int_equal(dsse_sign(TRUST_ROOT_TYPE, payload, size, signers, n, &envelope, ret_size, NULL), 0);
        return envelope;
}

static TrustRoot *load_golden(void) {
        _cleanup_buffer_ Buffer envelope = {};
        TrustRoot *root;
        Error error = {};

        documents_read("root.envelope.json", &envelope);
        if (trust_root_load("root.json", envelope.data, envelope.size, &root, &error) < 0)
                fail_msg("%s", error.message);
        return root;
}

static void test_golden(void **state) {
        static const size_t n_keys[] = { 2, 1, 1, 1 };
        _cleanup_trust_root_ TrustRoot *root = load_golden();
        _cleanup_buffer_ Buffer payload = {};
        _cleanup_free_ char *text = NULL;
        DocumentsKeys *k = *state;
        uint64_t threshold;
        size_t n, size;

        assert_int_equal(trust_root_version(root), 1);
        assert_int_equal(trust_root_issued(root), DOCUMENTS_NOW - 4 * 3600 * SECOND);
        assert_int_equal(trust_root_expires(root), DOCUMENTS_NOW + (365 * 86400 - 4 * 3600) * SECOND);
        for (TrustRole role = 0; role < TRUST_ROLE_MAX; role++) {
                Key *const *keys = trust_root_keys(root, role, &n, &threshold);

                assert_int_equal(n, n_keys[role]);
                assert_int_equal(threshold, role == TRUST_ROLE_ROOT ? 2 : 1);
                assert_string_equal(key_id(keys[0]), key_id(k->key[role == 3 ? 2 : role]));
        }
        assert_true(trust_root_has_key(root, TRUST_ROLE_RELEASE, key_id(k->key[1])));
        assert_false(trust_root_has_key(root, TRUST_ROLE_RELEASE, key_id(k->key[0])));
        documents_read("root.json", &payload);
        assert_int_equal(trust_root_write(root, &text, &size, NULL), 0);
        assert_string_equal(text, buffer_string(&payload));
}

static int parse(const void *data, size_t size, Error *error) {
        _cleanup_trust_root_ TrustRoot *root = NULL;
        _cleanup_free_ char *envelope = NULL;
        Key *keys[] = { documents_key(1), documents_key(2) };
        size_t envelope_size;

        assert_int_equal(dsse_sign(TRUST_ROOT_TYPE, data, size, keys, 2, &envelope, &envelope_size, NULL), 0);
        key_free(keys[0]);
        key_free(keys[1]);
        return trust_root_load("root.json", envelope, envelope_size, &root, error);
}

static void test_hostile(void **state) {
        (void) state;
        documents_try_hostile("root", parse);
}

static void test_load_wants_its_own_threshold(void **state) {
        DocumentsKeys *k = *state;
        _cleanup_trust_root_ TrustRoot *root = new_root(1, LATER, k->key, 2, 2), *loaded = NULL;
        _cleanup_free_ char *by_1 = NULL, *by_13 = NULL, *by_12 = NULL;
        Key *others[] = { k->key[0], k->key[2] };
        Error error;
        size_t size;

        by_1 = sign_root(root, k->key, 1, &size);
        assert_int_equal(trust_root_load("root.json", by_1, size, &loaded, &error), -EKEYREJECTED);
        assert_string_equal(error.message,
                            "root.json: expected good signatures by 2 of the 2 root keys, found 1");
        by_13 = sign_root(root, others, 2, &size);
        assert_int_equal(trust_root_load("root.json", by_13, size, &loaded, &error), -EKEYREJECTED);
        by_12 = sign_root(root, k->key, 2, &size);
        assert_int_equal(trust_root_load("root.json", by_12, size, &loaded, NULL), 0);
}

static void test_size_is_capped(void **state) {
        _cleanup_free_ char *text = malloc(TRUST_ROOT_SIZE_MAX + 1);
        TrustRoot *root = NULL;
        Error error;

        (void) state;
        memset(text, ' ', TRUST_ROOT_SIZE_MAX + 1);
        assert_int_equal(trust_root_load("root.json", text, TRUST_ROOT_SIZE_MAX + 1, &root, &error),
                         -EBADMSG);
        assert_string_equal(error.message, "root.json: expected at most 262144 bytes, found 262145");
}

static int verify(const TrustRoot *root, TrustRole role, Key *const *keys, size_t n, uint64_t now,
                  Error *error) {
        _cleanup_free_ uint8_t *payload = NULL;
        _cleanup_free_ char *envelope = NULL;
        size_t size;

        assert_int_equal(dsse_sign(TYPE, "{}", 2, keys, n, &envelope, &size, NULL), 0);
        return trust_root_verify_document(root, role, "doc", TYPE, envelope, size, now, &payload, &size,
                                          error);
}

static void test_roles(void **state) {
        _cleanup_trust_root_ TrustRoot *root = load_golden();
        DocumentsKeys *k = *state;
        Error error;

        assert_int_equal(verify(root, TRUST_ROLE_ROOT, k->key, 2, DOCUMENTS_NOW, NULL), 0);
        assert_int_equal(verify(root, TRUST_ROLE_ROOT, k->key, 1, DOCUMENTS_NOW, NULL), -EKEYREJECTED);
        assert_int_equal(verify(root, TRUST_ROLE_RELEASE, k->key + 1, 1, DOCUMENTS_NOW, NULL), 0);
        assert_int_equal(verify(root, TRUST_ROLE_RELEASE, k->key + 2, 1, DOCUMENTS_NOW, &error),
                         -EKEYREJECTED);
        assert_string_equal(error.message,
                            "doc: expected good signatures by 1 of the 1 release keys, found 0");
        assert_int_equal(verify(root, TRUST_ROLE_TARGET, k->key + 1, 1, DOCUMENTS_NOW, NULL), -EKEYREJECTED);
        assert_int_equal(verify(root, TRUST_ROLE_TARGET, k->key, 3, DOCUMENTS_NOW, NULL), 0);
}

static void test_role_that_is_not_there(void **state) {
        DocumentsKeys *k = *state;
        _cleanup_trust_root_ TrustRoot *root = new_root(1, LATER, k->key, 1, 1);
        Error error;

        assert_int_equal(verify(root, TRUST_ROLE_FRESHNESS, k->key, 1, DOCUMENTS_NOW, &error), -EKEYREJECTED);
        assert_string_equal(error.message, "doc: the trust root root/1.json has no role freshness");
}

static void test_expiry(void **state) {
        _cleanup_trust_root_ TrustRoot *root = load_golden();
        DocumentsKeys *k = *state;
        Error error;

        assert_int_equal(verify(root, TRUST_ROLE_RELEASE, k->key + 1, 1, trust_root_expires(root) - 1, NULL),
                         0);
        assert_int_equal(verify(root, TRUST_ROLE_RELEASE, k->key + 1, 1, trust_root_expires(root), &error),
                         -EKEYEXPIRED);
        assert_string_equal(error.message,
                            "doc: the trust root root.json (version 1) expired at 2027-11-21T08:00:00Z");
}

/* Version 1 trusts key 1, version 2 trusts key 2. */
static void test_successor(void **state) {
        static const struct {
                const char *name;
                uint64_t version, expires;
                unsigned first, n; /* the keys that sign it */
                int result;
                const char *message;
        } cases[] = {
                { "signed by both", 2, LATER, 0, 2, 0, "" },
                { "by the old only", 2, LATER, 0, 1, -EKEYREJECTED,
                  "root/2.json: expected good signatures by 1 of the 1 root keys, found 0" },
                { "by the new only", 2, LATER, 1, 1, -EKEYREJECTED,
                  "root/2.json: expected good signatures by 1 of the 1 root keys, found 0" },
                { "not the next", 3, LATER, 0, 2, -EBADMSG,
                  "root/2.json: version: expected 2, the one after root/1.json, not 3" },
                { "the same", 1, LATER, 0, 2, -EBADMSG,
                  "root/2.json: version: expected 2, the one after root/1.json, not 1" },
                { "expired", 2, DOCUMENTS_NOW, 0, 2, -EKEYEXPIRED,
                  "root/2.json: the trust root root/2.json (version 2) expired at 2026-11-21T12:00:00Z" },
        };
        DocumentsKeys *k = *state;
        _cleanup_trust_root_ TrustRoot *old = new_root(1, DOCUMENTS_NOW - SECOND, k->key, 1, 1);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_trust_root_ TrustRoot *next = new_root(cases[i].version, cases[i].expires,
                                                                k->key + 1, 1, 1),
                                               *loaded = NULL;
                _cleanup_free_ char *envelope = NULL;
                Error error = {};
                size_t size;

                envelope = sign_root(next, k->key + cases[i].first, cases[i].n, &size);
                assert_int_equal(trust_root_load_successor(old, "root/2.json", envelope, size, DOCUMENTS_NOW,
                                                           &loaded, &error),
                                 cases[i].result);
                assert_string_equal(error.message, cases[i].message);
                assert_int_equal(!loaded, cases[i].result < 0);
        }
}

/* What the old root keys have not signed is not even parsed. */
static void test_successor_is_verified_first(void **state) {
        DocumentsKeys *k = *state;
        _cleanup_trust_root_ TrustRoot *old = new_root(1, LATER, k->key, 1, 1);
        _cleanup_free_ char *envelope = NULL;
        TrustRoot *loaded = NULL;
        size_t size;

        assert_int_equal(dsse_sign(TRUST_ROOT_TYPE, "not JSON", 8, k->key + 1, 1, &envelope, &size, NULL), 0);
        assert_int_equal(
                trust_root_load_successor(old, "root/2.json", envelope, size, DOCUMENTS_NOW, &loaded, NULL),
                -EKEYREJECTED);
}

static void test_making_one(void **state) {
        DocumentsKeys *k = *state;
        _cleanup_trust_root_ TrustRoot *root = NULL;
        char *payload = NULL;
        Error error;
        size_t size;

        assert_int_equal(trust_root_new(7, DOCUMENTS_NOW, LATER, &root, NULL), 0);
        assert_int_equal(trust_root_add_key(root, TRUST_ROLE_ROOT, k->key[0], NULL), 0);
        assert_int_equal(trust_root_add_key(root, TRUST_ROLE_ROOT, k->key[0], NULL), 0);
        assert_int_equal(trust_root_set_threshold(root, TRUST_ROLE_ROOT, 2, &error), -EINVAL);
        assert_string_equal(error.message,
                            "root/7.json: expected a threshold from 1 to the 1 root keys, not 2");
        assert_int_equal(trust_root_set_threshold(root, TRUST_ROLE_ROOT, 0, &error), -EINVAL);
        assert_int_equal(trust_root_write(root, &payload, &size, &error), -EINVAL);
        assert_string_equal(error.message, "root/7.json: expected a key for the role release");
        assert_null(payload);
}

static void test_too_many_keys(void **state) {
        _cleanup_trust_root_ TrustRoot *root = NULL;
        Error error;

        (void) state;
        assert_int_equal(trust_root_new(1, DOCUMENTS_NOW, LATER, &root, NULL), 0);
        for (unsigned i = 0; i <= TRUST_ROOT_KEYS_MAX; i++) {
                _cleanup_key_ Key *key = NULL;

                assert_int_equal(key_generate(&key, NULL), 0);
                assert_int_equal(trust_root_add_key(root, TRUST_ROLE_ROOT, key, &error),
                                 i < TRUST_ROOT_KEYS_MAX ? 0 : -E2BIG);
        }
        assert_string_equal(error.message, "root/1.json: expected at most 64 keys");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_golden),
                cmocka_unit_test(test_hostile),
                cmocka_unit_test(test_load_wants_its_own_threshold),
                cmocka_unit_test(test_size_is_capped),
                cmocka_unit_test(test_roles),
                cmocka_unit_test(test_role_that_is_not_there),
                cmocka_unit_test(test_expiry),
                cmocka_unit_test(test_successor),
                cmocka_unit_test(test_successor_is_verified_first),
                cmocka_unit_test(test_making_one),
                cmocka_unit_test(test_too_many_keys),
        };

        return cmocka_run_group_tests(tests, documents_keys_setup, documents_keys_teardown);
}
