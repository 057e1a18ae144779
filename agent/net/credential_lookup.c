#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/strv.h"
#include "agent/net/credential_lookup.h"

typedef enum LookupStep {
        LOOKUP_FOUND,
        LOOKUP_ABSENT,  /* this place has none; why is in the error */
        LOOKUP_PENDING, /* go_on() will be called */
} LookupStep;

typedef struct CredentialPlace {
        const char *title;
        bool renewable;
        int (*look)(CredentialLookup *lookup, Error *error); /* LookupStep or a negative errno */
} CredentialPlace;

struct CredentialLookup {
        CredentialContext context;
        size_t place; /* in the table */
        Credentials found;
        Buffer looked; /* "the environment (…), the instance's role (…)" */
        ImdsRequest *imds;
        char *role;
        sd_event_source *begin;
        CredentialLookupDone done;
        void *userdata;
};

static void go_on(CredentialLookup *lookup, int step, Error *error);

static int look_into_environment(CredentialLookup *lookup, Error *error) {
        char *const *environment = lookup->context.environment;
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
                return LOOKUP_ABSENT;
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
        return credentials_copy(&credentials, &lookup->found) < 0 ? error_oom(error) : LOOKUP_FOUND;
}

#define IMDS_CREDENTIALS "meta-data/iam/security-credentials/"

/* Metadata that cannot be reached means that this is no instance, as far as the chain is concerned. */
static int imds_failure(int result) {
        return result == -EBADMSG || result == -ENOMEM || result == -EACCES ? result : LOOKUP_ABSENT;
}

static void on_role_credentials(ImdsRequest *request, int result, const Error *imds_error, void *userdata) {
        CredentialLookup *lookup = userdata;
        const char *value = imds_request_value(request);
        Error error = *imds_error;

        if (result == IMDS_ABSENT)
                result = error_set_fault(&error, -EBADMSG, FAULT_HOST, "role %s has no credentials",
                                         lookup->role);
        else if (result == 0)
                result = credentials_parse_json(value, strlen(value), &lookup->found, &error);
        else
                result = imds_failure(result);
        go_on(lookup, result, &error);
}

static int get_role_credentials(CredentialLookup *lookup, const char *role, Error *error) {
        _cleanup_free_ char *path = NULL;

        if (!credentials_is_text(role) || strchr(role, '/'))
                return error_set_fault(error, -EBADMSG, FAULT_HOST,
                                       "bad role name from the instance metadata");
        if (string_set(&lookup->role, role) < 0 || asprintf(&path, IMDS_CREDENTIALS "%s", role) < 0) {
                path = NULL;
                return error_oom(error);
        }
        lookup->imds = imds_request_free(lookup->imds);
        return imds_get_start(lookup->context.imds, path, on_role_credentials, lookup, &lookup->imds, error);
}

static void on_role(ImdsRequest *request, int result, const Error *imds_error, void *userdata) {
        _cleanup_free_ char *role = NULL;
        CredentialLookup *lookup = userdata;
        Error error = *imds_error;

        if (result == IMDS_ABSENT) {
                error_set(&error, -ENOKEY, "the instance has no role");
                result = LOOKUP_ABSENT;
        } else if (result < 0) {
                result = imds_failure(result);
        } else {
                role = strndup(imds_request_value(request), strcspn(imds_request_value(request), "\n"));
                result = role ? get_role_credentials(lookup, role, &error) : error_oom(&error);
                if (result >= 0)
                        return;
        }
        go_on(lookup, result, &error);
}

static int ask_instance(CredentialLookup *lookup, Error *error) {
        int r;

        if (!lookup->context.imds) {
                error_set(error, -ENOKEY, "not asked");
                return LOOKUP_ABSENT;
        }
        r = imds_get_start(lookup->context.imds, IMDS_CREDENTIALS, on_role, lookup, &lookup->imds, error);
        if (r == -EOPNOTSUPP)
                return LOOKUP_ABSENT;
        return r < 0 ? r : LOOKUP_PENDING;
}

static const CredentialPlace places[] = {
        { "the environment", false, look_into_environment },
        { "the instance's role", true, ask_instance },
};

static int note_absent(CredentialLookup *lookup, const Error *why, Error *error) {
        int r = buffer_printf(&lookup->looked, "%s%s (%s)", lookup->looked.size > 0 ? ", " : "",
                              places[lookup->place].title, why->message);

        return r < 0 ? error_oom(error) : 0;
}

/* Goes on after a place has said STEP. */
static void go_on(CredentialLookup *lookup, int step, Error *error) {
        int r;

        while (step == LOOKUP_ABSENT) {
                r = note_absent(lookup, error, error);
                if (r < 0) {
                        step = r;
                        break;
                }
                if (++lookup->place == ELEMENTSOF(places)) {
                        step = error_set_fault(error, -ENOKEY, FAULT_HOST, "no AWS credentials: looked in %s",
                                               buffer_string(&lookup->looked));
                        break;
                }
                step = places[lookup->place].look(lookup, error);
        }
        if (step == LOOKUP_PENDING)
                return;
        if (step < 0 && step != -ENOKEY)
                error_prefix(error, "AWS credentials from %s", places[lookup->place].title);
        lookup->done(lookup, step, error, lookup->userdata);
}

/* The first place may know at once, and the caller must not hear of it from within its own call. */
static int on_begin(_unused_ sd_event_source *source, void *userdata) {
        CredentialLookup *lookup = userdata;
        Error error = {};

        go_on(lookup, places[0].look(lookup, &error), &error);
        return 0;
}

int credential_lookup_start(const CredentialContext *context, CredentialLookupDone done, void *userdata,
                            CredentialLookup **ret, Error *error) {
        _cleanup_(credential_lookup_freep) CredentialLookup *lookup = NULL;
        int r;

        lookup = malloc(sizeof(*lookup));
        if (!lookup)
                return error_oom(error);
        *lookup = (CredentialLookup){ .context = *context, .done = done, .userdata = userdata };
        r = sd_event_add_defer(context->event, &lookup->begin, on_begin, lookup);
        if (r < 0)
                return error_set_errno(error, r, "cannot look for credentials");
        *ret = TAKE_PTR(lookup);
        return 0;
}

CredentialLookup *credential_lookup_free(CredentialLookup *lookup) {
        if (!lookup)
                return NULL;
        sd_event_source_disable_unref(lookup->begin);
        imds_request_free(lookup->imds);
        credentials_deinit(&lookup->found);
        buffer_deinit(&lookup->looked);
        free(lookup->role);
        free(lookup);
        return NULL;
}

Credentials credential_lookup_take(CredentialLookup *lookup) {
        Credentials found = lookup->found;

        lookup->found = (Credentials){};
        return found;
}

bool credential_lookup_is_renewable(const CredentialLookup *lookup) {
        return places[lookup->place].renewable;
}
