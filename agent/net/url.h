#pragma once

/* URLs as AWS signs them: every byte outside A-Z a-z 0-9 - . _ ~ becomes %XX with upper-case digits, a space %20
 * ("Create a canonical request" in the Signature Version 4 documentation; RFC 3986, section 2.3). What is built here is
 * sent byte for byte, so that what is sent is what was signed. */

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buffer.h"
#include "agent/base/error.h"

#define URL_MAX 8192U

/* Adds SIZE bytes of TEXT to BUFFER, percent-encoded; where KEEP_SLASH is set "/" stays as it is. -ENOMEM. */
int url_encode(Buffer *buffer, const char *text, size_t size, bool keep_slash);

/* Adds "name=value" to a query or a form, after "&" where it is not the first; VALUE NULL: "name=". -ENOMEM. */
int url_query_add(Buffer *query, const char *name, const char *value);
int url_query_addf(Buffer *query, const char *name, const char *format, ...) _printf_(3, 4);

/* Adds the decoded bytes of TEXT to BUFFER; PLUS_IS_SPACE as in forms and in S3's encoding-type=url.
 * -EINVAL for a "%" without two hex digits; -ENOMEM. */
int url_decode(Buffer *buffer, const char *text, size_t size, bool plus_is_space);

typedef struct Url {
        char *scheme;    /* "http" or "https" */
        char *host;      /* lower-case; an IPv6 address keeps its brackets */
        char *authority; /* the Host header: host, and the port unless it is the scheme's default */
        char *path;      /* begins with "/", encoded as given */
        char *query;     /* without "?", encoded as given; NULL where there is none */
        uint16_t port;
} Url;

/* An absolute http or https URL without user information and fragment. -EINVAL with its sentence; -ENOMEM. */
int url_parse(const char *text, Url *ret, Error *error);
void url_deinit(Url *url);
#define _cleanup_url_ _cleanup_(url_deinit)
