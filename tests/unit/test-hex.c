#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/cleanup.h"
#include "agent/base/hex.h"

static void test_round_trip(_unused_ void **state) {
        uint8_t all[256], back[256];
        char text[513];

        for (size_t i = 0; i < sizeof(all); i++)
                all[i] = (uint8_t) i;
        hex_encode(all, sizeof(all), text);
        assert_int_equal(strlen(text), 512);
        assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f10", 34);
        assert_string_equal(text + 508, "feff");
        assert_int_equal(hex_decode(text, back, sizeof(back)), 0);
        assert_memory_equal(back, all, sizeof(all));
}

static void test_empty(_unused_ void **state) {
        char text[1] = { 'x' };

        hex_encode("", 0, text);
        assert_string_equal(text, "");
        assert_int_equal(hex_decode("", text, 0), 0);
        assert_int_equal(hex_decode("00", text, 0), -EINVAL);
}

static void test_refused(_unused_ void **state) {
        static const char *const bad[] = { "",     "0",    "00",   "000",  "00000", "000000", "00 0",
                                           "00FF", "00fg", "0x00", "fff/", "fff:",  "fff`",   "-000" };
        uint8_t bytes[2];

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(hex_decode(bad[i], bytes, sizeof(bytes)), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_empty),
                cmocka_unit_test(test_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
