#pragma once

/* The notation that the list of installed files and their journal share: lines of fields with tabs between them. Names have
 * no control characters, so nothing is escaped. Pure; texts are cut in place. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILES_FIELDS_MAX 8U

/* The next line without its end; NULL where there is no whole one any more. Moves *TEXT behind it. */
char *files_text_line(char **text);

/* How many fields; 0 if there are more than FILES_FIELDS_MAX. */
size_t files_text_fields(char *line, char *ret[static FILES_FIELDS_MAX]);

/* Digits of BASE only. -EINVAL. */
int files_text_number(const char *text, int base, uint64_t max, uint64_t *ret);

/* Absolute, without "." or "..", doubled or trailing slashes or control characters, and not "/". */
bool files_text_is_path(const char *text);
