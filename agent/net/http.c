#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

#include "agent/base/strv.h"
#include "agent/net/curl_loop.h"
#include "agent/net/http.h"
#include "agent/net/http_answer.h"
#include "agent/net/http_easy.h"
#include "agent/net/http_failure.h"
#include "agent/net/http_upload.h"
#include "agent/net/url.h"

#define EXPECT_ABOVE (1024U * 1024U)

typedef enum TransferState {
        TRANSFER_WAITING,   /* to be added as soon as curl has returned */
        TRANSFER_RUNNING,   /* in curl's hands */
        TRANSFER_ENDED,     /* its result is there; the callback comes, or came, from the event loop */
        TRANSFER_ABANDONED, /* freed from inside curl; goes away as soon as curl has returned */
} TransferState;

struct HttpClient {
        sd_event *event;
        CurlLoop *loop;
        CURLSH *share; /* TLS sessions: a connection that is made again takes half the work */
        char *ca_bundle;
        HttpTrust trust;
        char *user_agent;
        HttpTransfer *transfers; /* all of them */
        bool curl_is_up;
};

struct HttpTransfer {
        HttpClient *client;
        HttpTransfer *next;
        TransferState state;
        CURL *easy;
        HttpTrust trust;
        struct curl_slist *sent_headers;
        char curl_detail[CURL_ERROR_SIZE];
        char *peer;

        HttpTimeouts timeouts;
        HttpUpload upload;
        HttpAnswer answer;
        HttpSink sink;
        void *sink_userdata;

        int result; /* set by a callback of ours before curl ends, else 0 */
        Error error;
        sd_event_source *done_source;
        HttpDone done;
        void *userdata;
};

static HttpTransfer *transfer_destroy(HttpTransfer *transfer) {
        HttpTransfer **link = &transfer->client->transfers;

        while (*link && *link != transfer)
                link = &(*link)->next;
        if (*link)
                *link = transfer->next;
        if (transfer->easy)
                curl_easy_cleanup(transfer->easy);
        sd_event_source_disable_unref(transfer->done_source);
        for (struct curl_slist *header = transfer->sent_headers; header; header = header->next)
                OPENSSL_cleanse(header->data, strlen(header->data)); /* tokens and signatures */
        curl_slist_free_all(transfer->sent_headers);
        http_upload_deinit(&transfer->upload);
        http_answer_deinit(&transfer->answer);
        free(transfer->peer);
        free(transfer);
        return NULL;
}

HttpTransfer *http_transfer_free(HttpTransfer *transfer) {
        if (!transfer)
                return NULL;
        if (transfer->state == TRANSFER_RUNNING) {
                if (curl_loop_is_busy(transfer->client->loop)) {
                        transfer->state = TRANSFER_ABANDONED;
                        return NULL;
                }
                curl_loop_remove(transfer->client->loop, transfer->easy);
        }
        return transfer_destroy(transfer);
}

static int on_done(_unused_ sd_event_source *source, void *userdata) {
        HttpTransfer *transfer = userdata;

        transfer->done(transfer, transfer->result, &transfer->error, transfer->userdata);
        return 0;
}

/* The caller hears of it from the event loop, so that it may free this transfer, or everything. */
static void transfer_end(HttpTransfer *transfer) {
        transfer->state = TRANSFER_ENDED;
        (void) sd_event_source_set_enabled(transfer->done_source, SD_EVENT_ONESHOT);
}

bool http_transfer_was_connected(const HttpTransfer *transfer) {
        curl_off_t connect = 0, handshake = 0;

        (void) curl_easy_getinfo(transfer->easy, CURLINFO_CONNECT_TIME_T, &connect);
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &handshake);
        return connect > 0 && handshake > 0;
}

static void explain_failure(HttpTransfer *transfer, CURLcode code) {
        HttpFailure failure = {
                .code = code,
                .detail = transfer->curl_detail,
                .peer = transfer->peer,
                .timeouts = transfer->timeouts,
                .answered = transfer->answer.status > 0,
                .received = transfer->answer.received,
        };
        curl_off_t total = 0, length = -1;
        long os_errno = 0, proxy_status = 0;

        (void) curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &os_errno);
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &total);
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        failure.os_errno = (int) os_errno;
        failure.proxy_status = (int) proxy_status;
        failure.connected = http_transfer_was_connected(transfer);
        failure.elapsed = (uint64_t) total;
        failure.content_length = length;
        transfer->result = http_failure_explain(&failure, &transfer->error);
}

static void transfer_run(HttpTransfer *transfer) {
        transfer->state = TRANSFER_RUNNING;
        if (curl_loop_add(transfer->client->loop, transfer->easy) == 0)
                return;
        transfer->result = error_oom(&transfer->error);
        transfer_end(transfer);
}

/* The folder knows nobody who vouches for the peer. The bundle may: some add to it by hand, and a folder may have no
 * hashes. Nothing of the request has been sent yet. */
static void try_bundle(HttpTransfer *transfer) {
        transfer->trust = transfer->client->trust = HTTP_TRUST_BUNDLE;
        http_easy_set_trust(transfer->easy, HTTP_TRUST_BUNDLE, NULL);
        transfer_run(transfer);
}

static void on_ended(CURL *easy, CURLcode code, _unused_ void *userdata) {
        HttpTransfer *transfer = NULL;

        (void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &transfer);
        if (transfer->state == TRANSFER_ABANDONED) {
                transfer_destroy(transfer);
                return;
        }
        if (code == CURLE_PEER_FAILED_VERIFICATION && transfer->trust == HTTP_TRUST_FOLDER) {
                try_bundle(transfer);
                return;
        }
        if (transfer->result == 0 && code != CURLE_OK)
                explain_failure(transfer, code);
        transfer_end(transfer);
}

/* The first transfer for which something had to wait until curl returned. */
static HttpTransfer *find_due(const HttpClient *client) {
        HttpTransfer *transfer = client->transfers;

        while (transfer && transfer->state != TRANSFER_WAITING && transfer->state != TRANSFER_ABANDONED)
                transfer = transfer->next;
        return transfer;
}

static void on_idle(void *userdata) {
        HttpClient *client = userdata;
        HttpTransfer *transfer;

        while ((transfer = find_due(client))) {
                if (transfer->state == TRANSFER_WAITING) {
                        transfer_run(transfer);
                } else {
                        curl_loop_remove(client->loop, transfer->easy);
                        transfer_destroy(transfer);
                }
        }
}

/* Remembers why this transfer is ended from within one of curl's callbacks. */
static void fail(HttpTransfer *transfer, int r) {
        transfer->result = r;
        error_prefix(&transfer->error, "%s", transfer->peer);
}

static size_t on_header(char *line, size_t one, size_t size, void *userdata) {
        HttpTransfer *transfer = userdata;
        int r;

        if (transfer->state == TRANSFER_ABANDONED)
                return 0;
        r = http_answer_take_line(&transfer->answer, line, one * size, &transfer->error);
        if (r >= 0)
                return one * size;
        fail(transfer, r);
        return 0;
}

static int take_body(HttpTransfer *transfer, const void *data, size_t size) {
        HttpAnswer *answer = &transfer->answer;
        curl_off_t length = -1;
        int r;

        if (transfer->sink && http_answer_is_success(answer)) {
                r = transfer->sink(transfer, data, size, transfer->sink_userdata);
                if (r < 0)
                        return error_set_errno(&transfer->error, r, "the answer could not be taken");
                answer->sunk += size;
                return 0;
        }
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        return http_answer_keep(answer, data, size, length, &transfer->error);
}

static size_t on_body(char *data, size_t one, size_t size, void *userdata) {
        HttpTransfer *transfer = userdata;
        int r;

        if (transfer->state == TRANSFER_ABANDONED)
                return 0;
        r = take_body(transfer, data, one * size);
        if (transfer->state == TRANSFER_ABANDONED)
                return 0;
        if (r < 0) {
                fail(transfer, r);
                return 0;
        }
        transfer->answer.received += one * size;
        return one * size;
}

static size_t on_read(char *buffer, size_t one, size_t size, void *userdata) {
        HttpTransfer *transfer = userdata;
        ssize_t n;

        if (transfer->state == TRANSFER_ABANDONED)
                return CURL_READFUNC_ABORT;
        n = http_upload_read(&transfer->upload, buffer, one * size, &transfer->error);
        if (n >= 0)
                return (size_t) n;
        fail(transfer, (int) n);
        return CURL_READFUNC_ABORT;
}

/* curl sends the body again where a kept connection turned out to be dead. */
static int on_seek(void *userdata, curl_off_t offset, int origin) {
        HttpTransfer *transfer = userdata;

        if (origin != SEEK_SET || offset < 0 || http_upload_seek(&transfer->upload, (uint64_t) offset) < 0)
                return CURL_SEEKFUNC_CANTSEEK;
        return CURL_SEEKFUNC_OK;
}

static int add_sent_header(HttpTransfer *transfer, const char *header) {
        struct curl_slist *grown = curl_slist_append(transfer->sent_headers, header);

        if (!grown)
                return -ENOMEM;
        transfer->sent_headers = grown;
        return 0;
}

/* curl asks "Expect: 100-continue" before every body of a PUT; that costs a round trip, and pays for large ones only. */
static int copy_headers(HttpTransfer *transfer, const HttpRequest *request, Error *error) {
        STRV_FOREACH(header, request->headers) {
                if (strpbrk(*header, "\r\n") || !strchr(*header, ':'))
                        return error_set(error, -EINVAL,
                                         "bad HTTP header, expected \"Name: value\" in one line");
                if (add_sent_header(transfer, *header) < 0)
                        return error_oom(error);
        }
        if (request->body.size <= EXPECT_ABOVE && add_sent_header(transfer, "Expect:") < 0)
                return error_oom(error);
        return 0;
}

static int copy_peer(HttpTransfer *transfer, const char *url, Error *error) {
        _cleanup_url_ Url parsed = {};
        int r;

        r = url_parse(url, &parsed, error);
        if (r < 0)
                return r;
        if (asprintf(&transfer->peer, "%s://%s", parsed.scheme, parsed.authority) < 0) {
                transfer->peer = NULL;
                return error_oom(error);
        }
        return 0;
}

#define SET(option, value) (void) curl_easy_setopt(easy, (option), (value))

static void set_callbacks(CURL *easy, HttpTransfer *transfer) {
        SET(CURLOPT_PRIVATE, transfer);
        SET(CURLOPT_ERRORBUFFER, transfer->curl_detail);
        SET(CURLOPT_HEADERFUNCTION, on_header);
        SET(CURLOPT_HEADERDATA, transfer);
        SET(CURLOPT_WRITEFUNCTION, on_body);
        SET(CURLOPT_WRITEDATA, transfer);
        SET(CURLOPT_READFUNCTION, on_read);
        SET(CURLOPT_READDATA, transfer);
        SET(CURLOPT_SEEKFUNCTION, on_seek);
        SET(CURLOPT_SEEKDATA, transfer);
}

static int set_easy(HttpTransfer *transfer, const HttpRequest *request) {
        const HttpClient *client = transfer->client;
        const HttpEasyOptions options = {
                .request = request,
                .timeouts = transfer->timeouts,
                .headers = transfer->sent_headers,
                .user_agent = client->user_agent,
                .share = client->share,
                .trust = client->trust,
                .ca_bundle = client->ca_bundle,
        };

        transfer->trust = client->trust;
        transfer->easy = http_easy_new(&options);
        if (!transfer->easy)
                return -ENOMEM;
        set_callbacks(transfer->easy, transfer);
        return 0;
}

static int add_done_source(HttpTransfer *transfer) {
        int r;

        r = sd_event_add_defer(transfer->client->event, &transfer->done_source, on_done, transfer);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(transfer->done_source, SD_EVENT_OFF);
}

static int transfer_new(HttpClient *client, const HttpRequest *request, HttpTransfer **ret) {
        HttpTransfer *transfer;

        transfer = malloc(sizeof(*transfer));
        if (!transfer)
                return -ENOMEM;
        *transfer = (HttpTransfer){
                .client = client,
                .next = client->transfers,
                .state = TRANSFER_WAITING,
                .upload.fd = -1,
                .answer.limit = request->response_limit > 0 ? request->response_limit : HTTP_RESPONSE_MAX,
                .sink = request->sink,
                .sink_userdata = request->sink_userdata,
        };
        client->transfers = transfer;
        *ret = transfer;
        return 0;
}

int http_start(HttpClient *client, const HttpRequest *request, HttpDone done, void *userdata,
               HttpTransfer **ret, Error *error) {
        _cleanup_(http_transfer_freep) HttpTransfer *transfer = NULL;
        int r;

        r = transfer_new(client, request, &transfer);
        if (r < 0)
                return error_oom(error);
        transfer->done = done;
        transfer->userdata = userdata;
        transfer->timeouts = http_easy_timeouts(request);
        r = copy_peer(transfer, request->url, error);
        if (r < 0)
                return r;
        r = copy_headers(transfer, request, error);
        if (r < 0)
                return r;
        r = http_upload_init(&transfer->upload, request, error);
        if (r < 0)
                return r;
        r = set_easy(transfer, request);
        if (r >= 0)
                r = add_done_source(transfer);
        if (r < 0)
                return error_set_errno(error, r, "%s: cannot prepare a request", transfer->peer);
        if (!curl_loop_is_busy(client->loop))
                transfer_run(transfer);
        *ret = TAKE_PTR(transfer);
        return 0;
}

unsigned http_transfer_resends(const HttpTransfer *transfer) {
        return transfer->upload.resends;
}

int http_transfer_status(const HttpTransfer *transfer) {
        return transfer->answer.status;
}

const char *http_transfer_header(const HttpTransfer *transfer, const char *name) {
        return http_answer_header(&transfer->answer, name);
}

const Buffer *http_transfer_body(const HttpTransfer *transfer) {
        return &transfer->answer.body;
}

uint64_t http_transfer_sunk(const HttpTransfer *transfer) {
        return transfer->answer.sunk;
}

static int copy_options(HttpClient *client, const HttpOptions *options) {
        const char *agent = options && options->user_agent ? options->user_agent : "muster/" MUSTER_VERSION;
        int r;

        client->trust = http_easy_first_trust(options ? options->ca_bundle : NULL);
        r = string_set(&client->user_agent, agent);
        return r < 0 ? r : string_set(&client->ca_bundle, options ? options->ca_bundle : NULL);
}

int http_client_new(sd_event *event, const HttpOptions *options, HttpClient **ret, Error *error) {
        static const CurlLoopCallbacks callbacks = { .ended = on_ended, .idle = on_idle };
        _cleanup_(http_client_freep) HttpClient *client = NULL;
        int r;

        if (options && options->ca_bundle && access(options->ca_bundle, R_OK) < 0)
                return error_set_errno(error, -errno, "cannot read the CA bundle %s", options->ca_bundle);
        client = malloc(sizeof(*client));
        if (!client)
                return error_oom(error);
        *client = (HttpClient){ .event = sd_event_ref(event) };
        client->curl_is_up = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
        if (!client->curl_is_up)
                return error_oom(error);
        client->share = curl_share_init();
        if (!client->share)
                return error_oom(error);
        (void) curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
        r = copy_options(client, options);
        if (r >= 0)
                r = curl_loop_new(event, &callbacks, client, &client->loop);
        if (r < 0)
                return error_set_errno(error, r, "cannot set up HTTP");
        *ret = TAKE_PTR(client);
        return 0;
}

HttpClient *http_client_free(HttpClient *client) {
        if (!client)
                return NULL;
        curl_loop_free(client->loop);
        (void) curl_share_cleanup(client->share);
        if (client->curl_is_up)
                curl_global_cleanup();
        free(client->ca_bundle);
        free(client->user_agent);
        sd_event_unref(client->event);
        free(client);
        return NULL;
}

sd_event *http_client_event(const HttpClient *client) {
        return client->event;
}
