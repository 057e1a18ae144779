#include <stdlib.h>

#include "agent/base/strv.h"
#include "agent/net/http_easy.h"

#define RECEIVE_BUFFER_SIZE (64L * 1024L)
#define KEEPALIVE_IDLE 30L /* seconds */
#define KEEPALIVE_INTERVAL 10L

static uint64_t or_default(uint64_t value, uint64_t otherwise) {
        return value > 0 ? value : otherwise;
}

HttpTimeouts http_easy_timeouts(const HttpRequest *request) {
        const HttpTimeouts *t = &request->timeouts;
        uint64_t upload = request->body.size / HTTP_LOWEST_UPLOAD_RATE * USEC_PER_SEC;

        return (HttpTimeouts){
                .connect = or_default(t->connect, HTTP_CONNECT_TIMEOUT),
                .stall = or_default(t->stall, HTTP_STALL_TIMEOUT),
                .total = or_default(t->total, HTTP_TOTAL_TIMEOUT + upload),
        };
}

/* For curl, which takes 0 as "none", or as its own default. */
static long timeout_msec(uint64_t usec) {
        if (usec >= (uint64_t) INT32_MAX * USEC_PER_MSEC)
                return INT32_MAX;
        return usec < USEC_PER_MSEC ? 1 : (long) (usec / USEC_PER_MSEC);
}

#define SET(option, value) (void) curl_easy_setopt(easy, (option), (value))

HttpTrust http_easy_first_trust(const char *ca_bundle) {
        return !ca_bundle && curl_version_info(CURLVERSION_NOW)->capath ? HTTP_TRUST_FOLDER
                                                                        : HTTP_TRUST_BUNDLE;
}

/* Never both, as is Debian's default: then curl parses the bundle for every connection, and a bundle of one's own
 * would not be the only one. */
void http_easy_set_trust(CURL *easy, HttpTrust trust, const char *ca_bundle) {
        const curl_version_info_data *system = curl_version_info(CURLVERSION_NOW);

        if (!ca_bundle)
                ca_bundle = system->cainfo;
        SET(CURLOPT_CAPATH, trust == HTTP_TRUST_FOLDER ? system->capath : NULL);
        SET(CURLOPT_CAINFO, trust == HTTP_TRUST_BUNDLE ? ca_bundle : NULL);
}

/* curl reads https_proxy, HTTPS_PROXY, all_proxy, no_proxy and NO_PROXY, but of http_proxy the lower-case one alone, since
 * for a CGI program the other one would be a header of the request. None is here, and other programs take it. */
static void set_proxy(CURL *easy, const HttpRequest *request) {
        const char *proxy = getenv("HTTP_PROXY");

        if (request->no_proxy)
                SET(CURLOPT_NOPROXY, "*");
        else if (string_starts_with(request->url, "http://") && !getenv("http_proxy") && proxy)
                SET(CURLOPT_PROXY, proxy);
}

/* What is the same for every request. */
static void set_constants(CURL *easy, const HttpEasyOptions *options) {
        SET(CURLOPT_NOSIGNAL, 1L);
        SET(CURLOPT_PROTOCOLS_STR, "http,https");
        SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
        SET(CURLOPT_FOLLOWLOCATION, 0L);
        SET(CURLOPT_PATH_AS_IS, 1L);
        SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
        SET(CURLOPT_TCP_KEEPALIVE, 1L);
        SET(CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE);
        SET(CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL);
        SET(CURLOPT_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_SSL_VERIFYHOST, 2L);
        SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_BUFFERSIZE, RECEIVE_BUFFER_SIZE);
        SET(CURLOPT_USERAGENT, options->user_agent);
        SET(CURLOPT_SHARE, options->share);
        http_easy_set_trust(easy, options->trust, options->ca_bundle);
}

static void set_request(CURL *easy, const HttpEasyOptions *options) {
        const HttpRequest *request = options->request;
        bool upload = request->body.size > 0 || string_equal(request->method, "PUT") ||
                      string_equal(request->method, "POST");

        SET(CURLOPT_URL, request->url);
        SET(CURLOPT_HTTPHEADER, options->headers);
        SET(CURLOPT_CONNECTTIMEOUT_MS, timeout_msec(options->timeouts.connect));
        SET(CURLOPT_TIMEOUT_MS, timeout_msec(options->timeouts.total));
        if (options->timeouts.stall !=
            USEC_INFINITY) { /* curl looks at the speed every second, also of a long poll */
                SET(CURLOPT_LOW_SPEED_LIMIT, (long) HTTP_STALL_RATE);
                SET(CURLOPT_LOW_SPEED_TIME, MAX(timeout_msec(options->timeouts.stall) / 1000, 1L));
        }
        if (request->own_connection) {
                SET(CURLOPT_FRESH_CONNECT, 1L);
                SET(CURLOPT_FORBID_REUSE, 1L);
        }
        set_proxy(easy, request);
        if (upload) {
                SET(CURLOPT_UPLOAD, 1L);
                SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t) request->body.size);
        } else if (string_equal(request->method, "HEAD"))
                SET(CURLOPT_NOBODY, 1L);
        SET(CURLOPT_CUSTOMREQUEST, request->method);
}

CURL *http_easy_new(const HttpEasyOptions *options) {
        CURL *easy = curl_easy_init();

        if (!easy)
                return NULL;
        set_constants(easy, options);
        set_request(easy, options);
        return easy;
}
