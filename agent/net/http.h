#pragma once

/* HTTP/1.1 requests through libcurl's multi interface on an sd_event loop: one thread, any number of transfers, kept
 * connections. No redirect is ever followed: the answer to a signed request is the one that was asked for. Every transfer
 * has connect, stall and total time-outs, TLS is always verified.
 *
 * Of the system's certificates only those are read that a connection needs, from its folder of certificates by hash
 * (openssl-rehash(1)): a bundle of them all takes 30 ms to parse and a megabyte to keep. Only for a peer that the folder
 * does not vouch for, the client turns to the system's bundle, parsed once. What is trusted is the same as for curl.
 *
 * A transfer ends with 0 as soon as there is a whole HTTP answer, whatever its status, or with:
 *
 *      -EHOSTDOWN      the name does not resolve             -EKEYREJECTED   the peer's certificate is not trusted
 *      -ECONNREFUSED   nobody listens there                  -EPROTO         the TLS handshake failed
 *      -EHOSTUNREACH, -ENETUNREACH   no route                -EBADMSG        what came was not HTTP
 *      -ETIMEDOUT      one of the three time-outs            -E2BIG          headers or body over their limit
 *      -ECONNRESET     connection broken, no answer          -ECONNABORTED   the body ended too early
 *      -EIO            the body to send could not be read    what the sink returned
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "agent/base/buffer.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"

#define HTTP_CONNECT_TIMEOUT (5 * USEC_PER_SEC)
#define HTTP_STALL_TIMEOUT (20 * USEC_PER_SEC)
#define HTTP_TOTAL_TIMEOUT (60 * USEC_PER_SEC)
#define HTTP_STALL_RATE 1024U /* bytes a second, below which a transfer counts as stalled */
#define HTTP_LOWEST_UPLOAD_RATE                                                                              \
        (64U * 1024U) /* bytes a second, by which a body to send extends the default total */
#define HTTP_HEADERS_MAX (64U * 1024U)
#define HTTP_RESPONSE_MAX (1024U * 1024U) /* of a body in memory, unless the request says otherwise */

typedef struct HttpClient HttpClient;
typedef struct HttpTransfer HttpTransfer;

typedef struct HttpOptions {
        const char *ca_bundle;  /* PEM file in place of the system's certificates; NULL: these */
        const char *user_agent; /* NULL: "muster/VERSION" */
} HttpOptions;

int http_client_new(sd_event *event, const HttpOptions *options, HttpClient **ret, Error *error);

/* All its transfers must have been freed. */
HttpClient *http_client_free(HttpClient *client);
DEFINE_CLEANUP(HttpClient *, http_client_free)

sd_event *http_client_event(const HttpClient *client);

/* A body to send: SIZE bytes of memory, which are copied, or, where DATA is NULL and SIZE is not 0, SIZE bytes of the
 * file FD from OFFSET on, which is duplicated and read by pread(2). Zero-initialised: no body. */
typedef struct HttpBody {
        const void *data;
        uint64_t size;
        int fd;
        uint64_t offset;
} HttpBody;

/* Microseconds; 0: the default from above, USEC_INFINITY: none. */
typedef struct HttpTimeouts {
        uint64_t connect; /* name, connection and TLS handshake together */
        uint64_t stall;   /* that long below HTTP_STALL_RATE */
        uint64_t total;
} HttpTimeouts;

/* Gets the body of a 2xx answer piece by piece; status and headers are known by then. 0, or a negative errno that ends
 * the transfer. It may call any function of this header but http_client_free(). */
typedef int (*HttpSink)(HttpTransfer *transfer, const void *data, size_t size, void *userdata);

/* How many bytes of the body have been handed to the connection so far. Not called for bodies in memory. */
typedef void (*HttpProgress)(uint64_t sent, uint64_t total, void *userdata);

/* Called once, from the event loop, never from http_start(). May free the transfer. */
typedef void (*HttpDone)(HttpTransfer *transfer, int result, const Error *error, void *userdata);

typedef struct HttpRequest {
        const char *method;
        const char *url;      /* encoded; its path and query are sent byte for byte */
        char *const *headers; /* "Name: value"; NULL: none. Content-Length is added. */
        HttpBody body;
        HttpTimeouts timeouts;
        size_t response_limit; /* of what is kept in memory; 0: HTTP_RESPONSE_MAX */
        HttpSink sink; /* NULL: the body is kept in memory; bodies of answers other than 2xx always are */
        void *sink_userdata;
        HttpProgress progress;
        void *progress_userdata;
        bool no_proxy;       /* never through a proxy, whatever the environment says */
        bool own_connection; /* none that was kept, and not kept: for asking who answers there now */
} HttpRequest;

/* -EINVAL for a header with a line break in it and for a URL that is none. */
int http_start(HttpClient *client, const HttpRequest *request, HttpDone done, void *userdata,
               HttpTransfer **ret, Error *error);

/* Cancels a transfer that still runs, and calls nobody. Returns NULL. */
HttpTransfer *http_transfer_free(HttpTransfer *transfer);
DEFINE_CLEANUP(HttpTransfer *, http_transfer_free)

/* Whether there was a connection (and its TLS handshake was done), once the transfer has ended. */
bool http_transfer_was_connected(const HttpTransfer *transfer);

/* How often the body was sent again because a kept connection turned out to be dead. The server may have seen it all the
 * first time. */
unsigned http_transfer_resends(const HttpTransfer *transfer);

/* 0 before the answer's first line has come. */
int http_transfer_status(const HttpTransfer *transfer);

/* The value of the first header of that name, whatever its case; NULL: there is none. */
const char *http_transfer_header(const HttpTransfer *transfer, const char *name);

/* What was kept in memory. */
const Buffer *http_transfer_body(const HttpTransfer *transfer);

/* Bytes of a 2xx body that were given to the sink. */
uint64_t http_transfer_sunk(const HttpTransfer *transfer);
