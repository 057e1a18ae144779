#pragma once

/* Base64 with the standard alphabet and padding (RFC 4648, section 4), strict: one text for each run of bytes. */

#include <stddef.h>
#include <stdint.h>

/* A new string. -ENOMEM. */
int base64_encode(const void *data, size_t size, char **ret);

/* New memory (never NULL, followed by a zero byte that does not count). -EINVAL for a foreign character, wrong
 * padding, white space or bits left over; -ENOMEM. */
int base64_decode(const char *text, size_t length, uint8_t **ret, size_t *ret_size);
