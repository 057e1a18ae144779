#include <stdlib.h>
#include <string.h>

#include "agent/net/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_encoding(const char *text, size_t size) {
        _cleanup_buffer_ Buffer encoded = {}, decoded = {};

        if (url_encode(&encoded, text, size, false) < 0 ||
            url_decode(&decoded, buffer_string(&encoded), encoded.size, false) < 0)
                abort();
        if (decoded.size != size || (size > 0 && memcmp(decoded.data, text, size) != 0))
                abort();
        (void) url_decode(&decoded, text, size, true);
}

/* The parts of a URL are again a URL with the same parts. */
static void check_parts(const char *text) {
        _cleanup_url_ Url url = {}, again = {};
        _cleanup_buffer_ Buffer joined = {};

        if (url_parse(text, &url, NULL) < 0)
                return;
        if (buffer_printf(&joined, "%s://%s%s%s%s", url.scheme, url.authority, url.path, url.query ? "?" : "",
                          url.query ? url.query : "") < 0)
                return;
        if (joined.size > URL_MAX)
                return;
        if (url_parse(buffer_string(&joined), &again, NULL) < 0 || strcmp(url.host, again.host) != 0 ||
            strcmp(url.path, again.path) != 0 || url.port != again.port || !url.query != !again.query)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *) data, size);

        check_encoding((const char *) data, size);
        if (text)
                check_parts(text);
        return 0;
}
