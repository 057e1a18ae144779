#include <errno.h>

#include "agent/base/hex.h"

void hex_encode(const void *data, size_t size, char *ret) {
        static const char digits[] = "0123456789abcdef";
        const uint8_t *bytes = data;

        for (size_t i = 0; i < size; i++) {
                ret[2 * i] = digits[bytes[i] >> 4];
                ret[2 * i + 1] = digits[bytes[i] & 15];
        }
        ret[2 * size] = '\0';
}

static int digit_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -EINVAL;
}

int hex_decode(const char *text, void *ret, size_t size) {
        uint8_t *bytes = ret;

        for (size_t i = 0; i < size; i++) {
                int high = digit_value(text[2 * i]);
                int low = high < 0 ? high : digit_value(text[2 * i + 1]);

                if (low < 0)
                        return -EINVAL;
                bytes[i] = (uint8_t) (high << 4 | low);
        }
        return text[2 * size] == '\0' ? 0 : -EINVAL;
}
