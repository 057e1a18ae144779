#include <ctype.h>
#include <openssl/crypto.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/net/aws_error.h"
#include "agent/net/aws_request.h"
#include "agent/net/http_date.h"
#include "agent/net/retry.h"
#include "agent/net/sts_assume.h"
#include "agent/net/url.h"
#include "agent/net/xml.h"

#define VERSION "2011-06-15"
#define ATTEMPTS 3U
#define SESSION_NAME_MIN 2U

struct StsAssume {
        StsAssumeContext context;
        char *region;
        bool is_signed;
        Credentials signer;
        AwsRequestCopy request;
        HttpTransfer *transfer;
        sd_event_source *timer;
        unsigned attempts;
        int64_t skew;
        bool fixed_skew;
        Credentials found;
        StsAssumeDone done;
        void *userdata;
};

StsAssume *sts_assume_free(StsAssume *assume) {
        if (!assume)
                return NULL;
        http_transfer_free(assume->transfer);
        sd_event_source_disable_unref(assume->timer);
        if (assume->request.body_data) /* a token may be in it */
                OPENSSL_cleanse(assume->request.body_data, assume->request.request.body.size);
        aws_request_copy_deinit(&assume->request);
        credentials_deinit(&assume->signer);
        credentials_deinit(&assume->found);
        free(assume->region);
        free(assume);
        return NULL;
}

static bool is_session_name(const char *name) {
        size_t n = strlen(name);

        for (const char *c = name; *c; c++)
                if (!isalnum((unsigned char) *c) && !strchr("_+=,.@-", *c))
                        return false;
        return n >= SESSION_NAME_MIN && n <= STS_SESSION_NAME_MAX;
}

static int make_form(const StsAssume *assume, const StsRole *role, Buffer *form) {
        uint64_t now = clock_realtime(assume->context.clock) / USEC_PER_SEC;
        int r;

        r = url_query_add(form, "Action", assume->is_signed ? "AssumeRole" : "AssumeRoleWithWebIdentity");
        if (r >= 0)
                r = url_query_add(form, "Version", VERSION);
        if (r >= 0)
                r = url_query_add(form, "RoleArn", role->arn);
        if (r >= 0)
                r = role->session_name ? url_query_add(form, "RoleSessionName", role->session_name)
                                       : url_query_addf(form, "RoleSessionName", "muster-%llu",
                                                        (unsigned long long) now);
        if (r >= 0 && role->external_id)
                r = url_query_add(form, "ExternalId", role->external_id);
        if (r >= 0 && role->duration > 0)
                r = url_query_addf(form, "DurationSeconds", "%u", role->duration);
        if (r >= 0 && role->web_identity)
                r = url_query_add(form, "WebIdentityToken", role->web_identity);
        return r;
}

static int make_request(StsAssume *assume, const StsRole *role, Error *error) {
        static char content_type[] = "Content-Type: application/x-www-form-urlencoded; charset=utf-8";
        static char *const headers[] = { content_type, NULL };
        _cleanup_buffer_ Buffer form = {};
        AwsRequest request = {
                .service = AWS_STS,
                .operation = assume->is_signed ? "AssumeRole" : "AssumeRoleWithWebIdentity",
                .method = "POST",
                .path = "/",
                .headers = headers,
        };
        int r;

        if (role->session_name && !is_session_name(role->session_name))
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "bad role session name '%.80s', expected 2 to 64 of A-Z a-z 0-9 _+=,.@-",
                        role->session_name);
        if (make_form(assume, role, &form) < 0)
                return error_oom(error);
        request.body.data = form.data;
        request.body.size = form.size;
        r = aws_request_copy(&request, &assume->request, error);
        OPENSSL_cleanse(form.data, form.size);
        return r;
}

static void finish(StsAssume *assume, int result, Error *error) {
        if (result < 0)
                error_prefix(error, "STS %s", assume->request.request.operation);
        assume->done(assume, result, error, assume->userdata);
}

static int send_request(StsAssume *assume, Error *error);

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        StsAssume *assume = userdata;
        Error error = {};
        int r;

        assume->timer = sd_event_source_disable_unref(assume->timer);
        r = send_request(assume, &error);
        if (r < 0)
                finish(assume, r, &error);
        return 0;
}

static int send_after(StsAssume *assume, uint64_t delay) {
        return sd_event_add_time_relative(assume->context.event, &assume->timer, CLOCK_BOOTTIME, delay,
                                          TIMER_ACCURACY_EXACT, on_timer, assume);
}

static char *text_at(const XmlElement *credentials, const char *name) {
        const char *text = xml_text(credentials, name);

        return text && credentials_is_text(text) ? (char *) text : NULL;
}

static int take_credentials(StsAssume *assume, Error *error) {
        const Buffer *body = http_transfer_body(assume->transfer);
        _cleanup_(xml_freep) XmlElement *answer = NULL;
        const XmlElement *found;
        const char *expiration;
        Credentials credentials;
        int r;

        r = xml_parse(buffer_string(body), body->size, &answer, error);
        if (r < 0)
                return r;
        found = xml_find(answer, assume->is_signed ? "AssumeRoleResult/Credentials"
                                                   : "AssumeRoleWithWebIdentityResult/Credentials");
        expiration = xml_text(found, "Expiration");
        credentials = (Credentials){
                .access_key_id = text_at(found, "AccessKeyId"),
                .secret_access_key = text_at(found, "SecretAccessKey"),
                .session_token = text_at(found, "SessionToken"),
        };
        if (!credentials.access_key_id || !credentials.secret_access_key || !credentials.session_token ||
            !expiration || parse_time(expiration, &credentials.expiration) < 0)
                return error_set_fault(error, -EBADMSG, FAULT_HOST, "an answer without credentials");
        return credentials_copy(&credentials, &assume->found) < 0 ? error_oom(error) : 0;
}

static int64_t observe_skew(const StsAssume *assume) {
        const char *date = http_transfer_header(assume->transfer, "Date");
        uint64_t server;

        if (!date || http_date_parse(date, &server) < 0)
                return 0;
        return (int64_t) server - (int64_t) clock_realtime(assume->context.clock);
}

/* Whether another attempt is under way. */
static bool try_again(StsAssume *assume, const AwsError *refusal, int result) {
        RetryFacts facts = { .result = result, .status = refusal->status, .code = refusal->code };
        RetryVerdict verdict;

        facts.skew = result < 0 ? 0 : observe_skew(assume);
        verdict = retry_judge(&facts);
        if (verdict == RETRY_SKEW && assume->is_signed && !assume->fixed_skew) {
                assume->fixed_skew = true;
                assume->skew = facts.skew;
                return send_after(assume, 0) >= 0;
        }
        if ((verdict != RETRY_TRANSIENT && verdict != RETRY_THROTTLED) || assume->attempts >= ATTEMPTS)
                return false;
        return send_after(assume, retry_delay(verdict, assume->attempts - 1, random_u64(), 0)) >= 0;
}

static void on_answer(HttpTransfer *transfer, int result, const Error *http_error, void *userdata) {
        StsAssume *assume = userdata;
        Error error = *http_error;
        AwsError refusal = {};

        if (result >= 0 && http_transfer_status(transfer) == 200) {
                finish(assume, take_credentials(assume, &error), &error);
                return;
        }
        if (result >= 0)
                aws_error_read(transfer, &refusal);
        if (try_again(assume, &refusal, result))
                return;
        if (result >= 0)
                result = error_set(&error, aws_error_result(&refusal), "%s: %s (status %d)",
                                   refusal.code[0] ? refusal.code : "refused",
                                   refusal.message[0] ? refusal.message : "no reason given", refusal.status);
        finish(assume, result, &error);
}

static int send_request(StsAssume *assume, Error *error) {
        const AwsRequest *request = &assume->request.request;
        uint64_t now = clock_realtime(assume->context.clock) + (uint64_t) assume->skew;
        _cleanup_(aws_headers_freep) char **headers = NULL;
        _cleanup_free_ char *url = NULL;
        HttpRequest http = { .method = request->method, .body = request->body, .headers = request->headers };
        int r;

        r = aws_request_url(request, assume->context.endpoints, assume->region, &url, error);
        if (r >= 0 && assume->is_signed)
                r = aws_request_sign(&assume->request, url, assume->region, &assume->signer, now, &headers,
                                     error);
        if (r < 0)
                return r;
        http.url = url;
        if (headers)
                http.headers = headers;
        assume->attempts++;
        assume->transfer = http_transfer_free(assume->transfer);
        return http_start(assume->context.http, &http, on_answer, assume, &assume->transfer, error);
}

int sts_assume_start(const StsAssumeContext *context, const StsRole *role, const Credentials *signer,
                     StsAssumeDone done, void *userdata, StsAssume **ret, Error *error) {
        _cleanup_(sts_assume_freep) StsAssume *assume = malloc(sizeof(*assume));
        int r;

        if (!assume)
                return error_oom(error);
        *assume = (StsAssume){ .context = *context,
                               .is_signed = signer,
                               .request.body_fd = -1,
                               .done = done,
                               .userdata = userdata };
        if (string_set(&assume->region, context->region) < 0 ||
            (signer && credentials_copy(signer, &assume->signer) < 0))
                return error_oom(error);
        r = make_request(assume, role, error);
        if (r >= 0)
                r = send_request(assume, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(assume);
        return 0;
}

Credentials sts_assume_take(StsAssume *assume) {
        Credentials found = assume->found;

        assume->found = (Credentials){};
        return found;
}
