#include "agent/rollout_health.h"
#include "agent/base/log.h"
#include "agent/base/timer.h"
#include "agent/recheck.h"

struct RolloutHealth {
        EngineContext context;
        uint64_t interval;
        RolloutHealthSeen seen;
        void *userdata;
        sd_event_source *timer;
        Recheck *round;
        bool runs;
};

static void on_round(_unused_ Recheck *round, int result, const Error *error, void *userdata) {
        RolloutHealth *health = userdata;
        Error said = {};

        if (result != 0)
                said = *error;
        health->round = recheck_free(health->round);
        (void) sd_event_source_set_time_relative(health->timer, health->interval);
        (void) sd_event_source_set_enabled(health->timer, SD_EVENT_ONESHOT);
        health->seen(result == 0, said.message, health->userdata);
}

/* A round that cannot be made is not one that failed: nobody knows, and nobody waits for that. */
static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        RolloutHealth *health = userdata;
        Error error = {};

        if (recheck_start(&health->context, on_round, health, &health->round, &error) >= 0)
                return 0;
        log_debug("%s: %s", health->context.app, error.message);
        (void) sd_event_source_set_time_relative(health->timer, health->interval);
        (void) sd_event_source_set_enabled(health->timer, SD_EVENT_ONESHOT);
        health->seen(true, "", health->userdata);
        return 0;
}

int rollout_health_new(sd_event *event, uint64_t interval, RolloutHealthSeen seen, void *userdata,
                       RolloutHealth **ret, Error *error) {
        _cleanup_(rollout_health_freep) RolloutHealth *health = calloc(1, sizeof(*health));
        int r;

        if (!health)
                return error_oom(error);
        health->interval = interval;
        health->seen = seen;
        health->userdata = userdata;
        r = timer_new(event, CLOCK_BOOTTIME, on_timer, health, &health->timer);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(health);
        return 0;
}

void rollout_health_run(RolloutHealth *health, const EngineContext *context) {
        if (health->runs)
                return;
        health->runs = true;
        health->context = *context;
        (void) sd_event_source_set_time_relative(health->timer, 0);
        (void) sd_event_source_set_enabled(health->timer, SD_EVENT_ONESHOT);
}

void rollout_health_stop(RolloutHealth *health) {
        health->runs = false;
        health->round = recheck_free(health->round);
        (void) sd_event_source_set_enabled(health->timer, SD_EVENT_OFF);
}

RolloutHealth *rollout_health_free(RolloutHealth *health) {
        if (!health)
                return NULL;
        sd_event_source_disable_unref(health->timer);
        recheck_free(health->round);
        free(health);
        return NULL;
}
