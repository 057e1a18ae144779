#include <ctype.h>
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/imds.h"
#include "agent/net/ip_route.h"
#include "agent/net/url.h"

#define ADDRESS_IPV4 "169.254.169.254"
#define ADDRESS_IPV6 "fd00:ec2::254"
#define ENDPOINT_IPV4 "http://" ADDRESS_IPV4
#define ENDPOINT_IPV6 "http://[" ADDRESS_IPV6 "]"
#define TOKEN_MAX 4096U
#define TOKEN_RENEW_AHEAD (5 * 60 * USEC_PER_SEC)
#define FIRST_DELAY (100 * USEC_PER_MSEC)

struct Imds {
        HttpClient *http;
        const Clock *clock;
        char *endpoint; /* without "/" at its end; NULL: one of the two that EC2 has */
        bool ipv6;      /* which one */
        bool disabled;
        char *token;         /* NULL: none yet */
        uint64_t token_ends; /* boot time from which on another one is fetched */
};

struct ImdsRequest {
        Imds *imds;
        char *path;
        unsigned attempts;
        bool token_was_refused;
        HttpTransfer *transfer;
        sd_event_source *timer;
        Buffer value;
        ImdsDone done;
        void *userdata;
};

static void forget_token(Imds *imds) {
        if (imds->token)
                OPENSSL_cleanse(imds->token, strlen(imds->token));
        free(imds->token);
        imds->token = NULL;
}

static int choose_endpoint(char *const *environment, char **ret, Error *error) {
        const char *url = strv_getenv(environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
        const char *mode = strv_getenv(environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
        _cleanup_url_ Url parsed = {};
        int r;

        if (!url && mode && strcasecmp(mode, "IPv4") != 0 && strcasecmp(mode, "IPv6") != 0)
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is '%.32s', expected IPv4 or IPv6", mode);
        if (!url && !mode)
                return 0;
        if (!url)
                url = strcasecmp(mode, "IPv6") == 0 ? ENDPOINT_IPV6 : ENDPOINT_IPV4;
        r = url_parse(url, &parsed, error);
        if (r < 0) {
                error_prefix(error, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
                return r;
        }
        *ret = strdup(url);
        if (!*ret)
                return error_oom(error);
        if (string_ends_with(*ret, "/"))
                (*ret)[strlen(*ret) - 1] = '\0';
        return 0;
}

int imds_new(HttpClient *http, const Clock *clock, char *const *environment, Imds **ret, Error *error) {
        _cleanup_(imds_freep) Imds *imds = NULL;
        const char *disabled = strv_getenv(environment, "AWS_EC2_METADATA_DISABLED");
        int r;

        imds = malloc(sizeof(*imds));
        if (!imds)
                return error_oom(error);
        *imds = (Imds){ .http = http,
                        .clock = clock,
                        .disabled = disabled && strcasecmp(disabled, "true") == 0 };
        r = choose_endpoint(environment, &imds->endpoint, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(imds);
        return 0;
}

Imds *imds_free(Imds *imds) {
        if (!imds)
                return NULL;
        forget_token(imds);
        free(imds->endpoint);
        free(imds);
        return NULL;
}

void imds_forget(Imds *imds) {
        forget_token(imds);
}

const char *imds_endpoint(const Imds *imds) {
        if (imds->endpoint)
                return imds->endpoint;
        return imds->ipv6 ? ENDPOINT_IPV6 : ENDPOINT_IPV4;
}

/* The network may have come up, or changed, since the last time; IPv4 where both or neither lead there. */
static void choose_protocol(Imds *imds) {
        imds->ipv6 = !imds->endpoint && !ip_has_route(ADDRESS_IPV4) && ip_has_route(ADDRESS_IPV6);
}

ImdsRequest *imds_request_free(ImdsRequest *request) {
        if (!request)
                return NULL;
        http_transfer_free(request->transfer);
        sd_event_source_disable_unref(request->timer);
        if (request->value.data)
                OPENSSL_cleanse(request->value.data, request->value.allocated);
        buffer_deinit(&request->value);
        free(request->path);
        free(request);
        return NULL;
}

const char *imds_request_value(const ImdsRequest *request) {
        return buffer_string(&request->value);
}

static void finish(ImdsRequest *request, int result, Error *error) {
        if (result < 0)
                error_prefix(error, "instance metadata, %s", request->path);
        request->done(request, result, error, request->userdata);
}

static int advance(ImdsRequest *request, Error *error);

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        ImdsRequest *request = userdata;
        Error error = {};
        int r;

        r = advance(request, &error);
        if (r < 0)
                finish(request, r, &error);
        return 0;
}

/* Waits a little and goes on; R if there have been enough attempts. */
static int retry(ImdsRequest *request, int r, Error *error) {
        uint64_t delay = FIRST_DELAY << request->attempts;
        int q;

        if (++request->attempts >= IMDS_ATTEMPTS_MAX)
                return r;
        request->timer = sd_event_source_disable_unref(request->timer);
        q = sd_event_add_time_relative(http_client_event(request->imds->http), &request->timer,
                                       CLOCK_BOOTTIME, delay, TIMER_ACCURACY_EXACT, on_timer, request);
        return q < 0 ? error_set_errno(error, q, "cannot set a timer") : 0;
}

/* A transport error, or a status that neither step knows. */
static int judge_failure(ImdsRequest *request, int result, Error *error) {
        int status = http_transfer_status(request->transfer);

        if (result < 0)
                return result == -EINVAL || result == -E2BIG ? result : retry(request, result, error);
        if (status == 403)
                return error_set(error, -EACCES, "refused (403): metadata is turned off for this instance");
        error_set_fault(error, -EREMOTEIO, FAULT_HOST, "answered with status %d", status);
        return status >= 500 || status == 429 ? retry(request, -EREMOTEIO, error) : -EREMOTEIO;
}

static bool is_token(const char *text) {
        size_t n = strlen(text);

        for (; *text; text++)
                if (!isgraph((unsigned char) *text))
                        return false;
        return n > 0 && n <= TOKEN_MAX;
}

static int keep_token(Imds *imds, HttpTransfer *transfer, uint64_t now, Error *error) {
        const char *token = buffer_string(http_transfer_body(transfer));
        const char *header = http_transfer_header(transfer, "X-aws-ec2-metadata-token-ttl-seconds");
        uint64_t seconds = IMDS_TOKEN_TTL_SECONDS, ttl;

        if (!is_token(token))
                return error_set_fault(error, -EREMOTEIO, FAULT_HOST, "answered with no session token");
        if (header && (parse_u64(header, &seconds) < 0 || seconds > IMDS_TOKEN_TTL_SECONDS))
                seconds = IMDS_TOKEN_TTL_SECONDS;
        ttl = seconds * USEC_PER_SEC;
        forget_token(imds);
        if (string_set(&imds->token, token) < 0)
                return error_oom(error);
        imds->token_ends = now + ttl - MIN(ttl / 2, TOKEN_RENEW_AHEAD);
        return 0;
}

static int judge_token(ImdsRequest *request, int result, Error *error) {
        Imds *imds = request->imds;
        int r;

        if (result == -ETIMEDOUT && http_transfer_was_connected(request->transfer))
                error_prefix(
                        error,
                        "connected, but no session token came (in a container, the instance's hop limit must "
                        "be 2)");
        if (result < 0 || http_transfer_status(request->transfer) != 200)
                return judge_failure(request, result, error);
        r = keep_token(imds, request->transfer, clock_boottime(imds->clock), error);
        return r < 0 ? r : advance(request, error);
}

static void on_token(_unused_ HttpTransfer *transfer, int result, const Error *transfer_error,
                     void *userdata) {
        ImdsRequest *request = userdata;
        Error error = *transfer_error;
        int r;

        r = judge_token(request, result, &error);
        if (r < 0)
                finish(request, r, &error);
}

static int take_value(ImdsRequest *request, Error *error) {
        const Buffer *body = http_transfer_body(request->transfer);
        size_t n = body->size;

        while (n > 0 && isspace(body->data[n - 1]))
                n--;
        if (buffer_append(&request->value, body->data, n, IMDS_VALUE_MAX) < 0)
                return error_oom(error);
        finish(request, 0, error);
        return 0;
}

static int judge_item(ImdsRequest *request, int result, Error *error) {
        int status = http_transfer_status(request->transfer);

        if (result == 0 && status == 200)
                return take_value(request, error);
        if (result == 0 && status == 404) {
                finish(request, IMDS_ABSENT, error);
                return 0;
        }
        if (result == 0 && status == 401 && !request->token_was_refused) {
                request->token_was_refused = true;
                forget_token(request->imds);
                return advance(request, error);
        }
        return judge_failure(request, result, error);
}

static void on_item(_unused_ HttpTransfer *transfer, int result, const Error *transfer_error,
                    void *userdata) {
        ImdsRequest *request = userdata;
        Error error = *transfer_error;
        int r;

        r = judge_item(request, result, &error);
        if (r < 0)
                finish(request, r, &error);
}

static int send_request(ImdsRequest *request, const char *method, const char *path, char *header,
                        HttpDone done, Error *error) {
        char *headers[] = { header, NULL };
        _cleanup_free_ char *url = NULL;
        HttpRequest http = {
                .method = method,
                .headers = headers,
                .timeouts = { .connect = IMDS_CONNECT_TIMEOUT, .total = IMDS_TOTAL_TIMEOUT },
                .response_limit = IMDS_VALUE_MAX,
                .no_proxy = true,
        };

        if (asprintf(&url, "%s/latest/%s", imds_endpoint(request->imds), path) < 0) {
                url = NULL;
                return error_oom(error);
        }
        http.url = url;
        request->transfer = http_transfer_free(request->transfer);
        return http_start(request->imds->http, &http, done, request, &request->transfer, error);
}

static int fetch_token(ImdsRequest *request, Error *error) {
        char header[64];

        choose_protocol(request->imds);
        snprintf(header, sizeof(header), "X-aws-ec2-metadata-token-ttl-seconds: %u", IMDS_TOKEN_TTL_SECONDS);
        return send_request(request, "PUT", "api/token", header, on_token, error);
}

static int fetch_item(ImdsRequest *request, Error *error) {
        char header[TOKEN_MAX + 64];
        int r;

        snprintf(header, sizeof(header), "X-aws-ec2-metadata-token: %s", request->imds->token);
        r = send_request(request, "GET", request->path, header, on_item, error);
        OPENSSL_cleanse(header, sizeof(header));
        return r;
}

/* The next step: a token where there is no good one, else the item. */
static int advance(ImdsRequest *request, Error *error) {
        const Imds *imds = request->imds;

        if (!imds->token || clock_boottime(imds->clock) >= imds->token_ends)
                return fetch_token(request, error);
        return fetch_item(request, error);
}

int imds_get_start(Imds *imds, const char *path, ImdsDone done, void *userdata, ImdsRequest **ret,
                   Error *error) {
        _cleanup_(imds_request_freep) ImdsRequest *request = NULL;
        int r;

        if (imds->disabled)
                return error_set(error, -EOPNOTSUPP,
                                 "instance metadata is turned off (AWS_EC2_METADATA_DISABLED)");
        request = malloc(sizeof(*request));
        if (!request)
                return error_oom(error);
        *request = (ImdsRequest){ .imds = imds, .path = strdup(path), .done = done, .userdata = userdata };
        if (!request->path)
                return error_oom(error);
        r = advance(request, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(request);
        return 0;
}
