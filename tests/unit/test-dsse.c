#include <string.h>

#include "agent/base/base64.h"
#include "agent/base/strv.h"
#include "artifacts/dsse.h"
#include "artifacts/json.h"
#include "tests/unit/documents.h"
#include "tests/unit/test.h"

#define TYPE "application/vnd.test+json"
#define HELLO "hello world"

static char *sign(Key *const *keys, size_t n) {
        char *envelope;
        size_t size;

        assert_int_equal(dsse_sign(TYPE, HELLO, strlen(HELLO), keys, n, &envelope, &size, NULL), 0);
        assert_int_equal(size, strlen(envelope));
        return envelope;
}

static int verify(const char *envelope, Key *const *keys, size_t n, uint64_t threshold, Error *error) {
        _cleanup_free_ uint8_t *payload = NULL;
        size_t size;
        int r;

        r = dsse_verify("doc", envelope, strlen(envelope), TYPE, "test", keys, n, threshold, &payload, &size,
                        error);
        if (r < 0) {
                assert_null(payload);
                return r;
        }
        assert_int_equal(size, strlen(HELLO));
        assert_string_equal((char *) payload, HELLO);
        return 0;
}

/* The example of the specification's protocol.md. */
static void test_pae(void **state) {
        _cleanup_free_ uint8_t *pae = NULL;
        size_t size;

        (void) state;
        assert_int_equal(dsse_pae("http://example.com/HelloWorld", HELLO, strlen(HELLO), &pae, &size), 0);
        assert_string_equal((char *) pae, "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_int_equal(size, 54);
}

static void test_threshold(void **state) {
        DocumentsKeys *k = *state;
        Key *twice[] = { k->key[0], k->key[0], k->key[1] };
        _cleanup_free_ char *by_1 = sign(k->key, 1), *by_12 = sign(k->key, 2);
        Error error;

        assert_int_equal(verify(by_1, k->key, 3, 1, NULL), 0);
        assert_int_equal(verify(by_12, k->key, 3, 2, NULL), 0);
        assert_int_equal(verify(by_12, k->key, 3, 1, NULL), 0);
        assert_int_equal(verify(by_1, k->key, 3, 2, &error), -EKEYREJECTED);
        assert_string_equal(error.message, "doc: expected good signatures by 2 of the 3 test keys, found 1");
        assert_int_equal(error.fault, FAULT_INPUT);
        assert_int_equal(verify(by_1, k->key + 1, 2, 1, &error), -EKEYREJECTED);
        assert_string_equal(error.message, "doc: expected good signatures by 1 of the 2 test keys, found 0");
        /* A threshold of nothing is never met, and the same key counts once however often it is listed. */
        assert_int_equal(verify(by_1, k->key, 3, 0, &error), -EKEYREJECTED);
        assert_int_equal(verify(by_1, k->key, 0, 0, &error), -EKEYREJECTED);
        assert_int_equal(verify(by_1, twice, 3, 2, &error), -EKEYREJECTED);
}

/* One key's good signature listed twice, and once more in another key's name. */
static void test_same_key_twice(void **state) {
        DocumentsKeys *k = *state;
        _cleanup_free_ char *envelope = sign(k->key, 1), *text = NULL;
        _cleanup_json_ json_t *json = json_loads(envelope, 0, NULL);
        json_t *signatures = json_object_get(json, "signatures"), *first = json_array_get(signatures, 0);
        json_t *other = json_deep_copy(first);

        json_object_set_new(other, "keyid", json_string(key_id(k->key[1])));
        json_array_append(signatures, first);
        json_array_append_new(signatures, other);
        text = json_dumps(json, 0);
        assert_int_equal(verify(text, k->key, 2, 1, NULL), 0);
        assert_int_equal(verify(text, k->key, 2, 2, NULL), -EKEYREJECTED);
}

/* Every single bit of what is signed counts. */
static void test_tampered(void **state) {
        DocumentsKeys *k = *state;
        _cleanup_free_ char *text = sign(k->key, 1);
        _cleanup_dsse_envelope_ DsseEnvelope *e = NULL;

        assert_int_equal(dsse_envelope_parse("doc", text, strlen(text), &e, NULL), 0);
        for (size_t i = 0; i < 8 * e->payload_size; i++) {
                e->payload[i / 8] ^= (uint8_t) (1 << i % 8);
                assert_int_equal(dsse_envelope_verify(e, "doc", TYPE, "test", k->key, 3, 1, NULL),
                                 -EKEYREJECTED);
                e->payload[i / 8] ^= (uint8_t) (1 << i % 8);
        }
        for (size_t i = 0; i < 8 * e->signatures[0].size; i++) {
                e->signatures[0].data[i / 8] ^= (uint8_t) (1 << i % 8);
                assert_int_equal(dsse_envelope_verify(e, "doc", TYPE, "test", k->key, 3, 1, NULL),
                                 -EKEYREJECTED);
                e->signatures[0].data[i / 8] ^= (uint8_t) (1 << i % 8);
        }
        assert_int_equal(dsse_envelope_verify(e, "doc", TYPE, "test", k->key, 3, 1, NULL), 0);
}

static void test_type_is_signed(void **state) {
        DocumentsKeys *k = *state;
        _cleanup_free_ char *text = sign(k->key, 1);
        _cleanup_dsse_envelope_ DsseEnvelope *e = NULL;
        Error error;

        assert_int_equal(dsse_envelope_parse("doc", text, strlen(text), &e, NULL), 0);
        assert_int_equal(dsse_envelope_verify(e, "doc", "other", "test", k->key, 3, 1, &error),
                         -EKEYREJECTED);
        assert_string_equal(error.message, "doc: payloadType: expected \"other\", not \"" TYPE "\"");
        free(e->payload_type);
        e->payload_type = strdup("other");
        assert_int_equal(dsse_envelope_verify(e, "doc", "other", "test", k->key, 3, 1, &error),
                         -EKEYREJECTED);
        assert_string_equal(error.message, "doc: expected good signatures by 1 of the 3 test keys, found 0");
}

/* Signatures of keys we do not know, of any size, are passed over and kept. */
static void test_unknown_keys(void **state) {
        DocumentsKeys *k = *state;
        _cleanup_free_ char *envelope = sign(k->key, 1), *text = NULL, *again = NULL;
        _cleanup_json_ json_t *json = json_loads(envelope, 0, NULL);
        _cleanup_dsse_envelope_ DsseEnvelope *e = NULL;
        size_t size;

        json_array_insert_new(json_object_get(json, "signatures"), 0,
                              json_pack("{s:s, s:s, s:i}", "keyid", "rsa-key", "sig", "AAEC", "extra", 1));
        json_object_set_new(json, "comment", json_true());
        text = json_dumps(json, 0);
        assert_int_equal(verify(text, k->key, 1, 1, NULL), 0);
        assert_int_equal(dsse_envelope_parse("doc", text, strlen(text), &e, NULL), 0);
        assert_int_equal(dsse_envelope_add_signature(e, k->key[1], NULL), 0);
        assert_int_equal(e->n_signatures, 3);
        assert_int_equal(dsse_envelope_write(e, &again, &size, NULL), 0);
        assert_non_null(strstr(again, "{\"keyid\":\"rsa-key\",\"sig\":\"AAEC\"}"));
        assert_int_equal(verify(again, k->key, 2, 2, NULL), 0);
}

/* The key id says which key to try: a good signature under another name, or one too short, is none. */
static void test_signature_under_another_name(void **state) {
        DocumentsKeys *k = *state;
        _cleanup_free_ char *text = sign(k->key, 1);
        _cleanup_dsse_envelope_ DsseEnvelope *e = NULL;

        assert_int_equal(dsse_envelope_parse("doc", text, strlen(text), &e, NULL), 0);
        e->signatures[0].keyid[0] ^= 1;
        assert_int_equal(dsse_envelope_verify(e, "doc", TYPE, "test", k->key, 3, 1, NULL), -EKEYREJECTED);
        e->signatures[0].keyid[0] ^= 1;
        e->signatures[0].data = realloc(e->signatures[0].data, KEY_SIGNATURE_SIZE - 1);
        e->signatures[0].size = KEY_SIGNATURE_SIZE - 1;
        assert_int_equal(dsse_envelope_verify(e, "doc", TYPE, "test", k->key, 3, 1, NULL), -EKEYREJECTED);
}

static void test_signing_again_replaces(void **state) {
        DocumentsKeys *k = *state;
        _cleanup_free_ char *text = sign(k->key, 2);
        _cleanup_dsse_envelope_ DsseEnvelope *e = NULL;

        assert_int_equal(dsse_envelope_parse("doc", text, strlen(text), &e, NULL), 0);
        e->signatures[0].data[5] ^= 1;
        assert_int_equal(dsse_envelope_add_signature(e, k->key[0], NULL), 0);
        assert_int_equal(e->n_signatures, 2);
        assert_int_equal(dsse_envelope_verify(e, "doc", TYPE, "test", k->key, 2, 2, NULL), 0);
}

static void test_url_safe_base64(void **state) {
        static const uint8_t payload[] = { 0xfb, 0xef, 0xff, 0xff };
        DocumentsKeys *k = *state;
        _cleanup_free_ char *envelope = NULL;
        _cleanup_free_ uint8_t *back = NULL;
        size_t size, back_size;

        assert_int_equal(dsse_sign(TYPE, payload, sizeof(payload), k->key, 1, &envelope, &size, NULL), 0);
        assert_non_null(strstr(envelope, "++///w=="));
        memcpy(strstr(envelope, "++///w=="), "--___w==", 8);
        assert_int_equal(
                dsse_verify("doc", envelope, size, TYPE, "test", k->key, 1, 1, &back, &back_size, NULL), 0);
        assert_int_equal(back_size, sizeof(payload));
        assert_memory_equal(back, payload, sizeof(payload));
}

#define SIG "\"signatures\":[{\"keyid\":\"k\",\"sig\":\"AAAA\"}]"

static void test_refuses(void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "[]", "doc: expected a DSSE envelope" },
                { "{}", "doc: payloadType: missing; expected text that is not empty and not too long" },
                { "{\"payloadType\":\"\",\"payload\":\"\"," SIG "}",
                  "doc: payloadType: expected text that is not empty and not too long, not \"\"" },
                { "{\"payloadType\":\"t\"," SIG "}", "doc: payload: missing; expected base64 text" },
                { "{\"payloadType\":\"t\",\"payload\":5," SIG "}",
                  "doc: payload: expected base64 text, not 5" },
                { "{\"payloadType\":\"t\",\"payload\":\"A\"," SIG "}", "doc: payload: not valid base64" },
                { "{\"payloadType\":\"t\",\"payload\":\"AA==\\n\"," SIG "}",
                  "doc: payload: not valid base64" },
                { "{\"payloadType\":\"t\",\"payload\":\"AB==\"," SIG "}", "doc: payload: not valid base64" },
                { "{\"payloadType\":\"t\",\"payload\":\"\"}",
                  "doc: signatures: missing; expected a list of 1 to 32 signatures" },
                { "{\"payloadType\":\"t\",\"payload\":\"\",\"signatures\":[]}",
                  "doc: signatures: expected a list of 1 to 32 signatures" },
                { "{\"payloadType\":\"t\",\"payload\":\"\",\"signatures\":{}}",
                  "doc: signatures: expected a list of 1 to 32 signatures" },
                { "{\"payloadType\":\"t\",\"payload\":\"\",\"signatures\":[5]}",
                  "doc: signatures[0]: expected an object with keyid and sig, not 5" },
                { "{\"payloadType\":\"t\",\"payload\":\"\",\"signatures\":[{\"sig\":\"AAAA\"}]}",
                  "doc: signatures[0].keyid: missing; expected text that is not empty and not too long" },
                { "{\"payloadType\":\"t\",\"payload\":\"\",\"signatures\":[{\"keyid\":\"k\"}]}",
                  "doc: signatures[0].sig: missing; expected base64 text" },
                { "{\"payloadType\":\"t\",\"payloadType\":\"u\"}",
                  "doc: not valid JSON: line 1: duplicate object key near '\"payloadType\"'" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                DsseEnvelope *envelope = NULL;
                Error error = {};

                assert_int_equal(
                        dsse_envelope_parse("doc", cases[i].text, strlen(cases[i].text), &envelope, &error),
                        -EBADMSG);
                assert_string_equal(error.message, cases[i].message);
                assert_null(envelope);
        }
}

static void test_limits(void **state) {
        _cleanup_free_ char *large = malloc(DSSE_ENVELOPE_SIZE_MAX + 1), *text = NULL;
        _cleanup_json_ json_t *json =
                json_pack("{s:s, s:s, s:[]}", "payloadType", "t", "payload", "", "signatures");
        DsseEnvelope *envelope = NULL;
        Error error;

        (void) state;
        memset(large, ' ', DSSE_ENVELOPE_SIZE_MAX + 1);
        assert_int_equal(dsse_envelope_parse("doc", large, DSSE_ENVELOPE_SIZE_MAX + 1, &envelope, &error),
                         -EBADMSG);
        assert_string_equal(error.message, "doc: expected at most 4194304 bytes, found 4194305");
        for (size_t i = 0; i <= DSSE_SIGNATURES_MAX; i++)
                json_array_append_new(json_object_get(json, "signatures"),
                                      json_pack("{s:s, s:s}", "keyid", "k", "sig", "AAAA"));
        text = json_dumps(json, 0);
        assert_int_equal(dsse_envelope_parse("doc", text, strlen(text), &envelope, &error), -EBADMSG);
        assert_string_equal(error.message, "doc: signatures: expected a list of 1 to 32 signatures");
}

/* Ed25519 signatures are a function of key and bytes: what we sign is what another implementation signed, to the
 * last byte. */
static void test_golden(void **state) {
        static const struct {
                const char *kind;
                unsigned first, n; /* keys that sign it */
        } documents[] = { { "root", 0, 2 }, { "release", 1, 1 }, { "target", 2, 1 }, { "freshness", 2, 1 } };
        DocumentsKeys *k = *state;

        for (size_t i = 0; i < ELEMENTSOF(documents); i++) {
                _cleanup_buffer_ Buffer payload = {}, envelope = {};
                _cleanup_free_ char *signed_now = NULL;
                char name[64], type[64];
                size_t size;

                snprintf(name, sizeof(name), "%s.json", documents[i].kind);
                documents_read(name, &payload);
                snprintf(name, sizeof(name), "%s.envelope.json", documents[i].kind);
                documents_read(name, &envelope);
                snprintf(type, sizeof(type), "application/vnd.muster.%s.v1+json", documents[i].kind);
                assert_int_equal(dsse_sign(type, payload.data, payload.size, k->key + documents[i].first,
                                           documents[i].n, &signed_now, &size, NULL),
                                 0);
                assert_string_equal(signed_now, buffer_string(&envelope));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pae),
                cmocka_unit_test(test_threshold),
                cmocka_unit_test(test_same_key_twice),
                cmocka_unit_test(test_tampered),
                cmocka_unit_test(test_type_is_signed),
                cmocka_unit_test(test_unknown_keys),
                cmocka_unit_test(test_signature_under_another_name),
                cmocka_unit_test(test_signing_again_replaces),
                cmocka_unit_test(test_url_safe_base64),
                cmocka_unit_test(test_refuses),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_golden),
        };

        return cmocka_run_group_tests(tests, documents_keys_setup, documents_keys_teardown);
}
