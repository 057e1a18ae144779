#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "units/unit_watch.h"

struct UnitWatch {
        Manager *manager;
        ManagerListener listener;
        char *unit, *path;
        const UnitWatchEvents *events;
        void *userdata;
        sd_bus_slot *changed_match, *removed_match, *reading;
        bool read_again; /* something happened after the reading was asked for */
        bool *freed;     /* set by unit_watch_free() while a callback runs */
};

static void start_reading(UnitWatch *watch);

/* Whether the watch outlived the callback. */
static bool tell_changed(UnitWatch *watch, const UnitState *state) {
        bool freed = false;

        watch->freed = &freed;
        watch->events->changed(watch, state, watch->userdata);
        if (!freed)
                watch->freed = NULL;
        return !freed;
}

static int on_state(sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *e) {
        UnitWatch *watch = userdata;
        UnitState state;
        Error error = {};
        int r;

        watch->reading = sd_bus_slot_unref(watch->reading);
        r = manager_reply_error(reply, &error);
        if (r >= 0)
                r = unit_state_read(reply, &state, &error);
        if (r < 0)
                log_debug("%s: %s", watch->unit, error.message);
        if (r >= 0 && !tell_changed(watch, &state))
                return 0;
        if (watch->read_again)
                start_reading(watch);
        return 0;
}

static void start_reading(UnitWatch *watch) {
        sd_bus *bus = manager_bus(watch->manager);

        if (watch->reading) {
                watch->read_again = true;
                return;
        }
        watch->read_again = false;
        /* With no interface named, all of them: one call, one moment. A failure is a lost connection: the next one
         * leads here again. */
        if (bus)
                (void) sd_bus_call_method_async(bus, &watch->reading, MANAGER_SERVICE, watch->path,
                                                "org.freedesktop.DBus.Properties", "GetAll", on_state, watch,
                                                "s", "");
}

static int on_properties_changed(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *e) {
        UnitWatch *watch = userdata;

        if (manager_has_sent(watch->manager, m))
                start_reading(watch);
        return 0;
}

static int on_job_removed(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *e) {
        const char *job, *unit, *result;
        UnitWatch *watch = userdata;
        uint32_t id;

        if (!manager_has_sent(watch->manager, m) ||
            sd_bus_message_read(m, "uoss", &id, &job, &unit, &result) < 0 || strcmp(unit, watch->unit) != 0)
                return 0;
        start_reading(watch);
        if (watch->events->job_removed)
                watch->events->job_removed(watch, job, result, watch->userdata);
        return 0;
}

static void drop_connection(UnitWatch *watch) {
        watch->changed_match = sd_bus_slot_unref(watch->changed_match);
        watch->removed_match = sd_bus_slot_unref(watch->removed_match);
        watch->reading = sd_bus_slot_unref(watch->reading);
}

static int use_connection(UnitWatch *watch) {
        sd_bus *bus = manager_bus(watch->manager);
        int r;

        drop_connection(watch);
        if (!bus)
                return 0;
        r = sd_bus_match_signal_async(bus, &watch->changed_match, MANAGER_SERVICE, watch->path,
                                      "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                      on_properties_changed, NULL, watch);
        if (r < 0)
                return r;
        r = sd_bus_match_signal_async(bus, &watch->removed_match, MANAGER_SERVICE, MANAGER_PATH,
                                      MANAGER_INTERFACE, "JobRemoved", on_job_removed, NULL, watch);
        if (r < 0)
                return r;
        start_reading(watch);
        return 0;
}

static void on_connected(void *userdata) {
        (void) use_connection(userdata); /* fails with the connection only, and then comes again */
}

int unit_watch_new(Manager *manager, const char *unit, const UnitWatchEvents *events, void *userdata,
                   UnitWatch **ret, Error *error) {
        _cleanup_(unit_watch_freep) UnitWatch *watch = NULL;
        int r;

        watch = calloc(1, sizeof(*watch));
        if (!watch)
                return error_oom(error);
        watch->manager = manager;
        watch->events = events;
        watch->userdata = userdata;
        watch->listener = (ManagerListener){ .connected = on_connected, .userdata = watch };
        manager_listen(manager, &watch->listener);
        watch->unit = strdup(unit);
        if (!watch->unit || sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &watch->path) < 0)
                return error_oom(error);
        r = use_connection(watch);
        if (r < 0 && r != -ENOTCONN)
                return error_set_errno(error, r, "cannot watch %s", unit);
        *ret = TAKE_PTR(watch);
        return 0;
}

UnitWatch *unit_watch_free(UnitWatch *watch) {
        if (!watch)
                return NULL;
        if (watch->freed)
                *watch->freed = true;
        drop_connection(watch);
        manager_unlisten(watch->manager, &watch->listener);
        free(watch->unit);
        free(watch->path);
        free(watch);
        return NULL;
}

void unit_watch_refresh(UnitWatch *watch) {
        start_reading(watch);
}
