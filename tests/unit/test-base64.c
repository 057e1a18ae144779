#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/base64.h"
#include "agent/base/cleanup.h"

/* RFC 4648, section 10. */
static const struct {
        const char *plain;
        const char *encoded;
} vectors[] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
};

static void test_vectors(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(vectors); i++) {
                _cleanup_free_ char *encoded = NULL;
                _cleanup_free_ uint8_t *decoded = NULL;
                size_t size;

                assert_int_equal(base64_encode(vectors[i].plain, strlen(vectors[i].plain), &encoded), 0);
                assert_string_equal(encoded, vectors[i].encoded);
                assert_int_equal(base64_decode(encoded, strlen(encoded), &decoded, &size), 0);
                assert_int_equal(size, strlen(vectors[i].plain));
                assert_string_equal((char *) decoded, vectors[i].plain);
        }
}

static void test_every_byte(_unused_ void **state) {
        uint8_t all[256];

        for (size_t i = 0; i < sizeof(all); i++)
                all[i] = (uint8_t) i;
        for (size_t size = 0; size <= sizeof(all); size++) {
                _cleanup_free_ char *encoded = NULL;
                _cleanup_free_ uint8_t *decoded = NULL;
                size_t back;

                assert_int_equal(base64_encode(all, size, &encoded), 0);
                assert_int_equal(strlen(encoded), (size + 2) / 3 * 4);
                assert_int_equal(base64_decode(encoded, strlen(encoded), &decoded, &back), 0);
                assert_int_equal(back, size);
                assert_memory_equal(decoded, all, size);
                assert_int_equal(decoded[size], 0);
        }
}

static void test_refused(_unused_ void **state) {
        static const char *const bad[] = {
                "Zg",   "Zg=",       "Z",    "Zg==Zg==", "Zh==", "Zm9=",  "====",       "=",
                "A===", "Zm9v\nYg=", "Zm9 ", "Zm-_",     "Zg=a", " Zg==", "Zm9vYg==\n", "\x80\x80\x80\x80",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                uint8_t *decoded = NULL;
                size_t size = 77;

                assert_int_equal(base64_decode(bad[i], strlen(bad[i]), &decoded, &size), -EINVAL);
                assert_null(decoded);
                assert_int_equal(size, 77);
        }
}

static void test_zero_byte_is_foreign(_unused_ void **state) {
        uint8_t *decoded = NULL;
        size_t size;

        assert_int_equal(base64_decode("Zm\0v", 4, &decoded, &size), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_vectors),
                cmocka_unit_test(test_every_byte),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_zero_byte_is_foreign),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
