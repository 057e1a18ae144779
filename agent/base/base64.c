#include <string.h>

#include "agent/base/base64.h"
#include "agent/base/cleanup.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_encode(const void *data, size_t size, char **ret) {
        const uint8_t *bytes = data;
        char *text, *p;

        if (size > SIZE_MAX / 2)
                return -ENOMEM;
        text = p = malloc((size + 2) / 3 * 4 + 1);
        if (!text)
                return -ENOMEM;
        for (size_t i = 0; i < size; i += 3) {
                size_t n = MIN(size - i, (size_t) 3);
                uint32_t group = (uint32_t) bytes[i] << 16;

                if (n > 1)
                        group |= (uint32_t) bytes[i + 1] << 8;
                if (n > 2)
                        group |= bytes[i + 2];
                *p++ = alphabet[group >> 18];
                *p++ = alphabet[group >> 12 & 63];
                *p++ = n > 1 ? alphabet[group >> 6 & 63] : '=';
                *p++ = n > 2 ? alphabet[group & 63] : '=';
        }
        *p = '\0';
        *ret = text;
        return 0;
}

static int character_value(char c) {
        const char *at = c == '\0' ? NULL : strchr(alphabet, c);

        return at ? (int) (at - alphabet) : -EINVAL;
}

/* Four characters, of which the last PADDING are '='. */
static int decode_group(const char *text, size_t padding, uint8_t *ret) {
        uint32_t group = 0;

        for (size_t i = 0; i < 4; i++) {
                int v = i < 4 - padding ? character_value(text[i]) : 0;

                if (v < 0)
                        return v;
                group = group << 6 | (uint32_t) v;
        }
        if ((padding == 1 && (group & 0xff)) || (padding == 2 && (group & 0xffff)))
                return -EINVAL;
        ret[0] = (uint8_t) (group >> 16);
        if (padding < 2)
                ret[1] = (uint8_t) (group >> 8);
        if (padding < 1)
                ret[2] = (uint8_t) group;
        return 0;
}

int base64_decode(const char *text, size_t length, uint8_t **ret, size_t *ret_size) {
        _cleanup_free_ uint8_t *data = NULL;
        size_t padding = 0, size;
        int r;

        if (length % 4 != 0)
                return -EINVAL;
        if (length > 0 && text[length - 1] == '=')
                padding = text[length - 2] == '=' ? 2 : 1;
        size = length / 4 * 3 - padding;
        data = malloc(size + 4);
        if (!data)
                return -ENOMEM;
        for (size_t i = 0; i < length; i += 4) {
                r = decode_group(text + i, i + 4 == length ? padding : 0, data + i / 4 * 3);
                if (r < 0)
                        return r;
        }
        data[size] = 0;
        *ret = TAKE_PTR(data);
        *ret_size = size;
        return 0;
}
