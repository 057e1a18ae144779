#include <string.h>

#include "agent/base/hex.h"
#include "agent/net/digest.h"
#include "tests/unit/test.h"

/* FIPS 180-4's own examples. */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_one_shot(_unused_ void **state) {
        char hex[DIGEST_HEX_SIZE];

        assert_int_equal(digest_sha256_hex("abc", 3, hex), 0);
        assert_string_equal(hex, ABC);
        assert_int_equal(digest_sha256_hex(NULL, 0, hex), 0);
        assert_string_equal(hex, NOTHING);
}

static void test_pieces(_unused_ void **state) {
        _cleanup_(digest_freep) DigestContext *digest = NULL;
        uint8_t bytes[DIGEST_SIZE];
        char hex[DIGEST_HEX_SIZE];

        assert_int_equal(digest_new(&digest), 0);
        for (int i = 0; i < 2; i++) { /* usable again after its end */
                assert_int_equal(digest_update(digest, "a", 1), 0);
                assert_int_equal(digest_update(digest, "", 0), 0);
                assert_int_equal(digest_update(digest, "bc", 2), 0);
                assert_int_equal(digest_final(digest, bytes), 0);
                hex_encode(bytes, sizeof(bytes), hex);
                assert_string_equal(hex, ABC);
        }
        assert_int_equal(digest_final(digest, bytes), 0);
        hex_encode(bytes, sizeof(bytes), hex);
        assert_string_equal(hex, NOTHING);
}

/* RFC 4231, test case 2. */
static void test_hmac(_unused_ void **state) {
        static const char text[] = "what do ya want for nothing?";
        uint8_t bytes[DIGEST_SIZE];
        char hex[DIGEST_HEX_SIZE];

        assert_int_equal(digest_hmac_sha256("Jefe", 4, text, strlen(text), bytes), 0);
        hex_encode(bytes, sizeof(bytes), hex);
        assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_shot),
                cmocka_unit_test(test_pieces),
                cmocka_unit_test(test_hmac),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
