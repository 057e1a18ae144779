#include "agent/unit_restart.h"
#include "agent/base/strv.h"

struct UnitRestart {
        Manager *manager;
        const Release *release;
        uint64_t settle_usec;
        size_t next;
        UnitJob *job;
        sd_event_source *defer; /* begins */
        UnitRestartDone done;
        void *userdata;
};

static void go_on(UnitRestart *restart);

static void on_unit(_unused_ UnitJob *job, int result, const Error *error, void *userdata) {
        UnitRestart *restart = userdata;

        if (result != 0)
                restart->done(restart, result, error, restart->userdata);
        else
                go_on(restart);
}

static void go_on(UnitRestart *restart) {
        const ReleaseUnits *units = &restart->release->units;
        UnitJobSpec spec = { .settle_usec = restart->settle_usec };
        Error error = {};
        int r;

        while (restart->next < units->n && units->items[restart->next].on_deploy == ON_DEPLOY_NONE)
                restart->next++;
        if (restart->next == units->n) {
                restart->done(restart, 0, &error, restart->userdata);
                return;
        }
        spec.unit = units->items[restart->next++].name;
        spec.verb = string_ends_with(spec.unit, ".socket") ? UNIT_VERB_START : UNIT_VERB_RESTART;
        restart->job = unit_job_free(restart->job);
        r = unit_job_start(restart->manager, &spec, on_unit, restart, &restart->job, &error);
        if (r < 0)
                restart->done(restart, r, &error, restart->userdata);
}

static int on_defer(_unused_ sd_event_source *source, void *userdata) {
        go_on(userdata);
        return 0;
}

int unit_restart_start(Manager *manager, sd_event *event, const Release *release, uint64_t settle_usec,
                       UnitRestartDone done, void *userdata, UnitRestart **ret, Error *error) {
        _cleanup_(unit_restart_freep) UnitRestart *restart = calloc(1, sizeof(*restart));
        int r;

        if (!restart)
                return error_oom(error);
        restart->manager = manager;
        restart->release = release;
        restart->settle_usec = settle_usec;
        restart->done = done;
        restart->userdata = userdata;
        r = sd_event_add_defer(event, &restart->defer, on_defer, restart);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(restart);
        return 0;
}

UnitRestart *unit_restart_free(UnitRestart *restart) {
        if (!restart)
                return NULL;
        sd_event_source_unref(restart->defer);
        unit_job_free(restart->job);
        free(restart);
        return NULL;
}
