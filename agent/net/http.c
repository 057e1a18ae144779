#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

#include "agent/base/strv.h"
#include "agent/net/curl_loop.h"
#include "agent/net/http.h"
#include "agent/net/http_failure.h"
#include "agent/net/url.h"

#define RECEIVE_BUFFER_SIZE (64L * 1024L)
#define KEEPALIVE_IDLE 30L /* seconds */
#define KEEPALIVE_INTERVAL 10L

typedef enum TransferState {
        TRANSFER_WAITING,   /* to be added as soon as curl has returned */
        TRANSFER_RUNNING,   /* in curl's hands */
        TRANSFER_ENDED,     /* its result is there; the callback comes, or came, from the event loop */
        TRANSFER_ABANDONED, /* freed from inside curl; goes away as soon as curl has returned */
} TransferState;

struct HttpClient {
        sd_event *event;
        CurlLoop *loop;
        char *ca_bundle;
        char *user_agent;
        HttpTransfer *transfers; /* all of them */
        bool curl_is_up;
};

struct HttpTransfer {
        HttpClient *client;
        HttpTransfer *next;
        TransferState state;
        CURL *easy;
        struct curl_slist *sent_headers;
        char curl_detail[CURL_ERROR_SIZE];
        char *peer;

        HttpTimeouts timeouts;
        uint8_t *body_data; /* NULL: body_fd */
        int body_fd;
        uint64_t body_size, body_offset, body_sent;
        HttpProgress progress;
        void *progress_userdata;

        int status;
        char **headers; /* of the last answer */
        size_t headers_size;
        bool headers_complete;
        Buffer body;
        size_t limit;
        HttpSink sink;
        void *sink_userdata;
        bool resume;       /* wanted as soon as curl has returned */
        uint64_t received; /* bytes of the last answer's body */
        uint64_t sunk;

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
        strv_free(transfer->headers);
        if (transfer->body_data)
                OPENSSL_cleanse(transfer->body_data, transfer->body_size);
        free(transfer->body_data);
        close_fd(transfer->body_fd);
        if (transfer->body.data)
                OPENSSL_cleanse(transfer->body.data, transfer->body.allocated);
        buffer_deinit(&transfer->body);
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
                .answered = transfer->status > 0,
                .received = transfer->received,
        };
        curl_off_t total = 0, length = -1;
        long os_errno = 0;

        (void) curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &os_errno);
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &total);
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        failure.os_errno = (int) os_errno;
        failure.connected = http_transfer_was_connected(transfer);
        failure.elapsed = (uint64_t) total;
        failure.content_length = length;
        transfer->result = http_failure_explain(&failure, &transfer->error);
}

static void on_ended(CURL *easy, CURLcode code, _unused_ void *userdata) {
        HttpTransfer *transfer = NULL;

        (void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &transfer);
        if (transfer->state == TRANSFER_ABANDONED) {
                transfer_destroy(transfer);
                return;
        }
        if (transfer->result == 0 && code != CURLE_OK)
                explain_failure(transfer, code);
        transfer_end(transfer);
}

static void transfer_run(HttpTransfer *transfer) {
        transfer->state = TRANSFER_RUNNING;
        if (curl_loop_add(transfer->client->loop, transfer->easy) == 0)
                return;
        transfer->result = error_oom(&transfer->error);
        transfer_end(transfer);
}

static void transfer_resume(HttpTransfer *transfer) {
        CURLcode code;

        transfer->resume = false;
        code = curl_loop_resume(transfer->client->loop, transfer->easy);
        if (code == CURLE_OK || transfer->state != TRANSFER_RUNNING)
                return;
        curl_loop_remove(transfer->client->loop, transfer->easy);
        if (transfer->result == 0)
                explain_failure(transfer, code);
        transfer_end(transfer);
}

/* The first transfer for which something had to wait until curl returned. */
static HttpTransfer *find_due(const HttpClient *client) {
        HttpTransfer *transfer = client->transfers;

        while (transfer && transfer->state != TRANSFER_WAITING && transfer->state != TRANSFER_ABANDONED &&
               !(transfer->state == TRANSFER_RUNNING && transfer->resume))
                transfer = transfer->next;
        return transfer;
}

static void on_idle(void *userdata) {
        HttpClient *client = userdata;
        HttpTransfer *transfer;

        while ((transfer = find_due(client)))
                if (transfer->state == TRANSFER_WAITING)
                        transfer_run(transfer);
                else if (transfer->state == TRANSFER_ABANDONED) {
                        curl_loop_remove(client->loop, transfer->easy);
                        transfer_destroy(transfer);
                } else
                        transfer_resume(transfer);
}

/* ---- */

static bool is_status_line(const char *line, size_t size) {
        return size > 5 && memcmp(line, "HTTP/", 5) == 0;
}

static int add_header(HttpTransfer *transfer, const char *line, size_t size) {
        long status = 0;

        if (is_status_line(line, size)) { /* also after a 100 Continue */
                transfer->headers = strv_free(transfer->headers);
                transfer->headers_size = 0;
                transfer->headers_complete = false;
                (void) curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
                transfer->status = (int) status;
                return 0;
        }
        while (size > 0 && (line[size - 1] == '\r' || line[size - 1] == '\n'))
                size--;
        if (size == 0)
                transfer->headers_complete = true;
        if (transfer->headers_complete) /* what follows are trailers */
                return 0;
        transfer->headers_size += size;
        if (transfer->headers_size > HTTP_HEADERS_MAX)
                return error_set(&transfer->error, -E2BIG, "%s: more than %u bytes of headers",
                                 transfer->peer, HTTP_HEADERS_MAX);
        return strv_appendf(&transfer->headers, "%.*s", (int) size, line);
}

static size_t on_header(char *line, size_t one, size_t size, void *userdata) {
        HttpTransfer *transfer = userdata;
        int r;

        if (transfer->state == TRANSFER_ABANDONED)
                return 0;
        r = add_header(transfer, line, one * size);
        if (r >= 0)
                return one * size;
        transfer->result = r == -ENOMEM ? error_oom(&transfer->error) : r;
        return 0;
}

static bool is_success(int status) {
        return status >= 200 && status < 300;
}

/* All at once where the length is known: growing would leave copies of what may be a secret in freed memory. */
static int reserve_body(HttpTransfer *transfer) {
        curl_off_t length = -1;

        if (transfer->body.size > 0)
                return 0;
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        if (length <= 0)
                return 0;
        return (uint64_t) length > transfer->limit ? -E2BIG
                                                   : buffer_reserve(&transfer->body, (size_t) length);
}

static int take_body(HttpTransfer *transfer, const void *data, size_t size) {
        int r;

        if (transfer->sink && is_success(transfer->status)) {
                r = transfer->sink(transfer, data, size, transfer->sink_userdata);
                if (r < 0)
                        return error_set_errno(&transfer->error, r, "%s: the answer could not be taken",
                                               transfer->peer);
                transfer->sunk += size;
                return 0;
        }
        r = reserve_body(transfer);
        if (r >= 0)
                r = buffer_append(&transfer->body, data, size, transfer->limit);
        if (r == -E2BIG)
                return error_set(&transfer->error, r, "%s: the answer is larger than %zu bytes",
                                 transfer->peer, transfer->limit);
        return r < 0 ? error_oom(&transfer->error) : 0;
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
                transfer->result = r;
                return 0;
        }
        transfer->received += one * size;
        return one * size;
}

static ssize_t read_body(HttpTransfer *transfer, char *buffer, size_t size) {
        ssize_t n;

        if (transfer->body_data) {
                memcpy(buffer, transfer->body_data + transfer->body_sent, size);
                return (ssize_t) size;
        }
        do
                n = pread(transfer->body_fd, buffer, size,
                          (off_t) (transfer->body_offset + transfer->body_sent));
        while (n < 0 && errno == EINTR);
        return n;
}

static size_t on_read(char *buffer, size_t one, size_t size, void *userdata) {
        HttpTransfer *transfer = userdata;
        size_t wanted = (size_t) MIN((uint64_t) (one * size), transfer->body_size - transfer->body_sent);
        ssize_t n;

        if (wanted == 0)
                return 0;
        if (transfer->state == TRANSFER_ABANDONED)
                return CURL_READFUNC_ABORT;
        n = read_body(transfer, buffer, wanted);
        if (n <= 0) {
                transfer->result =
                        error_set(&transfer->error, -EIO, "%s: cannot read the body to send: %s",
                                  transfer->peer, n < 0 ? strerror(errno) : "the file got shorter");
                return CURL_READFUNC_ABORT;
        }
        transfer->body_sent += (uint64_t) n;
        if (transfer->progress)
                transfer->progress(transfer->body_sent, transfer->body_size, transfer->progress_userdata);
        return (size_t) n;
}

/* curl sends the body again where a kept connection turned out to be dead. */
static int on_seek(void *userdata, curl_off_t offset, int origin) {
        HttpTransfer *transfer = userdata;

        if (origin != SEEK_SET || offset < 0 || (uint64_t) offset > transfer->body_size)
                return CURL_SEEKFUNC_CANTSEEK;
        transfer->body_sent = (uint64_t) offset;
        return CURL_SEEKFUNC_OK;
}

/* ---- */

static uint64_t or_default(uint64_t value, uint64_t otherwise) {
        return value > 0 ? value : otherwise;
}

static void set_timeouts(HttpTransfer *transfer, const HttpRequest *request) {
        HttpTimeouts *t = &transfer->timeouts;

        t->connect = or_default(request->timeouts.connect, HTTP_CONNECT_TIMEOUT);
        t->stall = or_default(request->timeouts.stall, HTTP_STALL_TIMEOUT);
        t->total =
                or_default(request->timeouts.total,
                           HTTP_TOTAL_TIMEOUT + request->body.size / HTTP_LOWEST_UPLOAD_RATE * USEC_PER_SEC);
}

/* For curl, which takes 0 as "none", or as its own default. */
static long timeout_msec(uint64_t usec) {
        if (usec >= (uint64_t) INT32_MAX * USEC_PER_MSEC)
                return INT32_MAX;
        return usec < USEC_PER_MSEC ? 1 : (long) (usec / USEC_PER_MSEC);
}

static int copy_body(HttpTransfer *transfer, const HttpBody *body, Error *error) {
        transfer->body_size = body->size;
        if (body->size == 0)
                return 0;
        if (!body->data) {
                transfer->body_offset = body->offset;
                transfer->body_fd = fcntl(body->fd, F_DUPFD_CLOEXEC, 3);
                return transfer->body_fd < 0 ? error_set_errno(error, -errno, "cannot duplicate a descriptor")
                                             : 0;
        }
        transfer->body_data = malloc(body->size);
        if (!transfer->body_data)
                return error_oom(error);
        memcpy(transfer->body_data, body->data, body->size);
        transfer->progress = NULL;
        return 0;
}

static int copy_headers(HttpTransfer *transfer, char *const *headers, Error *error) {
        STRV_FOREACH(header, headers) {
                struct curl_slist *grown;

                if (strpbrk(*header, "\r\n") || !strchr(*header, ':'))
                        return error_set(error, -EINVAL,
                                         "bad HTTP header, expected \"Name: value\" in one line");
                grown = curl_slist_append(transfer->sent_headers, *header);
                if (!grown)
                        return error_oom(error);
                transfer->sent_headers = grown;
        }
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

/* What is the same for every request. */
static void set_constants(CURL *easy, const HttpClient *client) {
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
        SET(CURLOPT_USERAGENT, client->user_agent);
        if (client->ca_bundle)
                SET(CURLOPT_CAINFO, client->ca_bundle);
}

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

static void set_request(CURL *easy, const HttpTransfer *transfer, const HttpRequest *request) {
        bool upload = transfer->body_size > 0 || string_equal(request->method, "PUT") ||
                      string_equal(request->method, "POST");

        SET(CURLOPT_URL, request->url);
        SET(CURLOPT_HTTPHEADER, transfer->sent_headers);
        SET(CURLOPT_CONNECTTIMEOUT_MS, timeout_msec(transfer->timeouts.connect));
        SET(CURLOPT_TIMEOUT_MS, timeout_msec(transfer->timeouts.total));
        SET(CURLOPT_LOW_SPEED_LIMIT, (long) HTTP_STALL_RATE);
        SET(CURLOPT_LOW_SPEED_TIME, MAX(timeout_msec(transfer->timeouts.stall) / 1000, 1L));
        if (request->no_proxy)
                SET(CURLOPT_NOPROXY, "*");
        if (upload) {
                SET(CURLOPT_UPLOAD, 1L);
                SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t) transfer->body_size);
        } else if (string_equal(request->method, "HEAD"))
                SET(CURLOPT_NOBODY, 1L);
        SET(CURLOPT_CUSTOMREQUEST, request->method);
}

static int set_easy(HttpTransfer *transfer, const HttpRequest *request) {
        transfer->easy = curl_easy_init();
        if (!transfer->easy)
                return -ENOMEM;
        set_constants(transfer->easy, transfer->client);
        set_callbacks(transfer->easy, transfer);
        set_request(transfer->easy, transfer, request);
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
                .body_fd = -1,
                .progress = request->progress,
                .progress_userdata = request->progress_userdata,
                .limit = request->response_limit > 0 ? request->response_limit : HTTP_RESPONSE_MAX,
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
        set_timeouts(transfer, request);
        r = copy_peer(transfer, request->url, error);
        if (r < 0)
                return r;
        r = copy_headers(transfer, request->headers, error);
        if (r < 0)
                return r;
        r = copy_body(transfer, &request->body, error);
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

void http_transfer_pause(HttpTransfer *transfer, bool pause) {
        transfer->resume = !pause;
        if (transfer->state == TRANSFER_RUNNING && pause)
                (void) curl_easy_pause(transfer->easy, CURLPAUSE_RECV);
        else if (!curl_loop_is_busy(transfer->client->loop))
                on_idle(transfer->client);
}

int http_transfer_status(const HttpTransfer *transfer) {
        return transfer->status;
}

const char *http_transfer_header(const HttpTransfer *transfer, const char *name) {
        size_t n = strlen(name);

        STRV_FOREACH(header, transfer->headers)
                if (strncasecmp(*header, name, n) == 0 && (*header)[n] == ':')
                        return *header + n + 1 + strspn(*header + n + 1, " \t");
        return NULL;
}

const Buffer *http_transfer_body(const HttpTransfer *transfer) {
        return &transfer->body;
}

uint64_t http_transfer_sunk(const HttpTransfer *transfer) {
        return transfer->sunk;
}

/* ---- */

static int copy_options(HttpClient *client, const HttpOptions *options) {
        const char *agent = options && options->user_agent ? options->user_agent : "muster/" MUSTER_VERSION;
        int r;

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
