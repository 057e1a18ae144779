#pragma once

/* What a unit file says, read as systemd reads it (systemd.syntax(7)). */

#include <stddef.h>

/* The last value of KEY in the sections of that name: "" where it takes back what was said before, NULL where nothing is
 * said. New memory. -ENOMEM. */
int unit_text_value(const char *text, size_t size, const char *section, const char *key, char **ret);
