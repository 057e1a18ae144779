#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "agent/base/hex.h"
#include "agent/net/digest.h"

struct DigestContext {
        EVP_MD_CTX *evp;
};

int digest_sha256(const void *data, size_t size, uint8_t ret[static DIGEST_SIZE]) {
        return EVP_Digest(data, size, ret, NULL, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
}

int digest_sha256_hex(const void *data, size_t size, char ret[static DIGEST_HEX_SIZE]) {
        uint8_t digest[DIGEST_SIZE];
        int r;

        r = digest_sha256(data, size, digest);
        if (r < 0)
                return r;
        hex_encode(digest, sizeof(digest), ret);
        return 0;
}

int digest_new(DigestContext **ret) {
        _cleanup_(digest_freep) DigestContext *digest = NULL;

        digest = malloc(sizeof(*digest));
        if (!digest)
                return -ENOMEM;
        digest->evp = EVP_MD_CTX_new();
        if (!digest->evp || EVP_DigestInit_ex(digest->evp, EVP_sha256(), NULL) != 1)
                return -ENOMEM;
        *ret = TAKE_PTR(digest);
        return 0;
}

int digest_update(DigestContext *digest, const void *data, size_t size) {
        return EVP_DigestUpdate(digest->evp, data, size) == 1 ? 0 : -ENOMEM;
}

int digest_final(DigestContext *digest, uint8_t ret[static DIGEST_SIZE]) {
        if (EVP_DigestFinal_ex(digest->evp, ret, NULL) != 1)
                return -ENOMEM;
        return EVP_DigestInit_ex(digest->evp, NULL, NULL) == 1 ? 0 : -ENOMEM;
}

DigestContext *digest_free(DigestContext *digest) {
        if (!digest)
                return NULL;
        EVP_MD_CTX_free(digest->evp);
        free(digest);
        return NULL;
}

int digest_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size,
                       uint8_t ret[static DIGEST_SIZE]) {
        if (key_size > INT_MAX)
                return -ENOMEM;
        return HMAC(EVP_sha256(), key, (int) key_size, data, size, ret, NULL) ? 0 : -ENOMEM;
}
