#pragma once

/* What a failed transfer means: an errno as http.h lists them, and one sentence. Only http.c uses it. */

#include <curl/curl.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/net/http.h"

typedef struct HttpFailure {
        CURLcode code;
        const char *detail; /* curl's own words, "" if it had none */
        const char *peer;   /* scheme://host[:port] */
        HttpTimeouts timeouts;
        int os_errno;           /* of connect(2), 0: unknown */
        int proxy_status;       /* with which the proxy answered CONNECT; 0: it did not, or there is none */
        bool connected;         /* including the TLS handshake */
        bool answered;          /* a status line had come */
        uint64_t elapsed;       /* microseconds */
        uint64_t received;      /* bytes of the body */
        int64_t content_length; /* -1: unknown */
} HttpFailure;

/* The negative errno. */
int http_failure_explain(const HttpFailure *failure, Error *error);
