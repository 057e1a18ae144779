#include "agent/rejoin.h"
#include "agent/base/strv.h"
#include "agent/messages.h"
#include "agent/net/aws_error.h"
#include "agent/record_copy.h"
#include "agent/target_group.h"

#define RETRY_FIRST (1 * USEC_PER_SEC)
#define RETRY_MAX (60 * USEC_PER_SEC)
#define LIFE_INTERVAL (100 * USEC_PER_MSEC) /* until the instance metadata have answered */

struct Rejoin {
        RejoinContext context;
        RejoinDone done;
        void *userdata;
        sd_event_source *timer;
        uint64_t delay;
        TargetGroup *operation;
        char problem[ERROR_MESSAGE_MAX];
};

static void try_after(Rejoin *rejoin, uint64_t usec) {
        (void) sd_event_source_set_time_relative(rejoin->timer, usec);
        (void) sd_event_source_set_enabled(rejoin->timer, SD_EVENT_ONESHOT);
}

/* A fault that lasts is logged once. */
static void try_again(Rejoin *rejoin, const char *problem) {
        if (!aws_error_is_same(rejoin->problem, problem)) {
                snprintf(rejoin->problem, sizeof(rejoin->problem), "%s", problem);
                log_message(LOG_ERR, MESSAGE_TRAFFIC_UNDELIVERED, &rejoin->context.fields,
                            "cannot put the instance back into its target groups, trying again: %s", problem);
        }
        try_after(rejoin, rejoin->delay);
        rejoin->delay = MIN(rejoin->delay * 2, RETRY_MAX);
}

static void on_joined(TargetGroup *operation, _unused_ int result, const Error *error, void *userdata) {
        Rejoin *rejoin = userdata;
        TargetRegistrations *deregistered = &rejoin->context.record->deregistered;
        _cleanup_free_ char *groups = NULL;
        Error problem = *error;

        if (!target_group_is_registered(operation)) {
                try_again(rejoin, problem.message);
                return;
        }
        (void) target_registrations_to_text(deregistered, &groups);
        log_message(LOG_NOTICE, MESSAGE_TRAFFIC_ALLOWED, &rejoin->context.fields,
                    "the instance is back in its target groups: %s", groups ? groups : "");
        target_registrations_deinit(deregistered);
        /* Where that cannot be written it is registered once more after the next start, which does no harm. */
        (void) record_save(rejoin->context.app_fd, rejoin->context.record, &problem);
        (void) record_copy_keep(rejoin->context.app_fd, rejoin->context.record, NULL);
        rejoin->done(rejoin, rejoin->userdata);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Rejoin *rejoin = userdata;
        const RejoinContext *context = &rejoin->context;
        const TargetGroupContext group = { .event = context->event,
                                           .clock = context->clock,
                                           .aws = context->aws,
                                           .instance = context->instance };
        int may = context->may_join ? context->may_join(rejoin->userdata) : 1;
        Error error = {};

        if (may <= 0) {
                try_after(rejoin, may == 0 ? RETRY_FIRST : LIFE_INTERVAL);
                return 0;
        }
        rejoin->operation = target_group_free(rejoin->operation);
        if (target_group_join_start(&group, &context->record->deregistered, on_joined, rejoin,
                                    &rejoin->operation, &error) < 0)
                try_again(rejoin, error.message);
        return 0;
}

int rejoin_start(const RejoinContext *context, RejoinDone done, void *userdata, Rejoin **ret, Error *error) {
        _cleanup_(rejoin_freep) Rejoin *rejoin = calloc(1, sizeof(*rejoin));
        int r;

        if (!rejoin)
                return error_oom(error);
        rejoin->context = *context;
        rejoin->done = done;
        rejoin->userdata = userdata;
        rejoin->delay = RETRY_FIRST;
        r = sd_event_add_time_relative(context->event, &rejoin->timer, CLOCK_BOOTTIME, 0,
                                       TIMER_ACCURACY_EXACT, on_timer, rejoin);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(rejoin);
        return 0;
}

const char *rejoin_problem(const Rejoin *rejoin) {
        return rejoin->problem;
}

Rejoin *rejoin_free(Rejoin *rejoin) {
        if (!rejoin)
                return NULL;
        sd_event_source_unref(rejoin->timer);
        target_group_free(rejoin->operation);
        free(rejoin);
        return NULL;
}
