#include <stdlib.h>

#include "agent/engine_step.h"
#include "agent/recheck.h"
#include "agent/release_checks.h"

struct Recheck {
        EngineContext context;
        RecheckDone done;
        void *userdata;
        Release *release;
        Health *health;
        sd_event_source *defer; /* where there is nothing to check */
};

static void on_health(_unused_ Health *health, int result, const Error *error, void *userdata) {
        Recheck *recheck = userdata;

        recheck->done(recheck, result, error, recheck->userdata);
}

static int on_defer(_unused_ sd_event_source *source, void *userdata) {
        Recheck *recheck = userdata;

        recheck->done(recheck, 0, NULL, recheck->userdata);
        return 0;
}

static int begin(Recheck *recheck, Error *error) {
        const ReleaseChecks checks = {
                .context = &recheck->context,
                .ref = &recheck->context.record->good,
                .release = recheck->release,
                .environment = recheck->context.record->good_environment,
        };
        int r;

        if (recheck->release->health.n > 0)
                return release_checks_start(&checks, on_health, recheck, &recheck->health, error);
        r = sd_event_add_defer(recheck->context.event, &recheck->defer, on_defer, recheck);
        return r < 0 ? error_set_errno(error, r, "cannot use the event loop") : 0;
}

int recheck_start(const EngineContext *context, RecheckDone done, void *userdata, Recheck **ret,
                  Error *error) {
        _cleanup_(recheck_freep) Recheck *recheck = NULL;
        int r;

        recheck = calloc(1, sizeof(*recheck));
        if (!recheck)
                return error_oom(error);
        recheck->context = *context;
        recheck->done = done;
        recheck->userdata = userdata;
        r = engine_load_release(context->store, &context->record->good, &recheck->release, error);
        if (r >= 0)
                r = begin(recheck, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(recheck);
        return 0;
}

Recheck *recheck_free(Recheck *recheck) {
        if (!recheck)
                return NULL;
        health_free(recheck->health);
        sd_event_source_unref(recheck->defer);
        release_free(recheck->release);
        free(recheck);
        return NULL;
}
