#include <string.h>

#include "hooks/hook_collect.h"
#include "hooks/hook_name.h"
#include "units/transient_stop.h"

struct HookCollect {
        Manager *manager;
        char *unit;
        ManagerCall *call;
        TransientStop *stop;
        HookCollectDone done;
        void *userdata;
};

static void finish(HookCollect *collect, int result, bool processes_left, const Error *error) {
        collect->done(collect, result, processes_left, error, collect->userdata);
}

static void on_stopped(_unused_ TransientStop *stop, int result, const Error *error, void *userdata) {
        finish(userdata, result, false, error);
}

static int fill_unit(sd_bus_message *m, void *userdata) {
        const HookCollect *collect = userdata;

        return sd_bus_message_append(m, "s", collect->unit);
}

static void on_processes(_unused_ ManagerCall *call, int result, sd_bus_message *reply, const Error *error,
                         void *userdata) {
        HookCollect *collect = userdata;
        Error problem = {};
        int r;

        if (result == -ENOENT) { /* forgotten already */
                finish(collect, 0, false, &problem);
                return;
        }
        if (result < 0) {
                finish(collect, result, false, error);
                return;
        }
        r = sd_bus_message_enter_container(reply, 'a', "(sus)");
        if (r >= 0)
                r = sd_bus_message_at_end(reply, 0);
        if (r == 0) {
                finish(collect, 0, true, &problem);
                return;
        }
        r = transient_stop_start(collect->manager, collect->unit, on_stopped, collect, &collect->stop,
                                 &problem);
        if (r < 0)
                finish(collect, r, false, &problem);
}

int hook_collect_start(Manager *manager, const char *unit, HookCollectDone done, void *userdata,
                       HookCollect **ret, Error *error) {
        static const ManagerMethod method = { .member = "GetUnitProcesses", .fill = fill_unit };
        _cleanup_(hook_collect_freep) HookCollect *collect = NULL;
        int r;

        collect = calloc(1, sizeof(*collect));
        if (!collect)
                return error_oom(error);
        *collect = (HookCollect){ .manager = manager, .done = done, .userdata = userdata };
        collect->unit = strdup(unit);
        if (!collect->unit)
                return error_oom(error);
        r = manager_call_start(manager, &method, on_processes, collect, &collect->call, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(collect);
        return 0;
}

HookCollect *hook_collect_free(HookCollect *collect) {
        if (!collect)
                return NULL;
        manager_call_free(collect->call);
        transient_stop_free(collect->stop);
        free(collect->unit);
        free(collect);
        return NULL;
}
