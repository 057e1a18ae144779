#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "units/unit_enable.h"

struct UnitEnable {
        Manager *manager;
        char **names;
        bool enable;
        ManagerCall *call;
        sd_event_source *defer;
        UnitEnableDone done;
        void *userdata;
};

static void finish(UnitEnable *enable, int result, const Error *error) {
        enable->done(enable, result, error, enable->userdata);
}

/* Makes the links durable that systemd made or removed: it does not sync them itself. The changes are the last value of
 * the reply, as (kind, path, target). */
static int sync_changes(UnitEnable *enable, sd_bus_message *reply, bool *ret_changed, Error *error) {
        const char *kind, *path, *target;
        int r, carries;

        *ret_changed = false;
        r = enable->enable ? sd_bus_message_read(reply, "b", &carries) : 0;
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(sss)");
        while (r >= 0) {
                r = sd_bus_message_read(reply, "(sss)", &kind, &path, &target);
                if (r <= 0)
                        break;
                *ret_changed = true;
                r = file_sync_parent_at(AT_FDCWD, path);
                if (r == -ENOENT) /* the folder went with its last link */
                        r = 0;
        }
        return r < 0 ? error_set_errno(error, r, "cannot make the %s of units durable",
                                       enable->enable ? "enabling" : "disabling")
                     : 0;
}

static void on_reloaded(_unused_ ManagerCall *call, int result, _unused_ sd_bus_message *reply,
                        const Error *error, void *userdata) {
        finish(userdata, result, error);
}

static void on_enabled(_unused_ ManagerCall *call, int result, sd_bus_message *reply, const Error *error,
                       void *userdata) {
        UnitEnable *enable = userdata;
        Error problem = {};
        bool changed;

        if (result == 0) {
                result = sync_changes(enable, reply, &changed, &problem);
        } else if (result == -ENOENT && !enable->enable) {
                result = 0; /* its file is gone; links that were left went all the same */
                changed = true;
        } else {
                problem = *error;
        }
        enable->call = manager_call_free(enable->call);
        if (result == 0 && changed) {
                result = manager_reload_start(enable->manager, on_reloaded, enable, &enable->call, &problem);
                if (result == 0)
                        return;
        }
        if (result < 0)
                error_prefix(&problem, "cannot %s units", enable->enable ? "enable" : "disable");
        finish(enable, result, &problem);
}

static int fill(sd_bus_message *m, void *userdata) {
        const UnitEnable *enable = userdata;
        int r;

        r = sd_bus_message_append_strv(m, enable->names);
        if (r < 0)
                return r;
        return enable->enable ? sd_bus_message_append(m, "bb", 0, 0) : sd_bus_message_append(m, "b", 0);
}

static int on_defer(sd_event_source *source, void *userdata) {
        const Error none = {};

        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        finish(userdata, 0, &none);
        return 0;
}

int unit_enable_start(Manager *manager, char *const *names, bool enable, UnitEnableDone done, void *userdata,
                      UnitEnable **ret, Error *error) {
        const ManagerMethod method = { .member = enable ? "EnableUnitFiles" : "DisableUnitFiles",
                                       .fill = fill };
        _cleanup_(unit_enable_freep) UnitEnable *e = NULL;
        int r;

        e = calloc(1, sizeof(*e));
        if (!e)
                return error_oom(error);
        *e = (UnitEnable){ .manager = manager, .enable = enable, .done = done, .userdata = userdata };
        r = strv_extend(&e->names, names);
        if (r < 0)
                return error_oom(error);
        if (e->names)
                r = manager_call_start(manager, &method, on_enabled, e, &e->call, error);
        else if ((r = sd_event_add_defer(manager_event(manager), &e->defer, on_defer, e)) < 0)
                (void) error_set_errno(error, r, "cannot add to the event loop");
        if (r < 0)
                return r;
        *ret = TAKE_PTR(e);
        return 0;
}

UnitEnable *unit_enable_free(UnitEnable *enable) {
        if (!enable)
                return NULL;
        manager_call_free(enable->call);
        sd_event_source_disable_unref(enable->defer);
        strv_free(enable->names);
        free(enable);
        return NULL;
}
