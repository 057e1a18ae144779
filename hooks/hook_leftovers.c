#include "hooks/hook_leftovers.h"
#include "agent/base/strv.h"
#include "hooks/hook_collect.h"
#include "hooks/hook_name.h"
#include "units/transient_stop.h"
#include "units/unit_list.h"

/* A unit that is ended: whatever runs in it, or only if nothing does. */
typedef struct Leftover {
        TransientStop *stop;
        HookCollect *collect;
} Leftover;

struct HookLeftovers {
        Manager *manager;
        bool only_empty;
        char **patterns;
        char *keep;
        ManagerCall *call;
        char **units;
        Leftover items[HOOK_LEFTOVERS_MAX];
        unsigned n_items, n_running, n_stopped;
        int result;
        Error error; /* the first one */
        HookLeftoversDone done;
        void *userdata;
};

static void finish(HookLeftovers *l) {
        l->done(l, l->result, l->n_stopped, &l->error, l->userdata);
}

static void note(HookLeftovers *l, int result, const Error *error) {
        if (result < 0 && l->result == 0) {
                l->result = result;
                l->error = *error;
        }
}

static void one_ended(HookLeftovers *l, int result, bool stays, const Error *error) {
        note(l, result, error);
        l->n_stopped += !stays;
        if (--l->n_running == 0)
                finish(l);
}

static void on_stopped(_unused_ TransientStop *stop, int result, const Error *error, void *userdata) {
        one_ended(userdata, result, false, error);
}

static void on_collected(_unused_ HookCollect *collect, int result, bool processes_left, const Error *error,
                         void *userdata) {
        one_ended(userdata, result, processes_left, error);
}

static int end_unit(HookLeftovers *l, const char *unit, Error *error) {
        Leftover *item = &l->items[l->n_items];

        if (l->only_empty)
                return hook_collect_start(l->manager, unit, on_collected, l, &item->collect, error);
        return transient_stop_start(l->manager, unit, on_stopped, l, &item->stop, error);
}

static int read_units(HookLeftovers *l, sd_bus_message *reply) {
        const char *unit;
        int r;

        r = unit_list_begin(reply);
        while (r >= 0 && strv_length(l->units) < HOOK_LEFTOVERS_MAX && (r = unit_list_next(reply, &unit)) > 0)
                if (!(l->keep && string_starts_with(unit, l->keep)))
                        r = strv_append(&l->units, unit);
        return r;
}

static void on_listed(_unused_ ManagerCall *call, int result, sd_bus_message *reply, const Error *error,
                      void *userdata) {
        HookLeftovers *l = userdata;
        Error problem = {};
        int r;

        note(l, result, error);
        r = result < 0 ? 0 : read_units(l, reply);
        if (r < 0)
                note(l, error_set_errno(&problem, r, "cannot read systemd's list of units"), &problem);
        STRV_FOREACH(unit, l->units) {
                r = end_unit(l, *unit, &problem);
                if (r < 0) {
                        note(l, r, &problem);
                        break;
                }
                l->n_items++;
                l->n_running++;
        }
        if (l->n_running == 0)
                finish(l);
}

static int fill_patterns(sd_bus_message *m, void *userdata) {
        const HookLeftovers *l = userdata;
        int r;

        r = sd_bus_message_append(m, "as", 0);
        return r < 0 ? r : sd_bus_message_append_strv(m, l->patterns);
}

static int start(Manager *manager, const char *app, const char *keep_deployment, const char *others,
                 bool only_empty, HookLeftoversDone done, void *userdata, HookLeftovers **ret, Error *error) {
        static const ManagerMethod method = { .member = "ListUnitsByPatterns", .fill = fill_patterns };
        _cleanup_(hook_leftovers_freep) HookLeftovers *l = NULL;
        _cleanup_free_ char *hooks = NULL, *health = NULL;
        int r;

        l = calloc(1, sizeof(*l));
        if (!l || hook_unit_prefix(app, NULL, &hooks) < 0 || health_unit_prefix(app, &health) < 0)
                return error_oom(error);
        l->manager = manager;
        l->only_empty = only_empty;
        l->done = done;
        l->userdata = userdata;
        if (strv_appendf(&l->patterns, "%s*.service", hooks) < 0 ||
            strv_appendf(&l->patterns, "%s*.service", health) < 0 ||
            (others && strv_append(&l->patterns, others) < 0))
                return error_oom(error);
        if (keep_deployment && hook_unit_prefix(app, keep_deployment, &l->keep) < 0)
                return error_oom(error);
        r = manager_call_start(manager, &method, on_listed, l, &l->call, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

int hook_leftovers_stop_start(Manager *manager, const char *app, const char *keep_deployment,
                              const char *others, HookLeftoversDone done, void *userdata, HookLeftovers **ret,
                              Error *error) {
        return start(manager, app, keep_deployment, others, false, done, userdata, ret, error);
}

int hook_leftovers_collect_start(Manager *manager, const char *app, const char *others,
                                 HookLeftoversDone done, void *userdata, HookLeftovers **ret, Error *error) {
        return start(manager, app, NULL, others, true, done, userdata, ret, error);
}

HookLeftovers *hook_leftovers_free(HookLeftovers *leftovers) {
        if (!leftovers)
                return NULL;
        manager_call_free(leftovers->call);
        for (unsigned i = 0; i < leftovers->n_items; i++) {
                transient_stop_free(leftovers->items[i].stop);
                hook_collect_free(leftovers->items[i].collect);
        }
        strv_free(leftovers->units);
        strv_free(leftovers->patterns);
        free(leftovers->keep);
        free(leftovers);
        return NULL;
}
