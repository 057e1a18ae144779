#include <stdlib.h>
#include <string.h>

#include "artifacts/trust_root.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is the payload of a root that nobody signed: it is parsed, since it brings its own keys, and never believed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_trust_root_ TrustRoot *root = NULL;
        _cleanup_free_ char *envelope = NULL;
        static Key *key;
        size_t envelope_size;
        Error error = {};

        if (!key && key_generate(&key, &error) < 0)
                abort();
        if (dsse_sign(TRUST_ROOT_TYPE, data, size, &key, 1, &envelope, &envelope_size, &error) < 0 ||
            trust_root_load("input", envelope, envelope_size, &root, &error) >= 0 || !*error.message ||
            strchr(error.message, '\n'))
                abort();
        return 0;
}
