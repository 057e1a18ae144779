#pragma once

/* SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104) over OpenSSL's EVP. All return 0, or -ENOMEM where OpenSSL cannot
 * get what it needs; outputs are then unspecified. */

#include <stddef.h>
#include <stdint.h>

#include "agent/base/cleanup.h"

#define DIGEST_SIZE 32
#define DIGEST_HEX_SIZE 65 /* with the zero byte */

int digest_sha256(const void *data, size_t size, uint8_t ret[static DIGEST_SIZE]);

/* The same as lower-case hex. */
int digest_sha256_hex(const void *data, size_t size, char ret[static DIGEST_HEX_SIZE]);

/* Bytes that come piece by piece. digest_final() makes the context ready for another run. */
typedef struct DigestContext DigestContext;

int digest_new(DigestContext **ret);
int digest_update(DigestContext *digest, const void *data, size_t size);
int digest_final(DigestContext *digest, uint8_t ret[static DIGEST_SIZE]);
DigestContext *digest_free(DigestContext *digest);
DEFINE_CLEANUP(DigestContext *, digest_free)

int digest_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size,
                       uint8_t ret[static DIGEST_SIZE]);
