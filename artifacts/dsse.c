#include <inttypes.h>
#include <string.h>

#include "agent/base/base64.h"
#include "agent/base/buffer.h"
#include "artifacts/dsse.h"
#include "artifacts/json.h"

#define KEYID_TEXT_MAX 256U

static void clear_signatures(DsseEnvelope *envelope) {
        for (size_t i = 0; i < envelope->n_signatures; i++) {
                free(envelope->signatures[i].keyid);
                free(envelope->signatures[i].data);
        }
        free(envelope->signatures);
        envelope->signatures = NULL;
        envelope->n_signatures = 0;
}

DsseEnvelope *dsse_envelope_free(DsseEnvelope *envelope) {
        if (!envelope)
                return NULL;
        clear_signatures(envelope);
        free(envelope->payload_type);
        free(envelope->payload);
        free(envelope);
        return NULL;
}

/* Either alphabet, as the specification wants it of whoever verifies. */
static int read_base64(const JsonField *field, uint8_t **ret, size_t *ret_size, Error *error) {
        const char *text = json_string_value(field->value);
        _cleanup_free_ char *standard = NULL;
        int r;

        if (!text)
                return json_field_expected(field, error, "base64 text");
        standard = strdup(text);
        if (!standard)
                return error_oom(error);
        for (char *p = standard; *p; p++)
                *p = *p == '-' ? '+' : (*p == '_' ? '/' : *p);
        r = base64_decode(standard, strlen(standard), ret, ret_size);
        if (r == -ENOMEM)
                return error_oom(error);
        return r < 0 ? json_field_fail(field, error, "not valid base64") : 0;
}

static int read_text(const JsonField *field, size_t max, char **ret, Error *error) {
        const char *text = json_string_value(field->value);

        if (!text || !*text || strlen(text) > max)
                return json_field_expected(field, error, "text that is not empty and not too long");
        *ret = strdup(text);
        return *ret ? 0 : error_oom(error);
}

static int read_signature(const JsonField *field, DsseSignature *signature, Error *error) {
        JsonField keyid = json_field_member(field, "keyid"), sig = json_field_member(field, "sig");
        int r;

        if (!json_is_object(field->value))
                return json_field_expected(field, error, "an object with keyid and sig");
        r = read_text(&keyid, KEYID_TEXT_MAX, &signature->keyid, error);
        return r < 0 ? r : read_base64(&sig, &signature->data, &signature->size, error);
}

static int read_signatures(const JsonField *field, DsseEnvelope *envelope, Error *error) {
        size_t n = json_array_size(field->value);
        int r = 0;

        if (!json_is_array(field->value) || n < 1 || n > DSSE_SIGNATURES_MAX)
                return json_field_expected(field, error, "a list of 1 to 32 signatures");
        envelope->signatures = calloc(n, sizeof(*envelope->signatures));
        if (!envelope->signatures)
                return error_oom(error);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                JsonField element = json_field_element(field, i);

                envelope->n_signatures = i + 1;
                r = read_signature(&element, envelope->signatures + i, error);
        }
        return r;
}

int dsse_envelope_parse(const char *name, const void *data, size_t size, DsseEnvelope **ret, Error *error) {
        _cleanup_dsse_envelope_ DsseEnvelope *envelope = NULL;
        JsonSource source = { .name = name };
        _cleanup_json_ json_t *root = NULL;
        JsonField top, type, payload, signatures;
        int r;

        r = json_read(name, data, size, DSSE_ENVELOPE_SIZE_MAX, &root, error);
        if (r < 0)
                return r;
        top = json_field_top(&source, root);
        if (!json_is_object(root))
                return json_field_expected(&top, error, "a DSSE envelope");
        envelope = calloc(1, sizeof(*envelope));
        if (!envelope)
                return error_oom(error);
        type = json_field_member(&top, "payloadType");
        payload = json_field_member(&top, "payload");
        signatures = json_field_member(&top, "signatures");
        r = read_text(&type, DSSE_PAYLOAD_TYPE_MAX, &envelope->payload_type, error);
        if (r >= 0)
                r = read_base64(&payload, &envelope->payload, &envelope->payload_size, error);
        if (r >= 0)
                r = read_signatures(&signatures, envelope, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(envelope);
        return 0;
}

static json_t *write_signature(const DsseSignature *signature) {
        _cleanup_free_ char *text = NULL;

        if (base64_encode(signature->data, signature->size, &text) < 0)
                return NULL;
        return json_pack("{s:s, s:s}", "keyid", signature->keyid, "sig", text);
}

int dsse_envelope_write(const DsseEnvelope *envelope, char **ret, size_t *ret_size, Error *error) {
        _cleanup_json_ json_t *root = NULL, *signatures = json_array();
        _cleanup_free_ char *payload = NULL;

        if (!signatures || base64_encode(envelope->payload, envelope->payload_size, &payload) < 0)
                return error_oom(error);
        for (size_t i = 0; i < envelope->n_signatures; i++)
                if (json_array_append_new(signatures, write_signature(envelope->signatures + i)) < 0)
                        return error_oom(error);
        root = json_pack("{s:s, s:s, s:O}", "payloadType", envelope->payload_type, "payload", payload,
                         "signatures", signatures);
        if (!root || json_write(root, ret, ret_size) < 0)
                return error_oom(error);
        return 0;
}

int dsse_pae(const char *payload_type, const void *payload, size_t size, uint8_t **ret, size_t *ret_size) {
        _cleanup_buffer_ Buffer buffer = {};
        int r;

        r = buffer_printf(&buffer, "DSSEv1 %zu %s %zu ", strlen(payload_type), payload_type, size);
        if (r >= 0)
                r = buffer_append(&buffer, payload, size, SIZE_MAX - 1);
        return r < 0 ? r : buffer_steal(&buffer, (char **) ret, ret_size);
}

/* The signature of KEY that is good, if there is one. */
static bool signed_by(const DsseEnvelope *envelope, const Key *key, const uint8_t *pae, size_t size) {
        for (size_t i = 0; i < envelope->n_signatures; i++) {
                const DsseSignature *s = envelope->signatures + i;

                if (s->size == KEY_SIGNATURE_SIZE && strcmp(s->keyid, key_id(key)) == 0 &&
                    key_verify(key, pae, size, s->data))
                        return true;
        }
        return false;
}

static bool listed_before(Key *const *keys, size_t i) {
        for (size_t k = 0; k < i; k++)
                if (strcmp(key_id(keys[k]), key_id(keys[i])) == 0)
                        return true;
        return false;
}

int dsse_envelope_verify(const DsseEnvelope *envelope, const char *name, const char *payload_type,
                         const char *role, Key *const *keys, size_t n_keys, uint64_t threshold,
                         Error *error) {
        _cleanup_free_ uint8_t *pae = NULL;
        uint64_t n_good = 0;
        size_t size;

        if (strcmp(envelope->payload_type, payload_type) != 0) {
                char found[JSON_EXCERPT_MAX + 4];

                json_excerpt(envelope->payload_type, found);
                return error_set_fault(error, -EKEYREJECTED, FAULT_INPUT,
                                       "%s: payloadType: expected \"%s\", not \"%s\"", name, payload_type,
                                       found);
        }
        if (dsse_pae(payload_type, envelope->payload, envelope->payload_size, &pae, &size) < 0)
                return error_oom(error);
        for (size_t i = 0; i < n_keys; i++)
                if (!listed_before(keys, i) && signed_by(envelope, keys[i], pae, size))
                        n_good++;
        if (threshold == 0 || n_good < threshold)
                return error_set_fault(error, -EKEYREJECTED, FAULT_INPUT,
                                       "%s: expected good signatures by %" PRIu64
                                       " of the %zu %s keys, found %" PRIu64,
                                       name, threshold, n_keys, role, n_good);
        return 0;
}

int dsse_verify(const char *name, const void *data, size_t data_size, const char *payload_type,
                const char *role, Key *const *keys, size_t n_keys, uint64_t threshold, uint8_t **ret_payload,
                size_t *ret_size, Error *error) {
        _cleanup_dsse_envelope_ DsseEnvelope *envelope = NULL;
        int r;

        r = dsse_envelope_parse(name, data, data_size, &envelope, error);
        if (r >= 0)
                r = dsse_envelope_verify(envelope, name, payload_type, role, keys, n_keys, threshold, error);
        if (r < 0)
                return r;
        *ret_payload = TAKE_PTR(envelope->payload);
        *ret_size = envelope->payload_size;
        return 0;
}

/* The place for KEY's signature: where an older one of it stands, or a new one at the end. */
static DsseSignature *place_for(DsseEnvelope *envelope, const Key *key) {
        DsseSignature *signatures;

        for (size_t i = 0; i < envelope->n_signatures; i++)
                if (strcmp(envelope->signatures[i].keyid, key_id(key)) == 0)
                        return envelope->signatures + i;
        signatures = reallocarray(envelope->signatures, envelope->n_signatures + 1, sizeof(*signatures));
        if (!signatures)
                return NULL;
        envelope->signatures = signatures;
        signatures += envelope->n_signatures;
        *signatures = (DsseSignature){ .keyid = strdup(key_id(key)) };
        if (!signatures->keyid)
                return NULL;
        envelope->n_signatures++;
        return signatures;
}

int dsse_envelope_add_signature(DsseEnvelope *envelope, const Key *key, Error *error) {
        _cleanup_free_ uint8_t *pae = NULL, *signature = malloc(KEY_SIGNATURE_SIZE);
        DsseSignature *place;
        size_t size;
        int r;

        if (!signature ||
            dsse_pae(envelope->payload_type, envelope->payload, envelope->payload_size, &pae, &size) < 0)
                return error_oom(error);
        r = key_sign(key, pae, size, signature, error);
        if (r < 0)
                return r;
        place = place_for(envelope, key);
        if (!place)
                return error_oom(error);
        free(place->data);
        place->data = TAKE_PTR(signature);
        place->size = KEY_SIGNATURE_SIZE;
        return 0;
}

static int envelope_new(const char *payload_type, const void *payload, size_t size, DsseEnvelope **ret) {
        _cleanup_dsse_envelope_ DsseEnvelope *envelope = calloc(1, sizeof(*envelope));

        if (!envelope)
                return -ENOMEM;
        envelope->payload_type = strdup(payload_type);
        envelope->payload = malloc(size + 1);
        if (!envelope->payload_type || !envelope->payload)
                return -ENOMEM;
        memcpy(envelope->payload, payload, size);
        envelope->payload[size] = 0;
        envelope->payload_size = size;
        *ret = TAKE_PTR(envelope);
        return 0;
}

int dsse_sign(const char *payload_type, const void *payload, size_t size, Key *const *keys, size_t n_keys,
              char **ret_envelope, size_t *ret_size, Error *error) {
        _cleanup_dsse_envelope_ DsseEnvelope *envelope = NULL;
        int r;

        if (envelope_new(payload_type, payload, size, &envelope) < 0)
                return error_oom(error);
        for (size_t i = 0; i < n_keys; i++) {
                r = dsse_envelope_add_signature(envelope, keys[i], error);
                if (r < 0)
                        return r;
        }
        return dsse_envelope_write(envelope, ret_envelope, ret_size, error);
}
