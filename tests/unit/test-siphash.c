#include "tests/unit/test.h"

#include "agent/base/cleanup.h"
#include "artifacts/siphash.h"

/* Appendix A of the paper, and the first of the authors' test vectors. */
static void test_vectors(_unused_ void **state) {
        uint8_t key[SIPHASH_KEY_SIZE], data[15];

        for (uint8_t i = 0; i < sizeof(key); i++)
                key[i] = i;
        for (uint8_t i = 0; i < sizeof(data); i++)
                data[i] = i;
        assert_true(siphash(data, 15, key) == 0xa129ca6149be45e5);
        assert_true(siphash(data, 0, key) == 0x726fdb47dd0e0e31);
        assert_true(siphash(data, 8, key) == 0x93f5f5799a932462);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_vectors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
