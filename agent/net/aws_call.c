#include <fcntl.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/net/aws_call.h"
#include "agent/net/digest.h"
#include "agent/net/http_date.h"
#include "agent/net/sigv4.h"
#include "agent/net/url.h"

#define SHA256_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct AwsCall {
        AwsContext *aws;
        AwsRequest request; /* its strings are the ones below */
        char *operation, *method, *bucket, *path, *query, *region;
        char **headers;
        uint8_t *body_data;
        int body_fd;
        char payload_hash[DIGEST_HEX_SIZE];

        /* One of these is under way. */
        ImdsRequest *region_request;
        CredentialRequest *credential_request;
        HttpTransfer *transfer;
        sd_event_source *timer;
        AwsCall *region_call;

        Credentials credentials; /* of this attempt */
        uint64_t sent_at;        /* wall clock */
        int64_t observed_skew;
        unsigned attempts;
        unsigned resends; /* that curl has made on its own */
        unsigned retries;
        unsigned quota_taken;
        bool fixed_skew, fixed_credentials, fixed_region;
        bool refused;
        AwsError refusal;
        AwsDone done;
        void *userdata;
};

static char **headers_free(char **headers) {
        STRV_FOREACH(header, headers)
                OPENSSL_cleanse(*header, strlen(*header)); /* tokens and signatures */
        return strv_free(headers);
}
DEFINE_CLEANUP(char **, headers_free)

AwsCall *aws_call_free(AwsCall *call) {
        if (!call)
                return NULL;
        imds_request_free(call->region_request);
        credential_request_free(call->credential_request);
        http_transfer_free(call->transfer);
        sd_event_source_disable_unref(call->timer);
        aws_call_free(call->region_call);
        credentials_deinit(&call->credentials);
        free(call->operation);
        free(call->method);
        free(call->bucket);
        free(call->path);
        free(call->query);
        free(call->region);
        strv_free(call->headers);
        free(call->body_data);
        close_fd(call->body_fd);
        free(call);
        return NULL;
}

static void prefix(const AwsCall *call, Error *error) {
        const char *service = aws_service_title(call->request.service);

        if (call->attempts > 1)
                error_prefix(error, "%s %s (%u attempts)", service, call->operation, call->attempts);
        else
                error_prefix(error, "%s %s", service, call->operation);
}

static void finish(AwsCall *call, int result, Error *error) {
        if (result < 0)
                prefix(call, error);
        call->done(call, result, error, call->userdata);
}

static int advance(AwsCall *call, Error *error);

static void go_on(AwsCall *call) {
        Error error = {};
        int r;

        r = advance(call, &error);
        if (r < 0)
                finish(call, r, &error);
}

/* ---- where to: the region */

static const char *region_of(const AwsCall *call) {
        const char *region = NULL;

        if (call->region)
                return call->region;
        if (call->bucket)
                region = aws_context_bucket_region(call->aws, call->bucket);
        return region ? region : aws_context_region(call->aws);
}

static int no_region(int r, Error *error) {
        error_prefix(error,
                     "no AWS region: looked in the configuration, AWS_REGION, AWS_DEFAULT_REGION and the "
                     "instance's metadata");
        return r;
}

static void on_region(ImdsRequest *request, int result, const Error *imds_error, void *userdata) {
        AwsCall *call = userdata;
        Error error = *imds_error;

        if (result == IMDS_ABSENT || (result == 0 && !aws_region_is_valid(imds_request_value(request))))
                result = error_set(&error, -ENODATA, "it has none");
        if (result == 0 && aws_context_set_region(call->aws, imds_request_value(request)) < 0)
                result = error_oom(&error);
        call->region_request = imds_request_free(call->region_request);
        if (result < 0)
                finish(call, no_region(result, &error), &error);
        else
                go_on(call);
}

static int ask_region(AwsCall *call, Error *error) {
        int r;

        r = imds_get_start(aws_context_imds(call->aws), "meta-data/placement/region", on_region, call,
                           &call->region_request, error);
        return r < 0 ? no_region(r, error) : 0;
}

/* ---- as whom: the credentials */

static void on_credentials(CredentialRequest *request, int result, const Error *chain_error, void *userdata) {
        AwsCall *call = userdata;
        Error error = *chain_error;

        if (result == 0 && credentials_copy(credential_request_get(request), &call->credentials) < 0)
                result = error_oom(&error);
        call->credential_request = credential_request_free(call->credential_request);
        if (result < 0)
                finish(call, result, &error);
        else
                go_on(call);
}

/* ---- what: the signed request */

static int sign(AwsCall *call, const Url *url, uint64_t time, char ***headers) {
        SigV4Scope scope = {
                .time = time,
                .region = region_of(call),
                .service = aws_service_signing_name(call->request.service),
        };
        SigV4Request request = {
                .method = call->method,
                .path = url->path,
                .query = url->query,
                .headers = *headers,
                .payload_hash = call->payload_hash,
                .normalize_path = call->request.service != AWS_S3,
                .encode_path = call->request.service != AWS_S3,
        };
        _cleanup_free_ char *authorization = NULL;
        int r;

        r = sigv4_sign(&request, &scope, &call->credentials, &authorization);
        return r < 0 ? r : strv_appendf(headers, "Authorization: %s", authorization);
}

static int make_headers(AwsCall *call, const Url *url, uint64_t time, char ***ret) {
        _cleanup_(headers_freep) char **headers = NULL;
        char time_text[SIGV4_TIME_MAX];
        int r;

        sigv4_format_time(time, time_text);
        r = strv_appendf(&headers, "Host: %s", url->authority);
        if (r >= 0)
                r = strv_appendf(&headers, "X-Amz-Date: %s", time_text);
        if (r >= 0 && call->credentials.session_token)
                r = strv_appendf(&headers, "X-Amz-Security-Token: %s", call->credentials.session_token);
        if (r >= 0 && call->request.service == AWS_S3)
                r = strv_appendf(&headers, "X-Amz-Content-Sha256: %s", call->payload_hash);
        STRV_FOREACH(header, call->headers)
                if (r >= 0)
                        r = strv_append(&headers, *header);
        if (r >= 0)
                r = sign(call, url, time, &headers);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(headers);
        return 0;
}

static int make_url(const AwsCall *call, char **ret, Error *error) {
        _cleanup_free_ char *url = NULL;
        int r;

        r = endpoint_url(aws_context_endpoints(call->aws), call->request.service, region_of(call),
                         call->bucket, call->path, &url, error);
        if (r < 0)
                return r;
        if (!call->query) {
                *ret = TAKE_PTR(url);
                return 0;
        }
        if (asprintf(ret, "%s?%s", url, call->query) < 0) {
                *ret = NULL;
                return error_oom(error);
        }
        return 0;
}

static void on_answer(HttpTransfer *transfer, int result, const Error *http_error, void *userdata);

static int send_signed(AwsCall *call, Error *error) {
        _cleanup_(headers_freep) char **headers = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_url_ Url url = {};
        HttpRequest http = {
                .method = call->method,
                .body = call->request.body,
                .timeouts = call->request.timeouts,
                .response_limit = call->request.response_limit,
                .sink = call->request.sink,
                .sink_userdata = call->request.sink_userdata,
                .progress = call->request.progress,
                .progress_userdata = call->request.progress_userdata,
        };
        int r;

        r = make_url(call, &text, error);
        if (r >= 0)
                r = url_parse(text, &url, error);
        if (r < 0)
                return r;
        call->sent_at = clock_realtime(aws_context_clock(call->aws));
        r = make_headers(call, &url, call->sent_at + (uint64_t) aws_context_skew(call->aws), &headers);
        if (r < 0)
                return error_set_errno(error, r, "cannot sign the request");
        http.url = text;
        http.headers = headers;
        call->attempts++;
        call->transfer = http_transfer_free(call->transfer);
        return http_start(aws_context_http(call->aws), &http, on_answer, call, &call->transfer, error);
}

static int advance(AwsCall *call, Error *error) {
        if (!region_of(call))
                return ask_region(call, error);
        if (!call->credentials.access_key_id)
                return credentials_start(aws_context_credentials(call->aws), on_credentials, call,
                                         &call->credential_request, error);
        return send_signed(call, error);
}

/* ---- what came of it */

/* Between sending and the answer, the services' clock said Date. */
static int64_t observe_skew(const AwsCall *call) {
        const char *date = http_transfer_header(call->transfer, "Date");
        uint64_t now = clock_realtime(aws_context_clock(call->aws)), server;

        if (!date || http_date_parse(date, &server) < 0)
                return 0;
        return (int64_t) server - (int64_t) (call->sent_at / 2 + now / 2);
}

static RetryVerdict judge(AwsCall *call, int result) {
        RetryFacts facts = { .result = result, .code = "" };

        call->refused = false;
        if (result == 0) {
                const Buffer *body = http_transfer_body(call->transfer);
                int status = http_transfer_status(call->transfer);

                call->refused =
                        !((status >= 200 && status < 300) || status == 304) ||
                        (call->request.error_in_body && aws_error_in_body(buffer_string(body), body->size));
                if (call->refused) {
                        aws_error_read(call->transfer, &call->refusal);
                        facts.code = call->refusal.code;
                }
                facts.status = status;
                call->observed_skew = observe_skew(call);
                facts.skew = call->observed_skew == 0 ? 0 : call->observed_skew - aws_context_skew(call->aws);
                facts.has_other_region = call->refused && call->bucket && call->refusal.region[0] &&
                                         !string_equal(call->refusal.region, region_of(call));
        }
        return retry_judge(&facts);
}

/* One sentence about a refusal; what to do about it is added by those who know the operation. */
static int explain(AwsCall *call, Error *error) {
        const AwsError *e = &call->refusal;
        int r = aws_error_result(e);

        if (e->code[0])
                error_set(error, r, "%s: %s (status %d%s%s)", e->code,
                          e->message[0] ? e->message : "no reason given", e->status,
                          e->request_id[0] ? ", request " : "", e->request_id);
        else
                error_set(error, r, "status %d%s%s", e->status, e->request_id[0] ? ", request " : "",
                          e->request_id);
        if (error && error->fault == FAULT_UNKNOWN && r == -EREMOTEIO)
                error_blame(error, FAULT_HOST);
        return r;
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        AwsCall *call = userdata;

        call->timer = sd_event_source_disable_unref(call->timer);
        go_on(call);
        return 0;
}

static uint64_t server_wait(const AwsCall *call) {
        const char *text = http_transfer_header(call->transfer, "x-amz-retry-after");
        uint64_t msec = 0;

        if (!text || parse_u64(text, &msec) < 0 || msec > UINT32_MAX)
                return 0;
        return msec * USEC_PER_MSEC;
}

/* 1: another attempt is under way; 0: there will be none. */
static int wait_and_retry(AwsCall *call, RetryVerdict verdict) {
        uint64_t delay;

        if (call->attempts >= aws_context_attempts(call->aws) || http_transfer_sunk(call->transfer) > 0)
                return 0;
        call->quota_taken = retry_quota_take(aws_context_quota(call->aws), verdict);
        if (call->quota_taken == 0)
                return 0;
        delay = retry_delay(verdict, call->retries++, random_u64(), server_wait(call));
        credentials_deinit(&call->credentials); /* there may be newer ones by then */
        return sd_event_add_time_relative(aws_context_event(call->aws), &call->timer, CLOCK_BOOTTIME, delay,
                                          0, on_timer, call) < 0
                       ? 0
                       : 1;
}

static bool fix_skew(AwsCall *call) {
        if (call->fixed_skew)
                return false;
        call->fixed_skew = true;
        aws_context_set_skew(call->aws, call->observed_skew);
        return true;
}

static bool fix_credentials(AwsCall *call) {
        if (call->fixed_credentials ||
            !credentials_reject(aws_context_credentials(call->aws), call->credentials.access_key_id,
                                call->credentials.session_token))
                return false;
        call->fixed_credentials = true;
        credentials_deinit(&call->credentials);
        return true;
}

static bool fix_region(AwsCall *call) {
        if (call->fixed_region ||
            aws_context_set_bucket_region(call->aws, call->bucket, call->refusal.region) < 0)
                return false;
        call->fixed_region = true;
        return string_set(&call->region, call->refusal.region) >= 0;
}

/* S3 said "elsewhere" and not where: any answer to HeadBucket names the region. */
static void on_bucket_found(AwsCall *lookup, int result, _unused_ const Error *lookup_error, void *userdata) {
        AwsCall *call = userdata;
        const char *region = aws_call_header(lookup, "x-amz-bucket-region");
        Error error = {};

        if (region && aws_region_is_valid(region) && string_set(&call->region, region) >= 0)
                result = aws_context_set_bucket_region(call->aws, call->bucket, region);
        else
                result = -ENODATA;
        call->region_call = aws_call_free(call->region_call);
        if (result < 0)
                finish(call, explain(call, &error), &error);
        else
                go_on(call);
}

static bool look_for_bucket(AwsCall *call) {
        AwsRequest request = {
                .service = AWS_S3,
                .operation = "HeadBucket",
                .method = "HEAD",
                .bucket = call->bucket,
                .path = "/",
        };

        if (!call->bucket || call->refusal.region[0] || call->fixed_region || !call->refused ||
            (call->refusal.status != 301 && call->refusal.status != 307) ||
            string_equal(call->operation, request.operation))
                return false;
        call->fixed_region = true;
        return aws_call_start(call->aws, &request, on_bucket_found, call, &call->region_call, NULL) == 0;
}

/* 1: another attempt is under way; 0: this was the last one. */
static int repair(AwsCall *call, RetryVerdict verdict) {
        bool fixed = false;

        switch (verdict) {
        case RETRY_TRANSIENT:
        case RETRY_THROTTLED:
                return wait_and_retry(call, verdict);
        case RETRY_SKEW:
                fixed = fix_skew(call);
                break;
        case RETRY_CREDENTIALS:
                fixed = fix_credentials(call);
                break;
        case RETRY_REGION:
                fixed = fix_region(call);
                break;
        case RETRY_REFUSED:
                return look_for_bucket(call);
        case RETRY_ANSWERED:
                break;
        }
        if (fixed)
                go_on(call);
        return fixed;
}

static void on_answer(_unused_ HttpTransfer *transfer, int result, const Error *http_error, void *userdata) {
        AwsCall *call = userdata;
        Error error = *http_error;
        RetryVerdict verdict;

        call->resends += http_transfer_resends(call->transfer);
        verdict = judge(call, result);
        if (verdict == RETRY_ANSWERED) {
                retry_quota_give_back(aws_context_quota(call->aws), call->quota_taken);
                finish(call, 0, &error);
                return;
        }
        if (repair(call, verdict) > 0)
                return;
        if (result == 0)
                result = explain(call, &error);
        finish(call, result, &error);
}

/* ---- */

static int copy_body(AwsCall *call, const AwsRequest *request, Error *error) {
        const HttpBody *body = &request->body;

        memcpy(call->payload_hash, SHA256_OF_NOTHING, DIGEST_HEX_SIZE);
        if (body->size == 0)
                return 0;
        if (!body->data) {
                if (!request->body_sha256 || strlen(request->body_sha256) != DIGEST_HEX_SIZE - 1)
                        return error_set(error, -EINVAL, "a body from a file needs its SHA-256");
                memcpy(call->payload_hash, request->body_sha256, DIGEST_HEX_SIZE);
                call->body_fd = fcntl(body->fd, F_DUPFD_CLOEXEC, 3);
                call->request.body.fd = call->body_fd;
                return call->body_fd < 0 ? error_set_errno(error, -errno, "cannot duplicate a descriptor")
                                         : 0;
        }
        call->body_data = malloc(body->size);
        if (!call->body_data)
                return error_oom(error);
        memcpy(call->body_data, body->data, body->size);
        call->request.body.data = call->body_data;
        return digest_sha256_hex(body->data, body->size, call->payload_hash) < 0 ? error_oom(error) : 0;
}

static int copy_strings(AwsCall *call, const AwsRequest *request) {
        int r;

        r = string_set(&call->operation, request->operation);
        if (r >= 0)
                r = string_set(&call->method, request->method);
        if (r >= 0)
                r = string_set(&call->bucket, request->bucket);
        if (r >= 0)
                r = string_set(&call->path, request->path);
        if (r >= 0)
                r = string_set(&call->query, request->query);
        STRV_FOREACH(header, request->headers)
                if (r >= 0)
                        r = strv_append(&call->headers, *header);
        return r;
}

int aws_call_start(AwsContext *aws, const AwsRequest *request, AwsDone done, void *userdata, AwsCall **ret,
                   Error *error) {
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        int r;

        call = malloc(sizeof(*call));
        if (!call)
                return error_oom(error);
        *call = (AwsCall){
                .aws = aws, .request = *request, .body_fd = -1, .done = done, .userdata = userdata
        };
        if (copy_strings(call, request) < 0)
                return error_oom(error);
        r = copy_body(call, request, error);
        if (r < 0)
                return r;
        r = advance(call, error);
        if (r < 0) {
                prefix(call, error);
                return r;
        }
        *ret = TAKE_PTR(call);
        return 0;
}

const AwsError *aws_call_error(const AwsCall *call) {
        return call->refused ? &call->refusal : NULL;
}

unsigned aws_call_attempts(const AwsCall *call) {
        return call->attempts + call->resends;
}

int aws_call_status(const AwsCall *call) {
        return call->transfer ? http_transfer_status(call->transfer) : 0;
}

const char *aws_call_header(const AwsCall *call, const char *name) {
        return call->transfer ? http_transfer_header(call->transfer, name) : NULL;
}

const Buffer *aws_call_body(const AwsCall *call) {
        static const Buffer empty = {};

        return call->transfer ? http_transfer_body(call->transfer) : &empty;
}

uint64_t aws_call_sunk(const AwsCall *call) {
        return call->transfer ? http_transfer_sunk(call->transfer) : 0;
}

uint64_t aws_call_server_time(const AwsCall *call) {
        const char *date = aws_call_header(call, "Date");
        uint64_t usec = 0;

        return date && http_date_parse(date, &usec) == 0 ? usec : 0;
}
