#include "agent/adopt.h"
#include "agent/base/strv.h"
#include "agent/engine_step.h"
#include "agent/files.h"
#include "agent/placement.h"

/* ADOPT: `current` names the release, and what is installed of it is written down. The app runs on as it did: no unit file, no
 * installed file and no process is touched. May be done again. */

static int adopt(void *userdata, Error *error) {
        const Engine *engine = userdata;
        const EngineContext *context = &engine->context;
        const Deployment *deployment = engine_deployment(engine);
        Placement placement = { .store = context->store, .app = context->app };
        _cleanup_strv_ char **paths = NULL;
        int r;

        r = adopt_read_paths(context->store, &paths, error);
        if (r >= 0)
                r = placement_write_environment(&placement, &deployment->to, engine->to,
                                                deployment->environment, deployment->env_sha256, error);
        if (r >= 0)
                r = placement_put(&placement, &deployment->to, engine->to, deployment->env_sha256, error);
        if (r >= 0)
                r = files_adopt(context->store, context->record, &deployment->to, engine->to, paths, error);
        return r;
}

static void on_adopted(_unused_ Task *task, int result, const Error *error, void *userdata) {
        engine_step_done(userdata, result, error);
}

int step_adopt(Engine *engine, Error *error) {
        const EngineContext *context = &engine->context;
        int r;

        if (engine->to->units.n > 0)
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "a release that is taken over has no units: nothing would have started them");
        r = task_start(context->event, "adoption of what is installed", adopt, engine, on_adopted, engine,
                       &engine->work.files, error);
        return r < 0 ? r : STEP_STARTED;
}
