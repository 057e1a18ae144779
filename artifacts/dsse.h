#pragma once

/* DSSE envelopes, version 1 (https://github.com/secure-systems-lab/dsse: envelope.md, protocol.md), with Ed25519:
 *
 *   { "payloadType": "...", "payload": "<base64>", "signatures": [ { "keyid": "...", "sig": "<base64>" } ] }
 *
 * A signature is over PAE(type, payload) = "DSSEv1 " + LEN(type) + " " + type + " " + LEN(payload) + " " + payload. The
 * payload is handed out only once enough signatures over exactly these bytes are good; nothing here parses it.
 * As the specification asks, base64 may use either alphabet and unknown members are ignored. "keyid" chooses the
 * key to try; it must be there, and one that is not among KEYS is skipped. */

#include "artifacts/key.h"

#define DSSE_ENVELOPE_SIZE_MAX (4U * 1024 * 1024)
#define DSSE_PAYLOAD_TYPE_MAX 128U
#define DSSE_SIGNATURES_MAX 32U

typedef struct DsseSignature {
        char *keyid;
        uint8_t *data; /* any size: keys of another kind are skipped, their signatures kept */
        size_t size;
} DsseSignature;

typedef struct DsseEnvelope {
        char *payload_type;
        uint8_t *payload; /* not verified until dsse_envelope_verify() says so; followed by a zero byte */
        size_t payload_size;
        DsseSignature *signatures;
        size_t n_signatures;
} DsseEnvelope;

DsseEnvelope *dsse_envelope_free(DsseEnvelope *envelope);
DEFINE_CLEANUP(DsseEnvelope *, dsse_envelope_free)
#define _cleanup_dsse_envelope_ _cleanup_(dsse_envelope_freep)

/* NAME of the document ("release api 1.4.2") is for messages. -EBADMSG; nothing is verified. */
int dsse_envelope_parse(const char *name, const void *data, size_t size, DsseEnvelope **ret, Error *error);

/* The JSON text of an envelope, members sorted. New memory. */
int dsse_envelope_write(const DsseEnvelope *envelope, char **ret, size_t *ret_size, Error *error);

/* Good if at least THRESHOLD different keys of KEYS signed it as PAYLOAD_TYPE; a threshold of 0 is never met.
 * -EKEYREJECTED otherwise. A key that signed twice counts once; a bad signature counts for nothing. ROLE is for messages
 * ("release"). */
int dsse_envelope_verify(const DsseEnvelope *envelope, const char *name, const char *payload_type,
                         const char *role, Key *const *keys, size_t n_keys, uint64_t threshold, Error *error);

/* Signs with every one of KEYS. */
int dsse_sign(const char *payload_type, const void *payload, size_t size, Key *const *keys, size_t n_keys,
              char **ret_envelope, size_t *ret_size, Error *error);

/* Adds KEY's signature to an envelope that others signed before; replaces one that KEY made. */
int dsse_envelope_add_signature(DsseEnvelope *envelope, const Key *key, Error *error);

/* Both at once: parses the envelope, verifies it and only then hands the payload out (new memory, followed by a zero
 * byte). -EBADMSG, -EKEYREJECTED. */
int dsse_verify(const char *name, const void *envelope, size_t size, const char *payload_type,
                const char *role, Key *const *keys, size_t n_keys, uint64_t threshold, uint8_t **ret_payload,
                size_t *ret_size, Error *error);

/* The bytes that are signed. New memory. -ENOMEM. */
int dsse_pae(const char *payload_type, const void *payload, size_t size, uint8_t **ret, size_t *ret_size);
