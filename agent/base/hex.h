#pragma once

/* Lower-case hexadecimal, as digests are written. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes 2 * SIZE digits and a zero byte to RET. */
void hex_encode(const void *data, size_t size, char *ret);

/* Reads exactly SIZE bytes from exactly 2 * SIZE lower-case digits. -EINVAL; RET is then unspecified. */
int hex_decode(const char *text, void *ret, size_t size);
