#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

#include "agent/net/http.h"
#include "agent/net/http_answer.h"

void http_answer_deinit(HttpAnswer *answer) {
        buffer_deinit(&answer->headers);
        if (answer->body.data)
                OPENSSL_cleanse(answer->body.data, answer->body.allocated);
        buffer_deinit(&answer->body);
        *answer = (HttpAnswer){};
}

/* "HTTP/1.1 200 OK"; curl has checked its form. */
static bool parse_status_line(const char *line, size_t size, int *ret) {
        const char *space = memchr(line, ' ', size);

        if (size < 5 || memcmp(line, "HTTP/", 5) != 0)
                return false;
        *ret = 0;
        for (const char *c = space ? space + 1 : line + size;
             c < line + size && *c >= '0' && *c <= '9' && *ret < 1000; c++)
                *ret = *ret * 10 + (*c - '0');
        return true;
}

/* With the zero byte that ends it. */
static int add_header(HttpAnswer *answer, const char *line, size_t size, Error *error) {
        Buffer *headers = &answer->headers;
        int r;

        size = strnlen(line, size);
        if (headers->size + size + 1 > HTTP_HEADERS_MAX)
                return error_set(error, -E2BIG, "more than %u bytes of headers", HTTP_HEADERS_MAX);
        r = buffer_append(headers, line, size, HTTP_HEADERS_MAX);
        if (r >= 0)
                r = buffer_append(headers, "", 1, HTTP_HEADERS_MAX);
        return r < 0 ? error_oom(error) : 0;
}

int http_answer_take_line(HttpAnswer *answer, const char *line, size_t size, Error *error) {
        if (parse_status_line(line, size, &answer->status)) {
                buffer_clear(&answer->headers);
                answer->headers_end = false;
                return 0;
        }
        while (size > 0 && (line[size - 1] == '\r' || line[size - 1] == '\n'))
                size--;
        if (size == 0)
                answer->headers_end = true;
        if (answer->headers_end) /* what follows are trailers */
                return 0;
        return add_header(answer, line, size, error);
}

int http_answer_keep(HttpAnswer *answer, const void *data, size_t size, int64_t length, Error *error) {
        size_t whole = answer->body.size + size;

        if (length > 0 && (uint64_t) length > whole)
                whole = (size_t) length;
        if (whole > answer->limit || whole < size)
                return error_set(error, -E2BIG, "the answer is larger than %zu bytes", answer->limit);
        /* All at once where that is known: growing would leave copies of what may be a secret in freed memory. */
        if (buffer_reserve(&answer->body, whole) < 0 ||
            buffer_append(&answer->body, data, size, answer->limit) < 0)
                return error_oom(error);
        return 0;
}

bool http_answer_is_success(const HttpAnswer *answer) {
        return answer->status >= 200 && answer->status < 300;
}

const char *http_answer_header(const HttpAnswer *answer, const char *name) {
        const char *header = buffer_string(&answer->headers), *end = header + answer->headers.size;
        size_t n = strlen(name);

        for (; header < end; header += strlen(header) + 1)
                if (strncasecmp(header, name, n) == 0 && header[n] == ':')
                        return header + n + 1 + strspn(header + n + 1, " \t");
        return NULL;
}
