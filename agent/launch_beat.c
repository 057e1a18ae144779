#include <stdarg.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/parse.h"
#include "agent/base/timer.h"
#include "agent/launch_beat.h"
#include "agent/messages.h"

#define RETRY_MAX (30 * USEC_PER_SEC)

struct LaunchBeat {
        LaunchBeatContext context;
        LaunchPace pace;
        const char *group; /* NULL: not held */
        const LifecycleHooks *hooks;
        uint64_t held_at;
        bool hold;
        size_t next; /* the hook whose turn it is */
        bool failed; /* for one of the hooks, in this round */
        bool silent; /* was said */
        bool near;   /* likewise */
        char remark[ERROR_MESSAGE_MAX];
        char problem[ERROR_MESSAGE_MAX]; /* of the last heartbeat */
        AutoScalingRequest *request;
        sd_event_source *timer;
};

static void send_next(LaunchBeat *beat);

static void log_beat(const LaunchBeat *beat, int priority, const char *message_id, const char *text) {
        const LogFields fields = { .event = "LAUNCH", .instance = beat->context.instance };

        log_message(priority, message_id, &fields, "%s", text);
}

static uint64_t interval_of(const LaunchBeat *beat) {
        uint64_t timeout = lifecycle_hooks_heartbeat_timeout(beat->hooks);

        if (beat->context.interval > 0)
                return beat->context.interval;
        return timeout > 0 ? MAX(timeout / 3, (uint64_t) LAUNCH_BEAT_MIN) : LAUNCH_BEAT_UNKNOWN;
}

static void beat_after(LaunchBeat *beat, uint64_t usec) {
        (void) sd_event_source_set_time_relative(beat->timer, usec);
        (void) sd_event_source_set_enabled(beat->timer, SD_EVENT_ONESHOT);
}

static void end_round(LaunchBeat *beat) {
        uint64_t interval = interval_of(beat);

        beat_after(beat, beat->failed ? MIN(interval / 3, RETRY_MAX) : interval);
}

/* One that failed is tried again long before the hook's time is up; what lasts is logged once. */
static void note_failure(LaunchBeat *beat, const char *hook, const char *problem) {
        char text[ERROR_MESSAGE_MAX + 160];

        beat->failed = true;
        if (beat->problem[0])
                return;
        snprintf(beat->problem, sizeof(beat->problem), "%s", problem);
        snprintf(text, sizeof(text), "heartbeat of lifecycle hook %s: %s; it is sent again", hook, problem);
        log_beat(beat, LOG_WARNING, NULL, text);
}

static void on_sent(_unused_ AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        LaunchBeat *beat = userdata;

        if (result < 0)
                note_failure(beat, beat->hooks->items[beat->next].name, error->message);
        beat->next++;
        send_next(beat);
}

static void send_next(LaunchBeat *beat) {
        AutoScalingAction action = { .group = beat->group, .instance_id = beat->context.instance };
        Error error = {};

        beat->request = autoscaling_request_free(beat->request);
        while (beat->next < beat->hooks->n) {
                action.hook = beat->hooks->items[beat->next].name;
                if (autoscaling_heartbeat_start(beat->context.aws, &action, on_sent, beat, &beat->request,
                                                &error) >= 0)
                        return;
                note_failure(beat, action.hook, error.message);
                beat->next++;
        }
        if (!beat->failed)
                beat->problem[0] = '\0';
        end_round(beat);
}

static void look_at_global_timeout(LaunchBeat *beat, uint64_t now) {
        const LifecycleHook *hook = lifecycle_hooks_first_to_end(beat->hooks);
        uint64_t end = hook ? usec_add(beat->held_at, hook->global_timeout) : 0;
        char left[DURATION_TEXT_MAX];

        if (!hook || beat->held_at == 0 || hook->global_timeout == USEC_INFINITY || beat->near ||
            now < end - hook->global_timeout / LAUNCH_BEAT_NEAR)
                return;
        beat->near = true;
        format_duration(now < end ? (end - now) / USEC_PER_SEC * USEC_PER_SEC : 0, left);
        snprintf(
                beat->remark, sizeof(beat->remark),
                "the global time-out of lifecycle hook %s ends in %s, whatever is done; its default result is %s",
                hook->name, left, hook->default_result == AUTOSCALING_ABANDON ? "ABANDON" : "CONTINUE");
        log_beat(beat, LOG_WARNING, MESSAGE_LAUNCH_TIME_RUNS_OUT, beat->remark);
}

static void note_silence(LaunchBeat *beat, uint64_t quiet) {
        char duration[DURATION_TEXT_MAX];

        if (beat->silent)
                return;
        beat->silent = true;
        format_duration(quiet / USEC_PER_SEC * USEC_PER_SEC, duration);
        snprintf(
                beat->remark, sizeof(beat->remark),
                "no deployment has made progress for %s: no more heartbeats are sent, so that the lifecycle hook times out",
                duration);
        log_beat(beat, LOG_WARNING, MESSAGE_LAUNCH_TIME_RUNS_OUT, beat->remark);
}

static void note_progress(LaunchBeat *beat) {
        if (!beat->silent)
                return;
        beat->silent = false;
        beat->near = false;
        beat->remark[0] = '\0';
        log_beat(beat, LOG_INFO, NULL, "the deployment makes progress again, and heartbeats are sent");
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        LaunchBeat *beat = userdata;
        uint64_t now = clock_boottime(beat->context.clock), quiet = 0;
        bool alive;

        if (!beat->group)
                return 0;
        alive = beat->hold || launch_pace_is_alive(&beat->pace, now, &quiet);
        if (alive)
                note_progress(beat);
        else if (quiet > 0)
                note_silence(beat, quiet);
        look_at_global_timeout(beat, now);
        beat->next = alive ? 0 : beat->hooks->n;
        beat->failed = false;
        send_next(beat);
        return 0;
}

int launch_beat_new(const LaunchBeatContext *context, LaunchBeat **ret, Error *error) {
        _cleanup_(launch_beat_freep) LaunchBeat *beat = NULL;
        int r;

        beat = calloc(1, sizeof(*beat));
        if (!beat)
                return error_oom(error);
        beat->context = *context;
        r = timer_new(context->event, CLOCK_BOOTTIME, on_timer, beat, &beat->timer);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(beat);
        return 0;
}

LaunchBeat *launch_beat_free(LaunchBeat *beat) {
        if (!beat)
                return NULL;
        sd_event_source_unref(beat->timer);
        autoscaling_request_free(beat->request);
        launch_pace_deinit(&beat->pace);
        free(beat);
        return NULL;
}

void launch_beat_begin(LaunchBeat *beat, const char *group, const LifecycleHooks *hooks, uint64_t held_at) {
        beat->group = group;
        beat->hooks = hooks;
        beat->held_at = held_at;
        beat->request = autoscaling_request_free(beat->request);
        beat_after(beat, interval_of(beat));
}

void launch_beat_end(LaunchBeat *beat) {
        beat->group = NULL;
        beat->request = autoscaling_request_free(beat->request);
        beat->remark[0] = '\0';
        beat->silent = beat->near = false;
}

void launch_beat_hold(LaunchBeat *beat, bool hold) {
        beat->hold = hold;
}

void launch_beat_note(LaunchBeat *beat, size_t app, const LaunchWork *work) {
        launch_pace_note(&beat->pace, app, work, clock_boottime(beat->context.clock));
}

bool launch_beat_is_silent(const LaunchBeat *beat) {
        return beat->silent;
}

const char *launch_beat_remark(const LaunchBeat *beat) {
        return beat->remark;
}
