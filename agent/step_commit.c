#include "agent/base/strv.h"
#include "agent/engine_step.h"

/* COMMIT: only now are the release's units enabled for boot. The commit itself is the write of the record that follows
 * this step: from then on this release is the good one. */

static void on_enabled(_unused_ UnitEnable *enable, int result, const Error *error, void *userdata) {
        engine_step_done(userdata, result, error);
}

int step_commit(Engine *engine, Error *error) {
        const Release *release = engine->to;
        int r;

        for (size_t i = 0; i < release->units.n; i++)
                if (release->units.items[i].file &&
                    strv_append(&engine->work.names, release->units.items[i].name) < 0)
                        return error_oom(error);
        if (!engine->work.names)
                return STEP_FINISHED;
        r = unit_enable_start(engine->context.manager, engine->work.names, true, on_enabled, engine,
                              &engine->work.enable, error);
        return r < 0 ? r : STEP_STARTED;
}
