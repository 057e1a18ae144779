#include <string.h>

#include "agent/base/strv.h"
#include "hooks/hook_collect.h"
#include "hooks/hook_list.h"

struct HookList {
        Manager *manager;
        HookContext context; /* texts owned */
        HookScript *scripts; /* texts owned */
        unsigned n_scripts;
        unsigned index; /* of the one that runs */
        /* the attempt as which it may have been started before, 0: none that is not ruled out */
        unsigned adopting;
        Hook *hook;
        HookCollect *collect;
        sd_event_source *defer;
        int result;
        Error error;
        HookListRecord record;
        HookListDone done;
        void *userdata;
};

static void start_next(HookList *list);

static void finish(HookList *list) {
        list->done(list, list->result, list->index, &list->error, list->userdata);
}

/* That it could not be collected is no reason to fail what has succeeded: it is a leftover then. */
static void on_collected(_unused_ HookCollect *collect, _unused_ int result, _unused_ bool processes_left,
                         _unused_ const Error *error, void *userdata) {
        HookList *list = userdata;

        list->collect = hook_collect_free(list->collect);
        list->hook = hook_free(list->hook);
        if (list->result != 0) {
                finish(list);
        } else {
                list->index++;
                start_next(list);
        }
}

static void on_hook(Hook *hook, int result, const Error *error, void *userdata) {
        HookList *list = userdata;
        Error problem = {};
        int r = 0;

        if (result == HOOK_NOT_THERE) {
                list->hook = hook_free(list->hook);
                list->adopting--;
                start_next(list);
                return;
        }
        list->adopting = 0;
        list->result = result;
        list->error = *error;
        if (list->record)
                r = list->record(list, hook, list->index, result, error, list->userdata);
        if (r < 0 && list->result == 0) {
                list->result = r;
                error_set_errno(&list->error, r, "cannot record the result of a hook");
        }
        if (r < 0 || hook_collect_start(list->manager, hook_unit(hook), on_collected, list, &list->collect,
                                        &problem) < 0)
                finish(list); /* what is not recorded is not stopped */
}

static int on_defer(sd_event_source *source, void *userdata) {
        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        finish(userdata);
        return 0;
}

static void finish_later(HookList *list) {
        if (sd_event_source_set_enabled(list->defer, SD_EVENT_ONESHOT) < 0)
                finish(list);
}

static int start_hook(HookList *list) {
        const HookScript *script = &list->scripts[list->index];
        HookContext context = list->context;

        if (list->adopting == 0)
                return hook_start(list->manager, &context, script, list->index, on_hook, list, &list->hook,
                                  &list->error);
        context.attempt = list->adopting;
        return hook_adopt(list->manager, &context, script, list->index, on_hook, list, &list->hook,
                          &list->error);
}

static void start_next(HookList *list) {
        if (list->index < list->n_scripts)
                list->result = start_hook(list);
        if (list->index == list->n_scripts || list->result < 0)
                finish_later(list);
}

static int copy_context(HookList *list, const HookContext *from) {
        HookContext *to = &list->context;

        *to = (HookContext){
                .event = from->event,
                .attempt = from->attempt,
                .release_dirfd = from->release_dirfd,
                .output_dirfd = from->output_dirfd,
        };
        if (string_set((char **) &to->app, from->app) < 0 ||
            string_set((char **) &to->deployment, from->deployment) < 0 ||
            string_set((char **) &to->release_folder, from->release_folder) < 0 ||
            string_set((char **) &to->run_folder, from->run_folder) < 0)
                return -ENOMEM;
        return strv_extend((char ***) &to->environment, from->environment);
}

static int copy_scripts(HookList *list, const HookScript *scripts, unsigned n) {
        list->scripts = calloc(n + 1, sizeof(*list->scripts));
        if (!list->scripts)
                return -ENOMEM;
        list->n_scripts = n;
        for (unsigned i = 0; i < n; i++) {
                HookScript *to = &list->scripts[i];

                to->timeout_usec = scripts[i].timeout_usec;
                if (string_set((char **) &to->location, scripts[i].location) < 0 ||
                    string_set((char **) &to->runas, scripts[i].runas) < 0 ||
                    strv_extend((char ***) &to->args, scripts[i].args) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int hook_list_start(Manager *manager, const HookContext *context, const HookScript *scripts,
                    unsigned n_scripts, unsigned first, HookListRecord record, HookListDone done,
                    void *userdata, HookList **ret, Error *error) {
        _cleanup_(hook_list_freep) HookList *list = NULL;
        int r;

        list = calloc(1, sizeof(*list));
        if (!list)
                return error_oom(error);
        list->manager = manager;
        list->index = MIN(first, n_scripts);
        list->adopting = context->attempt > 0 ? context->attempt - 1 : 0;
        list->record = record;
        list->done = done;
        list->userdata = userdata;
        if (copy_context(list, context) < 0 || copy_scripts(list, scripts, n_scripts) < 0)
                return error_oom(error);
        r = sd_event_add_defer(manager_event(manager), &list->defer, on_defer, list);
        if (r >= 0)
                r = sd_event_source_set_enabled(list->defer, SD_EVENT_OFF);
        if (r < 0)
                return error_set_errno(error, r, "cannot add to the event loop");
        start_next(list);
        *ret = TAKE_PTR(list);
        return 0;
}

HookList *hook_list_free(HookList *list) {
        if (!list)
                return NULL;
        hook_free(list->hook);
        hook_collect_free(list->collect);
        sd_event_source_disable_unref(list->defer);
        free((char *) list->context.app);
        free((char *) list->context.deployment);
        free((char *) list->context.release_folder);
        free((char *) list->context.run_folder);
        strv_free((char **) list->context.environment);
        for (unsigned i = 0; i < list->n_scripts; i++) {
                free((char *) list->scripts[i].location);
                free((char *) list->scripts[i].runas);
                strv_free((char **) list->scripts[i].args);
        }
        free(list->scripts);
        free(list);
        return NULL;
}
