#include <stdlib.h>

#include "agent/base/strv.h"
#include "agent/environment.h"
#include "agent/release_checks.h"

static const HealthType types[] = {
        [RELEASE_HEALTH_HTTP] = HEALTH_HTTP,
        [RELEASE_HEALTH_TCP] = HEALTH_TCP,
        [RELEASE_HEALTH_COMMAND] = HEALTH_COMMAND,
        [RELEASE_HEALTH_UNIT] = HEALTH_UNIT,
};

static int make_check(const ReleaseHealth *health, HealthCheck *ret) {
        char **command = NULL;
        int r = 0;

        for (size_t i = 0; i < health->command.n && r >= 0; i++)
                r = strv_append(&command, health->command.items[i]);
        *ret = (HealthCheck){
                .type = types[health->type],
                .interval_usec = health->interval,
                .timeout_usec = health->timeout,
                .healthy = (unsigned) health->healthy,
                .deadline_usec = health->deadline,
                .url = health->url,
                .status = (unsigned) health->status,
                .body = health->body,
                .header = health->header,
                .address = health->address,
                .command = command,
                .runas = health->runas,
                .unit = health->unit,
                .active_usec = health->active,
        };
        return r;
}

static int start(const ReleaseChecks *what, const HealthCheck *checks, HealthDone done, void *userdata,
                 Health **ret, Error *error) {
        const EngineContext *context = what->context;
        const Deployment *last = &context->record->deployment;
        _cleanup_strv_ char **environment = NULL;
        _cleanup_free_ char *folder = NULL;
        char name[STORE_NAME_SIZE];
        HealthContext health_context;
        int r;

        r = environment_of_hooks(context, what->ref, what->release, what->environment, &environment);
        if (r < 0 || store_name(what->ref->version, what->ref->sha256, name) < 0 ||
            asprintf(&folder, "%s/releases/%s", context->store->path, name) < 0) {
                folder = NULL;
                return error_oom(error);
        }
        health_context = (HealthContext){
                .app = context->app,
                .deployment = last->id ? last->id : "none",
                .release_folder = folder,
                .environment = environment,
        };
        return health_start(context->manager, &health_context, checks, what->release->health.n, done,
                            userdata, ret, error);
}

int release_checks_start(const ReleaseChecks *what, HealthDone done, void *userdata, Health **ret,
                         Error *error) {
        const Release *release = what->release;
        HealthCheck checks[RELEASE_HEALTH_MAX] = {};
        int r = 0;

        for (size_t i = 0; i < release->health.n && r >= 0; i++)
                r = make_check(&release->health.items[i], &checks[i]);
        r = r < 0 ? error_oom(error) : start(what, checks, done, userdata, ret, error);
        for (size_t i = 0; i < release->health.n; i++)
                strv_free((char **) checks[i].command);
        return r;
}
