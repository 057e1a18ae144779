#include <inttypes.h>
#include <string.h>

#include "agent/base/parse.h"
#include "artifacts/document.h"
#include "artifacts/schema.h"
#include "artifacts/trust_root.h"

#define VERSION_MAX UINT64_C(1000000000)

typedef struct RootKey {
        char *id;
        unsigned type;
        uint8_t public[KEY_PUBLIC_SIZE];
} RootKey;

typedef struct Role {
        SCHEMA_LIST(char *) keyids;
        uint64_t threshold; /* 0: there is no such role */
} Role;

/* The payload, as it is written. */
typedef struct RootDocument {
        uint64_t version, issued, expires;
        char *min_agent;
        SCHEMA_LIST(RootKey) keys;
        Role roles[TRUST_ROLE_MAX];
} RootDocument;

struct TrustRoot {
        char *name;
        RootDocument document;
        Key *keys[TRUST_ROLE_MAX][TRUST_ROOT_KEYS_MAX]; /* the role's, in the order of its keyids */
};

const char *trust_role_to_string(TrustRole role) {
        static const char *const names[] = {
                [TRUST_ROLE_ROOT] = "root",
                [TRUST_ROLE_RELEASE] = "release",
                [TRUST_ROLE_TARGET] = "target",
                [TRUST_ROLE_FRESHNESS] = "freshness",
        };

        return names[role];
}

/* The document as a table */

static const char *const key_types[] = { "ed25519", NULL };
static const SchemaType key_type_type = {
        .kind = &schema_choice,
        .choices = key_types,
};
static const SchemaType public_type = {
        .kind = &schema_base64,
        .size = KEY_PUBLIC_SIZE,
};
static const SchemaType version_type = {
        .kind = &schema_u64,
        .min = 1,
        .max = VERSION_MAX,
};
static const SchemaType threshold_type = {
        .kind = &schema_u64,
        .min = 1,
        .max = TRUST_ROOT_KEYS_MAX,
};
static const SchemaType keyid_type = {
        .kind = &schema_text,
        .is_valid = document_digest_is_valid,
        .expected = "a key id of 64 lower-case hex digits",
        .max = 64,
};
static const SchemaType keyids_type = {
        .kind = &schema_list,
        .element = &keyid_type,
        .min = 1,
        .max = TRUST_ROOT_KEYS_MAX,
};

/* An id is made from the key, so that two ids can never stand for one key and count as two. */
static int check_key(const JsonField *field, void *value, Error *error) {
        const RootKey *k = value;
        _cleanup_key_ Key *key = NULL;
        int r;

        r = key_from_public_raw(k->public, &key, error);
        if (r < 0)
                return r;
        if (strcmp(key_id(key), k->id) != 0)
                return json_field_fail(field, error, "this is the id of another key, expected %s",
                                       key_id(key));
        return 0;
}

static const SchemaMember key_members[] = {
        { "type", &key_type_type, offsetof(RootKey, type), true },
        { "public", &public_type, offsetof(RootKey, public), true },
        {},
};
static const SchemaType key_type = {
        .kind = &schema_object,
        .size = sizeof(RootKey),
        .members = key_members,
        .check = check_key,
};
static const SchemaType keys_type = {
        .kind = &schema_map,
        .element = &key_type,
        .entry_size = sizeof(RootKey),
        .is_valid = document_digest_is_valid,
        .expected = "a key, which has 64 lower-case hex digits",
        .min = 1,
        .max = TRUST_ROOT_KEYS_MAX,
};

static bool role_is_set(const void *value) {
        const Role *role = value;

        return role->threshold > 0;
}

static int check_role(const JsonField *field, void *value, Error *error) {
        const Role *role = value;

        for (size_t i = 0; i < role->keyids.n; i++)
                for (size_t k = 0; k < i; k++)
                        if (strcmp(role->keyids.items[i], role->keyids.items[k]) == 0)
                                return json_field_fail(field, error, "the key %s is listed twice",
                                                       role->keyids.items[i]);
        if (role->threshold > role->keyids.n)
                return json_field_fail(field, error,
                                       "a threshold of %" PRIu64 " needs as many keys, found %zu",
                                       role->threshold, role->keyids.n);
        return 0;
}

static const SchemaMember role_members[] = {
        { "keyids", &keyids_type, offsetof(Role, keyids), true },
        { "threshold", &threshold_type, offsetof(Role, threshold), true },
        {},
};
static const SchemaType role_type = {
        .kind = &schema_object,
        .size = sizeof(Role),
        .members = role_members,
        .is_set = role_is_set,
        .check = check_role,
};

static const SchemaMember roles_members[] = {
        { "root", &role_type, TRUST_ROLE_ROOT * sizeof(Role), true },
        { "release", &role_type, TRUST_ROLE_RELEASE * sizeof(Role), true },
        { "target", &role_type, TRUST_ROLE_TARGET * sizeof(Role), true },
        { "freshness", &role_type, TRUST_ROLE_FRESHNESS * sizeof(Role), false },
        {},
};
static const SchemaType roles_type = {
        .kind = &schema_object,
        .size = sizeof(Role[TRUST_ROLE_MAX]),
        .members = roles_members,
};

static const RootKey *find_key(const RootDocument *document, const char *id) {
        for (size_t i = 0; i < document->keys.n; i++)
                if (strcmp(document->keys.items[i].id, id) == 0)
                        return document->keys.items + i;
        return NULL;
}

static int check_document(const JsonField *field, void *value, Error *error) {
        const RootDocument *document = value;

        for (TrustRole role = 0; role < TRUST_ROLE_MAX; role++)
                for (size_t i = 0; i < document->roles[role].keyids.n; i++)
                        if (!find_key(document, document->roles[role].keyids.items[i]))
                                return json_field_fail(field, error, "roles.%s: the key %s is not among keys",
                                                       trust_role_to_string(role),
                                                       document->roles[role].keyids.items[i]);
        return 0;
}

static const SchemaMember document_members[] = {
        { "version", &version_type, offsetof(RootDocument, version), true },
        { "issued", &document_time_type, offsetof(RootDocument, issued), false },
        { "expires", &document_time_type, offsetof(RootDocument, expires), true },
        { "min_agent", &document_agent_version_type, offsetof(RootDocument, min_agent), false },
        { "keys", &keys_type, offsetof(RootDocument, keys), true },
        { "roles", &roles_type, offsetof(RootDocument, roles), true },
        {},
};
static const SchemaType document_type = {
        .kind = &schema_object,
        .size = sizeof(RootDocument),
        .members = document_members,
        .check = check_document,
};

/* Reading */

TrustRoot *trust_root_free(TrustRoot *root) {
        if (!root)
                return NULL;
        for (TrustRole role = 0; role < TRUST_ROLE_MAX; role++)
                for (size_t i = 0; i < TRUST_ROOT_KEYS_MAX && root->keys[role][i]; i++)
                        key_free(root->keys[role][i]);
        schema_clear(&document_type, &root->document);
        free(root->name);
        free(root);
        return NULL;
}

static int make_keys(TrustRoot *root, Error *error) {
        for (TrustRole role = 0; role < TRUST_ROLE_MAX; role++)
                for (size_t i = 0; i < root->document.roles[role].keyids.n; i++) {
                        const RootKey *k =
                                find_key(&root->document, root->document.roles[role].keyids.items[i]);
                        int r;

                        r = key_from_public_raw(k->public, &root->keys[role][i], error);
                        if (r < 0)
                                return r;
                }
        return 0;
}

static int parse_payload(const char *name, const uint8_t *payload, size_t size, TrustRoot **ret,
                         Error *error) {
        _cleanup_trust_root_ TrustRoot *root = calloc(1, sizeof(*root));
        int r;

        if (!root)
                return error_oom(error);
        root->name = strdup(name);
        if (!root->name)
                return error_oom(error);
        r = document_parse(&document_type, &(DocumentName){ .kind = name }, payload, size,
                           TRUST_ROOT_SIZE_MAX, &root->document, error);
        if (r >= 0)
                r = make_keys(root, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(root);
        return 0;
}

static int verify_role(const TrustRoot *root, TrustRole role, const DsseEnvelope *envelope, const char *name,
                       const char *payload_type, Error *error) {
        uint64_t threshold;
        size_t n;
        Key *const *keys = trust_root_keys(root, role, &n, &threshold);

        if (threshold == 0)
                return error_set_fault(error, -EKEYREJECTED, FAULT_INPUT,
                                       "%s: the trust root %s has no role %s", name, root->name,
                                       trust_role_to_string(role));
        return dsse_envelope_verify(envelope, name, payload_type, trust_role_to_string(role), keys, n,
                                    threshold, error);
}

static int parse_envelope(const char *name, const void *data, size_t size, DsseEnvelope **ret, Error *error) {
        if (size > TRUST_ROOT_SIZE_MAX)
                return error_set_fault(error, -EBADMSG, FAULT_INPUT,
                                       "%s: expected at most %u bytes, found %zu", name, TRUST_ROOT_SIZE_MAX,
                                       size);
        return dsse_envelope_parse(name, data, size, ret, error);
}

/* A root brings the keys that it is signed with, so its payload is read first; it is not used before it verifies. */
int trust_root_load(const char *name, const void *data, size_t size, TrustRoot **ret, Error *error) {
        _cleanup_dsse_envelope_ DsseEnvelope *envelope = NULL;
        _cleanup_trust_root_ TrustRoot *root = NULL;
        int r;

        r = parse_envelope(name, data, size, &envelope, error);
        if (r >= 0)
                r = parse_payload(name, envelope->payload, envelope->payload_size, &root, error);
        if (r >= 0)
                r = verify_role(root, TRUST_ROLE_ROOT, envelope, name, TRUST_ROOT_TYPE, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(root);
        return 0;
}

static int check_expiry(const TrustRoot *root, const char *name, uint64_t now, Error *error) {
        char expires[TIME_TEXT_MAX];

        if (now < root->document.expires)
                return 0;
        format_time(root->document.expires, expires);
        return error_set_fault(error, -EKEYEXPIRED, FAULT_INPUT,
                               "%s: the trust root %s (version %" PRIu64 ") expired at %s", name, root->name,
                               root->document.version, expires);
}

int trust_root_load_successor(const TrustRoot *old, const char *name, const void *data, size_t size,
                              uint64_t now, TrustRoot **ret, Error *error) {
        _cleanup_dsse_envelope_ DsseEnvelope *envelope = NULL;
        _cleanup_trust_root_ TrustRoot *root = NULL;
        int r;

        r = parse_envelope(name, data, size, &envelope, error);
        if (r >= 0)
                r = verify_role(old, TRUST_ROLE_ROOT, envelope, name, TRUST_ROOT_TYPE, error);
        if (r >= 0)
                r = parse_payload(name, envelope->payload, envelope->payload_size, &root, error);
        if (r >= 0)
                r = verify_role(root, TRUST_ROLE_ROOT, envelope, name, TRUST_ROOT_TYPE, error);
        if (r < 0)
                return r;
        if (root->document.version != old->document.version + 1)
                return error_set_fault(error, -EBADMSG, FAULT_INPUT,
                                       "%s: version: expected %" PRIu64 ", the one after %s, not %" PRIu64,
                                       name, old->document.version + 1, old->name, root->document.version);
        r = check_expiry(root, name, now, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(root);
        return 0;
}

int trust_root_verify_document(const TrustRoot *root, TrustRole role, const char *name,
                               const char *payload_type, const void *data, size_t size, uint64_t now,
                               uint8_t **ret_payload, size_t *ret_size, Error *error) {
        _cleanup_dsse_envelope_ DsseEnvelope *envelope = NULL;
        int r;

        r = check_expiry(root, name, now, error);
        if (r >= 0)
                r = dsse_envelope_parse(name, data, size, &envelope, error);
        if (r >= 0)
                r = verify_role(root, role, envelope, name, payload_type, error);
        if (r < 0)
                return r;
        *ret_size = envelope->payload_size;
        *ret_payload = TAKE_PTR(envelope->payload);
        return 0;
}

uint64_t trust_root_version(const TrustRoot *root) {
        return root->document.version;
}

uint64_t trust_root_expires(const TrustRoot *root) {
        return root->document.expires;
}

uint64_t trust_root_issued(const TrustRoot *root) {
        return root->document.issued;
}

Key *const *trust_root_keys(const TrustRoot *root, TrustRole role, size_t *ret_n, uint64_t *ret_threshold) {
        *ret_n = root->document.roles[role].keyids.n;
        if (ret_threshold)
                *ret_threshold = root->document.roles[role].threshold;
        return root->keys[role];
}

bool trust_root_has_key(const TrustRoot *root, TrustRole role, const char *id) {
        const Role *r = root->document.roles + role;

        for (size_t i = 0; i < r->keyids.n; i++)
                if (strcmp(r->keyids.items[i], id) == 0)
                        return true;
        return false;
}

/* Making one */

int trust_root_new(uint64_t version, uint64_t issued, uint64_t expires, TrustRoot **ret, Error *error) {
        _cleanup_trust_root_ TrustRoot *root = calloc(1, sizeof(*root));

        if (!root)
                return error_oom(error);
        if (asprintf(&root->name, "root/%" PRIu64 ".json", version) < 0) {
                root->name = NULL;
                return error_oom(error);
        }
        root->document.version = version;
        root->document.issued = issued;
        root->document.expires = expires;
        *ret = TAKE_PTR(root);
        return 0;
}

static int document_add_key(RootDocument *document, const Key *key) {
        RootKey *items;

        if (find_key(document, key_id(key)))
                return 0;
        items = reallocarray(document->keys.items, document->keys.n + 1, sizeof(*items));
        if (!items)
                return -ENOMEM;
        document->keys.items = items;
        items += document->keys.n;
        *items = (RootKey){ .id = strdup(key_id(key)) };
        if (!items->id)
                return -ENOMEM;
        memcpy(items->public, key_public(key), KEY_PUBLIC_SIZE);
        document->keys.n++;
        return 0;
}

static int role_add_keyid(Role *role, const char *id) {
        char **items = reallocarray(role->keyids.items, role->keyids.n + 1, sizeof(*items));

        if (!items)
                return -ENOMEM;
        role->keyids.items = items;
        items[role->keyids.n] = strdup(id);
        if (!items[role->keyids.n])
                return -ENOMEM;
        role->keyids.n++;
        return 0;
}

int trust_root_add_key(TrustRoot *root, TrustRole role, const Key *key, Error *error) {
        Role *r = root->document.roles + role;
        size_t n = r->keyids.n;

        if (trust_root_has_key(root, role, key_id(key)))
                return 0;
        if (root->document.keys.n >= TRUST_ROOT_KEYS_MAX)
                return error_set_fault(error, -E2BIG, FAULT_INPUT, "%s: expected at most %u keys", root->name,
                                       TRUST_ROOT_KEYS_MAX);
        if (document_add_key(&root->document, key) < 0 || role_add_keyid(r, key_id(key)) < 0)
                return error_oom(error);
        r->threshold = MAX(r->threshold, (uint64_t) 1);
        return key_from_public_raw(key_public(key), &root->keys[role][n], error);
}

int trust_root_set_threshold(TrustRoot *root, TrustRole role, uint64_t threshold, Error *error) {
        Role *r = root->document.roles + role;

        if (threshold < 1 || threshold > r->keyids.n)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "%s: expected a threshold from 1 to the %zu %s keys, not %" PRIu64,
                                       root->name, r->keyids.n, trust_role_to_string(role), threshold);
        r->threshold = threshold;
        return 0;
}

int trust_root_write(const TrustRoot *root, char **ret_payload, size_t *ret_size, Error *error) {
        for (TrustRole role = 0; role < TRUST_ROLE_FRESHNESS; role++)
                if (root->document.roles[role].threshold == 0)
                        return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                               "%s: expected a key for the role %s", root->name,
                                               trust_role_to_string(role));
        return document_write(&document_type, &root->document, ret_payload, ret_size, error);
}
