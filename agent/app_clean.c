#include <string.h>

#include "agent/app_clean.h"
#include "agent/base/log.h"
#include "agent/base/task.h"
#include "agent/base/timer.h"
#include "agent/files.h"
#include "agent/unpack_unit.h"
#include "hooks/hook_leftovers.h"

struct AppClean {
        AppCleanContext context;
        AppCleanDone done;
        void *userdata;
        StoreClean *clean;
        HookLeftovers *leftovers;
        Task *files;
        uint64_t files_delay; /* until what could not be settled is tried again; 0: it could */
        sd_event_source *again;
};

bool app_clean_is_needed(const ReleaseStore *store, const Record *record, const char *name) {
        const ReleaseRef *refs[] = { &record->good,          &record->previous,
                                     &record->deployment.to, &record->deployment.from,
                                     &record->pin.release,   &record->prefetched };
        char needed[STORE_NAME_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(refs); i++)
                if (refs[i]->version && store_name(refs[i]->version, refs[i]->sha256, needed) >= 0 &&
                    strcmp(needed, name) == 0)
                        return true;
        return store_current(store, needed, NULL) > 0 && strcmp(needed, name) == 0;
}

static bool is_needed(const char *name, void *userdata) {
        const AppClean *clean = userdata;

        return app_clean_is_needed(clean->context.store, clean->context.record, name);
}

static int on_again(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        app_clean_start(userdata);
        return 0;
}

int app_clean_new(const AppCleanContext *context, AppCleanDone done, void *userdata, AppClean **ret,
                  Error *error) {
        _cleanup_(app_clean_freep) AppClean *clean = calloc(1, sizeof(*clean));
        int r;

        if (!clean)
                return error_oom(error);
        clean->context = *context;
        clean->done = done;
        clean->userdata = userdata;
        r = timer_new(context->event, CLOCK_BOOTTIME, on_again, clean, &clean->again);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(clean);
        return 0;
}

AppClean *app_clean_free(AppClean *clean) {
        if (!clean)
                return NULL;
        store_clean_free(clean->clean);
        hook_leftovers_free(clean->leftovers);
        task_free(clean->files);
        sd_event_source_unref(clean->again);
        free(clean);
        return NULL;
}

static void try_again(AppClean *clean, uint64_t delay) {
        (void) sd_event_source_set_time_relative(clean->again, delay);
        (void) sd_event_source_set_enabled(clean->again, SD_EVENT_ONESHOT);
}

static void end(AppClean *clean, int result, const Error *error) {
        bool again = result < 0 || store_clean_left_some(clean->clean);

        if (result < 0)
                log_warning("%s: old releases: %s", clean->context.app, error->message);
        clean->clean = store_clean_free(clean->clean);
        if (again)
                try_again(clean, clean->files_delay ?: APP_CLEAN_AGAIN);
        clean->done(clean, clean->userdata);
}

static void on_cleaned(_unused_ StoreClean *op, int result, const Error *error, void *userdata) {
        end(userdata, result, error);
}

static void on_collected(_unused_ HookLeftovers *leftovers, int result, _unused_ unsigned n_stopped,
                         const Error *error, void *userdata) {
        AppClean *clean = userdata;

        if (result < 0)
                log_warning("%s: units of hooks: %s", clean->context.app, error->message);
        clean->leftovers = hook_leftovers_free(clean->leftovers);
}

static void collect_units(AppClean *clean) {
        const AppCleanContext *context = &clean->context;
        _cleanup_free_ char *unpackers = NULL;
        Error error = {};

        if (unpack_unit_pattern(context->app, &unpackers) < 0 ||
            hook_leftovers_collect_start(context->manager, context->app, unpackers, on_collected, clean,
                                         &clean->leftovers, &error) < 0)
                log_warning("%s: units of hooks: %s", context->app, error.message);
}

static int settle_files(void *userdata, Error *error) {
        const AppClean *clean = userdata;

        return files_settle(clean->context.store, clean->context.record, error);
}

static void on_files_settled(_unused_ Task *task, int result, const Error *error, void *userdata) {
        AppClean *clean = userdata;

        clean->files = task_free(clean->files);
        if (result >= 0) {
                clean->files_delay = 0;
                return;
        }
        log_warning("%s: installed files: %s", clean->context.app, error->message);
        clean->files_delay = clean->files_delay == 0 ? APP_CLEAN_FILES_AGAIN
                                                     : MIN(clean->files_delay * 2, APP_CLEAN_AGAIN);
        try_again(clean, clean->files_delay);
}

static void start_files(AppClean *clean) {
        const AppCleanContext *context = &clean->context;
        Error error = {};

        if (files_are_unsettled(context->store) &&
            task_start(context->event, "settle installed files", settle_files, clean, on_files_settled, clean,
                       &clean->files, &error) < 0)
                log_warning("%s: installed files: %s", context->app, error.message);
}

void app_clean_start(AppClean *clean) {
        const AppCleanContext *context = &clean->context;
        const StoreRetention retention = {
                .releases = context->config->keep_releases,
                .bytes = context->config->keep_bytes,
        };
        Error error = {};
        int r;

        app_clean_stop(clean);
        collect_units(clean);
        start_files(clean);
        r = store_clean_start(context->store, context->event, NULL, &retention, is_needed, on_cleaned, clean,
                              &clean->clean, &error);
        if (r < 0)
                end(clean, r, &error);
}

void app_clean_stop(AppClean *clean) {
        clean->clean = store_clean_free(clean->clean);
        clean->leftovers = hook_leftovers_free(clean->leftovers);
        clean->files = task_free(clean->files);
        (void) sd_event_source_set_enabled(clean->again, SD_EVENT_OFF);
}
