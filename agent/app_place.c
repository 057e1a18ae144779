#include <string.h>

#include "agent/app_parts.h"
#include "agent/current_keep.h"

/* A hook that removes the app's folder also removes what is remembered of its failure. */
#define ANEW_FIRST (10 * USEC_PER_SEC)
#define ANEW_MAX (10 * 60 * USEC_PER_SEC)

static uint64_t next_delay(App *app) {
        uint64_t delay = ANEW_FIRST;

        for (unsigned i = 1; i < app->misplacements && delay < ANEW_MAX; i++)
                delay *= 2;
        return app->misplacements++ > 0 ? MIN(delay, (uint64_t) ANEW_MAX) : 0;
}

/* From the event loop, since who calls may be one of the app's parts. */
bool app_is_misplaced(App *app) {
        const LogFields fields = app_fields(app);

        if (app->misplaced || !app_is_open(app) || store_is_in_place(app->store))
                return app->misplaced;
        log_message(LOG_ERR, NULL, &fields, "%s or a folder in it was removed or replaced; it is opened anew",
                    app->store->path);
        app->misplaced = true;
        app_retry_at(app, usec_add(clock_realtime(app->context.clock), next_delay(app)));
        return true;
}

static void tell_problem(App *app, const Error *error) {
        const LogFields fields = app_fields(app);

        if (strcmp(app->current_problem, error->message) == 0)
                return;
        (void) snprintf(app->current_problem, sizeof(app->current_problem), "%s", error->message);
        log_message(LOG_ERR, NULL, &fields,
                    "current does not name release %s any more, and cannot be put back: %s",
                    app->record.good.version, error->message);
}

void app_keep_current(App *app) {
        const LogFields fields = app_fields(app);
        Error error = {};
        int r;

        if (current_is_right(app->store, &app->record)) {
                app->current_problem[0] = '\0';
                return;
        }
        r = current_keep(app->store, &app->record.good, &error);
        if (r < 0) {
                app->record.good_is_down |= r == -ENOENT;
                tell_problem(app, &error);
                return;
        }
        log_message(LOG_WARNING, NULL, &fields, "current did not name release %s any more, and was put back",
                    app->record.good.version);
}
