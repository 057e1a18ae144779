#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "agent/base/random.h"

uint64_t random_u64(void) {
        uint64_t value;
        ssize_t n;

        do /* 8 bytes come whole or not at all */
                n = getrandom(&value, sizeof(value), 0);
        while (n < 0 && errno == EINTR);
        if (n != (ssize_t) sizeof(value))
                abort(); /* no kernel that systemd runs on refuses */
        return value;
}

uint64_t random_below(uint64_t limit) {
        return (uint64_t) (((__uint128_t) random_u64() * limit) >> 64);
}
