#include <stdlib.h>
#include <string.h>

#include "agent/net/http.h"
#include "agent/net/http_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lines as curl hands them over, then a piece of a body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        HttpAnswer answer = { .limit = 100 };
        const char *text = (const char *) data;
        Error error = {};
        int r = 0;

        while (size > 0 && r >= 0) {
                const char *end = memchr(text, '\n', size);
                size_t n = end ? (size_t) (end + 1 - text) : size;

                r = http_answer_take_line(&answer, text, n, &error);
                text += n;
                size -= n;
        }
        if (answer.headers.size > HTTP_HEADERS_MAX && r >= 0)
                abort();
        (void) http_answer_header(&answer, "Date");
        (void) http_answer_keep(&answer, "body", 4, answer.status, &error);
        if (answer.body.size > answer.limit)
                abort();
        http_answer_deinit(&answer);
        return 0;
}
