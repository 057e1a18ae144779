#pragma once

/* A curl handle with every option that a request needs but the callbacks. Only http.c uses it. */

#include <curl/curl.h>

#include "agent/net/http.h"

typedef struct HttpEasyOptions {
        const HttpRequest *request;
        HttpTimeouts timeouts; /* with the defaults filled in */
        struct curl_slist *headers;
        const char *user_agent;
        const char *ca_bundle; /* NULL: the system's */
} HttpEasyOptions;

/* The time-outs of REQUEST, defaults in place of zeros. */
HttpTimeouts http_easy_timeouts(const HttpRequest *request);

/* NULL: no memory. What OPTIONS points at must live as long as the handle, but for the request. */
CURL *http_easy_new(const HttpEasyOptions *options);
