#include <stdlib.h>
#include <string.h>

#include "artifacts/dsse.h"

#define TYPE "application/vnd.muster.release.v1+json"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is no envelope is refused with one line; an envelope can be written and read again; and no input is ever
 * found to be signed by a key whose private part is not in the corpus. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const uint8_t public[KEY_PUBLIC_SIZE] = { 0x01 };
        _cleanup_dsse_envelope_ DsseEnvelope *first = NULL, *second = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_key_ Key *key = NULL;
        size_t text_size;
        Error error = {};

        if (dsse_envelope_parse("input", data, size, &first, &error) < 0) {
                if (!*error.message || strchr(error.message, '\n'))
                        abort();
                return 0;
        }
        if (dsse_envelope_write(first, &text, &text_size, &error) < 0 ||
            dsse_envelope_parse("again", text, text_size, &second, &error) < 0 ||
            second->payload_size != first->payload_size || second->n_signatures != first->n_signatures ||
            memcmp(second->payload, first->payload, first->payload_size) != 0)
                abort();
        if (key_from_public_raw(public, &key, &error) < 0 ||
            dsse_envelope_verify(first, "input", TYPE, "release", &key, 1, 1, &error) >= 0)
                abort();
        return 0;
}
