#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/net/aws_call.h"
#include "agent/net/http_date.h"

struct AwsCall {
        AwsContext *aws;
        AwsRequestCopy copy;
        char *region; /* where this call is sent, once an answer has said so */

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

AwsCall *aws_call_free(AwsCall *call) {
        if (!call)
                return NULL;
        imds_request_free(call->region_request);
        credential_request_free(call->credential_request);
        http_transfer_free(call->transfer);
        sd_event_source_disable_unref(call->timer);
        aws_call_free(call->region_call);
        credentials_deinit(&call->credentials);
        free(call->region);
        aws_request_copy_deinit(&call->copy);
        free(call);
        return NULL;
}

static void prefix(const AwsCall *call, Error *error) {
        const char *service = aws_service_title(call->copy.request.service);

        if (call->attempts > 1)
                error_prefix(error, "%s %s (%u attempts)", service, call->copy.request.operation,
                             call->attempts);
        else
                error_prefix(error, "%s %s", service, call->copy.request.operation);
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

static const char *region_of(const AwsCall *call) {
        const char *region = NULL;

        if (call->region)
                return call->region;
        if (call->copy.request.region)
                return call->copy.request.region;
        if (call->copy.request.bucket)
                region = aws_context_bucket_region(call->aws, call->copy.request.bucket);
        return region ? region : aws_context_region(call->aws);
}

static int no_region(int r, Error *error) {
        error_prefix(
                error,
                "no AWS region: looked in the configuration, AWS_REGION, AWS_DEFAULT_REGION, the profile and "
                "the instance's metadata");
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

static void on_answer(HttpTransfer *transfer, int result, const Error *http_error, void *userdata);

static int send_signed(AwsCall *call, Error *error) {
        const AwsRequest *request = &call->copy.request;
        _cleanup_(aws_headers_freep) char **headers = NULL;
        _cleanup_free_ char *url = NULL;
        HttpRequest http = {
                .method = request->method,
                .body = request->body,
                .timeouts = request->timeouts,
                .response_limit = request->response_limit,
                .sink = request->sink,
                .sink_userdata = request->sink_userdata,
                .progress = request->progress,
                .progress_userdata = request->progress_userdata,
        };
        int r;

        r = aws_request_url(request, aws_context_endpoints(call->aws), region_of(call), &url, error);
        if (r < 0)
                return r;
        call->sent_at = clock_realtime(aws_context_clock(call->aws));
        r = aws_request_sign(&call->copy, url, region_of(call), &call->credentials,
                             call->sent_at + (uint64_t) aws_context_skew(call->aws), &headers, error);
        if (r < 0)
                return r;
        http.url = url;
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

/* Between sending and the answer, the services' clock said Date. */
static int64_t observe_skew(const AwsCall *call) {
        const char *date = http_transfer_header(call->transfer, "Date");
        uint64_t now = clock_realtime(aws_context_clock(call->aws)), server;

        if (!date || http_date_parse(date, &server) < 0)
                return 0;
        return (int64_t) server - (int64_t) (call->sent_at / 2 + now / 2);
}

static bool is_refusal(const AwsCall *call, int status) {
        const Buffer *body = http_transfer_body(call->transfer);

        if ((status < 200 || status >= 300) && status != 304)
                return true;
        return call->copy.request.error_in_body && aws_error_in_body(buffer_string(body), body->size);
}

static RetryVerdict judge(AwsCall *call, int result) {
        RetryFacts facts = { .result = result, .code = "" };

        call->refused = false;
        if (result < 0)
                return retry_judge(&facts);
        facts.status = http_transfer_status(call->transfer);
        call->refused = is_refusal(call, facts.status);
        if (call->refused) {
                aws_error_read(call->transfer, &call->refusal);
                facts.code = call->refusal.code;
                facts.has_other_region = call->copy.request.bucket && call->refusal.region[0] &&
                                         !string_equal(call->refusal.region, region_of(call));
        }
        call->observed_skew = observe_skew(call);
        if (call->observed_skew != 0)
                aws_context_note_offset(call->aws, call->observed_skew);
        facts.skew = call->observed_skew == 0 ? 0 : call->observed_skew - aws_context_skew(call->aws);
        return retry_judge(&facts);
}

/* One sentence about a refusal; what to do about it is added by those who know the operation. */
static int explain(AwsCall *call, Error *error) {
        const AwsError *e = &call->refusal;
        const char *request = e->request_id[0] ? AWS_ERROR_REQUEST : "";
        int r = aws_error_result(e);

        if (e->code[0])
                error_set(error, r, "%s: %s (status %d%s%s)", e->code,
                          e->message[0] ? e->message : "no reason given", e->status, request, e->request_id);
        else
                error_set(error, r, "status %d%s%s", e->status, request, e->request_id);
        if (r == -EREMOTEIO)
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
                                          TIMER_ACCURACY_EXACT, on_timer, call) < 0
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
            aws_context_set_bucket_region(call->aws, call->copy.request.bucket, call->refusal.region) < 0)
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
                result = aws_context_set_bucket_region(call->aws, call->copy.request.bucket, region);
        else
                result = -ENODATA;
        call->region_call = aws_call_free(call->region_call);
        if (result < 0)
                finish(call, explain(call, &error), &error);
        else
                go_on(call);
}

static bool is_unknown_elsewhere(const AwsCall *call) {
        const AwsError *e = &call->refusal;

        return call->refused && call->copy.request.bucket && !call->fixed_region && !e->region[0] &&
               (e->status == 301 || e->status == 307);
}

static bool look_for_bucket(AwsCall *call) {
        static const char operation[] = "HeadBucket";
        AwsRequest request = {
                .service = AWS_S3,
                .operation = operation,
                .method = "HEAD",
                .bucket = call->copy.request.bucket,
                .path = "/",
        };

        if (!is_unknown_elsewhere(call) || string_equal(call->copy.request.operation, operation))
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

int aws_call_start(AwsContext *aws, const AwsRequest *request, AwsDone done, void *userdata, AwsCall **ret,
                   Error *error) {
        _cleanup_(aws_call_freep) AwsCall *call = NULL;
        int r;

        call = malloc(sizeof(*call));
        if (!call)
                return error_oom(error);
        *call = (AwsCall){ .aws = aws, .copy.body_fd = -1, .done = done, .userdata = userdata };
        r = aws_request_copy(request, &call->copy, error);
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

uint64_t aws_call_server_time(const AwsCall *call) {
        const char *date = aws_call_header(call, "Date");
        uint64_t usec = 0;

        return date && http_date_parse(date, &usec) == 0 ? usec : 0;
}
