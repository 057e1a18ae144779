#include <string.h>

#include "units/transient_stop.h"
#include "units/unit_watch.h"

struct TransientStop {
        Manager *manager;
        char *name;
        UnitWatch *watch;
        ManagerCall *call;
        bool stopping; /* the stop was accepted: from here on the unit's state counts */
        TransientStopDone done;
        void *userdata;
};

static void finish(TransientStop *stop, int result, const Error *error) {
        stop->watch = unit_watch_free(stop->watch);
        stop->call = manager_call_free(stop->call);
        stop->done(stop, result, error, stop->userdata);
}

static int fill_stop(sd_bus_message *m, void *userdata) {
        const TransientStop *stop = userdata;

        return sd_bus_message_append(m, "ss", stop->name, "replace");
}

static int fill_reset(sd_bus_message *m, void *userdata) {
        const TransientStop *stop = userdata;

        return sd_bus_message_append(m, "s", stop->name);
}

static void on_reset(_unused_ ManagerCall *call, int result, _unused_ sd_bus_message *reply,
                     const Error *error, void *userdata) {
        finish(userdata, result == -ENOENT ? 0 : result, error);
}

static void on_changed(_unused_ UnitWatch *watch, const UnitState *state, void *userdata) {
        static const ManagerMethod method = { .member = "ResetFailedUnit", .fill = fill_reset };
        TransientStop *stop = userdata;
        Error error = {};
        int r;

        if (!stop->stopping || stop->call || !unit_state_is_down(state))
                return;
        if (state->active == UNIT_INACTIVE) {
                finish(stop, 0, &error);
        } else {
                r = manager_call_start(stop->manager, &method, on_reset, stop, &stop->call, &error);
                if (r < 0)
                        finish(stop, r, &error);
        }
}

static const UnitWatchEvents watch_events = { .changed = on_changed };

static void on_stopped(_unused_ ManagerCall *call, int result, _unused_ sd_bus_message *reply,
                       const Error *error, void *userdata) {
        TransientStop *stop = userdata;

        stop->call = manager_call_free(stop->call);
        if (result == 0) {
                stop->stopping = true;
                unit_watch_refresh(stop->watch);
        } else {
                finish(stop, result == -ENOENT ? 0 : result, error);
        }
}

int transient_stop_start(Manager *manager, const char *name, TransientStopDone done, void *userdata,
                         TransientStop **ret, Error *error) {
        static const ManagerMethod method = { .member = "StopUnit", .fill = fill_stop };
        _cleanup_(transient_stop_freep) TransientStop *stop = NULL;
        int r;

        stop = calloc(1, sizeof(*stop));
        if (!stop)
                return error_oom(error);
        *stop = (TransientStop){ .manager = manager, .done = done, .userdata = userdata };
        stop->name = strdup(name);
        if (!stop->name)
                return error_oom(error);
        r = unit_watch_new(manager, name, &watch_events, stop, &stop->watch, error);
        if (r < 0)
                return r;
        r = manager_call_start(manager, &method, on_stopped, stop, &stop->call, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(stop);
        return 0;
}

TransientStop *transient_stop_free(TransientStop *stop) {
        if (!stop)
                return NULL;
        unit_watch_free(stop->watch);
        manager_call_free(stop->call);
        free(stop->name);
        free(stop);
        return NULL;
}
