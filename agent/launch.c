#include <stdarg.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "agent/launch.h"
#include "agent/messages.h"

#define RETRY_FIRST (2 * USEC_PER_SEC)
#define RETRY_MAX (60 * USEC_PER_SEC)
#define HEARTBEAT_DEFAULT (300 * USEC_PER_SEC) /* until the hook's own time-out is known */
#define HEARTBEAT_MIN (5 * USEC_PER_SEC)

struct Launch {
        LaunchContext context;
        LaunchChanged changed;
        void *userdata;
        LaunchRecord record;
        char problem[ERROR_MESSAGE_MAX]; /* why nothing was delivered yet */
        bool deploying;
        uint64_t heartbeat_interval;
        uint64_t retry_delay;
        sd_event_source *retry; /* runs `again` */
        void (*again)(Launch *launch);
        sd_event_source *heartbeat; /* timer */
        AutoScalingRequest *request;
        AutoScalingRequest *beat;
        AutoScalingRequest *hooks;
};

static void look(Launch *launch);
static void complete(Launch *launch);

static void log_launch(const Launch *launch, int priority, const char *message_id, const char *format, ...)
        _printf_(4, 5);

static void log_launch(const Launch *launch, int priority, const char *message_id, const char *format, ...) {
        const LogFields fields = { .event = "LAUNCH", .instance = launch->context.identity->instance };
        char text[ERROR_MESSAGE_MAX + 256];
        va_list arguments;

        va_start(arguments, format);
        (void) vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        log_message(priority, message_id, &fields, "%s", text);
}

static int on_retry(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Launch *launch = userdata;

        launch->again(launch);
        return 0;
}

/* A fault that lasts is logged once. */
static void try_again(Launch *launch, void (*again)(Launch *), const char *problem) {
        if (strcmp(launch->problem, problem) != 0) {
                snprintf(launch->problem, sizeof(launch->problem), "%s", problem);
                log_launch(launch, LOG_WARNING, MESSAGE_LAUNCH_UNDELIVERED, "launch: %s; trying again",
                           problem);
                launch->changed(launch->userdata);
        }
        launch->again = again;
        (void) sd_event_source_set_time_relative(launch->retry, launch->retry_delay);
        (void) sd_event_source_set_enabled(launch->retry, SD_EVENT_ONESHOT);
        launch->retry_delay = MIN(launch->retry_delay * 2, RETRY_MAX);
}

/* Where it cannot be written it is decided and told again after a restart, which settles the same way. */
static void keep(Launch *launch) {
        Error error = {};

        launch->record.since = clock_realtime(&clock_system);
        (void) string_set(&launch->record.boot_id, launch->context.boot_id);
        if (launch_record_save(launch->context.state_fd, &launch->record, &error) < 0)
                log_launch(launch, LOG_WARNING, NULL, "%s", error.message);
}

static void set_state(Launch *launch, LaunchState state, const char *reason) {
        if (state == launch->record.state)
                return;
        launch->record.state = state;
        launch->problem[0] = '\0';
        launch->retry_delay = RETRY_FIRST;
        (void) string_set(&launch->record.reason, reason);
        keep(launch);
        launch->changed(launch->userdata);
}

static AutoScalingAction action_of(const Launch *launch) {
        return (AutoScalingAction){
                .group = launch->context.identity->scaling_group,
                .hook = launch->context.config->launch_hook,
                .instance_id = launch->context.identity->instance,
        };
}

static void log_settled(const Launch *launch) {
        const char *hook = launch->context.config->launch_hook;

        switch (launch->record.state) {
        case LAUNCH_CONTINUED:
                log_launch(launch, LOG_NOTICE, MESSAGE_LAUNCH_COMPLETED,
                           "lifecycle hook %s completed: the instance may enter service", hook);
                break;
        case LAUNCH_ABANDONED:
                log_launch(launch, LOG_ERR, MESSAGE_LAUNCH_ABANDONED, "lifecycle hook %s abandoned: %s", hook,
                           launch->record.reason ? launch->record.reason : "unknown");
                break;
        case LAUNCH_OVER:
                log_launch(launch, LOG_WARNING, NULL,
                           "lifecycle hook %s is over: it timed out, or somebody else completed it", hook);
                break;
        default:
                break;
        }
}

static void settle(Launch *launch, LifecycleAnswer answer, InstanceState in_group, const char *problem) {
        _cleanup_free_ char *reason = launch->record.reason ? strdup(launch->record.reason) : NULL;
        LaunchState state = launch_settle(launch->record.state, answer, in_group);

        if (state == launch->record.state) {
                try_again(launch, complete, problem);
                return;
        }
        set_state(launch, state, reason);
        log_settled(launch);
}

static InstanceState state_in_group(const AutoScalingRequest *request) {
        const AutoScalingInstance *instances;
        size_t n;

        instances = autoscaling_request_instances(request, &n);
        return n > 0 ? instances[0].state : INSTANCE_UNKNOWN;
}

static void on_settling(AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        Launch *launch = userdata;

        if (result < 0)
                try_again(launch, complete, error->message);
        else
                settle(launch, LIFECYCLE_NOT_ACTIVE, state_in_group(request),
                       "the lifecycle action is not active yet");
}

static int describe(Launch *launch, AutoScalingDone done, Error *error) {
        char *const ids[] = { launch->context.identity->instance, NULL };

        launch->request = autoscaling_request_free(launch->request);
        return autoscaling_describe_instances_start(launch->context.aws, ids, done, launch, &launch->request,
                                                    error);
}

static void on_completed(_unused_ AutoScalingRequest *request, int result, const Error *error,
                         void *userdata) {
        Launch *launch = userdata;
        Error problem = {};

        if (result == 0)
                settle(launch, LIFECYCLE_DONE, INSTANCE_UNKNOWN, "");
        else if (result != AUTOSCALING_NO_ACTION)
                try_again(launch, complete, error->message);
        else if (describe(launch, on_settling, &problem) < 0)
                try_again(launch, complete, problem.message);
}

static void complete(Launch *launch) {
        AutoScalingVerdict verdict =
                launch->record.state == LAUNCH_ABANDON ? AUTOSCALING_ABANDON : AUTOSCALING_CONTINUE;
        AutoScalingAction action = action_of(launch);
        Error error = {};

        launch->request = autoscaling_request_free(launch->request);
        if (autoscaling_complete_start(launch->context.aws, &action, verdict, on_completed, launch,
                                       &launch->request, &error) < 0)
                try_again(launch, complete, error.message);
}

static void on_looked(AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        Launch *launch = userdata;
        InstanceState in_group;

        if (result < 0) {
                try_again(launch, look, error->message);
                return;
        }
        in_group = state_in_group(request);
        if (launch_is_held(in_group))
                set_state(launch, LAUNCH_WAITING, NULL);
        else if (in_group == INSTANCE_UNKNOWN)
                try_again(launch, look, "the Auto Scaling group does not know this instance yet");
        else
                keep(launch); /* asked in this boot */
}

/* Is this instance held by the hook at all? */
static void look(Launch *launch) {
        Error error = {};

        if (describe(launch, on_looked, &error) < 0)
                try_again(launch, look, error.message);
}

static void on_beat(_unused_ AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        if (result < 0)
                log_launch(userdata, LOG_INFO, NULL, "heartbeat: %s", error->message);
}

static void beat_after(Launch *launch) {
        (void) sd_event_source_set_time_relative(launch->heartbeat, launch->heartbeat_interval);
        (void) sd_event_source_set_enabled(launch->heartbeat, SD_EVENT_ONESHOT);
}

static int on_heartbeat(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Launch *launch = userdata;
        AutoScalingAction action = action_of(launch);
        Error error = {};

        beat_after(launch);
        if (launch->record.state != LAUNCH_WAITING || !launch->deploying)
                return 0;
        launch->beat = autoscaling_request_free(launch->beat);
        if (autoscaling_heartbeat_start(launch->context.aws, &action, on_beat, launch, &launch->beat,
                                        &error) < 0)
                log_launch(launch, LOG_INFO, NULL, "heartbeat: %s", error.message);
        return 0;
}

static void on_hooks(AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        Launch *launch = userdata;
        const AutoScalingHook *hooks;
        bool found = false;
        size_t n;

        if (result < 0) {
                log_launch(launch, LOG_INFO, NULL,
                           "the hook's time-out is not known, heartbeats go every 5m: %s", error->message);
                return;
        }
        hooks = autoscaling_request_hooks(request, &n);
        for (size_t i = 0; i < n; i++)
                if (strcmp(hooks[i].name, launch->context.config->launch_hook) == 0) {
                        launch->heartbeat_interval = MAX(hooks[i].heartbeat_timeout / 3, HEARTBEAT_MIN);
                        found = true;
                }
        if (found)
                beat_after(launch);
        else
                log_launch(launch, LOG_WARNING, NULL, "group %s has no lifecycle hook %s",
                           launch->context.identity->scaling_group, launch->context.config->launch_hook);
}

static int add_timers(Launch *launch) {
        sd_event *event = launch->context.event;
        int r;

        r = sd_event_add_time_relative(event, &launch->retry, CLOCK_BOOTTIME, 0, TIMER_ACCURACY_EXACT,
                                       on_retry, launch);
        if (r >= 0)
                r = sd_event_source_set_enabled(launch->retry, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &launch->heartbeat, CLOCK_BOOTTIME,
                                               launch->heartbeat_interval, TIMER_ACCURACY_EXACT, on_heartbeat,
                                               launch);
        return r;
}

static int begin(Launch *launch, Error *error) {
        const char *group = launch->context.identity->scaling_group;
        int r;

        r = add_timers(launch);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        if (launch_must_look(&launch->record, launch->context.boot_id))
                look(launch);
        else if (launch_must_complete(launch->record.state))
                complete(launch);
        if (launch->context.config->heartbeat_interval > 0)
                return 0;
        return autoscaling_describe_hooks_start(launch->context.aws, group, on_hooks, launch, &launch->hooks,
                                                error);
}

int launch_new(const LaunchContext *context, LaunchChanged changed, void *userdata, Launch **ret,
               Error *error) {
        _cleanup_(launch_freep) Launch *launch = NULL;
        uint64_t interval = context->config->heartbeat_interval;
        int r;

        launch = malloc(sizeof(*launch));
        if (!launch)
                return error_oom(error);
        *launch = (Launch){
                .context = *context,
                .changed = changed,
                .userdata = userdata,
                .heartbeat_interval = interval > 0 ? MAX(interval, HEARTBEAT_MIN) : HEARTBEAT_DEFAULT,
                .retry_delay = RETRY_FIRST,
        };
        r = launch_record_load(context->state_fd, context->identity->instance, &launch->record, error);
        if (r < 0)
                return r;
        if (string_set(&launch->record.hook, context->config->launch_hook) < 0)
                return error_oom(error);
        if (context->aws && context->config->launch_hook && context->identity->scaling_group) {
                r = begin(launch, error);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(launch);
        return 0;
}

void launch_update(Launch *launch, const AppReadiness *required, size_t n, bool deploying,
                   const char *reason) {
        LaunchState state = launch_decide(launch->record.state, required, n,
                                          (LaunchFailure) launch->context.config->launch_failure);

        launch->deploying = deploying;
        if (state == launch->record.state)
                return;
        set_state(launch, state, state == LAUNCH_ABANDON ? reason : NULL);
        complete(launch);
}

const char *launch_undelivered(const Launch *launch, uint64_t *ret_since) {
        *ret_since = launch->record.since;
        if (!launch_must_complete(launch->record.state))
                return NULL;
        return launch->problem[0] ? launch->problem : "it is on its way";
}

LaunchState launch_state(const Launch *launch) {
        return launch->record.state;
}

const char *launch_reason(const Launch *launch) {
        if (launch->problem[0])
                return launch->problem;
        return launch->record.reason ? launch->record.reason : "";
}

Launch *launch_free(Launch *launch) {
        if (!launch)
                return NULL;
        sd_event_source_unref(launch->retry);
        sd_event_source_unref(launch->heartbeat);
        autoscaling_request_free(launch->request);
        autoscaling_request_free(launch->beat);
        autoscaling_request_free(launch->hooks);
        launch_record_deinit(&launch->record);
        free(launch);
        return NULL;
}
