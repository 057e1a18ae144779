#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "agent/base/timer.h"
#include "agent/deployment_json.h"
#include "agent/hook_completion.h"
#include "agent/launch_find.h"
#include "agent/leave.h"
#include "agent/messages.h"
#include "agent/net/aws_error.h"

#define RETRY_FIRST (1 * USEC_PER_SEC)
#define RETRY_MAX (30 * USEC_PER_SEC)
#define BEATS_PER_TIMEOUT 3U
#define BEAT_MIN (1 * USEC_PER_SEC)
#define BEAT_UNKNOWN (20 * USEC_PER_SEC) /* within the shortest time-out that there can be, 30 s */

struct Leave {
        LeaveContext context;
        LeaveChanged changed;
        void *userdata;
        LeaveState state;
        LifecycleTransition transition;
        bool drained;
        uint64_t drained_at; /* microseconds since 1970 */
        char *group;
        bool hooks_known;
        LifecycleHooks hooks;
        char **names; /* of the hooks */
        char problem[ERROR_MESSAGE_MAX];
        unsigned failures; /* to ask for the hooks, in a row */
        uint64_t retry_delay;
        sd_event_source *retry; /* asks for the hooks again */
        sd_event_source *beat;
        size_t beating; /* the hook whose heartbeat is sent */
        AutoScalingRequest *describe;
        AutoScalingRequest *heartbeat;
        HookCompletion *completion;
};

static void log_leave(const Leave *leave, int priority, const char *message_id, const char *text) {
        const LogFields fields = { .event = "LEAVE", .instance = leave->context.instance };

        log_message(priority, message_id, &fields, "%s", text);
}

static void set_state(Leave *leave, LeaveState state) {
        if (leave->state == state)
                return;
        leave->state = state;
        leave->changed(leave->userdata);
}

static void on_completed(_unused_ HookCompletion *completion, LifecycleSettled settled, void *userdata) {
        Leave *leave = userdata;
        bool heard = settled == LIFECYCLE_HEARD;

        log_leave(leave, heard ? LOG_NOTICE : LOG_WARNING, MESSAGE_INSTANCE_DRAINED,
                  heard ? "the termination hook is completed: this instance may go"
                        : "the termination hook is over: it timed out, or somebody else completed it");
        set_state(leave, heard ? LEAVE_LET_GO : LEAVE_TOO_LATE);
}

static void on_news(_unused_ HookCompletion *completion, void *userdata) {
        Leave *leave = userdata;

        leave->changed(leave->userdata);
}

static int start_completion(Leave *leave, Error *error) {
        const HookCompletionSpec spec = {
                .event = leave->context.event,
                .aws = leave->context.aws,
                .transition = leave->transition,
                .verdict = AUTOSCALING_CONTINUE,
                .group = leave->group,
                .instance = leave->context.instance,
                .hooks = leave->names,
        };

        return hook_completion_start(&spec, on_completed, on_news, leave, &leave->completion, error);
}

/* Once the hooks are known, and nothing runs any more. */
static void let_go(Leave *leave) {
        Error error = {};

        if (leave->state != LEAVE_DRAINING || !leave->drained || !leave->hooks_known)
                return;
        (void) sd_event_source_set_enabled(leave->beat, SD_EVENT_OFF);
        if (!leave->names) {
                set_state(leave, LEAVE_LET_GO);
                return;
        }
        if (start_completion(leave, &error) < 0)
                log_leave(leave, LOG_ERR, NULL, error.message);
        else
                set_state(leave, LEAVE_TELLING);
}

static void beat_after(Leave *leave) {
        uint64_t timeout = lifecycle_hooks_heartbeat_timeout(&leave->hooks);
        uint64_t interval = timeout > 0 ? MAX(timeout / BEATS_PER_TIMEOUT, BEAT_MIN) : BEAT_UNKNOWN;

        if (leave->hooks.n == 0 || leave->drained)
                return;
        (void) sd_event_source_set_time_relative(leave->beat, interval);
        (void) sd_event_source_set_enabled(leave->beat, SD_EVENT_ONESHOT);
}

static void beat_next(Leave *leave);

/* A hook that does not wait yet, or any more, refuses; the completion will tell. */
static void on_beaten(_unused_ AutoScalingRequest *request, _unused_ int result, _unused_ const Error *error,
                      void *userdata) {
        Leave *leave = userdata;

        leave->beating++;
        beat_next(leave);
}

static void beat_next(Leave *leave) {
        AutoScalingAction action = { .group = leave->group, .instance_id = leave->context.instance };
        Error error = {};

        leave->heartbeat = autoscaling_request_free(leave->heartbeat);
        if (leave->beating >= leave->hooks.n) {
                beat_after(leave);
                return;
        }
        action.hook = leave->hooks.items[leave->beating].name;
        if (autoscaling_heartbeat_start(leave->context.aws, &action, on_beaten, leave, &leave->heartbeat,
                                        &error) < 0)
                beat_after(leave);
}

static int on_beat(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Leave *leave = userdata;

        leave->beating = 0;
        beat_next(leave);
        return 0;
}

static void try_again(Leave *leave, const char *problem) {
        bool is_new = !aws_error_is_same(leave->problem, problem);

        if (is_new)
                log_leave(leave, LOG_WARNING, NULL, problem);
        snprintf(leave->problem, sizeof(leave->problem), "%s", problem);
        if (++leave->failures == HOOK_COMPLETION_FAILURES_MAX)
                log_leave(leave, LOG_ERR, MESSAGE_LAUNCH_UNDELIVERED, problem);
        if (is_new || leave->failures == HOOK_COMPLETION_FAILURES_MAX)
                leave->changed(leave->userdata);
        (void) sd_event_source_set_time_relative(leave->retry, leave->retry_delay);
        (void) sd_event_source_set_enabled(leave->retry, SD_EVENT_ONESHOT);
        leave->retry_delay = MIN(leave->retry_delay * 2, RETRY_MAX);
}

static int take_hooks(Leave *leave, const AutoScalingRequest *request, Error *remark) {
        const AutoScalingHook *all;
        size_t n;
        int r;

        all = autoscaling_request_hooks(request, &n);
        r = lifecycle_hooks_choose(all, n, leave->transition, leave->context.hook, &leave->hooks, remark);
        for (size_t i = 0; i < leave->hooks.n && r >= 0; i++)
                r = strv_append(&leave->names, leave->hooks.items[i].name);
        return r;
}

/* One that is named is known without asking for the group's, which only tell its time-out. */
static bool take_named(Leave *leave) {
        const char *hook = leave->context.hook;

        return launch_find_is_named(hook) && lifecycle_hooks_add(&leave->hooks, hook) >= 0 &&
               strv_append(&leave->names, hook) >= 0;
}

static void on_hooks(AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        Leave *leave = userdata;
        Error remark = {};

        if (result < 0 && !take_named(leave)) {
                try_again(leave, error->message);
                return;
        }
        leave->problem[0] = '\0';
        leave->failures = 0;
        if (result >= 0 && take_hooks(leave, request, &remark) < 0)
                log_leave(leave, LOG_ERR, NULL, remark.message);
        else if (!leave->names)
                log_leave(leave, LOG_INFO, NULL, remark.message);
        leave->hooks_known = true;
        leave->changed(leave->userdata);
        beat_after(leave);
        let_go(leave);
}

static void find_hooks(Leave *leave) {
        Error error = {};

        leave->describe = autoscaling_request_free(leave->describe);
        if (autoscaling_describe_hooks_start(leave->context.aws, leave->group, on_hooks, leave,
                                             &leave->describe, &error) < 0)
                try_again(leave, error.message);
}

static int on_retry(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        find_hooks(userdata);
        return 0;
}

void leave_begin(Leave *leave, LifecycleTransition transition, const char *group) {
        if (transition != leave->transition)
                leave_end(leave);
        leave->transition = transition;
        if (leave->state == LEAVE_STAYS)
                set_state(leave, LEAVE_DRAINING);
        if (!group || leave->group)
                return;
        leave->group = strdup(group);
        if (leave->group)
                find_hooks(leave);
}

void leave_drained(Leave *leave) {
        if (leave->state == LEAVE_STAYS || leave->drained)
                return;
        leave->drained = true;
        leave->drained_at = clock_realtime(&clock_system);
        log_leave(leave, LOG_NOTICE, MESSAGE_INSTANCE_DRAINED, "this instance is drained");
        let_go(leave);
}

void leave_end(Leave *leave) {
        if (leave->state == LEAVE_STAYS)
                return;
        leave->completion = hook_completion_free(leave->completion);
        leave->describe = autoscaling_request_free(leave->describe);
        leave->heartbeat = autoscaling_request_free(leave->heartbeat);
        lifecycle_hooks_deinit(&leave->hooks);
        leave->names = strv_free(leave->names);
        free(leave->group);
        leave->group = NULL;
        leave->drained = leave->hooks_known = false;
        leave->problem[0] = '\0';
        leave->failures = 0;
        leave->retry_delay = RETRY_FIRST;
        (void) sd_event_source_set_enabled(leave->retry, SD_EVENT_OFF);
        (void) sd_event_source_set_enabled(leave->beat, SD_EVENT_OFF);
        set_state(leave, LEAVE_STAYS);
}

int leave_new(const LeaveContext *context, LeaveChanged changed, void *userdata, Leave **ret, Error *error) {
        _cleanup_(leave_freep) Leave *leave = malloc(sizeof(*leave));
        int r;

        if (!leave)
                return error_oom(error);
        *leave = (Leave){
                .context = *context, .changed = changed, .userdata = userdata, .retry_delay = RETRY_FIRST
        };
        r = timer_new(leave->context.event, CLOCK_BOOTTIME, on_retry, leave, &leave->retry);
        if (r >= 0)
                r = timer_new(leave->context.event, CLOCK_BOOTTIME, on_beat, leave, &leave->beat);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(leave);
        return 0;
}

Leave *leave_free(Leave *leave) {
        if (!leave)
                return NULL;
        hook_completion_free(leave->completion);
        autoscaling_request_free(leave->describe);
        autoscaling_request_free(leave->heartbeat);
        sd_event_source_unref(leave->retry);
        sd_event_source_unref(leave->beat);
        lifecycle_hooks_deinit(&leave->hooks);
        strv_free(leave->names);
        free(leave->group);
        free(leave);
        return NULL;
}

LeaveState leave_state(const Leave *leave) {
        return leave->state;
}

static bool is_alarming(const Leave *leave) {
        if (leave->state == LEAVE_TELLING && leave->completion)
                return hook_completion_is_alarming(leave->completion);
        return leave->failures >= HOOK_COMPLETION_FAILURES_MAX;
}

static const char *problem_of(const Leave *leave) {
        return leave->completion && leave->state == LEAVE_TELLING ? hook_completion_problem(leave->completion)
                                                                  : leave->problem;
}

const char *leave_undelivered(const Leave *leave, uint64_t *ret_since, bool *ret_alarm) {
        bool tells = leave->state == LEAVE_TELLING || (leave->state == LEAVE_DRAINING && leave->drained);

        *ret_since = leave->drained_at;
        *ret_alarm = is_alarming(leave);
        if (!tells)
                return NULL;
        return *problem_of(leave) ? problem_of(leave) : "it is on its way";
}

int leave_status(const Leave *leave, json_t **ret) {
        static const char *const states[] = { [LEAVE_STAYS] = "stays",
                                              [LEAVE_DRAINING] = "draining",
                                              [LEAVE_TELLING] = "telling",
                                              [LEAVE_LET_GO] = "let-go",
                                              [LEAVE_TOO_LATE] = "too-late" };
        json_t *names;
        int r;

        r = strv_to_json(leave->names, &names);
        if (r < 0)
                return r;
        *ret = json_pack("{s:s, s:o, s:b, s:s}", "state", states[leave->state], "hooks", names, "alarm",
                         is_alarming(leave), "reason", problem_of(leave));
        return *ret ? 0 : -ENOMEM;
}
