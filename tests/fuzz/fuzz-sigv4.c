#include <stdlib.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/net/sigv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* "PATH\nQUERY\nHEADER\n…": whatever they are, a canonical request has the shape of one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *) data, size);
        _cleanup_strv_ char **lines = NULL;
        _cleanup_buffer_ Buffer canonical = {};
        SigV4Request request = { .method = "GET",
                                 .payload_hash = SIGV4_UNSIGNED_PAYLOAD,
                                 .encode_path = true };

        if (!text || strv_split(text, "\n", &lines) < 0 || strv_length(lines) < 3)
                return 0;
        request.path = lines[0];
        request.query = lines[1];
        request.headers = lines + 2;
        request.normalize_path = size % 2 == 0;
        if (sigv4_canonical_request(&request, &canonical) < 0)
                return 0;
        if (!string_starts_with(buffer_string(&canonical), "GET\n") ||
            !string_ends_with(buffer_string(&canonical), "\n" SIGV4_UNSIGNED_PAYLOAD))
                abort();
        return 0;
}
