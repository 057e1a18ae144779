#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "agent/current_keep.h"
#include "agent/engine_step.h"

/* COMMIT: only now are the release's units enabled for boot. The commit itself is the write of the record that follows
 * this step: from then on this release is the good one. */

static void on_enabled(_unused_ UnitEnable *enable, int result, const Error *error, void *userdata) {
        engine_step_done(userdata, result, error);
}

/* A hook may have done something to `current` since it was switched. */
static int keep_current(const Engine *engine, Error *error) {
        const ReleaseRef *to = &engine_deployment(engine)->to;
        int r = current_keep(engine->context.store, to, error);

        if (r > 0)
                log_warning("%s: current did not name release %s any more, and was put back",
                            engine->context.app, to->version);
        return r;
}

int step_commit(Engine *engine, Error *error) {
        const Release *release = engine->to;
        int r;

        r = keep_current(engine, error);
        if (r < 0)
                return r;
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
