#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

#include "agent/base/strv.h"
#include "agent/net/http.h"
#include "agent/net/http_answer.h"

void http_answer_deinit(HttpAnswer *answer) {
        strv_free(answer->headers);
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

int http_answer_take_line(HttpAnswer *answer, const char *line, size_t size, Error *error) {
        if (parse_status_line(line, size, &answer->status)) {
                answer->headers = strv_free(answer->headers);
                answer->headers_size = 0;
                answer->headers_end = false;
                return 0;
        }
        while (size > 0 && (line[size - 1] == '\r' || line[size - 1] == '\n'))
                size--;
        if (size == 0)
                answer->headers_end = true;
        if (answer->headers_end) /* what follows are trailers */
                return 0;
        answer->headers_size += size;
        if (answer->headers_size > HTTP_HEADERS_MAX)
                return error_set(error, -E2BIG, "more than %u bytes of headers", HTTP_HEADERS_MAX);
        return strv_appendf(&answer->headers, "%.*s", (int) size, line) < 0 ? error_oom(error) : 0;
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
        size_t n = strlen(name);

        STRV_FOREACH(header, answer->headers)
                if (strncasecmp(*header, name, n) == 0 && (*header)[n] == ':')
                        return *header + n + 1 + strspn(*header + n + 1, " \t");
        return NULL;
}
