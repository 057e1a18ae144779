#pragma once

/* Ed25519 keys (RFC 8032) through OpenSSL's EVP.
 *
 * A key's id is the SHA-256 of its 32 raw public bytes in lower-case hex, so that an id cannot be given to another key:
 *   openssl pkey -in key.pem -pubout -outform DER | tail -c 32 | sha256sum
 * Private keys are PEM with PKCS#8 (RFC 8410: "-----BEGIN PRIVATE KEY-----"), which openssl genpkey -algorithm ed25519
 * writes too; public keys are PEM (SubjectPublicKeyInfo) in files and base64 of the raw bytes in documents.
 * Private bytes stand in no message, and every copy made here is wiped. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/cleanup.h"
#include "agent/base/error.h"
#include "agent/net/digest.h"

#define KEY_PUBLIC_SIZE 32
#define KEY_SIGNATURE_SIZE 64
#define KEY_FILE_SIZE_MAX 4096U

typedef struct Key Key;

Key *key_free(Key *key);
DEFINE_CLEANUP(Key *, key_free)

int key_generate(Key **ret, Error *error);

/* One PEM block without a passphrase; NAME is for messages. -EBADMSG if it is not an Ed25519 key of that kind. */
int key_from_private_pem(const char *name, const void *data, size_t size, Key **ret, Error *error);
int key_from_public_pem(const char *name, const void *data, size_t size, Key **ret, Error *error);
int key_from_public_raw(const uint8_t public[static KEY_PUBLIC_SIZE], Key **ret, Error *error);

/* Reads a private key from a file that nobody but its owner, who is the caller or root, can read or write. -EPERM if
 * that is not so, -ENOENT and the like if it cannot be opened. The path is the operator's own: links are followed,
 * and the file they lead to is judged. */
int key_load_private_file(const char *path, Key **ret, Error *error);

/* Reads a private key (the PEM text itself) from an environment variable, then wipes and unsets the variable, so
 * that no child inherits it. -ENOENT if it is not set. */
int key_load_private_environment(const char *variable, Key **ret, Error *error);

int key_load_public_file(const char *path, Key **ret, Error *error);

/* New text. Wipe the private one with key_text_free(). */
int key_private_to_pem(const Key *key, char **ret, Error *error);
int key_public_to_pem(const Key *key, char **ret, Error *error);

/* Wipes and frees; returns NULL. */
char *key_text_free(char *text);
DEFINE_CLEANUP(char *, key_text_free)

const char *key_id(const Key *key);        /* 64 hex digits */
const uint8_t *key_public(const Key *key); /* KEY_PUBLIC_SIZE bytes */
bool key_is_private(const Key *key);

/* -EINVAL for a public key. */
int key_sign(const Key *key, const void *data, size_t size, uint8_t ret[static KEY_SIGNATURE_SIZE],
             Error *error);
bool key_verify(const Key *key, const void *data, size_t size,
                const uint8_t signature[static KEY_SIGNATURE_SIZE]);

#define _cleanup_key_ _cleanup_(key_freep)
#define _cleanup_key_text_ _cleanup_(key_text_freep)
