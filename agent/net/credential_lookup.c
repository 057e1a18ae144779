#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/net/container_credentials.h"
#include "agent/net/credential_lookup.h"
#include "agent/net/credential_plan.h"
#include "agent/net/credential_process.h"
#include "agent/net/sts_assume.h"

#define STS_REGION "us-east-1" /* where nobody has said another one */

typedef enum LookupStep {
        LOOKUP_FOUND,
        LOOKUP_ABSENT,  /* this place has none; why is in the error */
        LOOKUP_PENDING, /* go_on() will be called */
} LookupStep;

typedef struct CredentialPlace {
        const char *title;
        bool stable;                                         /* see credential_lookup_is_stable() */
        int (*look)(CredentialLookup *lookup, Error *error); /* LookupStep or a negative errno */
} CredentialPlace;

struct CredentialLookup {
        CredentialContext context;
        size_t place; /* in the table */
        bool only;    /* and no other */
        bool renewable;
        Credentials found;
        Buffer looked; /* "the environment (…), the instance's role (…)" */
        AwsProfiles *profiles;
        CredentialPlan plan; /* of the profile */
        size_t n_assumed;    /* of its roles */
        /* One of these is under way. */
        ImdsRequest *imds;
        ContainerCredentials *container;
        CredentialProcess *process;
        StsAssume *assume;
        CredentialLookup *base;
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

/* Containers. */

static void on_container(ContainerCredentials *request, int result, const Error *container_error,
                         void *userdata) {
        CredentialLookup *lookup = userdata;
        Error error = *container_error;

        if (result >= 0) {
                lookup->found = container_credentials_take(request);
                lookup->renewable = true;
        }
        go_on(lookup, result < 0 ? result : LOOKUP_FOUND, &error);
}

static int ask_container(CredentialLookup *lookup, Error *error) {
        const CredentialContext *context = &lookup->context;
        int r;

        if (!context->http || !container_credentials_is_configured(context->environment)) {
                error_set(error, -ENOKEY, "none is set");
                return LOOKUP_ABSENT;
        }
        r = container_credentials_start(context->http, context->environment, on_container, lookup,
                                        &lookup->container, error);
        return r < 0 ? r : LOOKUP_PENDING;
}

/* Roles. */

static int assume_next(CredentialLookup *lookup, Error *error);

static void on_assumed(StsAssume *assume, int result, const Error *sts_error, void *userdata) {
        CredentialLookup *lookup = userdata;
        Error error = *sts_error;
        int step = result;

        if (result >= 0) {
                credentials_deinit(&lookup->found);
                lookup->found = sts_assume_take(assume);
                lookup->renewable = true;
                lookup->n_assumed++;
                step = assume_next(lookup, &error);
        }
        go_on(lookup, step, &error);
}

static int start_assume(CredentialLookup *lookup, const StsRole *role, const Credentials *signer,
                        Error *error) {
        const CredentialContext *context = &lookup->context;
        const StsAssumeContext sts = {
                .event = context->event,
                .http = context->http,
                .clock = context->clock,
                .endpoints = context->endpoints,
                .region = context->region ? context->region : STS_REGION,
        };
        int r;

        lookup->assume = sts_assume_free(lookup->assume);
        r = sts_assume_start(&sts, role, signer, on_assumed, lookup, &lookup->assume, error);
        return r < 0 ? r : LOOKUP_PENDING;
}

/* With what was found so far. */
static int assume_next(CredentialLookup *lookup, Error *error) {
        const CredentialRole *role = &lookup->plan.roles[lookup->n_assumed];
        const StsRole order = {
                .arn = role->arn,
                .session_name = role->session_name,
                .external_id = role->external_id,
                .duration = role->duration,
        };

        if (lookup->n_assumed >= lookup->plan.n_roles)
                return LOOKUP_FOUND;
        return start_assume(lookup, &order, &lookup->found, error);
}

static int assume_by_token(CredentialLookup *lookup, const char *path, StsRole role, Error *error) {
        _cleanup_buffer_ Buffer token = {};
        int r;

        r = file_read_at(AT_FDCWD, path, STS_TOKEN_MAX, &token);
        if (r < 0)
                return error_set_errno(error, r, "cannot read %s", path);
        role.web_identity = buffer_string(&token);
        if (token.data)
                token.data[strcspn((char *) token.data, "\r\n")] = '\0';
        if (!*role.web_identity) /* which it may be for a moment, while it is replaced */
                return error_set_fault(error, -ENODATA, FAULT_HOST, "%s is empty", path);
        r = start_assume(lookup, &role, NULL, error);
        if (token.data)
                OPENSSL_cleanse(token.data, token.allocated);
        return r;
}

static int look_for_web_identity(CredentialLookup *lookup, Error *error) {
        char *const *environment = lookup->context.environment;
        const char *path = strv_getenv(environment, "AWS_WEB_IDENTITY_TOKEN_FILE");
        const StsRole role = {
                .arn = strv_getenv(environment, "AWS_ROLE_ARN"),
                .session_name = strv_getenv(environment, "AWS_ROLE_SESSION_NAME"),
        };

        if (!lookup->context.http || !path) {
                error_set(error, -ENOKEY, "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
                return LOOKUP_ABSENT;
        }
        if (!role.arn)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "AWS_WEB_IDENTITY_TOKEN_FILE is set, but not AWS_ROLE_ARN");
        return assume_by_token(lookup, path, role, error);
}

/* Profiles. */

static void on_process(CredentialProcess *process, int result, const Error *process_error, void *userdata) {
        CredentialLookup *lookup = userdata;
        Error error = *process_error;
        int step = result;

        if (result >= 0) {
                lookup->found = credential_process_take(process);
                lookup->renewable = lookup->found.expiration != USEC_INFINITY;
                step = assume_next(lookup, &error);
        }
        go_on(lookup, step, &error);
}

static void on_base(CredentialLookup *base, int result, const Error *base_error, void *userdata) {
        CredentialLookup *lookup = userdata;
        Error error = *base_error;
        int step = result;

        if (result >= 0) {
                lookup->found = credential_lookup_take(base);
                step = assume_next(lookup, &error);
        }
        go_on(lookup, step, &error);
}

static int start_base(CredentialLookup *lookup, int (*look)(CredentialLookup *, Error *), Error *error);

/* The first credentials of the profile's plan. */
static int begin_plan(CredentialLookup *lookup, Error *error) {
        const CredentialPlan *plan = &lookup->plan;
        const StsRole role = { .arn = plan->roles[0].arn,
                               .session_name = plan->roles[0].session_name,
                               .duration = plan->roles[0].duration };
        int r;

        switch (plan->base) {
        case CREDENTIAL_BASE_KEYS:
                if (credentials_copy(&plan->keys, &lookup->found) < 0)
                        return error_oom(error);
                return assume_next(lookup, error);
        case CREDENTIAL_BASE_PROCESS:
                r = credential_process_start(lookup->context.event, plan->command, on_process, lookup,
                                             &lookup->process, error);
                return r < 0 ? r : LOOKUP_PENDING;
        case CREDENTIAL_BASE_WEB_IDENTITY:
                return assume_by_token(lookup, plan->token_file, role, error);
        case CREDENTIAL_BASE_ENVIRONMENT:
                return start_base(lookup, look_into_environment, error);
        case CREDENTIAL_BASE_INSTANCE:
                return start_base(lookup, ask_instance, error);
        case CREDENTIAL_BASE_CONTAINER:
                return start_base(lookup, ask_container, error);
        }
        return -EINVAL;
}

static int look_into_profile(CredentialLookup *lookup, Error *error) {
        char *const *environment = lookup->context.environment;
        const char *profile = aws_profile_name(environment);
        bool chosen = strv_getenv(environment, "AWS_PROFILE");
        int r;

        r = aws_profiles_load(environment, &lookup->profiles, error);
        if (r < 0)
                return r;
        if (!aws_profiles_has(lookup->profiles, profile)) {
                error_set_fault(error, -EINVAL, FAULT_INPUT, "there is no profile %.64s", profile);
                return chosen ? -EINVAL : LOOKUP_ABSENT;
        }
        r = credential_plan_make(lookup->profiles, profile, &lookup->plan, error);
        if (r == -ENOKEY)
                return LOOKUP_ABSENT;
        if (r >= 0 && lookup->plan.n_roles > 0 && !lookup->context.http)
                return error_set(error, -EINVAL, "profile %.64s needs STS", profile);
        return r < 0 ? r : begin_plan(lookup, error);
}

static const CredentialPlace places[] = {
        { "the environment", false, look_into_environment },
        { "a web identity", false, look_for_web_identity },
        { "the profile", false, look_into_profile },
        { "the container's endpoint", false, ask_container },
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

        if (step == LOOKUP_ABSENT && lookup->only) {
                step = -ENOKEY;
                error_blame(error, FAULT_HOST);
        }
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
        if (step < 0 && lookup->place < ELEMENTSOF(places))
                error_prefix(error, "AWS credentials from %s", places[lookup->place].title);
        lookup->done(lookup, step, error, lookup->userdata);
}

/* The first place may know at once, and the caller must not hear of it from within its own call. */
static int on_begin(_unused_ sd_event_source *source, void *userdata) {
        CredentialLookup *lookup = userdata;
        Error error = {};

        go_on(lookup, places[lookup->place].look(lookup, &error), &error);
        return 0;
}

static int start(const CredentialContext *context, size_t place, bool only, CredentialLookupDone done,
                 void *userdata, CredentialLookup **ret, Error *error) {
        _cleanup_(credential_lookup_freep) CredentialLookup *lookup = NULL;
        int r;

        lookup = malloc(sizeof(*lookup));
        if (!lookup)
                return error_oom(error);
        *lookup = (CredentialLookup){
                .context = *context, .place = place, .only = only, .done = done, .userdata = userdata
        };
        r = sd_event_add_defer(context->event, &lookup->begin, on_begin, lookup);
        if (r < 0)
                return error_set_errno(error, r, "cannot look for credentials");
        *ret = TAKE_PTR(lookup);
        return 0;
}

static int start_base(CredentialLookup *lookup, int (*look)(CredentialLookup *, Error *), Error *error) {
        size_t place = 0;
        int r;

        while (places[place].look != look)
                place++;
        r = start(&lookup->context, place, true, on_base, lookup, &lookup->base, error);
        return r < 0 ? r : LOOKUP_PENDING;
}

int credential_lookup_start(const CredentialContext *context, CredentialLookupDone done, void *userdata,
                            CredentialLookup **ret, Error *error) {
        return start(context, 0, false, done, userdata, ret, error);
}

CredentialLookup *credential_lookup_free(CredentialLookup *lookup) {
        if (!lookup)
                return NULL;
        sd_event_source_disable_unref(lookup->begin);
        imds_request_free(lookup->imds);
        container_credentials_free(lookup->container);
        credential_process_free(lookup->process);
        sts_assume_free(lookup->assume);
        credential_lookup_free(lookup->base);
        aws_profiles_free(lookup->profiles);
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

const char *credential_lookup_place(const CredentialLookup *lookup) {
        return places[lookup->place].title;
}

bool credential_lookup_is_renewable(const CredentialLookup *lookup) {
        return lookup->renewable || places[lookup->place].stable;
}

bool credential_lookup_is_stable(const CredentialLookup *lookup) {
        return places[lookup->place].stable;
}
