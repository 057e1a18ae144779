#include <stdlib.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/net/credential_plan.h"
#include "agent/net/credential_process.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_plan(const AwsProfiles *profiles, const char *profile) {
        CredentialPlan plan;
        Error error = {};

        if (credential_plan_make(profiles, profile, &plan, &error) < 0) {
                if (!error.message[0] || strchr(error.message, '\n'))
                        abort();
                return;
        }
        if (plan.n_roles > CREDENTIAL_ROLES_MAX ||
            (plan.base == CREDENTIAL_BASE_KEYS && !plan.keys.access_key_id))
                abort();
        for (size_t i = 0; i < plan.n_roles; i++)
                if (!plan.roles[i].arn)
                        abort();
        if (plan.base == CREDENTIAL_BASE_PROCESS) {
                _cleanup_strv_ char **words = NULL;

                (void) credential_process_split(plan.command, &words);
        }
}

/* Whatever stands in the files, a plan is made or refused in one line. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(aws_profiles_freep) AwsProfiles *profiles = NULL;
        _cleanup_free_ char *text = malloc(size + 1);

        if (!text || aws_profiles_new(&profiles) < 0)
                return 0;
        memcpy(text, data, size);
        text[size] = '\0';
        (void) aws_profiles_add(profiles, AWS_PROFILE_CONFIG, "config", text, NULL);
        (void) aws_profiles_add(profiles, AWS_PROFILE_CREDENTIALS, "credentials", text, NULL);
        check_plan(profiles, "default");
        check_plan(profiles, "a");
        return 0;
}
