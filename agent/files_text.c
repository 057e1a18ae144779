#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/files_text.h"
#include "artifacts/entry_name.h"

char *files_text_line(char **text) {
        char *line = *text, *end = strchr(line, '\n');

        if (!end)
                return NULL;
        *end = '\0';
        *text = end + 1;
        return line;
}

size_t files_text_fields(char *line, char *ret[static FILES_FIELDS_MAX]) {
        size_t n = 0;

        for (char *field; (field = strsep(&line, "\t"));) {
                if (n == FILES_FIELDS_MAX)
                        return 0;
                ret[n++] = field;
        }
        return n;
}

int files_text_number(const char *text, int base, uint64_t max, uint64_t *ret) {
        const char *digits = base == 8 ? "01234567" : "0123456789";
        size_t n = strlen(text);

        if (n == 0 || n > 19 || strspn(text, digits) != n || strtoull(text, NULL, base) > max)
                return -EINVAL;
        *ret = strtoull(text, NULL, base);
        return 0;
}

bool files_text_is_path(const char *text) {
        char *normal;
        bool valid;

        if (text[0] != '/' || !text[1])
                return false;
        normal = malloc(strlen(text) + 1);
        valid = normal && entry_name_normalise(text + 1, SIZE_MAX, SIZE_MAX, normal, NULL) >= 0 &&
                strcmp(normal, text + 1) == 0;
        free(normal);
        return valid;
}
