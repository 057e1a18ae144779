#include "agent/engine_step.h"
#include "agent/release_checks.h"

/* HEALTH and ROLLBACK_HEALTH: the checks of the release that is to serve. */

static void on_health(_unused_ Health *health, int result, const Error *error, void *userdata) {
        engine_step_done(userdata, result, error);
}

int step_health(Engine *engine, Error *error) {
        const ReleaseChecks checks = {
                .context = &engine->context,
                .ref = engine_subject_ref(engine),
                .release = engine_subject(engine),
                .environment = engine_subject_environment(engine),
        };
        int r;

        if (checks.release->health.n == 0)
                return STEP_FINISHED;
        for (size_t i = 0; i < checks.release->health.n; i++)
                engine->work.allowance =
                        MAX(engine->work.allowance, checks.release->health.items[i].deadline);
        r = release_checks_start(&checks, on_health, engine, &engine->work.health, error);
        return r < 0 ? r : STEP_STARTED;
}
