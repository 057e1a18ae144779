#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/hex.h"
#include "agent/base/strv.h"
#include "artifacts/key.h"
#include "tests/unit/documents.h"
#include "tests/unit/test.h"

/* RFC 8032, section 7.1: the public keys, messages and signatures of TEST 1 to TEST 3. */
static const struct {
        const char *public, *message, *signature;
} vectors[] = {
        { "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
          "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
          "d25bf5f0595bbe24655141438e7a100b" },
        { "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
          "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
          "387b2eaeb4302aeeb00d291612bb0c00" },
        { "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
          "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
          "4a7c15e9716ed28dc027beceea1ec40a" },
};

static void test_vectors(void **state) {
        (void) state;
        for (unsigned i = 0; i < ELEMENTSOF(vectors); i++) {
                _cleanup_key_ Key *private = documents_key(i + 1), *public = NULL;
                uint8_t raw[KEY_PUBLIC_SIZE], message[2], signature[KEY_SIGNATURE_SIZE],
                        expected[KEY_SIGNATURE_SIZE];
                size_t size = strlen(vectors[i].message) / 2;

                assert_int_equal(hex_decode(vectors[i].public, raw, sizeof(raw)), 0);
                assert_int_equal(hex_decode(vectors[i].message, message, size), 0);
                assert_int_equal(hex_decode(vectors[i].signature, expected, sizeof(expected)), 0);
                assert_memory_equal(key_public(private), raw, sizeof(raw));
                assert_int_equal(key_sign(private, message, size, signature, NULL), 0);
                assert_memory_equal(signature, expected, sizeof(expected));

                assert_int_equal(key_from_public_raw(raw, &public, NULL), 0);
                assert_string_equal(key_id(public), key_id(private));
                assert_true(key_verify(public, message, size, signature));
                signature[0] ^= 1;
                assert_false(key_verify(public, message, size, signature));
        }
}

/* sha256sum of the raw bytes of TEST 1's public key. */
static void test_id(void **state) {
        _cleanup_key_ Key *key = documents_key(1);

        (void) state;
        assert_string_equal(key_id(key), "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9");
}

static void test_public_cannot_sign(void **state) {
        _cleanup_key_ Key *private = documents_key(1), *public = NULL;
        uint8_t signature[KEY_SIGNATURE_SIZE];
        char *pem = NULL;
        Error error;

        (void) state;
        assert_int_equal(key_from_public_raw(key_public(private), &public, NULL), 0);
        assert_true(key_is_private(private));
        assert_false(key_is_private(public));
        assert_int_equal(key_sign(public, "x", 1, signature, &error), -EINVAL);
        assert_true(string_ends_with(error.message, ": the private part is not here"));
        assert_int_equal(key_private_to_pem(public, &pem, &error), -EINVAL);
        assert_null(pem);
}

static void test_pem(void **state) {
        _cleanup_key_ Key *key = NULL, *again = NULL, *public = NULL;
        _cleanup_key_text_ char *private_pem = NULL, *public_pem = NULL;

        (void) state;
        assert_int_equal(key_generate(&key, NULL), 0);
        assert_int_equal(key_private_to_pem(key, &private_pem, NULL), 0);
        assert_true(string_starts_with(private_pem, "-----BEGIN PRIVATE KEY-----\n"));
        assert_int_equal(key_from_private_pem("pem", private_pem, strlen(private_pem), &again, NULL), 0);
        assert_string_equal(key_id(again), key_id(key));
        assert_int_equal(key_public_to_pem(key, &public_pem, NULL), 0);
        assert_true(string_starts_with(public_pem, "-----BEGIN PUBLIC KEY-----\n"));
        assert_int_equal(key_from_public_pem("pem", public_pem, strlen(public_pem), &public, NULL), 0);
        assert_string_equal(key_id(public), key_id(key));
        assert_false(key_is_private(public));
}

/* A P-256 key, an encrypted Ed25519 key (openssl genpkey), a public key where a private one is wanted, and no key. */
static void test_refuses_other_keys(void **state) {
        static const char *const texts[] = {
                "-----BEGIN PRIVATE KEY-----\n"
                "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6vM91jD+m1xjIzB2\n"
                "0a8WoifM+0B+2FllN+kB+i9VILahRANCAARJEzD6ourR/4aOcK+zrllcakHeS9SC\n"
                "3hC7u7EnsnOWm1z4Y1HhIv/s19U80H2gYIWIojYJZnH/txsRmZAsvOAV\n"
                "-----END PRIVATE KEY-----\n",
                "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                "-----END PUBLIC KEY-----\n",
                "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v\n-----END PRIVATE KEY-----\n",
                "nothing of that kind",
                "",
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                Key *key = NULL;
                Error error;

                assert_int_equal(key_from_private_pem("key.pem", texts[i], strlen(texts[i]), &key, &error),
                                 -EBADMSG);
                assert_string_equal(error.message,
                                    "key.pem: expected an Ed25519 private key in PEM without a passphrase");
                assert_null(key);
                if (i != 1)
                        assert_int_equal(
                                key_from_public_pem("key.pem", texts[i], strlen(texts[i]), &key, &error),
                                -EBADMSG);
        }
}

/* openssl genpkey -algorithm ed25519 -aes256 -pass pass:x: nobody is asked for a passphrase. */
static void test_refuses_encrypted_key(void **state) {
        static const char text[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                                   "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAg5Y8I1RjsybgICCAAw\n"
                                   "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEG3fFJXcIxb3AVycvssHqDEEQDWl\n"
                                   "pXA8oump+nU+Jo45p7v9EMJuNN4HA9N4sS0+I0xKUpnTcXQVK51+ZiUZdL1GeU4n\n"
                                   "+dJe/9/mi8JAOv5CTu8=\n"
                                   "-----END ENCRYPTED PRIVATE KEY-----\n";
        Key *key = NULL;
        Error error;

        (void) state;
        assert_int_equal(key_from_private_pem("key.pem", text, strlen(text), &key, &error), -EBADMSG);
        assert_string_equal(error.message,
                            "key.pem: expected an Ed25519 private key in PEM without a passphrase");
}

typedef struct KeyFile {
        char path[TEST_PATH_MAX + 8];
} KeyFile;

/* Writes the private key 1 to key.pem in the folder, with MODE. */
static KeyFile write_key(const TestFolder *folder, mode_t mode) {
        _cleanup_key_text_ char *pem = NULL;
        _cleanup_key_ Key *key = documents_key(1);
        KeyFile file;

        snprintf(file.path, sizeof(file.path), "%s/key.pem", folder->path);
        assert_int_equal(key_private_to_pem(key, &pem, NULL), 0);
        assert_int_equal(file_replace_at(AT_FDCWD, file.path, pem, strlen(pem), 0600), 0);
        assert_int_equal(chmod(file.path, mode), 0);
        return file;
}

static void test_file_modes(void **state) {
        static const mode_t good[] = { 0600, 0400, 0700 },
                            bad[] = { 0640, 0604, 0644, 0660, 0602, 0610, 0666 };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                KeyFile file = write_key(*state, good[i]);
                _cleanup_key_ Key *key = NULL;

                assert_int_equal(key_load_private_file(file.path, &key, NULL), 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                KeyFile file = write_key(*state, bad[i]);
                char expected[ERROR_MESSAGE_MAX];
                Key *key = NULL;
                Error error;

                snprintf(expected, sizeof(expected),
                         "%s: others can read or write this private key (mode %04o); run chmod 600 %s",
                         file.path, bad[i], file.path);
                assert_int_equal(key_load_private_file(file.path, &key, &error), -EPERM);
                assert_string_equal(error.message, expected);
                assert_int_equal(error.fault, FAULT_INPUT);
                assert_null(key);
        }
}

static void test_file_owner(void **state) {
        KeyFile file = write_key(*state, 0600);
        Key *key = NULL;
        Error error;

        if (geteuid() != 0)
                skip();
        assert_int_equal(chown(file.path, 65534, 65534), 0);
        assert_int_equal(key_load_private_file(file.path, &key, &error), -EPERM);
        assert_non_null(
                strstr(error.message, ": this private key belongs to user id 65534, expected 0 or root"));
}

static void test_file_that_is_none(void **state) {
        const TestFolder *folder = *state;
        char path[TEST_PATH_MAX + 8], text[KEY_FILE_SIZE_MAX + 1];
        Key *key = NULL;
        Error error;

        snprintf(path, sizeof(path), "%s/absent", folder->path);
        assert_int_equal(key_load_private_file(path, &key, &error), -ENOENT);
        assert_true(
                string_ends_with(error.message, "/absent: cannot read the key: No such file or directory"));
        assert_int_equal(key_load_private_file(folder->path, &key, &error), -EPERM);
        assert_true(string_ends_with(error.message, ": expected a regular file with a private key"));
        snprintf(path, sizeof(path), "%s/fifo", folder->path);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(key_load_private_file(path, &key, &error), -EPERM);
        snprintf(path, sizeof(path), "%s/large", folder->path);
        memset(text, '-', sizeof(text));
        assert_int_equal(file_replace_at(AT_FDCWD, path, text, sizeof(text), 0600), 0);
        assert_int_equal(key_load_private_file(path, &key, &error), -EBADMSG);
        assert_true(string_ends_with(error.message, ": expected a key of at most 4096 bytes"));
}

/* A public key is no secret: any mode will do. */
static void test_public_file(void **state) {
        const TestFolder *folder = *state;
        _cleanup_key_ Key *private = documents_key(2), *key = NULL;
        _cleanup_free_ char *pem = NULL;
        char path[TEST_PATH_MAX + 8];

        snprintf(path, sizeof(path), "%s/key.pub", folder->path);
        assert_int_equal(key_public_to_pem(private, &pem, NULL), 0);
        assert_int_equal(file_replace_at(AT_FDCWD, path, pem, strlen(pem), 0644), 0);
        assert_int_equal(key_load_public_file(path, &key, NULL), 0);
        assert_string_equal(key_id(key), key_id(private));
}

static void test_environment(void **state) {
        _cleanup_key_ Key *private = documents_key(1), *key = NULL;
        _cleanup_key_text_ char *pem = NULL;
        const char *place;
        Error error;

        (void) state;
        assert_int_equal(key_private_to_pem(private, &pem, NULL), 0);
        assert_int_equal(setenv("TEST_KEY", pem, 1), 0);
        place = getenv("TEST_KEY");
        assert_int_equal(key_load_private_environment("TEST_KEY", &key, NULL), 0);
        assert_string_equal(key_id(key), key_id(private));
        assert_null(getenv("TEST_KEY"));
        for (size_t i = 0; i < strlen(pem); i++)
                assert_int_equal(place[i], 0);

        assert_int_equal(key_load_private_environment("TEST_KEY", &key, &error), -ENOENT);
        assert_string_equal(error.message,
                            "the environment variable TEST_KEY is not set; expected a private key in PEM");
        assert_int_equal(setenv("TEST_KEY", "secret", 1), 0);
        assert_int_equal(key_load_private_environment("TEST_KEY", &key, &error), -EBADMSG);
        assert_string_equal(error.message,
                            "the environment variable TEST_KEY: expected an Ed25519 private key in PEM "
                            "without a passphrase");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_vectors),
                cmocka_unit_test(test_id),
                cmocka_unit_test(test_public_cannot_sign),
                cmocka_unit_test(test_pem),
                cmocka_unit_test(test_refuses_other_keys),
                cmocka_unit_test(test_refuses_encrypted_key),
                cmocka_unit_test_setup_teardown(test_file_modes, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_file_owner, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_file_that_is_none, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_public_file, test_folder_setup, test_folder_teardown),
                cmocka_unit_test(test_environment),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
