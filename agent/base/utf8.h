#pragma once

/* UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing above U+10FFFF. */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/base/cleanup.h"

/* The length of the sequence that the SIZE bytes at P begin with, 0 if that is none. Zero bytes are characters. */
size_t utf8_sequence(const void *p, size_t size);

bool utf8_is_valid(const char *text);

/* Replaces, in place and byte by byte, whatever is not UTF-8 or is a control character (but line feed and tab) by "?", so
 * that output of a program can be shown on a terminal and put into a document. */
void utf8_make_printable(char *text, size_t size);

/* As snprintf(3), for a text that may end up in a document, which is refused as a whole if it is not UTF-8: what does not
 * fit is cut between two characters, and the rest made printable. */
void utf8_format(char *ret, size_t size, const char *format, ...) _printf_(3, 4);
void utf8_vformat(char *ret, size_t size, const char *format, va_list arguments) _printf_(3, 0);
