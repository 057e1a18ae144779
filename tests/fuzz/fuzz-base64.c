#include <stdlib.h>
#include <string.h>

#include "agent/base/base64.h"
#include "agent/base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* There is one text for each run of bytes: what is decoded encodes to what it came from. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ uint8_t *decoded = NULL;
        _cleanup_free_ char *encoded = NULL;
        size_t decoded_size;

        if (base64_decode((const char *) data, size, &decoded, &decoded_size) < 0)
                return 0;
        if (base64_encode(decoded, decoded_size, &encoded) < 0)
                return 0;
        if (strlen(encoded) != size || memcmp(encoded, data, size) != 0)
                abort();
        return 0;
}
