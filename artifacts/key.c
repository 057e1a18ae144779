#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "artifacts/key.h"

struct Key {
        EVP_PKEY *pkey;
        bool private;
        uint8_t public[KEY_PUBLIC_SIZE];
        char id[DIGEST_HEX_SIZE];
};

static inline void pkey_freep(EVP_PKEY **p) {
        EVP_PKEY_free(*p);
}
static inline void md_context_freep(EVP_MD_CTX **p) {
        EVP_MD_CTX_free(*p);
}
static inline void bio_freep(BIO **p) {
        (void) BIO_free(*p);
}
#define _cleanup_pkey_ _cleanup_(pkey_freep)
#define _cleanup_md_context_ _cleanup_(md_context_freep)
#define _cleanup_bio_ _cleanup_(bio_freep)

/* OpenSSL's own words stay out of messages: what they say about a private key is nobody's business, and its queue is
 * emptied so that a later, unrelated failure does not show them. */
static int crypto_failed(Error *error, const char *what) {
        ERR_clear_error();
        return error_set_fault(error, -EIO, FAULT_HOST, "OpenSSL cannot %s", what);
}

Key *key_free(Key *key) {
        if (!key)
                return NULL;
        EVP_PKEY_free(key->pkey); /* wipes what is private */
        free(key);
        return NULL;
}

/* Takes PKEY over, also on failure. */
static int key_new(EVP_PKEY *pkey, bool private, Key **ret, Error *error) {
        _cleanup_key_ Key *key = calloc(1, sizeof(*key));
        size_t size = sizeof(key->public);

        if (!key) {
                EVP_PKEY_free(pkey);
                return error_oom(error);
        }
        key->pkey = pkey;
        key->private = private;
        if (EVP_PKEY_get_raw_public_key(pkey, key->public, &size) != 1 || size != KEY_PUBLIC_SIZE)
                return crypto_failed(error, "read the public part of a key");
        if (digest_sha256_hex(key->public, sizeof(key->public), key->id) < 0)
                return error_oom(error);
        *ret = TAKE_PTR(key);
        return 0;
}

int key_generate(Key **ret, Error *error) {
        EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

        if (!pkey)
                return crypto_failed(error, "generate a key");
        return key_new(pkey, true, ret, error);
}

int key_from_public_raw(const uint8_t public[static KEY_PUBLIC_SIZE], Key **ret, Error *error) {
        EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, KEY_PUBLIC_SIZE);

        if (!pkey)
                return crypto_failed(error, "take a public key");
        return key_new(pkey, false, ret, error);
}

/* A passphrase is never asked for: an agent and a CI job have nobody to ask. */
static int refuse_passphrase(_unused_ char *buffer, _unused_ int size, _unused_ int writing,
                             _unused_ void *userdata) {
        return -1;
}

static int from_pem(const char *name, const void *data, size_t size, bool private, Key **ret, Error *error) {
        _cleanup_pkey_ EVP_PKEY *pkey = NULL;
        _cleanup_bio_ BIO *bio = NULL;

        bio = size <= KEY_FILE_SIZE_MAX ? BIO_new_mem_buf(data, (int) size) : NULL;
        if (bio)
                pkey = private ? PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL)
                               : PEM_read_bio_PUBKEY(bio, NULL, refuse_passphrase, NULL);
        ERR_clear_error();
        if (!pkey || EVP_PKEY_get_base_id(pkey) != EVP_PKEY_ED25519)
                return error_set_fault(
                        error, -EBADMSG, FAULT_INPUT, "%s: expected an Ed25519 %s key in PEM%s", name,
                        private ? "private" : "public", private ? " without a passphrase" : "");
        return key_new(TAKE_PTR(pkey), private, ret, error);
}

int key_from_private_pem(const char *name, const void *data, size_t size, Key **ret, Error *error) {
        return from_pem(name, data, size, true, ret, error);
}

int key_from_public_pem(const char *name, const void *data, size_t size, Key **ret, Error *error) {
        return from_pem(name, data, size, false, ret, error);
}

/* Who may read the key may sign with it. */
static int check_private_file(const char *path, int fd, Error *error) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return error_set_errno(error, -errno, "%s", path);
        if (!S_ISREG(st.st_mode))
                return error_set_fault(error, -EPERM, FAULT_INPUT,
                                       "%s: expected a regular file with a private key", path);
        if (st.st_mode & 0077)
                return error_set_fault(
                        error, -EPERM, FAULT_INPUT,
                        "%s: others can read or write this private key (mode %04o); run chmod 600 %s", path,
                        st.st_mode & 07777, path);
        if (st.st_uid != geteuid() && st.st_uid != 0)
                return error_set_fault(error, -EPERM, FAULT_INPUT,
                                       "%s: this private key belongs to user id %u, expected %u or root",
                                       path, st.st_uid, geteuid());
        return 0;
}

/* Reads into a buffer that the caller wipes. */
static int read_key_file(const char *path, int fd, uint8_t data[static KEY_FILE_SIZE_MAX + 1],
                         size_t *ret_size, Error *error) {
        size_t size = 0;

        while (size <= KEY_FILE_SIZE_MAX) {
                ssize_t n = read(fd, data + size, KEY_FILE_SIZE_MAX + 1 - size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set_errno(error, -errno, "%s", path);
                if (n == 0) {
                        *ret_size = size;
                        return 0;
                }
                size += (size_t) n;
        }
        return error_set_fault(error, -EBADMSG, FAULT_INPUT, "%s: expected a key of at most %u bytes", path,
                               KEY_FILE_SIZE_MAX);
}

static int load_file(const char *path, bool private, Key **ret, Error *error) {
        uint8_t data[KEY_FILE_SIZE_MAX + 1];
        _cleanup_close_ int fd = -1;
        size_t size = 0;
        int r = 0;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return error_set_errno(error, -errno, "%s: cannot read the key", path);
        if (private)
                r = check_private_file(path, fd, error);
        if (r >= 0)
                r = read_key_file(path, fd, data, &size, error);
        if (r >= 0)
                r = from_pem(path, data, size, private, ret, error);
        OPENSSL_cleanse(data, sizeof(data));
        return r;
}

int key_load_private_file(const char *path, Key **ret, Error *error) {
        return load_file(path, true, ret, error);
}

int key_load_public_file(const char *path, Key **ret, Error *error) {
        return load_file(path, false, ret, error);
}

int key_load_private_environment(const char *variable, Key **ret, Error *error) {
        char *text = getenv(variable);
        char name[128];
        int r;

        if (!text)
                return error_set_fault(
                        error, -ENOENT, FAULT_INPUT,
                        "the environment variable %s is not set; expected a private key in PEM", variable);
        snprintf(name, sizeof(name), "the environment variable %s", variable);
        r = from_pem(name, text, strlen(text), true, ret, error);
        OPENSSL_cleanse(text, strlen(text));
        (void) unsetenv(variable);
        return r;
}

static int copy_text(BIO *bio, char **ret, Error *error) {
        char *data, *text;
        long size = BIO_get_mem_data(bio, &data);

        text = size < 0 ? NULL : strndup(data, (size_t) size);
        if (!text)
                return error_oom(error);
        *ret = text;
        return 0;
}

int key_private_to_pem(const Key *key, char **ret, Error *error) {
        _cleanup_bio_ BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when freed */

        if (!key->private)
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "key %s: the private part is not here",
                                       key->id);
        if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1)
                return crypto_failed(error, "write a private key");
        return copy_text(bio, ret, error);
}

int key_public_to_pem(const Key *key, char **ret, Error *error) {
        _cleanup_bio_ BIO *bio = BIO_new(BIO_s_mem());

        if (!bio || PEM_write_bio_PUBKEY(bio, key->pkey) != 1)
                return crypto_failed(error, "write a public key");
        return copy_text(bio, ret, error);
}

char *key_text_free(char *text) {
        if (text)
                OPENSSL_cleanse(text, strlen(text));
        free(text);
        return NULL;
}

const char *key_id(const Key *key) {
        return key->id;
}

const uint8_t *key_public(const Key *key) {
        return key->public;
}

bool key_is_private(const Key *key) {
        return key->private;
}

int key_sign(const Key *key, const void *data, size_t size, uint8_t ret[static KEY_SIGNATURE_SIZE],
             Error *error) {
        _cleanup_md_context_ EVP_MD_CTX *context = NULL;
        size_t n = KEY_SIGNATURE_SIZE;

        if (!key->private)
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "key %s: the private part is not here",
                                       key->id);
        context = EVP_MD_CTX_new();
        if (!context || EVP_DigestSignInit(context, NULL, NULL, NULL, key->pkey) != 1 ||
            EVP_DigestSign(context, ret, &n, data, size) != 1 || n != KEY_SIGNATURE_SIZE)
                return crypto_failed(error, "sign");
        return 0;
}

bool key_verify(const Key *key, const void *data, size_t size,
                const uint8_t signature[static KEY_SIGNATURE_SIZE]) {
        _cleanup_md_context_ EVP_MD_CTX *context = EVP_MD_CTX_new();
        bool good = context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key->pkey) == 1 &&
                    EVP_DigestVerify(context, signature, KEY_SIGNATURE_SIZE, data, size) == 1;

        ERR_clear_error();
        return good;
}
