#include <inttypes.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/net/http_failure.h"

/* Failures that need no look at the rest; the last row stands for every code that is not here. */
static const struct {
        CURLcode code;
        int result;
        const char *phrase;
        bool with_detail;
} phrases[] = {
        { CURLE_COULDNT_RESOLVE_HOST, -EHOSTDOWN, "the host name does not resolve", false },
        { CURLE_COULDNT_RESOLVE_PROXY, -EHOSTDOWN, "the proxy's name does not resolve", false },
        { CURLE_PEER_FAILED_VERIFICATION, -EKEYREJECTED, "its certificate is not trusted", true },
        { CURLE_SSL_CONNECT_ERROR, -EPROTO, "TLS handshake failed", true },
        { CURLE_SSL_CACERT_BADFILE, -EKEYREJECTED, "the CA bundle cannot be read", true },
        { CURLE_SSL_CERTPROBLEM, -EPROTO, "TLS handshake failed", true },
        { CURLE_SSL_CIPHER, -EPROTO, "TLS handshake failed", true },
        { CURLE_GOT_NOTHING, -ECONNRESET, "the connection was closed without an answer", false },
        { CURLE_SEND_ERROR, -ECONNRESET, "the connection broke while sending", false },
        { CURLE_WEIRD_SERVER_REPLY, -EBADMSG, "what came is not HTTP", false },
        { CURLE_UNSUPPORTED_PROTOCOL, -EBADMSG, "what came is not HTTP", false },
        { CURLE_HTTP2, -EBADMSG, "what came is not HTTP", false },
        { CURLE_OUT_OF_MEMORY, -ENOMEM, "out of memory", false },
        { CURLE_URL_MALFORMAT, -EINVAL, "not a URL", true },
        { CURLE_OK, -EIO, "the request failed", true },
};

static int explain_phrase(const HttpFailure *f, Error *error) {
        size_t i = 0;

        while (phrases[i].code != f->code && phrases[i].code != CURLE_OK)
                i++;
        if (phrases[i].with_detail && f->detail[0])
                return error_set(error, phrases[i].result, "%s: %s: %s", f->peer, phrases[i].phrase,
                                 f->detail);
        return error_set(error, phrases[i].result, "%s: %s", f->peer, phrases[i].phrase);
}

static int explain_timeout(const HttpFailure *f, Error *error) {
        char limit[DURATION_TEXT_MAX];

        if (f->elapsed >= f->timeouts.total) {
                format_duration(f->timeouts.total, limit);
                return error_set(error, -ETIMEDOUT, "%s: timed out: not complete within %s", f->peer, limit);
        }
        if (!f->connected) {
                format_duration(f->timeouts.connect, limit);
                return error_set(error, -ETIMEDOUT, "%s: timed out: no connection within %s", f->peer, limit);
        }
        format_duration(f->timeouts.stall, limit);
        return error_set(error, -ETIMEDOUT, "%s: timed out: stalled for %s", f->peer, limit);
}

/* In curl's words "Failed to connect to HOST port N after …": whom it meant, if that is not the peer but the proxy before it.
 * (CURLINFO_USED_PROXY came with 8.7.) Returns its length, 0: it is not known to be another one. */
static size_t find_proxy(const HttpFailure *f, const char **ret) {
        static const char words[] = "Failed to connect to ";
        const char *host = strstr(f->detail, words), *end = host ? strstr(host, " port ") : NULL;
        const char *peer = strstr(f->peer, "://");
        size_t n;

        if (!end || !peer)
                return 0;
        host += strlen(words);
        peer += strlen("://");
        peer += *peer == '[';
        n = (size_t) (end - host);
        if (strncmp(peer, host, n) == 0 && strchr(":]", peer[n]))
                return 0;
        *ret = host;
        return n + strlen(" port ") + strspn(end + strlen(" port "), "0123456789");
}

static int explain_connect(const HttpFailure *f, Error *error) {
        int r = f->os_errno > 0 ? -f->os_errno : -ECONNREFUSED;
        const char *proxy = "";
        int n = (int) find_proxy(f, &proxy);
        const char *to = n > 0 ? " to the proxy " : "";

        if (r == -ETIMEDOUT)
                return error_set(error, r, "%s: timed out: no connection%s%.*s", f->peer, to, n, proxy);
        return error_set_errno(error, r, "%s: cannot connect%s%.*s", f->peer, to, n, proxy);
}

/* Its body is not for us: many proxies explain themselves at length. */
static int explain_proxy(const HttpFailure *f, Error *error) {
        return error_set(error, -ECONNREFUSED, "%s: the proxy answered with status %d%s", f->peer,
                         f->proxy_status,
                         f->proxy_status == 407 ? ": it wants a user and a password, or other ones" : "");
}

static int explain_broken(const HttpFailure *f, Error *error) {
        if (!f->answered)
                return error_set(error, -ECONNRESET, "%s: the connection broke before the answer came",
                                 f->peer);
        if (f->content_length >= 0)
                return error_set(error, -ECONNABORTED,
                                 "%s: the answer is truncated: %" PRIu64 " of %" PRId64 " bytes came",
                                 f->peer, f->received, f->content_length);
        return error_set(error, -ECONNABORTED, "%s: the answer is truncated after %" PRIu64 " bytes", f->peer,
                         f->received);
}

static int explain(const HttpFailure *failure, Error *error) {
        if (failure->proxy_status >= 300)
                return explain_proxy(failure, error);
        switch (failure->code) {
        case CURLE_OPERATION_TIMEDOUT:
                return explain_timeout(failure, error);
        case CURLE_COULDNT_CONNECT:
                return explain_connect(failure, error);
        case CURLE_PARTIAL_FILE:
        case CURLE_RECV_ERROR:
                return explain_broken(failure, error);
        default:
                return explain_phrase(failure, error);
        }
}

/* Whatever it was, it lies between this machine and the peer. */
int http_failure_explain(const HttpFailure *failure, Error *error) {
        int r = explain(failure, error);

        error_blame(error, FAULT_HOST);
        return r;
}
