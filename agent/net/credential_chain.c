#include <openssl/crypto.h>
#include <string.h>

#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/net/credential_chain.h"

#define REFRESH_AHEAD (5 * 60 * USEC_PER_SEC) /* an instance role's next keys are there by then */
#define RENEWAL_WAIT (60 * USEC_PER_SEC)
#define STABILITY_WAIT_MIN (2 * 60 * USEC_PER_SEC)
#define STABILITY_WAIT_SPAN (8 * 60 * USEC_PER_SEC)

struct CredentialRequest {
        CredentialChain *chain;
        CredentialRequest *next;
        bool waiting; /* for the lookup */
        int result;
        Error error;
        sd_event_source *done_source;
        CredentialDone done;
        void *userdata;
};

struct CredentialChain {
        const Clock *clock;
        char **environment;
        CredentialContext context;
        int64_t skew;

        char *region;

        bool have, renewable, stable;
        Credentials current; /* if there are any */
        uint64_t ends;       /* boot time */
        uint64_t next_try;   /* boot time before which CURRENT is used even past its end */
        bool rejected;
        const char *source;       /* of the current ones */
        CredentialLookup *lookup; /* whoever asks meanwhile waits for the same; NULL: none is under way */
        CredentialRequest *requests;
};

static void request_end(CredentialRequest *request, int result, const Error *error) {
        request->waiting = false;
        request->result = result;
        if (error)
                request->error = *error;
        (void) sd_event_source_set_enabled(request->done_source, SD_EVENT_ONESHOT);
}

static uint64_t stability_wait(void) {
        return REFRESH_AHEAD + STABILITY_WAIT_MIN + random_below(STABILITY_WAIT_SPAN);
}

/* Where there are no newer ones yet: those of an instance are good meanwhile, others are asked for again soon. */
static uint64_t wait_for_newer(const CredentialChain *chain, uint64_t now) {
        return chain->stable ? now + stability_wait() : now + MIN((chain->ends - now) / 2, RENEWAL_WAIT);
}

/* The boot time at which credentials end by the corrected wall clock. */
static uint64_t boottime_of_end(const CredentialChain *chain, uint64_t expiration) {
        uint64_t boottime = clock_boottime(chain->clock);
        int64_t left;

        if (expiration == USEC_INFINITY)
                return USEC_INFINITY;
        left = (int64_t) expiration - (int64_t) clock_realtime(chain->clock) - chain->skew;
        return left > 0 ? usec_add(boottime, (uint64_t) left) : boottime;
}

static void adopt(CredentialChain *chain, CredentialLookup *lookup) {
        uint64_t now = clock_boottime(chain->clock);

        credentials_deinit(&chain->current);
        chain->current = credential_lookup_take(lookup);
        chain->have = true;
        chain->source = credential_lookup_place(lookup);
        chain->renewable = credential_lookup_is_renewable(lookup);
        chain->stable = credential_lookup_is_stable(lookup);
        chain->ends = boottime_of_end(chain, chain->current.expiration);
        chain->rejected = false;
        chain->next_try = 0;
        if (chain->ends <= usec_add(now, REFRESH_AHEAD)) /* there are no newer ones yet */
                chain->next_try = wait_for_newer(chain, now);
}

/* Old credentials are better than none, unless a service has refused them or they have ended for good. */
static int keep_old(CredentialChain *chain, int result) {
        uint64_t now = clock_boottime(chain->clock);

        if (!chain->have || !chain->renewable || chain->rejected || (!chain->stable && now >= chain->ends))
                return result;
        chain->next_try = wait_for_newer(chain, now);
        return 0;
}

static void on_looked(CredentialLookup *lookup, int result, const Error *lookup_error, void *userdata) {
        CredentialChain *chain = userdata;
        Error error = *lookup_error;

        if (result == 0)
                adopt(chain, lookup);
        else
                result = keep_old(chain, result);
        chain->lookup = credential_lookup_free(lookup);
        for (CredentialRequest *request = chain->requests; request; request = request->next)
                if (request->waiting)
                        request_end(request, result, &error);
}

static int on_request_done(_unused_ sd_event_source *source, void *userdata) {
        CredentialRequest *request = userdata;

        request->done(request, request->result, &request->error, request->userdata);
        return 0;
}

static int request_new(CredentialChain *chain, CredentialDone done, void *userdata, CredentialRequest **ret) {
        _cleanup_(credential_request_freep) CredentialRequest *request = NULL;
        int r;

        request = malloc(sizeof(*request));
        if (!request)
                return -ENOMEM;
        *request = (CredentialRequest){
                .chain = chain, .next = chain->requests, .done = done, .userdata = userdata
        };
        chain->requests = request;
        r = sd_event_add_defer(chain->context.event, &request->done_source, on_request_done, request);
        if (r >= 0)
                r = sd_event_source_set_enabled(request->done_source, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(request);
        return 0;
}

/* Whether CURRENT will do, and whether it is time to look for newer ones. */
static bool is_usable(const CredentialChain *chain, bool *ret_refresh) {
        uint64_t now = clock_boottime(chain->clock);

        if (!chain->have || chain->rejected)
                return false;
        *ret_refresh = now >= chain->next_try && chain->ends <= usec_add(now, REFRESH_AHEAD);
        if (!chain->stable && chain->renewable && now >= chain->ends)
                *ret_refresh = true;
        return !*ret_refresh || now < chain->ends;
}

int credentials_start(CredentialChain *chain, CredentialDone done, void *userdata, CredentialRequest **ret,
                      Error *error) {
        _cleanup_(credential_request_freep) CredentialRequest *request = NULL;
        bool refresh = true, usable = is_usable(chain, &refresh);
        int r;

        r = request_new(chain, done, userdata, &request);
        if (r < 0)
                return error_set_errno(error, r, "cannot ask for credentials");
        request->waiting = !usable;
        if (refresh && !chain->lookup) {
                r = credential_lookup_start(&chain->context, on_looked, chain, &chain->lookup, error);
                if (r < 0)
                        return r;
        }
        if (usable)
                request_end(request, 0, NULL);
        *ret = TAKE_PTR(request);
        return 0;
}

CredentialRequest *credential_request_free(CredentialRequest *request) {
        CredentialRequest **link;

        if (!request)
                return NULL;
        for (link = &request->chain->requests; *link; link = &(*link)->next)
                if (*link == request) {
                        *link = request->next;
                        break;
                }
        sd_event_source_disable_unref(request->done_source);
        free(request);
        return NULL;
}

const Credentials *credential_request_get(const CredentialRequest *request) {
        return request->result == 0 && request->chain->have ? &request->chain->current : NULL;
}

bool credentials_reject(CredentialChain *chain, const char *access_key_id, const char *session_token) {
        if (!chain->have || !chain->renewable)
                return false;
        if (string_equal(chain->current.access_key_id, access_key_id) &&
            string_equal(chain->current.session_token, session_token))
                chain->rejected = true;
        return true;
}

void credentials_get_anew(CredentialChain *chain) {
        chain->rejected = chain->have && chain->renewable;
}

void credentials_set_skew(CredentialChain *chain, int64_t skew_usec) {
        chain->skew = skew_usec;
        if (chain->have)
                chain->ends = boottime_of_end(chain, chain->current.expiration);
}

static int copy_environment(char *const *environment, char ***ret) {
        int r = 0;

        STRV_FOREACH(variable, environment)
                if (r >= 0 &&
                    (string_starts_with(*variable, "AWS_") || string_starts_with(*variable, "HOME=")))
                        r = strv_append(ret, *variable);
        return r;
}

int credential_chain_new(const CredentialContext *context, CredentialChain **ret, Error *error) {
        _cleanup_(credential_chain_freep) CredentialChain *chain = NULL;

        chain = malloc(sizeof(*chain));
        if (!chain)
                return error_oom(error);
        *chain = (CredentialChain){ .clock = context->clock, .context = *context };
        sd_event_ref(context->event);
        chain->context.environment = NULL;
        if (copy_environment(context->environment, &chain->environment) < 0 ||
            credentials_set_region(chain, context->region) < 0)
                return error_oom(error);
        chain->context.environment = chain->environment;
        *ret = TAKE_PTR(chain);
        return 0;
}

int credentials_set_region(CredentialChain *chain, const char *region) {
        int r = string_set(&chain->region, region);

        chain->context.region = chain->region;
        return r;
}

CredentialChain *credential_chain_free(CredentialChain *chain) {
        if (!chain)
                return NULL;
        credential_lookup_free(chain->lookup);
        credentials_deinit(&chain->current);
        STRV_FOREACH(variable, chain->environment)
                OPENSSL_cleanse(*variable, strlen(*variable));
        strv_free(chain->environment);
        free(chain->region);
        sd_event_unref(chain->context.event);
        free(chain);
        return NULL;
}

const char *credentials_source(const CredentialChain *chain) {
        return chain->source;
}
