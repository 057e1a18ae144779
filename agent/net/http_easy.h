#pragma once

/* A curl handle with every option that a request needs but the callbacks. Only http.c uses it. */

#include <curl/curl.h>

#include "agent/net/http.h"

/* Where the certificates that are trusted come from. */
typedef enum HttpTrust {
        HTTP_TRUST_FOLDER, /* the system's folder, in which the one that is needed is found by its name's hash */
        HTTP_TRUST_BUNDLE, /* one file, all of which is parsed for the first connection, and kept */
} HttpTrust;

typedef struct HttpEasyOptions {
        const HttpRequest *request;
        HttpTimeouts timeouts; /* with the defaults filled in */
        struct curl_slist *headers;
        const char *user_agent;
        CURLSH *share; /* of the client */
        HttpTrust trust;
        const char *ca_bundle; /* with HTTP_TRUST_BUNDLE; NULL: the system's */
} HttpEasyOptions;

/* The time-outs of REQUEST, defaults in place of zeros. */
HttpTimeouts http_easy_timeouts(const HttpRequest *request);

/* NULL: no memory. What OPTIONS points at must live as long as the handle, but for the request. */
CURL *http_easy_new(const HttpEasyOptions *options);

/* What the system has, with a bundle of one's own (or NULL). */
HttpTrust http_easy_first_trust(const char *ca_bundle);

/* Of a handle that is not in curl's hands. */
void http_easy_set_trust(CURL *easy, HttpTrust trust, const char *ca_bundle);
