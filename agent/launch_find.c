#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "agent/base/timer.h"
#include "agent/launch_find.h"
#include "agent/lifecycle_settle.h"
#include "agent/net/aws_error.h"

struct LaunchFind {
        LaunchFindContext context;
        LaunchFound found;
        void *userdata;
        char *group;
        LifecycleHooks hooks;
        Error remark;
        char problem[ERROR_MESSAGE_MAX];
        unsigned failures;      /* to ask, in a row */
        uint64_t failing_since; /* microseconds since 1970 */
        unsigned unknown_looks;
        bool asking; /* not waiting to ask again */
        uint64_t retry_delay;
        void (*again)(LaunchFind *find); /* what the timer runs */
        sd_event_source *timer;
        AutoScalingRequest *request;
};

static void look_for_hooks(LaunchFind *find);

static void tell(LaunchFind *find, LaunchFinding finding) {
        find->found(find, finding, find->userdata);
}

/* What lasts is logged once. */
static void ask_again(LaunchFind *find, void (*again)(LaunchFind *), int priority, const char *problem) {
        const LogFields fields = { .event = "LAUNCH", .instance = find->context.instance };
        bool is_new = !aws_error_is_same(find->problem, problem);

        find->asking = false;
        find->again = again;
        (void) sd_event_source_set_time_relative(find->timer, find->retry_delay);
        (void) sd_event_source_set_enabled(find->timer, SD_EVENT_ONESHOT);
        find->retry_delay = MIN(find->retry_delay * 2, LAUNCH_FIND_RETRY_MAX);
        snprintf(find->problem, sizeof(find->problem), "%s", problem);
        if (is_new)
                log_message(priority, NULL, &fields, "launch: %s; it is asked again", problem);
        if (is_new || find->failures == LAUNCH_FIND_FAILURES_MAX)
                tell(find, LAUNCH_FOUND_PROBLEM);
}

static void failed(LaunchFind *find, void (*again)(LaunchFind *), const char *problem) {
        if (find->failures++ == 0)
                find->failing_since = clock_realtime(&clock_system);
        ask_again(find, again, LOG_WARNING, problem);
}

static void answered(LaunchFind *find) {
        find->asking = false;
        find->failures = 0;
        find->retry_delay = LAUNCH_FIND_RETRY_FIRST;
        find->problem[0] = '\0';
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        LaunchFind *find = userdata;

        find->again(find);
        return 0;
}

static void on_hooks(AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        LaunchFind *find = userdata;
        const AutoScalingHook *all;
        size_t n;

        if (result < 0) {
                failed(find, look_for_hooks, error->message);
                return;
        }
        answered(find);
        all = autoscaling_request_hooks(request, &n);
        find->remark = (Error){};
        lifecycle_hooks_deinit(&find->hooks);
        (void) lifecycle_hooks_choose(all, n, LIFECYCLE_LAUNCHING, find->context.hook, &find->hooks,
                                      &find->remark);
        tell(find, find->hooks.n > 0 ? LAUNCH_FOUND_HOOKS : LAUNCH_FOUND_NO_HOOKS);
}

static void look_for_hooks(LaunchFind *find) {
        Error error = {};

        find->asking = true;
        find->request = autoscaling_request_free(find->request);
        if (autoscaling_describe_hooks_start(find->context.aws, find->group, on_hooks, find, &find->request,
                                             &error) < 0)
                failed(find, look_for_hooks, error.message);
}

int launch_find_look_for_hooks(LaunchFind *find, const char *group) {
        int r = string_set(&find->group, group);

        if (r >= 0)
                look_for_hooks(find);
        return r;
}

bool launch_find_is_named(const char *hook) {
        return hook && strcmp(hook, LIFECYCLE_HOOK_AUTO) != 0 && strcmp(hook, LIFECYCLE_HOOK_NONE) != 0;
}

/* Without a hook that is named this may as well be an instance of no group: after a while nobody is asked any more. */
static void on_unknown(LaunchFind *find) {
        static const char problem[] = "the Auto Scaling group does not know this instance yet";

        find->failures = 0;
        if (launch_find_is_named(find->context.hook) || find->unknown_looks++ < LAUNCH_FIND_UNKNOWN_MAX)
                ask_again(find, launch_find_look, LOG_INFO, problem);
        else
                answered(find);
}

/* The hooks are asked for first, so that whoever is told may stop that again. */
static void on_held(LaunchFind *find, const char *group) {
        if (launch_find_look_for_hooks(find, find->context.group ? find->context.group : group) < 0)
                failed(find, launch_find_look, "out of memory");
        else
                tell(find, LAUNCH_FOUND_HELD);
}

static void on_looked(AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        LaunchFind *find = userdata;
        const AutoScalingInstance *instances;
        _cleanup_free_ char *group = NULL;
        LifecyclePlace place;
        size_t n;

        if (result < 0) {
                failed(find, launch_find_look, error->message);
                return;
        }
        instances = autoscaling_request_instances(request, &n);
        if (n == 0 || instances[0].state == INSTANCE_UNKNOWN) {
                on_unknown(find);
                return;
        }
        answered(find);
        place = lifecycle_place(LIFECYCLE_LAUNCHING, instances[0].state);
        group = strdup(instances[0].group); /* which goes with the request */
        if (place != LIFECYCLE_PLACE_EARLY && place != LIFECYCLE_PLACE_WAIT)
                tell(find, LAUNCH_FOUND_FREE);
        else if (group)
                on_held(find, group);
        else
                failed(find, launch_find_look, "out of memory");
}

void launch_find_look(LaunchFind *find) {
        char *const ids[] = { (char *) find->context.instance, NULL };
        Error error = {};

        find->asking = true;
        find->request = autoscaling_request_free(find->request);
        if (autoscaling_describe_instances_start(find->context.aws, ids, on_looked, find, &find->request,
                                                 &error) < 0)
                failed(find, launch_find_look, error.message);
}

void launch_find_stop(LaunchFind *find) {
        answered(find);
        find->unknown_looks = 0;
        find->request = autoscaling_request_free(find->request);
        (void) sd_event_source_set_enabled(find->timer, SD_EVENT_OFF);
}

bool launch_find_is_asking(const LaunchFind *find) {
        return find->asking;
}

int launch_find_new(const LaunchFindContext *context, LaunchFound found, void *userdata, LaunchFind **ret,
                    Error *error) {
        _cleanup_(launch_find_freep) LaunchFind *find = NULL;
        int r;

        find = calloc(1, sizeof(*find));
        if (!find)
                return error_oom(error);
        find->context = *context;
        find->found = found;
        find->userdata = userdata;
        find->retry_delay = LAUNCH_FIND_RETRY_FIRST;
        r = timer_new(context->event, CLOCK_BOOTTIME, on_timer, find, &find->timer);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(find);
        return 0;
}

LaunchFind *launch_find_free(LaunchFind *find) {
        if (!find)
                return NULL;
        sd_event_source_unref(find->timer);
        autoscaling_request_free(find->request);
        lifecycle_hooks_deinit(&find->hooks);
        free(find->group);
        free(find);
        return NULL;
}

const char *launch_find_group(const LaunchFind *find) {
        return find->group;
}

LifecycleHooks launch_find_take_hooks(LaunchFind *find) {
        LifecycleHooks hooks = find->hooks;

        find->hooks = (LifecycleHooks){};
        return hooks;
}

const char *launch_find_remark(const LaunchFind *find) {
        return find->remark.message;
}

const char *launch_find_problem(const LaunchFind *find) {
        return find->problem;
}

bool launch_find_is_alarming(const LaunchFind *find) {
        return find->failures >= LAUNCH_FIND_FAILURES_MAX;
}

uint64_t launch_find_failing_since(const LaunchFind *find) {
        return find->failing_since;
}
