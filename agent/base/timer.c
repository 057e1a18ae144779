#include "agent/base/timer.h"
#include "agent/base/clock.h"

int timer_new(sd_event *event, clockid_t clock, sd_event_time_handler_t callback, void *userdata,
              sd_event_source **ret) {
        sd_event_source *timer;
        int r;

        r = sd_event_add_time(event, &timer, clock, 0, TIMER_ACCURACY_EXACT, callback, userdata);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(timer, SD_EVENT_OFF);
        if (r < 0) {
                sd_event_source_disable_unref(timer);
                return r;
        }
        *ret = timer;
        return 0;
}
