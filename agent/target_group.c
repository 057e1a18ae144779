#include <string.h>

#include "agent/base/random.h"
#include "agent/net/elb.h"
#include "agent/target_group.h"

struct TargetGroup {
        TargetGroupContext context;
        bool joining;
        TargetRegistrations registrations;
        size_t at; /* the first of the target group that is asked about */
        uint64_t deadline;
        uint64_t delay;
        void (*next)(TargetGroup *operation); /* what the timer runs */
        sd_event_source *timer;
        ElbRequest *request;
        bool registered;
        bool refused;  /* by one of the target groups, in this round */
        Error problem; /* why it is not done yet */
        TargetGroupDone done;
        void *userdata;
};

static void change(TargetGroup *operation);
static void look(TargetGroup *operation);

bool target_group_is_out(const ElbTargetHealth *target) {
        return target->state == ELB_TARGET_UNUSED;
}

bool target_group_is_in(const ElbTargetHealth *target) {
        return target->state == ELB_TARGET_HEALTHY || target->state == ELB_TARGET_UNAVAILABLE ||
               (target->state == ELB_TARGET_UNUSED && strcmp(target->reason, "Target.NotInUse") == 0);
}

static void run_after(TargetGroup *operation, void (*next)(TargetGroup *), uint64_t usec) {
        operation->next = next;
        (void) sd_event_source_set_time_relative(operation->timer, usec);
        (void) sd_event_source_set_enabled(operation->timer, SD_EVENT_ONESHOT);
}

static void end(TargetGroup *operation, int result, const Error *error) {
        operation->done(operation, result, error, operation->userdata);
}

static void try_again(TargetGroup *operation, void (*next)(TargetGroup *)) {
        uint64_t jitter = random_below(operation->delay / 4 + 1);

        if (clock_boottime(operation->context.clock) >= operation->deadline) {
                end(operation, TARGET_GROUP_LATE, &operation->problem);
                return;
        }
        run_after(operation, next, operation->delay - jitter);
        operation->delay = MIN(operation->delay * 3 / 2, TARGET_GROUP_POLL_MAX);
}

static size_t run_length(const TargetGroup *operation) {
        return MIN(target_registrations_run(&operation->registrations, operation->at),
                   (size_t) ELB_TARGETS_MAX);
}

static const char *arn(const TargetGroup *operation) {
        return operation->registrations.items[operation->at].arn;
}

/* The targets of the group that is asked about. */
static size_t take_targets(const TargetGroup *operation, ElbTarget targets[static ELB_TARGETS_MAX]) {
        size_t n = run_length(operation);

        for (size_t i = 0; i < n; i++)
                targets[i] = (ElbTarget){ operation->context.instance,
                                          operation->registrations.items[operation->at + i].port };
        return n;
}

static void go_on(TargetGroup *operation, void (*next)(TargetGroup *)) {
        operation->at += run_length(operation);
        next(operation);
}

/* A target group that refuses keeps the instance out of no other one. */
static void on_changed(_unused_ ElbRequest *request, int result, const Error *error, void *userdata) {
        TargetGroup *operation = userdata;
        bool refused = result != 0 && result != ELB_NO_TARGET_GROUP;

        if (refused && !operation->joining) {
                end(operation, result, error);
                return;
        }
        if (refused) {
                operation->refused = true;
                operation->problem = *error;
        }
        go_on(operation, change);
}

/* All of them were asked. To register once more where that has succeeded does no harm. */
static void end_round(TargetGroup *operation) {
        operation->at = 0;
        if (operation->refused) {
                operation->refused = false;
                try_again(operation, change);
                return;
        }
        operation->registered = operation->joining;
        operation->delay = TARGET_GROUP_POLL_FIRST;
        look(operation);
}

/* Registers or deregisters, target group by target group. */
static void change(TargetGroup *operation) {
        const TargetGroupContext *context = &operation->context;
        ElbTarget targets[ELB_TARGETS_MAX];
        Error error = {};
        size_t n;
        int r;

        if (operation->at == operation->registrations.n) {
                end_round(operation);
                return;
        }
        n = take_targets(operation, targets);
        operation->request = elb_request_free(operation->request);
        r = operation->joining ? elb_register_start(context->aws, arn(operation), targets, n, on_changed,
                                                    operation, &operation->request, &error)
                               : elb_deregister_start(context->aws, arn(operation), targets, n, on_changed,
                                                      operation, &operation->request, &error);
        if (r < 0)
                end(operation, r, &error);
}

/* What the load balancer says about a target is the release's fault only where it says that it answers badly. */
static void describe_problem(TargetGroup *operation, const ElbTargetHealth *target) {
        bool release = operation->joining && target->state == ELB_TARGET_UNHEALTHY;
        _cleanup_free_ char *name = NULL;

        if (elb_target_group_name(arn(operation), &name) < 0) {
                (void) error_oom(&operation->problem);
                return;
        }
        (void) error_set_fault(&operation->problem, TARGET_GROUP_LATE, release ? FAULT_RELEASE : FAULT_HOST,
                               "target group %s has port %u of this instance as %s%s%s%s%s", name,
                               target->port, target->state_text, *target->reason ? ", " : "", target->reason,
                               *target->description ? ": " : "", target->description);
}

static const ElbTargetHealth *find_target(const TargetGroup *operation, const ElbHealth *health,
                                          uint16_t port) {
        for (size_t i = 0; i < health->n; i++)
                if (strcmp(health->targets[i].id, operation->context.instance) == 0 &&
                    (port == 0 || health->targets[i].port == port))
                        return &health->targets[i];
        return NULL;
}

/* Whether all targets of the group that is asked about are where they shall be. */
static bool is_settled(TargetGroup *operation, const ElbHealth *health) {
        for (size_t i = 0; i < run_length(operation); i++) {
                uint16_t port = operation->registrations.items[operation->at + i].port;
                const ElbTargetHealth *target = find_target(operation, health, port);
                const ElbTargetHealth none = { .port = port,
                                               .state = ELB_TARGET_UNUSED,
                                               .state_text = "unknown",
                                               .reason = "",
                                               .description = "" };

                if (!target)
                        target = &none;
                if (operation->joining ? target_group_is_in(target) : target_group_is_out(target))
                        continue;
                describe_problem(operation, target);
                return false;
        }
        return true;
}

static void on_health(ElbRequest *request, int result, const Error *error, void *userdata) {
        TargetGroup *operation = userdata;

        if (result == ELB_NO_TARGET_GROUP ||
            (result == 0 && is_settled(operation, elb_request_health(request)))) {
                operation->delay = TARGET_GROUP_POLL_FIRST;
                go_on(operation, look);
                return;
        }
        if (result < 0)
                operation->problem = *error;
        try_again(operation, look);
}

/* Looks whether it has come to be so, target group by target group. */
static void look(TargetGroup *operation) {
        ElbTarget targets[ELB_TARGETS_MAX];
        Error error = {};
        size_t n;
        int r;

        if (operation->at == operation->registrations.n) {
                end(operation, 0, &error);
                return;
        }
        n = take_targets(operation, targets);
        operation->request = elb_request_free(operation->request);
        r = elb_describe_health_start(operation->context.aws, arn(operation), targets, n, on_health,
                                      operation, &operation->request, &error);
        if (r < 0)
                end(operation, r, &error);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        TargetGroup *operation = userdata;

        operation->next(operation);
        return 0;
}

static int start(const TargetGroupContext *context, bool joining, const TargetRegistrations *registrations,
                 TargetGroupDone done, void *userdata, TargetGroup **ret, Error *error) {
        _cleanup_(target_group_freep) TargetGroup *operation = calloc(1, sizeof(*operation));
        int r;

        if (!operation || target_registrations_merge(&operation->registrations, registrations) < 0)
                return error_oom(error);
        operation->context = *context;
        operation->joining = joining;
        operation->deadline = usec_add(clock_boottime(context->clock), context->patience);
        operation->delay = TARGET_GROUP_POLL_FIRST;
        operation->next = change;
        operation->done = done;
        operation->userdata = userdata;
        r = sd_event_add_time_relative(context->event, &operation->timer, CLOCK_BOOTTIME, 0,
                                       TIMER_ACCURACY_EXACT, on_timer, operation);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(operation);
        return 0;
}

int target_group_leave_start(const TargetGroupContext *context, const TargetRegistrations *registrations,
                             TargetGroupDone done, void *userdata, TargetGroup **ret, Error *error) {
        return start(context, false, registrations, done, userdata, ret, error);
}

int target_group_join_start(const TargetGroupContext *context, const TargetRegistrations *registrations,
                            TargetGroupDone done, void *userdata, TargetGroup **ret, Error *error) {
        return start(context, true, registrations, done, userdata, ret, error);
}

bool target_group_is_registered(const TargetGroup *operation) {
        return operation->registered;
}

TargetGroup *target_group_free(TargetGroup *operation) {
        if (!operation)
                return NULL;
        sd_event_source_unref(operation->timer);
        elb_request_free(operation->request);
        target_registrations_deinit(&operation->registrations);
        free(operation);
        return NULL;
}
