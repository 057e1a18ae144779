#pragma once

/* UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing above U+10FFFF. */

#include <stdbool.h>
#include <stddef.h>

/* The length of the sequence that the SIZE bytes at P begin with, 0 if that is none. Zero bytes are characters. */
size_t utf8_sequence(const void *p, size_t size);

bool utf8_is_valid(const char *text);

/* Replaces, in place and byte by byte, whatever is not UTF-8 or is a control character (but line feed and tab) by "?", so
 * that output of a program can be shown on a terminal and put into a document. */
void utf8_make_printable(char *text, size_t size);
