#include "agent/base/log.h"
#include "agent/engine_step.h"
#include "agent/messages.h"

/* A release that lies in the store is used only as it was published: one that has drifted counts as not there, and is
 * fetched anew into its place. Where that cannot be done (no network, no space), one that has all content that was signed,
 * with more beside it (caches that a program wrote) or of other modes and owners at most (as install hooks leave it), is
 * used all the same; one of which something is missing or changed is not. */

static void warn(const Engine *engine, const ReleaseRef *release, const char *drift,
                 const char *consequence) {
        const LogFields fields = {
                .app = engine->context.app,
                .version = release->version,
                .deployment = engine_deployment(engine)->id,
                .event = step_to_string(engine_deployment(engine)->step),
                .instance = engine->context.instance,
        };

        log_message(LOG_WARNING, MESSAGE_RELEASE_DRIFTED, &fields,
                    "release %s in the store is not as it was published any more, %s: %s", release->version,
                    consequence, drift);
}

bool step_use_stored(Engine *engine, Error *error) {
        const ReleaseRef *release = &engine_deployment(engine)->to;

        if (!engine->replace)
                return false;
        if (engine->usable) {
                warn(engine, release, error->message,
                     "but nothing is missing or changed, so it is used since it cannot be fetched");
                engine->replace = false;
                return true;
        }
        error_prefix(error, "release %s in the store has drifted (%s) and must be fetched anew",
                     release->version, engine->drift);
        return false;
}

static void on_checked(_unused_ InstalledCheck *check, const InstalledFinding *finding, void *userdata) {
        Engine *engine = userdata;
        Error error = {};
        int r;

        if (finding->state == INSTALLED_WHOLE || finding->state == INSTALLED_KEPT) {
                engine_step_done(engine, 0, NULL);
                return;
        }
        engine->replace = true;
        engine->usable = installed_is_complete(finding);
        installed_describe(finding, engine->drift, sizeof(engine->drift));
        warn(engine, &engine_deployment(engine)->to, engine->drift, "and is fetched anew");
        r = step_admit(engine, &error);
        if (r == STEP_STARTED)
                return;
        if (r == STEP_FINISHED || step_use_stored(engine, &error))
                r = 0;
        engine_step_done(engine, r, &error);
}

int step_check_stored(Engine *engine, const char *name, Error *error) {
        const EngineContext *context = &engine->context;
        const InstalledCheckSpec spec = {
                .store = context->store,
                .name = name,
                .known = context->audit ? app_audit_find(context->audit, &engine_deployment(engine)->to)
                                        : NULL,
        };
        int r;

        r = installed_check_start(&spec, context->event, on_checked, engine, &engine->work.check, error);
        return r < 0 ? r : STEP_STARTED;
}

void step_warn_of_drift(const Engine *engine, const ReleaseRef *release) {
        const InstalledFinding *finding =
                engine->context.audit ? app_audit_find(engine->context.audit, release) : NULL;
        char text[DRIFT_TEXT_MAX];

        if (!finding || (finding->state != INSTALLED_DRIFTED && finding->state != INSTALLED_FAILED))
                return;
        installed_describe(finding, text, sizeof(text));
        warn(engine, release, text, "and is gone back to as it is");
}
