#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "agent/net/aws_error.h"
#include "agent/net/endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever a server says, what is kept of it fits into one line, and a region is one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = malloc(size + 1);
        AwsError error;

        if (!text)
                return 0;
        memcpy(text, data, size);
        text[size] = '\0';
        aws_error_parse(text, size, &error);
        for (const char *c = error.message; *c; c++)
                if (iscntrl((unsigned char) *c))
                        abort();
        if (error.region[0] && !aws_region_is_valid(error.region))
                abort();
        (void) aws_error_in_body(text, size);
        return aws_error_result(&error) < 0 ? 0 : -1;
}
