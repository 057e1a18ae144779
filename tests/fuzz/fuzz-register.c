#include <stdlib.h>
#include <string.h>

#include "agent/register.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted can be written, and what was written is accepted and written the same way again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_register_ Register *first = NULL, *second = NULL;
        _cleanup_free_ char *text = NULL, *again = NULL;
        size_t text_size, again_size;
        Error error = {};

        if (register_parse(data, size, &first, &error) < 0) {
                if (!*error.message || strchr(error.message, '\n'))
                        abort();
                return 0;
        }
        if (register_to_json(first, &text, &text_size, &error) < 0 ||
            register_parse(text, text_size, &second, &error) < 0 ||
            register_to_json(second, &again, &again_size, &error) < 0 || strcmp(text, again) != 0)
                abort();
        return 0;
}
