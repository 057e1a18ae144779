#include "agent/unpack_stop.h"
#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/strv.h"
#include "agent/unpack_unit.h"
#include "units/transient_stop.h"

struct UnpackStop {
        Manager *manager;
        char **units;
        size_t next;
        sd_event_source *defer;
        TransientStop *stop;
        int result;
        Error error; /* the first one */
        UnpackStopDone done;
        void *userdata;
};

static void note(UnpackStop *stop, int result, const Error *error) {
        if (result < 0 && stop->result == 0) {
                stop->result = result;
                stop->error = *error;
        }
}

static void stop_next(UnpackStop *stop);

static void on_stopped(_unused_ TransientStop *transient, int result, const Error *error, void *userdata) {
        UnpackStop *stop = userdata;

        stop->stop = transient_stop_free(stop->stop);
        note(stop, result, error);
        stop_next(stop);
}

/* One that cannot be stopped leaves no other running. */
static void stop_next(UnpackStop *stop) {
        int r = -1;

        while (r < 0 && stop->units && stop->units[stop->next]) {
                Error error = {};

                r = transient_stop_start(stop->manager, stop->units[stop->next++], on_stopped, stop,
                                         &stop->stop, &error);
                note(stop, r, &error);
        }
        if (r < 0)
                stop->done(stop, stop->result, &stop->error, stop->userdata);
}

static int on_defer(_unused_ sd_event_source *source, void *userdata) {
        stop_next(userdata);
        return 0;
}

static int list_units(UnpackStop *stop, const ReleaseStore *store, const char *app) {
        _cleanup_closedir_ DIR *dir = NULL;
        const char *name;
        int r;

        r = folder_open(store->staging_fd, ".", &dir);
        while (r >= 0 && (r = folder_next(dir, &name)) > 0)
                r = strv_appendf(&stop->units, UNPACK_UNIT_FORMAT, app, name);
        return r;
}

int unpack_stop_start(Manager *manager, const ReleaseStore *store, const char *app, UnpackStopDone done,
                      void *userdata, UnpackStop **ret, Error *error) {
        _cleanup_(unpack_stop_freep) UnpackStop *stop = NULL;
        int r;

        stop = calloc(1, sizeof(*stop));
        if (!stop)
                return error_oom(error);
        *stop = (UnpackStop){ .manager = manager, .done = done, .userdata = userdata };
        r = list_units(stop, store, app);
        if (r < 0)
                return error_set_errno(error, r, "cannot list the staging folder");
        r = sd_event_add_defer(manager_event(manager), &stop->defer, on_defer, stop);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(stop);
        return 0;
}

UnpackStop *unpack_stop_free(UnpackStop *stop) {
        if (!stop)
                return NULL;
        sd_event_source_unref(stop->defer);
        transient_stop_free(stop->stop);
        strv_free(stop->units);
        free(stop);
        return NULL;
}
