#include <string.h>

#include "agent/base/strv.h"
#include "agent/engine_step.h"
#include "agent/environment.h"

/* HEALTH and ROLLBACK_HEALTH: the release's checks, as hooks/health.h wants them. */

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

static void on_health(_unused_ Health *health, int result, const Error *error, void *userdata) {
        engine_step_done(userdata, result, error);
}

static int start_checks(Engine *engine, const HealthCheck *checks, size_t n, Error *error) {
        const EngineContext *context = &engine->context;
        const ReleaseRef *ref = engine_subject_ref(engine);
        _cleanup_strv_ char **environment = NULL;
        _cleanup_free_ char *folder = NULL;
        char name[STORE_NAME_SIZE];
        HealthContext health_context;
        int r;

        r = environment_of_hooks(context, ref, engine_subject(engine), engine_deployment(engine)->environment,
                                 &environment);
        if (r < 0 || store_name(ref->version, ref->sha256, name) < 0 ||
            asprintf(&folder, "%s/releases/%s", context->store->path, name) < 0) {
                folder = NULL;
                return error_oom(error);
        }
        health_context = (HealthContext){
                .app = context->app,
                .deployment = engine_deployment(engine)->id,
                .release_folder = folder,
                .environment = environment,
        };
        return health_start(context->manager, &health_context, checks, n, on_health, engine,
                            &engine->work.health, error);
}

int step_health(Engine *engine, Error *error) {
        const Release *release = engine_subject(engine);
        HealthCheck checks[RELEASE_HEALTH_MAX] = {};
        int r = 0;

        if (!release || release->health.n == 0)
                return STEP_FINISHED;
        for (size_t i = 0; i < release->health.n && r >= 0; i++)
                r = make_check(&release->health.items[i], &checks[i]);
        r = r < 0 ? error_oom(error) : start_checks(engine, checks, release->health.n, error);
        for (size_t i = 0; i < release->health.n; i++)
                strv_free((char **) checks[i].command);
        return r < 0 ? r : STEP_STARTED;
}
