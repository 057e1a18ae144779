#include <stdbool.h>
#include <string.h>

#include "hooks/script.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

static bool begins_with(const void *head, size_t size, const char *text) {
        size_t n = strlen(text);

        return size >= n && memcmp(head, text, n) == 0;
}

static int refuse(Error *error, const char *what) {
        return error_set_fault(error, -ENOEXEC, FAULT_RELEASE, "%s", what);
}

static bool ends_in_cr(const char *head, size_t size) {
        const char *end = memchr(head, '\n', size);

        return end && end > head && end[-1] == '\r';
}

/* LINE is what follows "#!", without its end. */
static int split_line(char *line, Script *script, Error *error) {
        char *interpreter, *argument, *end;

        interpreter = line + strspn(line, " \t");
        argument = interpreter + strcspn(interpreter, " \t");
        if (*argument)
                *argument++ = '\0';
        argument += strspn(argument, " \t");
        end = argument + strlen(argument);
        while (end > argument && (end[-1] == ' ' || end[-1] == '\t'))
                *--end = '\0';
        if (*interpreter != '/')
                return refuse(error, "its first line names no absolute path of an interpreter after '#!'");
        memcpy(script->interpreter, interpreter, strlen(interpreter) + 1);
        memcpy(script->argument, argument, strlen(argument) + 1);
        return 0;
}

static int read_line(const char *head, size_t size, Script *script, Error *error) {
        char line[SCRIPT_HEAD_SIZE];
        const char *end = memchr(head, '\n', size);
        size_t n = end ? (size_t) (end - head) : size;

        if (!end && size >= SCRIPT_HEAD_SIZE)
                return refuse(error, "its first line is longer than the 255 bytes that the kernel reads");
        if (memchr(head, '\0', n))
                return refuse(error, "its first line has a zero byte");
        memcpy(line, head + 2, n - 2);
        line[n - 2] = '\0';
        if (strchr(line, '\r'))
                return refuse(error, "its first line ends in CR LF, and no interpreter has a CR in its name; "
                                     "save the file with Unix line ends");
        return split_line(line, script, error);
}

int script_classify(const void *head, size_t size, Script *ret, Error *error) {
        Script script = { .kind = SCRIPT_PLAIN };
        int r = 0;

        if (begins_with(head, size, "\177ELF")) {
                script.kind = SCRIPT_BINARY;
        } else if (begins_with(head, size, "#!")) {
                script.kind = SCRIPT_INTERPRETED;
                r = read_line(head, size, &script, error);
        } else if (begins_with(head, size, BYTE_ORDER_MARK "#!")) {
                r = refuse(error, "a byte order mark stands before the '#!' of its first line; "
                                  "save the file as UTF-8 without one");
        } else if (ends_in_cr(head, size)) {
                r = refuse(error,
                           "its lines end in CR LF, and a shell takes the CR for a part of the last word; "
                           "save the file with Unix line ends");
        }
        if (r >= 0)
                *ret = script;
        return r;
}
