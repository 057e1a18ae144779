#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/strv.h"
#include "units/unit_text.h"

#define BLANKS " \t\r\n"

typedef struct Lines {
        const char *next, *end;
} Lines;

/* Up to the end of the physical line, without the blanks in front. */
static size_t take_physical(Lines *lines, const char **ret) {
        const char *end = memchr(lines->next, '\n', (size_t) (lines->end - lines->next));
        const char *begin = lines->next;

        if (!end)
                end = lines->end;
        lines->next = end < lines->end ? end + 1 : end;
        while (begin < end && strchr(BLANKS, *begin))
                begin++;
        if (end > begin && end[-1] == '\r')
                end--;
        *ret = begin;
        return (size_t) (end - begin);
}

static bool goes_on(const char *line, size_t n) {
        size_t backslashes = 0;

        while (backslashes < n && line[n - backslashes - 1] == '\\')
                backslashes++;
        return backslashes % 2 == 1;
}

/* 1, 0 at the end, -ENOMEM. Comments may stand between a line and its continuation. */
static int take_line(Lines *lines, Buffer *line) {
        bool open = true;
        int r = 0;

        buffer_clear(line);
        if (lines->next == lines->end)
                return 0;
        while (r >= 0 && open && lines->next < lines->end) {
                const char *begin;
                size_t n = take_physical(lines, &begin);

                if (n > 0 && (*begin == '#' || *begin == ';'))
                        continue;
                open = goes_on(begin, n);
                r = buffer_append(line, begin, open ? n - 1 : n, SIZE_MAX);
                if (r >= 0 && open)
                        r = buffer_append(line, " ", 1, SIZE_MAX);
        }
        return r < 0 ? r : 1;
}

static char *strip(char *text) {
        size_t n;

        text += strspn(text, BLANKS);
        n = strlen(text);
        while (n > 0 && strchr(BLANKS, text[n - 1]))
                text[--n] = '\0';
        return text;
}

/* "[Service]" */
static bool is_header(char *line, char **ret_section) {
        size_t n = strlen(line);

        if (n < 2 || line[0] != '[' || line[n - 1] != ']')
                return false;
        line[n - 1] = '\0';
        *ret_section = line + 1;
        return true;
}

int unit_text_value(const char *text, size_t size, const char *section, const char *key, char **ret) {
        Lines lines = { .next = text, .end = text + size };
        _cleanup_free_ char *value = NULL;
        _cleanup_buffer_ Buffer line = {};
        bool inside = false;
        int r;

        while ((r = take_line(&lines, &line)) > 0) {
                char *content, *header, *is;

                if (line.size == 0)
                        continue;
                content = strip((char *) line.data);
                if (is_header(content, &header)) {
                        inside = strcmp(header, section) == 0;
                        continue;
                }
                is = inside ? strchr(content, '=') : NULL;
                if (!is)
                        continue;
                *is = '\0';
                if (strcmp(strip(content), key) == 0 && string_set(&value, strip(is + 1)) < 0)
                        return -ENOMEM;
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(value);
        return 0;
}
