#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/utf8.h"

/* The table of RFC 3629, section 4: by the first byte, the range of the second; the others are 80 to BF. */
static const struct {
        uint8_t first_low, first_high, second_low, second_high, length;
} sequences[] = {
        { 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
        { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
        { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

size_t utf8_sequence(const void *p, size_t size) {
        const uint8_t *bytes = p;

        for (size_t i = 0; size > 0 && i < ELEMENTSOF(sequences); i++) {
                size_t length = sequences[i].length;

                if (bytes[0] < sequences[i].first_low || bytes[0] > sequences[i].first_high)
                        continue;
                if (length > size || (length > 1 && (bytes[1] < sequences[i].second_low ||
                                                     bytes[1] > sequences[i].second_high)))
                        return 0;
                for (size_t j = 2; j < length; j++)
                        if ((bytes[j] & 0xc0) != 0x80)
                                return 0;
                return length;
        }
        return 0;
}

bool utf8_is_valid(const char *text) {
        size_t size = strlen(text), length;

        for (; size > 0; text += length, size -= length) {
                length = utf8_sequence(text, size);
                if (length == 0)
                        return false;
        }
        return true;
}

/* C0, DEL, and C1 in its two bytes. */
static bool is_control(const uint8_t *p) {
        return (p[0] < ' ' && p[0] != '\n' && p[0] != '\t') || p[0] == 0x7f ||
               (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0);
}

void utf8_make_printable(char *text, size_t size) {
        for (size_t length; size > 0; text += length, size -= length) {
                length = utf8_sequence(text, size);
                if (length > 0 && !is_control((const uint8_t *) text))
                        continue;
                length = MAX(length, (size_t) 1);
                memset(text, '?', length);
        }
}

/* The SIZE bytes of TEXT were cut somewhere: the beginning of a character at their end goes. */
static void drop_cut_character(char *text, size_t size) {
        size_t begin = size;

        while (begin > 0 && ((uint8_t) text[begin - 1] & 0xc0) == 0x80)
                begin--;
        if (begin > 0 && utf8_sequence(text + begin - 1, size - begin + 1) == 0)
                text[begin - 1] = '\0';
}

void utf8_vformat(char *ret, size_t size, const char *format, va_list arguments) {
        int n = vsnprintf(ret, size, format, arguments);

        if (n < 0)
                ret[0] = '\0';
        else if ((size_t) n >= size)
                drop_cut_character(ret, size - 1);
        utf8_make_printable(ret, strlen(ret));
}

void utf8_format(char *ret, size_t size, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        utf8_vformat(ret, size, format, arguments);
        va_end(arguments);
}
