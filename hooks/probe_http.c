#include <string.h>
#include <strings.h>

#include "agent/base/utf8.h"
#include "hooks/probe_http.h"

#define SHOWN_MAX 80U

typedef struct HttpAttempt {
        Probe *probe;
        HttpTransfer *transfer;
        Buffer body; /* the beginning of it */
        bool enough; /* the rest is not wanted */
} HttpAttempt;

/* HEADER is "Name: value". */
static bool has_header(const HttpTransfer *transfer, const char *header, char *ret_found, size_t size) {
        const char *colon = strchr(header, ':'), *wanted = colon ? colon + 1 : "", *found;
        _cleanup_free_ char *name = NULL;

        name = strndup(header, colon ? (size_t) (colon - header) : strlen(header));
        found = name ? http_transfer_header(transfer, name) : NULL;
        (void) snprintf(ret_found, size, "%s", found ? found : "");
        wanted += strspn(wanted, " \t");
        return found && strcmp(found, wanted) == 0;
}

static bool has_text(const Buffer *body, const char *text) {
        return memmem(body->data ? body->data : (const uint8_t *) "", body->size, text, strlen(text)) != NULL;
}

/* Whether the answer is what was expected; ERROR says why not. */
static bool check_answer(const HttpAttempt *attempt, Error *error) {
        const HealthCheck *check = attempt->probe->check;
        unsigned expected = check->status ? check->status : 200;
        int status = http_transfer_status(attempt->transfer);
        bool kept = status >= 200 && status < 300; /* given to the sink */
        char found[SHOWN_MAX];

        if (status != (int) expected) {
                error_set_fault(error, 0, FAULT_RELEASE, "status %d, expected %u", status, expected);
                return false;
        }
        if (check->header && !has_header(attempt->transfer, check->header, found, sizeof(found))) {
                utf8_make_printable(found, strlen(found));
                error_set_fault(error, 0, FAULT_RELEASE, "header '%s' expected, found '%s'", check->header,
                                found);
                return false;
        }
        if (check->body &&
            !has_text(kept ? &attempt->body : http_transfer_body(attempt->transfer), check->body)) {
                error_set_fault(error, 0, FAULT_RELEASE, "'%s' is not in the body", check->body);
                return false;
        }
        return true;
}

static int on_body(_unused_ HttpTransfer *transfer, const void *data, size_t size, void *userdata) {
        HttpAttempt *attempt = userdata;
        size_t room = HEALTH_BODY_MAX - attempt->body.size;
        int r;

        r = buffer_append(&attempt->body, data, MIN(size, room), HEALTH_BODY_MAX);
        if (r < 0)
                return r;
        attempt->enough = size >= room;
        return attempt->enough ? -ECANCELED : 0;
}

static void on_answer(_unused_ HttpTransfer *transfer, int result, const Error *error, void *userdata) {
        HttpAttempt *attempt = userdata;
        Error found = {};
        bool good;

        if (result < 0 && !attempt->enough) {
                found = *error;
                error_blame(&found, FAULT_RELEASE); /* it is this host's own service that was asked */
                probe_finish(attempt->probe, &found);
                return;
        }
        good = check_answer(attempt, &found);
        probe_finish(attempt->probe, good ? NULL : &found);
}

static void attempt_free(void *p) {
        HttpAttempt *attempt = p;

        http_transfer_free(attempt->transfer);
        buffer_deinit(&attempt->body);
        free(attempt);
}

static int start(Probe *probe, Error *error) {
        static char *const headers[] = { (char *) "Connection: close", NULL };
        HttpAttempt *attempt;

        attempt = calloc(1, sizeof(*attempt));
        if (!attempt)
                return error_oom(error);
        attempt->probe = probe;
        probe->attempt = attempt;
        return http_start(probe->context->http,
                          &(HttpRequest){
                                  .method = "GET",
                                  .url = probe->check->url,
                                  .headers = headers,
                                  .timeouts = { .connect = probe->timeout_usec,
                                                .stall = USEC_INFINITY,
                                                .total = probe->timeout_usec },
                                  .response_limit = HEALTH_BODY_MAX,
                                  .sink = on_body,
                                  .sink_userdata = attempt,
                                  .no_proxy = true,
                                  .own_connection = true,
                          },
                          on_answer, attempt, &attempt->transfer, error);
}

const ProbeType probe_http = { .start = start, .free = attempt_free };
