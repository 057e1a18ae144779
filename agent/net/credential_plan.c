#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/credential_plan.h"

#define DURATION_MIN 900U
#define DURATION_MAX 43200U

typedef struct Planner {
        const AwsProfiles *profiles;
        CredentialPlan plan; /* its roles the other way round */
        const char *visited[CREDENTIAL_ROLES_MAX];
        Error *error;
} Planner;

static const char *get(const Planner *planner, const char *profile, const char *key) {
        return aws_profiles_get(planner->profiles, profile, key);
}

static int refuse(const Planner *planner, const char *profile, const char *why) {
        return error_set_fault(planner->error, -EINVAL, FAULT_INPUT, "profile %.64s: %s", profile, why);
}

static bool has_keys(const Planner *planner, const char *profile) {
        return get(planner, profile, "aws_access_key_id") || get(planner, profile, "aws_secret_access_key");
}

static int use_keys(Planner *planner, const char *profile) {
        const Credentials keys = {
                .access_key_id = (char *) get(planner, profile, "aws_access_key_id"),
                .secret_access_key = (char *) get(planner, profile, "aws_secret_access_key"),
                .session_token = (char *) get(planner, profile, "aws_session_token"),
                .expiration = USEC_INFINITY,
        };

        if (!keys.access_key_id || !keys.secret_access_key)
                return refuse(planner, profile,
                              "expected both aws_access_key_id and aws_secret_access_key, or neither");
        if (!credentials_is_text(keys.access_key_id) || !credentials_is_text(keys.secret_access_key) ||
            (keys.session_token && !credentials_is_text(keys.session_token)))
                return refuse(planner, profile, "a key has a character that no key has");
        planner->plan.base = CREDENTIAL_BASE_KEYS;
        planner->plan.keys = keys;
        return 0;
}

/* A profile without a role. */
static int use_profile(Planner *planner, const char *profile) {
        const char *command = get(planner, profile, "credential_process");

        if (has_keys(planner, profile))
                return use_keys(planner, profile);
        if (command) {
                planner->plan.base = CREDENTIAL_BASE_PROCESS;
                planner->plan.command = command;
                return 0;
        }
        if (get(planner, profile, "sso_session") || get(planner, profile, "sso_start_url"))
                return refuse(planner, profile,
                              "single sign-on needs a person; export its credentials into the environment "
                              "(aws configure export-credentials)");
        return error_set_fault(planner->error, -ENOKEY, FAULT_INPUT, "profile %.64s has none", profile);
}

static int use_source(Planner *planner, const char *profile, const char *source) {
        static const struct {
                const char *name;
                CredentialBase base;
        } sources[] = {
                { "Environment", CREDENTIAL_BASE_ENVIRONMENT },
                { "Ec2InstanceMetadata", CREDENTIAL_BASE_INSTANCE },
                { "EcsContainer", CREDENTIAL_BASE_CONTAINER },
        };

        for (size_t i = 0; i < ELEMENTSOF(sources); i++)
                if (strcmp(source, sources[i].name) == 0) {
                        planner->plan.base = sources[i].base;
                        return 0;
                }
        return refuse(planner, profile,
                      "credential_source: expected Environment, Ec2InstanceMetadata or EcsContainer");
}

static int add_role(Planner *planner, const char *profile) {
        const char *duration = get(planner, profile, "duration_seconds");
        CredentialRole role = {
                .arn = get(planner, profile, "role_arn"),
                .session_name = get(planner, profile, "role_session_name"),
                .external_id = get(planner, profile, "external_id"),
        };
        uint64_t seconds = 0;

        if (get(planner, profile, "mfa_serial"))
                return refuse(planner, profile, "mfa_serial: a second factor needs a person");
        if (duration &&
            (parse_u64(duration, &seconds) < 0 || seconds < DURATION_MIN || seconds > DURATION_MAX))
                return refuse(planner, profile, "duration_seconds: expected 900 to 43200");
        for (size_t i = 0; i < planner->plan.n_roles; i++)
                if (strcmp(planner->visited[i], profile) == 0)
                        return refuse(planner, profile, "source_profile leads round in a circle");
        if (planner->plan.n_roles == CREDENTIAL_ROLES_MAX)
                return refuse(planner, profile, "more than 8 roles one after the other");
        role.duration = (unsigned) seconds;
        planner->visited[planner->plan.n_roles] = profile;
        planner->plan.roles[planner->plan.n_roles++] = role;
        return 0;
}

/* What a profile with a role leads to: the next profile, or NULL once the base is known. */
static int follow_role(Planner *planner, const char *profile, const char **ret_next) {
        const char *token_file = get(planner, profile, "web_identity_token_file");
        const char *source = get(planner, profile, "credential_source"),
                   *next = get(planner, profile, "source_profile");
        int r;

        *ret_next = NULL;
        r = add_role(planner, profile);
        if (r < 0)
                return r;
        if (token_file) {
                planner->plan.base = CREDENTIAL_BASE_WEB_IDENTITY;
                planner->plan.token_file = token_file;
                return 0;
        }
        if (!source == !next)
                return refuse(planner, profile, "role_arn needs one of source_profile and credential_source");
        if (source)
                return use_source(planner, profile, source);
        if (!aws_profiles_has(planner->profiles, next))
                return error_set_fault(planner->error, -EINVAL, FAULT_INPUT,
                                       "profile %.64s: source_profile: there is no profile %.64s", profile,
                                       next);
        if (strcmp(next, profile) == 0) /* its own keys, then its own role */
                return use_profile(planner, profile);
        *ret_next = next;
        return 0;
}

int credential_plan_make(const AwsProfiles *profiles, const char *profile, CredentialPlan *ret,
                         Error *error) {
        Planner planner = { .profiles = profiles, .error = error };
        CredentialPlan *plan = &planner.plan;
        const char *next = profile;
        int r = 0;

        while (next && r >= 0) {
                profile = next;
                next = NULL;
                r = get(&planner, profile, "role_arn") ? follow_role(&planner, profile, &next)
                                                       : use_profile(&planner, profile);
        }
        if (r < 0)
                return r == -ENOKEY && plan->n_roles > 0
                               ? refuse(&planner, profile, "it is a source_profile and has no credentials")
                               : r;
        for (size_t i = 0; i < plan->n_roles / 2; i++) {
                CredentialRole other = plan->roles[i];

                plan->roles[i] = plan->roles[plan->n_roles - 1 - i];
                plan->roles[plan->n_roles - 1 - i] = other;
        }
        *ret = *plan;
        return 0;
}
