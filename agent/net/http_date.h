#pragma once

/* The time stamps of HTTP headers (RFC 9110, section 5.6.7): only the one form that may still be sent,
 * "Sun, 06 Nov 1994 08:49:37 GMT". */

#include <stdint.h>

/* Microseconds since 1970. -EINVAL. */
int http_date_parse(const char *text, uint64_t *ret_usec);
