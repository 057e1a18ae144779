#include <stdlib.h>
#include <string.h>

#include "agent/net/credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever is accepted fits into a header; what is refused is refused in one line. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_credentials_ Credentials credentials = {};
        Error error = {};

        if (credentials_parse_json((const char *) data, size, &credentials, &error) < 0) {
                if (credentials.access_key_id || !error.message[0] || strchr(error.message, '\n'))
                        abort();
                return 0;
        }
        if (!credentials_is_text(credentials.access_key_id) ||
            !credentials_is_text(credentials.secret_access_key) ||
            !credentials_is_text(credentials.session_token))
                abort();
        return 0;
}
