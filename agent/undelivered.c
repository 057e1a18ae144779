#include "agent/undelivered.h"
#include "agent/base/parse.h"

static void add(json_t *array, const char *what, const char *app, const char *reason, uint64_t since) {
        char text[TIME_TEXT_MAX];

        if (!reason)
                return;
        format_time(since, text);
        (void) json_array_append_new(array, json_pack("{s:s, s:s?, s:s, s:s}", "what", what, "app", app,
                                                      "since", text, "reason", reason));
}

json_t *undelivered_to_json(const Launch *launch, const Leave *leave, App *const *apps, size_t n_apps) {
        json_t *array = json_array();
        uint64_t since = 0;
        bool alarm;

        if (launch) {
                const char *reason = launch_undelivered(launch, &since, NULL);

                add(array, "lifecycle action", NULL, reason, since);
        }
        if (leave) {
                const char *reason = leave_undelivered(leave, &since, &alarm);

                add(array, "lifecycle action", NULL, reason, since);
        }
        for (size_t i = 0; i < n_apps; i++) {
                const char *reason = app_undelivered(apps[i], &since);

                add(array, "report", app_name(apps[i]), reason, since);
        }
        return array;
}
