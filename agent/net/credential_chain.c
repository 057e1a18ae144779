#include <openssl/crypto.h>
#include <string.h>

#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/net/credential_chain.h"

#define REFRESH_AHEAD (5 * 60 * USEC_PER_SEC) /* an instance role's next keys are there by then */
#define STABILITY_WAIT_MIN (2 * 60 * USEC_PER_SEC)
#define STABILITY_WAIT_SPAN (8 * 60 * USEC_PER_SEC)

typedef struct Fetch Fetch;

typedef enum FetchStep {
        FETCH_FOUND,
        FETCH_ABSENT,  /* this source has none; why is in the error */
        FETCH_PENDING, /* fetch_continue() will be called */
} FetchStep;

/* A row of the chain. */
typedef struct CredentialSource {
        const char *title;
        bool renewable;
        int (*start)(Fetch *fetch, Error *error); /* FetchStep or a negative errno */
} CredentialSource;

/* One walk through the chain; whoever asks meanwhile waits for the same. */
struct Fetch {
        CredentialChain *chain;
        size_t source;
        Credentials found;
        Buffer looked; /* "the environment (…), the instance's role (…)" */
        ImdsRequest *imds;
        char *role;
};

struct CredentialRequest {
        CredentialChain *chain;
        CredentialRequest *next;
        bool waiting; /* for the fetch */
        int result;
        Error error;
        sd_event_source *done_source;
        CredentialDone done;
        void *userdata;
};

struct CredentialChain {
        sd_event *event;
        const Clock *clock;
        char **environment;
        Imds *imds;
        int64_t skew;

        Credentials current;
        const CredentialSource *source; /* of CURRENT; NULL: there are none */
        uint64_t ends;                  /* boot time */
        uint64_t next_try;              /* boot time before which CURRENT is used even past its end */
        bool rejected;
        Fetch *fetch; /* NULL: none is under way */
        CredentialRequest *requests;
};

/* ---- sources */

static int start_environment(Fetch *fetch, Error *error) {
        char *const *environment = fetch->chain->environment;
        const char *id = strv_getenv(environment, "AWS_ACCESS_KEY_ID");
        const char *secret = strv_getenv(environment, "AWS_SECRET_ACCESS_KEY");
        const char *token = strv_getenv(environment, "AWS_SESSION_TOKEN");
        Credentials credentials = {
                .access_key_id = (char *) id,
                .secret_access_key = (char *) secret,
                .session_token = (char *) token,
                .expiration = USEC_INFINITY,
        };

        if (!id && !secret) {
                error_set(error, -ENOKEY, "AWS_ACCESS_KEY_ID is not set");
                return FETCH_ABSENT;
        }
        if (!id || !secret)
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "%s is set, but not %s",
                                       id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                                       id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
        if (!credentials_is_text(id) || !credentials_is_text(secret) ||
            (token && !credentials_is_text(token)))
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_SESSION_TOKEN has a character "
                        "that no key has");
        return credentials_copy(&credentials, &fetch->found) < 0 ? error_oom(error) : FETCH_FOUND;
}

static void fetch_continue(Fetch *fetch, int step, Error *error);

#define IMDS_CREDENTIALS "meta-data/iam/security-credentials/"

/* Metadata that cannot be reached means that this is no instance, as far as the chain is concerned. */
static int imds_failure(int result) {
        return result == -EBADMSG || result == -ENOMEM || result == -EACCES ? result : FETCH_ABSENT;
}

static void on_role_credentials(ImdsRequest *request, int result, const Error *imds_error, void *userdata) {
        Fetch *fetch = userdata;
        const char *value = imds_request_value(request);
        Error error = *imds_error;

        if (result == IMDS_ABSENT)
                result = error_set_fault(&error, -EBADMSG, FAULT_HOST, "role %s has no credentials",
                                         fetch->role);
        else if (result == 0)
                result = credentials_parse_json(value, strlen(value), &fetch->found, &error);
        else
                result = imds_failure(result);
        fetch_continue(fetch, result, &error);
}

static int get_role_credentials(Fetch *fetch, const char *role, Error *error) {
        _cleanup_free_ char *path = NULL;

        if (!credentials_is_text(role) || strchr(role, '/'))
                return error_set_fault(error, -EBADMSG, FAULT_HOST,
                                       "bad role name from the instance metadata");
        if (string_set(&fetch->role, role) < 0 || asprintf(&path, IMDS_CREDENTIALS "%s", role) < 0) {
                path = NULL;
                return error_oom(error);
        }
        fetch->imds = imds_request_free(fetch->imds);
        return imds_get_start(fetch->chain->imds, path, on_role_credentials, fetch, &fetch->imds, error);
}

static void on_role(ImdsRequest *request, int result, const Error *imds_error, void *userdata) {
        _cleanup_free_ char *role = NULL;
        Fetch *fetch = userdata;
        Error error = *imds_error;

        if (result == IMDS_ABSENT) {
                error_set(&error, -ENOKEY, "the instance has no role");
                result = FETCH_ABSENT;
        } else if (result < 0) {
                result = imds_failure(result);
        } else {
                role = strndup(imds_request_value(request), strcspn(imds_request_value(request), "\n"));
                result = role ? get_role_credentials(fetch, role, &error) : error_oom(&error);
                if (result >= 0)
                        return;
        }
        fetch_continue(fetch, result, &error);
}

static int start_instance_role(Fetch *fetch, Error *error) {
        int r;

        if (!fetch->chain->imds) {
                error_set(error, -ENOKEY, "not asked");
                return FETCH_ABSENT;
        }
        r = imds_get_start(fetch->chain->imds, IMDS_CREDENTIALS, on_role, fetch, &fetch->imds, error);
        if (r == -EOPNOTSUPP)
                return FETCH_ABSENT;
        return r < 0 ? r : FETCH_PENDING;
}

static const CredentialSource sources[] = {
        { "the environment", false, start_environment },
        { "the instance's role", true, start_instance_role },
};

/* ---- the walk */

static Fetch *fetch_free(Fetch *fetch) {
        if (!fetch)
                return NULL;
        imds_request_free(fetch->imds);
        credentials_deinit(&fetch->found);
        buffer_deinit(&fetch->looked);
        free(fetch->role);
        free(fetch);
        return NULL;
}
DEFINE_CLEANUP(Fetch *, fetch_free)

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

/* The boot time at which credentials end by the corrected wall clock. */
static uint64_t boottime_of_end(const CredentialChain *chain, uint64_t expiration) {
        uint64_t boottime = clock_boottime(chain->clock);
        int64_t left;

        if (expiration == USEC_INFINITY)
                return USEC_INFINITY;
        left = (int64_t) expiration - (int64_t) clock_realtime(chain->clock) - chain->skew;
        return left > 0 ? usec_add(boottime, (uint64_t) left) : boottime;
}

static void adopt(CredentialChain *chain, Fetch *fetch) {
        uint64_t now = clock_boottime(chain->clock);

        credentials_deinit(&chain->current);
        chain->current = fetch->found;
        fetch->found = (Credentials){};
        chain->source = &sources[fetch->source];
        chain->ends = boottime_of_end(chain, chain->current.expiration);
        chain->rejected = false;
        chain->next_try = 0;
        if (chain->ends <= usec_add(now, REFRESH_AHEAD)) /* the source has no newer ones */
                chain->next_try = now + stability_wait();
}

/* Old credentials of a source that can renew them are better than none, unless a service has refused them. */
static int keep_old(CredentialChain *chain, int result) {
        if (!chain->source || !chain->source->renewable || chain->rejected)
                return result;
        chain->next_try = clock_boottime(chain->clock) + stability_wait();
        return 0;
}

static void fetch_end(Fetch *fetch, int result, const Error *error) {
        CredentialChain *chain = fetch->chain;

        if (result == 0)
                adopt(chain, fetch);
        else
                result = keep_old(chain, result);
        chain->fetch = fetch_free(fetch);
        for (CredentialRequest *request = chain->requests; request; request = request->next)
                if (request->waiting)
                        request_end(request, result, error);
}

static int note_absent(Fetch *fetch, const Error *why, Error *error) {
        int r = buffer_printf(&fetch->looked, "%s%s (%s)", fetch->looked.size > 0 ? ", " : "",
                              sources[fetch->source].title, why->message);

        return r < 0 ? error_oom(error) : 0;
}

/* Goes on after a source has said STEP. */
static void fetch_continue(Fetch *fetch, int step, Error *error) {
        int r;

        while (step == FETCH_ABSENT) {
                r = note_absent(fetch, error, error);
                if (r < 0) {
                        step = r;
                        break;
                }
                if (++fetch->source == ELEMENTSOF(sources)) {
                        step = error_set_fault(error, -ENOKEY, FAULT_HOST, "no AWS credentials: looked in %s",
                                               buffer_string(&fetch->looked));
                        break;
                }
                step = sources[fetch->source].start(fetch, error);
        }
        if (step == FETCH_PENDING)
                return;
        if (step < 0 && step != -ENOKEY)
                error_prefix(error, "AWS credentials from %s", sources[fetch->source].title);
        fetch_end(fetch, step, error);
}

static int fetch_start(CredentialChain *chain, Error *error) {
        Fetch *fetch = malloc(sizeof(*fetch));
        Error source_error = {};

        if (!fetch)
                return error_oom(error);
        *fetch = (Fetch){ .chain = chain };
        chain->fetch = fetch;
        fetch_continue(fetch, sources[0].start(fetch, &source_error), &source_error);
        return 0;
}

/* ---- */

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
        r = sd_event_add_defer(chain->event, &request->done_source, on_request_done, request);
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

        if (!chain->source || chain->rejected)
                return false;
        *ret_refresh = now >= chain->next_try && chain->ends <= usec_add(now, REFRESH_AHEAD);
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
        if (refresh && !chain->fetch) {
                r = fetch_start(chain, error);
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
        return request->result == 0 && request->chain->source ? &request->chain->current : NULL;
}

bool credentials_reject(CredentialChain *chain, const char *access_key_id, const char *session_token) {
        if (!chain->source || !chain->source->renewable)
                return false;
        if (string_equal(chain->current.access_key_id, access_key_id) &&
            string_equal(chain->current.session_token, session_token))
                chain->rejected = true;
        return true;
}

void credentials_set_skew(CredentialChain *chain, int64_t skew_usec) {
        chain->skew = skew_usec;
        if (chain->source)
                chain->ends = boottime_of_end(chain, chain->current.expiration);
}

static int copy_environment(char *const *environment, char ***ret) {
        static const char *const names[] = { "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                                             "AWS_SESSION_TOKEN" };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(names) && r >= 0; i++) {
                const char *value = strv_getenv(environment, names[i]);

                if (value)
                        r = strv_appendf(ret, "%s=%s", names[i], value);
        }
        return r;
}

int credential_chain_new(sd_event *event, const Clock *clock, char *const *environment, Imds *imds,
                         CredentialChain **ret, Error *error) {
        _cleanup_(credential_chain_freep) CredentialChain *chain = NULL;

        chain = malloc(sizeof(*chain));
        if (!chain)
                return error_oom(error);
        *chain = (CredentialChain){ .event = sd_event_ref(event), .clock = clock, .imds = imds };
        if (copy_environment(environment, &chain->environment) < 0)
                return error_oom(error);
        *ret = TAKE_PTR(chain);
        return 0;
}

CredentialChain *credential_chain_free(CredentialChain *chain) {
        if (!chain)
                return NULL;
        fetch_free(chain->fetch);
        credentials_deinit(&chain->current);
        STRV_FOREACH(variable, chain->environment)
                OPENSSL_cleanse(*variable, strlen(*variable));
        strv_free(chain->environment);
        sd_event_unref(chain->event);
        free(chain);
        return NULL;
}
