#include <endian.h>
#include <string.h>

#include "artifacts/siphash.h"

static uint64_t load(const uint8_t *p) {
        uint64_t value;

        memcpy(&value, p, sizeof(value));
        return le64toh(value);
}

static uint64_t rotate(uint64_t value, unsigned bits) {
        return value << bits | value >> (64 - bits);
}

static void rounds(uint64_t v[static 4], unsigned count) {
        for (unsigned i = 0; i < count; i++) {
                v[0] += v[1];
                v[1] = rotate(v[1], 13) ^ v[0];
                v[0] = rotate(v[0], 32);
                v[2] += v[3];
                v[3] = rotate(v[3], 16) ^ v[2];
                v[0] += v[3];
                v[3] = rotate(v[3], 21) ^ v[0];
                v[2] += v[1];
                v[1] = rotate(v[1], 17) ^ v[2];
                v[2] = rotate(v[2], 32);
        }
}

static void absorb(uint64_t v[static 4], uint64_t word) {
        v[3] ^= word;
        rounds(v, 2);
        v[0] ^= word;
}

uint64_t siphash(const void *data, size_t size, const uint8_t key[static SIPHASH_KEY_SIZE]) {
        const uint8_t *p = data;
        uint8_t last[8] = {};
        uint64_t k0 = load(key), k1 = load(key + 8);
        uint64_t v[4] = { k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                          k1 ^ 0x7465646279746573 };
        size_t left = size;

        for (; left >= 8; p += 8, left -= 8)
                absorb(v, load(p));
        memcpy(last, p, left);
        last[7] = (uint8_t) size;
        absorb(v, load(last));
        v[2] ^= 0xff;
        rounds(v, 4);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}
