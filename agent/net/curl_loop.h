#pragma once

/* libcurl's multi interface driven by an sd_event loop: one event source for each socket that curl names and one timer.
 * Only http.c uses it. */

#include <curl/curl.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "agent/base/cleanup.h"

typedef struct CurlLoop CurlLoop;

typedef struct CurlLoopCallbacks {
        /* EASY has ended with CODE and has been removed. */
        void (*ended)(CURL *easy, CURLcode code, void *userdata);
        /* curl has returned: the time to add and remove what had to wait for that. */
        void (*idle)(void *userdata);
} CurlLoopCallbacks;

int curl_loop_new(sd_event *event, const CurlLoopCallbacks *callbacks, void *userdata, CurlLoop **ret);
CurlLoop *curl_loop_free(CurlLoop *loop);
DEFINE_CLEANUP(CurlLoop *, curl_loop_free)

/* Whether this is called from inside curl, that is from one of its callbacks; handles can then neither be added nor
 * removed. */
bool curl_loop_is_busy(const CurlLoop *loop);

/* -ENOMEM. */
int curl_loop_add(CurlLoop *loop, CURL *easy);
void curl_loop_remove(CurlLoop *loop, CURL *easy);
