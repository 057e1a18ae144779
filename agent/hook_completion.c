#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/hook_completion.h"
#include "agent/messages.h"

#define RETRY_FIRST (1 * USEC_PER_SEC)
#define RETRY_MAX (60 * USEC_PER_SEC)

struct HookCompletion {
        AwsContext *aws;
        LifecycleTransition transition;
        AutoScalingVerdict verdict;
        char *group;
        char *instance;
        char **hooks;
        size_t n_heard;
        bool too_late;     /* for one of them */
        unsigned refusals; /* see lifecycle_settle() */
        HookCompletionDone done;
        HookCompletionNews news;
        void *userdata;
        AutoScalingRequest *request;
        sd_event_source *timer;
        uint64_t retry_delay;
        char problem[ERROR_MESSAGE_MAX];
        uint64_t failing_since; /* boot time; 0: it is not */
        unsigned failures;      /* of requests, in a row */
        uint64_t alarmed_at;    /* boot time; 0: not yet */
};

static const char *verdict_text(const HookCompletion *completion) {
        return completion->verdict == AUTOSCALING_ABANDON ? "ABANDON" : "CONTINUE";
}

static void tell(HookCompletion *completion) {
        if (completion->news)
                completion->news(completion, completion->userdata);
}

static void log_problem(const HookCompletion *completion, int priority, const char *for_how_long) {
        const LogFields fields = { .event = "LIFECYCLE", .instance = completion->instance };

        log_message(priority, MESSAGE_LAUNCH_UNDELIVERED, &fields,
                    "lifecycle hook %s: the group could not be told %s%s%s: %s; it is tried again",
                    completion->hooks[completion->n_heard], verdict_text(completion),
                    *for_how_long ? " for " : "", for_how_long, completion->problem);
}

static bool is_alarm_due(const HookCompletion *completion, uint64_t now) {
        if (completion->alarmed_at > 0)
                return now - completion->alarmed_at >= HOOK_COMPLETION_REMIND;
        return completion->failures >= HOOK_COMPLETION_FAILURES_MAX ||
               now - completion->failing_since >= HOOK_COMPLETION_ALARM;
}

static void sound_alarm(HookCompletion *completion, uint64_t now) {
        char duration[DURATION_TEXT_MAX];

        if (!is_alarm_due(completion, now))
                return;
        completion->alarmed_at = now;
        format_duration((now - completion->failing_since) / USEC_PER_SEC * USEC_PER_SEC, duration);
        log_problem(completion, LOG_ERR, duration);
        tell(completion);
}

/* What lasts is logged once, until it is an alarm. */
static void try_again(HookCompletion *completion, int priority, const char *problem) {
        uint64_t now = clock_boottime(&clock_system);
        bool is_new = !completion->problem[0];

        snprintf(completion->problem, sizeof(completion->problem), "%s", problem);
        if (is_new) {
                completion->failing_since = now;
                log_problem(completion, priority, "");
                tell(completion);
        }
        sound_alarm(completion, now);
        (void) sd_event_source_set_time_relative(completion->timer, completion->retry_delay);
        (void) sd_event_source_set_enabled(completion->timer, SD_EVENT_ONESHOT);
        completion->retry_delay = MIN(completion->retry_delay * 2, RETRY_MAX);
}

static void note_failure(HookCompletion *completion, const char *problem) {
        completion->failures++;
        try_again(completion, LOG_WARNING, problem);
}

static void go_on(HookCompletion *completion) {
        (void) sd_event_source_set_time_relative(completion->timer, 0);
        (void) sd_event_source_set_enabled(completion->timer, SD_EVENT_ONESHOT);
}

static void settle(HookCompletion *completion, LifecycleSettled settled, const char *problem) {
        bool last = completion->verdict == AUTOSCALING_ABANDON;

        if (settled == LIFECYCLE_AGAIN) {
                try_again(completion, LOG_INFO, problem); /* a fast boot comes before the hook */
                return;
        }
        completion->too_late |= settled == LIFECYCLE_TOO_LATE;
        completion->refusals = 0;
        completion->retry_delay = RETRY_FIRST;
        completion->problem[0] = '\0';
        completion->failing_since = completion->alarmed_at = 0;
        completion->failures = 0;
        completion->n_heard++;
        if (!last && completion->hooks[completion->n_heard]) {
                tell(completion);
                go_on(completion);
                return;
        }
        completion->done(completion, completion->too_late ? LIFECYCLE_TOO_LATE : LIFECYCLE_HEARD,
                         completion->userdata);
}

static void on_described(AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        HookCompletion *completion = userdata;
        const AutoScalingInstance *instances;
        InstanceState in_group;
        size_t n;

        if (result < 0) {
                note_failure(completion, error->message);
                return;
        }
        completion->failures = 0;
        instances = autoscaling_request_instances(request, &n);
        in_group = n > 0 ? instances[0].state : INSTANCE_UNKNOWN;
        if (lifecycle_place(completion->transition, in_group) == LIFECYCLE_PLACE_WAIT)
                completion->refusals++;
        settle(completion,
               lifecycle_settle(completion->transition, completion->verdict, in_group, completion->refusals),
               "the lifecycle action is not active yet");
}

static void describe(HookCompletion *completion) {
        char *const ids[] = { completion->instance, NULL };
        Error error = {};

        completion->request = autoscaling_request_free(completion->request);
        if (autoscaling_describe_instances_start(completion->aws, ids, on_described, completion,
                                                 &completion->request, &error) < 0)
                note_failure(completion, error.message);
}

static void on_completed(_unused_ AutoScalingRequest *request, int result, const Error *error,
                         void *userdata) {
        HookCompletion *completion = userdata;

        if (result == 0)
                settle(completion, LIFECYCLE_HEARD, "");
        else if (result == AUTOSCALING_NO_ACTION)
                describe(completion);
        else
                note_failure(completion, error->message);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        HookCompletion *completion = userdata;
        const AutoScalingAction action = {
                .group = completion->group,
                .hook = completion->hooks[completion->n_heard],
                .instance_id = completion->instance,
        };
        Error error = {};

        completion->request = autoscaling_request_free(completion->request);
        if (autoscaling_complete_start(completion->aws, &action, completion->verdict, on_completed,
                                       completion, &completion->request, &error) < 0)
                note_failure(completion, error.message);
        return 0;
}

static int copy_texts(HookCompletion *completion, const HookCompletionSpec *spec) {
        int r = string_set(&completion->group, spec->group);

        if (r >= 0)
                r = string_set(&completion->instance, spec->instance);
        return r < 0 ? r : strv_extend(&completion->hooks, spec->hooks);
}

int hook_completion_start(const HookCompletionSpec *spec, HookCompletionDone done, HookCompletionNews news,
                          void *userdata, HookCompletion **ret, Error *error) {
        _cleanup_(hook_completion_freep) HookCompletion *completion = NULL;
        int r;

        if (spec->first >= strv_length(spec->hooks))
                return error_set(error, -EINVAL, "there is no lifecycle hook left to complete");
        completion = malloc(sizeof(*completion));
        if (!completion)
                return error_oom(error);
        *completion = (HookCompletion){
                .aws = spec->aws,
                .transition = spec->transition,
                .verdict = spec->verdict,
                .n_heard = spec->first,
                .done = done,
                .news = news,
                .userdata = userdata,
                .retry_delay = RETRY_FIRST,
        };
        if (copy_texts(completion, spec) < 0)
                return error_oom(error);
        r = sd_event_add_time_relative(spec->event, &completion->timer, CLOCK_BOOTTIME, 0,
                                       TIMER_ACCURACY_EXACT, on_timer, completion);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(completion);
        return 0;
}

HookCompletion *hook_completion_free(HookCompletion *completion) {
        if (!completion)
                return NULL;
        sd_event_source_unref(completion->timer);
        autoscaling_request_free(completion->request);
        strv_free(completion->hooks);
        free(completion->instance);
        free(completion->group);
        free(completion);
        return NULL;
}

size_t hook_completion_heard(const HookCompletion *completion) {
        return completion->n_heard;
}

const char *hook_completion_problem(const HookCompletion *completion) {
        return completion->problem;
}

bool hook_completion_is_alarming(const HookCompletion *completion) {
        return completion->alarmed_at > 0;
}
