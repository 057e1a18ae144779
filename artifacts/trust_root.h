#pragma once

/* The trust root: whose signatures count. `root/<N>.json` in the depot and /etc/muster/root.json on the instance, a
 * DSSE envelope of TRUST_ROOT_TYPE around
 *
 *   { "version": 1, "issued": "...", "expires": "...",
 *     "keys":  { "<key id>": { "type": "ed25519", "public": "<base64 of 32 bytes>" } },
 *     "roles": { "root":    { "keyids": [ "..." ], "threshold": 2 },
 *                "release": { ... }, "target": { ... }, "freshness": { ... } } }
 *
 * in the manner of TUF's root role (https://theupdateframework.github.io/specification/latest/#root): it is signed by its
 * own root keys, and version N+1 is believed only when the root keys of N have signed it as well. The role freshness
 * may be missing: then nothing is fresh, and nothing asks for it. */

#include "artifacts/dsse.h"

#define TRUST_ROOT_TYPE "application/vnd.muster.root.v1+json"
#define TRUST_ROOT_SIZE_MAX (256U * 1024)
#define TRUST_ROOT_KEYS_MAX 64U

typedef enum TrustRole {
        TRUST_ROLE_ROOT,
        TRUST_ROLE_RELEASE,
        TRUST_ROLE_TARGET,
        TRUST_ROLE_FRESHNESS,
        TRUST_ROLE_MAX,
} TrustRole;

const char *trust_role_to_string(TrustRole role);

typedef struct TrustRoot TrustRoot;

TrustRoot *trust_root_free(TrustRoot *root);
DEFINE_CLEANUP(TrustRoot *, trust_root_free)
#define _cleanup_trust_root_ _cleanup_(trust_root_freep)

/* The first root, which is believed because of where it lies: it must still be signed by its own root keys. NAME is
 * for messages ("/etc/muster/root.json"). -EBADMSG, -EKEYREJECTED. An expired one loads; it verifies nothing. */
int trust_root_load(const char *name, const void *envelope, size_t size, TrustRoot **ret, Error *error);

/* The next root: version one above OLD's, signed by OLD's root role and its own. OLD may have expired, since only its
 * successor can end that; the new one must not have, at NOW (microseconds since 1970). */
int trust_root_load_successor(const TrustRoot *old, const char *name, const void *envelope, size_t size,
                              uint64_t now, TrustRoot **ret, Error *error);

/* Verifies a document against ROLE and hands its payload out (new memory, followed by a zero byte). -EKEYEXPIRED if
 * the root has expired at NOW, -EKEYREJECTED, -EBADMSG. */
int trust_root_verify_document(const TrustRoot *root, TrustRole role, const char *name,
                               const char *payload_type, const void *envelope, size_t size, uint64_t now,
                               uint8_t **ret_payload, size_t *ret_size, Error *error);

uint64_t trust_root_version(const TrustRoot *root);
uint64_t trust_root_expires(const TrustRoot *root); /* microseconds since 1970 */
uint64_t trust_root_issued(const TrustRoot *root);

/* The keys of a role, belonging to the root; 0 keys and threshold 0 for a role that is not there. */
Key *const *trust_root_keys(const TrustRoot *root, TrustRole role, size_t *ret_n, uint64_t *ret_threshold);

/* Whether a signature by this key counts for ROLE: for whoever is about to sign. */
bool trust_root_has_key(const TrustRoot *root, TrustRole role, const char *id);

/* Making one. Starts with version and times; keys are added to roles (public parts are copied); thresholds are 1
 * until set. The payload is written only if every needed role can reach its threshold. */
int trust_root_new(uint64_t version, uint64_t issued, uint64_t expires, TrustRoot **ret, Error *error);
int trust_root_add_key(TrustRoot *root, TrustRole role, const Key *key, Error *error);
int trust_root_set_threshold(TrustRoot *root, TrustRole role, uint64_t threshold, Error *error);
int trust_root_write(const TrustRoot *root, char **ret_payload, size_t *ret_size, Error *error);
