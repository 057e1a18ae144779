#include <string.h>

#include "agent/base/strv.h"
#include "units/transient_stop.h"
#include "units/unit_enable.h"
#include "units/unit_list.h"
#include "units/unit_name.h"
#include "units/unit_removal.h"

/* List what there is of them (a template has instances), stop all that, disable, remove the files, reload. */
struct UnitRemoval {
        Manager *manager;
        UnitFiles files;
        char *app;
        char **names; /* what is to be removed */
        bool keep_files;
        char **running; /* loaded units of those names, and instances, in the order in which they are stopped */
        size_t next;
        ManagerCall *call;
        TransientStop *stop;
        UnitEnable *disable;
        sd_event_source *defer;
        int result;
        Error error; /* the first one */
        UnitRemovalDone done;
        void *userdata;
};

static void stop_next(UnitRemoval *removal);

static void note(UnitRemoval *removal, int result, const Error *error) {
        if (result < 0 && removal->result == 0) {
                removal->result = result;
                removal->error = *error;
        }
}

static void finish(UnitRemoval *removal) {
        removal->done(removal, removal->result, &removal->error, removal->userdata);
}

static void on_reloaded(_unused_ ManagerCall *call, int result, _unused_ sd_bus_message *reply,
                        const Error *error, void *userdata) {
        UnitRemoval *removal = userdata;

        note(removal, result, error);
        finish(removal);
}

static void on_disabled(_unused_ UnitEnable *enable, int result, const Error *error, void *userdata) {
        UnitRemoval *removal = userdata;
        Error problem = {};
        bool changed;
        int r;

        removal->disable = unit_enable_free(removal->disable);
        note(removal, result, error);
        if (removal->keep_files) {
                finish(removal);
                return;
        }
        STRV_FOREACH(name, removal->names) {
                r = unit_file_remove(&removal->files, removal->app, *name, &changed, &problem);
                note(removal, r, &problem);
        }
        /* Also if nothing changed now: an attempt before this one may have ended between removal and reload. */
        r = manager_reload_start(removal->manager, on_reloaded, removal, &removal->call, &problem);
        note(removal, r, &problem);
        if (r < 0)
                finish(removal);
}

static void disable(UnitRemoval *removal) {
        Error error = {};
        int r;

        r = unit_enable_start(removal->manager, removal->names, false, on_disabled, removal,
                              &removal->disable, &error);
        if (r < 0) {
                note(removal, r, &error);
                finish(removal);
        }
}

static void on_stopped(_unused_ TransientStop *stop, int result, const Error *error, void *userdata) {
        UnitRemoval *removal = userdata;

        removal->stop = transient_stop_free(removal->stop);
        note(removal, result, error);
        stop_next(removal);
}

static void stop_next(UnitRemoval *removal) {
        Error error = {};
        int r;

        if (removal->next >= strv_length(removal->running)) {
                disable(removal);
                return;
        }
        r = transient_stop_start(removal->manager, removal->running[removal->next++], on_stopped, removal,
                                 &removal->stop, &error);
        if (r < 0) {
                note(removal, r, &error);
                disable(removal);
        }
}

/* A service that is stopped before its socket is started again by the next connection. */
static bool starts_others(const char *unit) {
        const char *type = unit_name_type(unit);

        return strcmp(type, "socket") == 0 || strcmp(type, "timer") == 0 || strcmp(type, "path") == 0;
}

static int read_units(UnitRemoval *removal, sd_bus_message *reply) {
        _cleanup_strv_ char **others = NULL;
        const char *unit;
        int r;

        r = unit_list_begin(reply);
        while (r >= 0 && (r = unit_list_next(reply, &unit)) > 0)
                r = strv_append(starts_others(unit) ? &removal->running : &others, unit);
        for (char **other = others; r >= 0 && other && *other; other++)
                r = strv_append(&removal->running, *other);
        return r;
}

static void on_listed(_unused_ ManagerCall *call, int result, sd_bus_message *reply, const Error *error,
                      void *userdata) {
        UnitRemoval *removal = userdata;
        Error problem = *error;

        if (result == 0) {
                result = read_units(removal, reply);
                if (result < 0)
                        error_set_errno(&problem, result, "cannot read systemd's list of units");
        }
        removal->call = manager_call_free(removal->call);
        if (result < 0) {
                note(removal, result, &problem);
                finish(removal); /* a file is not taken from under a unit that may run */
        } else {
                stop_next(removal);
        }
}

/* Patterns for names and, of a template "api@.service", its instances "api@*.service". */
static int fill_patterns(sd_bus_message *m, void *userdata) {
        const UnitRemoval *removal = userdata;
        int r;

        r = sd_bus_message_append(m, "as", 0);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        STRV_FOREACH(name, removal->names) {
                _cleanup_free_ char *pattern = NULL;
                const char *at = unit_name_is_template(*name) ? strchr(*name, '@') : NULL;

                if (r < 0)
                        return r;
                r = at ? asprintf(&pattern, "%.*s@*%s", (int) (at - *name), *name, at + 1) : 0;
                if (r >= 0)
                        r = sd_bus_message_append(m, "s", at ? pattern : *name);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Takes over the names that may be touched. */
static int take_names(UnitRemoval *removal, char *const *names, Error *error) {
        for (; names && *names; names++) {
                Error problem = {};
                int r;

                r = unit_file_installed(&removal->files, removal->app, *names, &problem);
                if (r == UNIT_OWNER_NOBODY &&
                    unit_file_owner(&removal->files, removal->app, *names, NULL) != UNIT_OWNER_NOBODY)
                        continue; /* removed before, and now the name is somebody else's */
                if (r == UNIT_OWNER_OTHER || r < 0)
                        note(removal, r < 0 ? r : -EEXIST, &problem);
                else if (strv_append(&removal->names, *names) < 0)
                        return error_oom(error);
        }
        return 0;
}

static int on_defer(sd_event_source *source, void *userdata) {
        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        finish(userdata);
        return 0;
}

static int start(Manager *manager, const UnitFiles *files, const char *app, char *const *names,
                 bool keep_files, UnitRemovalDone done, void *userdata, UnitRemoval **ret, Error *error) {
        static const ManagerMethod method = { .member = "ListUnitsByPatterns", .fill = fill_patterns };
        _cleanup_(unit_removal_freep) UnitRemoval *removal = NULL;
        int r;

        removal = calloc(1, sizeof(*removal));
        if (!removal)
                return error_oom(error);
        removal->manager = manager;
        removal->files = *files;
        removal->keep_files = keep_files;
        removal->done = done;
        removal->userdata = userdata;
        removal->app = strdup(app);
        if (!removal->app)
                return error_oom(error);
        r = take_names(removal, names, error);
        if (r < 0)
                return r;
        if (removal->names) {
                r = manager_call_start(manager, &method, on_listed, removal, &removal->call, error);
        } else { /* to systemd, no pattern at all means every unit there is */
                r = sd_event_add_defer(manager_event(manager), &removal->defer, on_defer, removal);
                if (r < 0)
                        (void) error_set_errno(error, r, "cannot add to the event loop");
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(removal);
        return 0;
}

int unit_removal_start(Manager *manager, const UnitFiles *files, const char *app, char *const *names,
                       UnitRemovalDone done, void *userdata, UnitRemoval **ret, Error *error) {
        return start(manager, files, app, names, false, done, userdata, ret, error);
}

int unit_removal_stop_start(Manager *manager, const UnitFiles *files, const char *app, char *const *names,
                            UnitRemovalDone done, void *userdata, UnitRemoval **ret, Error *error) {
        return start(manager, files, app, names, true, done, userdata, ret, error);
}

UnitRemoval *unit_removal_free(UnitRemoval *removal) {
        if (!removal)
                return NULL;
        manager_call_free(removal->call);
        transient_stop_free(removal->stop);
        unit_enable_free(removal->disable);
        sd_event_source_disable_unref(removal->defer);
        strv_free(removal->names);
        strv_free(removal->running);
        free(removal->app);
        free(removal);
        return NULL;
}
