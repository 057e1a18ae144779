#include <string.h>

#include "agent/base/log.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/decision.h"
#include "agent/messages.h"
#include "agent/net/aws_error.h"
#include "agent/spare.h"
#include "agent/target_watch.h"
#include "artifacts/freshness.h"
#include "artifacts/layout.h"

#define RETRY_FIRST (1 * USEC_PER_SEC)

struct TargetWatch {
        TargetWatchContext context;
        TargetWatchChanged changed;
        void *userdata;
        sd_event_source *timer;
        DepotOp *op;
        char *etag; /* of the document that was judged last */
        Target *target;
        bool fresh;      /* or freshness is not asked for */
        bool asked;      /* to look, and that has yet to begin */
        uint64_t begun;  /* looks */
        uint64_t judged; /* the latest look that did not end for want of an answer */
        char problem[ERROR_MESSAGE_MAX];
        uint64_t retry_delay;
};

static void get_target(TargetWatch *watch);

/* A quarter of the interval at random, so that a fleet from one image does not ask in step. */
static uint64_t with_jitter(uint64_t interval) {
        return interval - random_below(interval / 4 + 1);
}

static void look_after(TargetWatch *watch, uint64_t usec) {
        (void) sd_event_source_set_time_relative(watch->timer, usec);
        (void) sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

static void log_problem(const TargetWatch *watch) {
        const LogFields fields = { .app = watch->context.app, .instance = watch->context.instance };

        log_message(LOG_WARNING, MESSAGE_TARGET_REFUSED, &fields, "%s", watch->problem);
}

/* What lasts is logged once. A depot that cannot be reached is asked again soon, then more and more slowly. */
static void end_look(TargetWatch *watch, int result, const Error *error) {
        watch->op = depot_op_free(watch->op);
        if (result >= 0 || error->fault != FAULT_HOST)
                watch->judged = watch->begun;
        if (result < 0) {
                bool lasts = aws_error_is_same(watch->problem, error->message);

                snprintf(watch->problem, sizeof(watch->problem), "%s", error->message);
                if (!lasts)
                        log_problem(watch);
        } else {
                watch->problem[0] = '\0';
        }
        if (result < 0 && error->fault == FAULT_HOST) {
                watch->retry_delay = MIN(watch->retry_delay * 2, watch->context.interval);
                look_after(watch, with_jitter(watch->retry_delay));
        } else {
                watch->retry_delay = RETRY_FIRST;
                look_after(watch, with_jitter(watch->context.interval));
        }
        if (watch->asked)
                look_after(watch, 0);
        watch->changed(watch, watch->userdata);
}

static int judge_freshness(TargetWatch *watch, const DepotReply *reply, Error *error) {
        const TargetWatchContext *context = &watch->context;
        _cleanup_freshness_ Freshness *freshness = NULL;
        uint64_t now = clock_realtime(context->clock);
        int r;

        if (reply->outcome == DEPOT_NOT_FOUND)
                return error_set_fault(
                        error, -ENOENT, FAULT_INPUT,
                        "group %s of %s has no freshness in the depot, which the trust root asks for",
                        context->group, context->app);
        r = freshness_open(context->root, reply->body, reply->body_size, now, context->app, context->group,
                           &freshness, error);
        return r < 0 ? r : freshness_check(freshness, watch->target, now, error);
}

static void on_freshness(DepotOp *op, int result, const Error *error, void *userdata) {
        TargetWatch *watch = userdata;
        Error problem = {};

        if (result < 0)
                problem = *error;
        else
                result = judge_freshness(watch, depot_op_reply(op), &problem);
        if (result >= 0 || problem.fault != FAULT_HOST)
                watch->fresh = result >= 0;
        end_look(watch, result, &problem);
}

static bool wants_freshness(const TargetWatch *watch) {
        uint64_t threshold;
        size_t n;

        (void) trust_root_keys(watch->context.root, TRUST_ROLE_FRESHNESS, &n, &threshold);
        return n > 0;
}

/* The target is known: is it the current one? */
static void check_freshness(TargetWatch *watch) {
        const TargetWatchContext *context = &watch->context;
        char key[LAYOUT_KEY_MAX];
        Error error = {};
        int r;

        if (!wants_freshness(watch) || !watch->target) {
                watch->fresh = true;
                end_look(watch, 0, NULL);
                return;
        }
        watch->op = depot_op_free(watch->op);
        r = layout_freshness(context->app, context->group, key, &error);
        if (r >= 0)
                r = depot_get_start(context->depot, key, NULL, DSSE_ENVELOPE_SIZE_MAX, on_freshness, watch,
                                    &watch->op, &error);
        if (r < 0)
                end_look(watch, r, &error);
}

static int save_target(const TargetWatchContext *context, const Target *target, Error *error) {
        int r = record_save(context->app_fd, context->record, error);

        if (r < 0 && record_is_way_back(context->record, target->stable.sha256) &&
            spare_helps(context->app_fd, r))
                r = record_save(context->app_fd, context->record, error);
        return r;
}

/* In memory. What root has deployed by hand gives way to any target of a group that the instance has come to. */
static void set_target(Record *record, char *group, const Target *target) {
        if (record->group && strcmp(record->group, group) != 0)
                record->good_serial = 0;
        record->group = group;
        record->serial = target->serial;
        memcpy(record->target_sha256, target->sha256, sizeof(record->target_sha256));
}

/* Durably, before anything is done about it; what could not be noted the next look tries again. */
static int note_target(TargetWatch *watch, const Target *target, Error *error) {
        const TargetWatchContext *context = &watch->context;
        const LogFields fields = { .app = context->app,
                                   .version = target->stable.version,
                                   .instance = context->instance };
        _cleanup_free_ char *group = strdup(context->group);
        const Record before = *context->record;
        int r;

        if (!group)
                return error_oom(error);
        set_target(context->record, group, target);
        r = save_target(context, target, error);
        if (r < 0) {
                *context->record = before;
                return r;
        }
        group = before.group;
        log_message(LOG_INFO, MESSAGE_TARGET_ACCEPTED, &fields, "target %llu of group %s: release %s",
                    (unsigned long long) target->serial, context->group, target->stable.version);
        return 0;
}

static int accept(TargetWatch *watch, Target *target, Error *error) {
        const Record *record = watch->context.record;
        bool news;
        int r;

        r = decision_accept_target(record, watch->context.group, target->serial, target->sha256, error);
        if (r < 0)
                return r;
        news = target->serial != record->serial || !record->target_sha256[0] ||
               !string_equal(record->group, watch->context.group);
        r = news ? note_target(watch, target, error) : 0;
        if (r < 0)
                return r;
        target_free(watch->target);
        watch->target = target;
        return 0;
}

static int judge_envelope(TargetWatch *watch, const void *envelope, size_t size, Error *error) {
        const TargetWatchContext *context = &watch->context;
        _cleanup_target_ Target *target = NULL;
        int r;

        r = target_open(context->root, envelope, size, clock_realtime(context->clock), context->app,
                        context->group, &target, error);
        if (r >= 0)
                r = accept(watch, target, error);
        if (r < 0)
                return r;
        target = NULL;
        return 0;
}

static int judge(TargetWatch *watch, const DepotReply *reply, Error *error) {
        const TargetWatchContext *context = &watch->context;
        int r;

        if (reply->outcome == DEPOT_NOT_MODIFIED)
                return 0;
        if (reply->outcome == DEPOT_NOT_FOUND)
                return error_set_fault(error, -ENOENT, FAULT_INPUT,
                                       "group %s of %s has no target in the depot", context->group,
                                       context->app);
        r = judge_envelope(watch, reply->body, reply->body_size, error);
        if (r < 0)
                return r;
        return string_set(&watch->etag, reply->etag) < 0 ? error_oom(error) : 0;
}

static void on_target(DepotOp *op, int result, const Error *error, void *userdata) {
        TargetWatch *watch = userdata;
        Error problem = {};

        if (result < 0)
                problem = *error;
        else
                result = judge(watch, depot_op_reply(op), &problem);
        if (result < 0)
                end_look(watch, result, &problem);
        else
                check_freshness(watch);
}

static void get_target(TargetWatch *watch) {
        const TargetWatchContext *context = &watch->context;
        char key[LAYOUT_KEY_MAX];
        Error error = {};
        int r;

        watch->begun++;
        r = layout_target(context->app, context->group, key, &error);
        if (r >= 0)
                r = depot_get_start(context->depot, key, watch->etag, DSSE_ENVELOPE_SIZE_MAX, on_target,
                                    watch, &watch->op, &error);
        if (r < 0)
                end_look(watch, r, &error);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        TargetWatch *watch = userdata;

        if (!watch->op) {
                watch->asked = false;
                get_target(watch);
        }
        return 0;
}

int target_watch_new(const TargetWatchContext *context, TargetWatchChanged changed, void *userdata,
                     TargetWatch **ret, Error *error) {
        _cleanup_(target_watch_freep) TargetWatch *watch = NULL;
        int r;

        watch = malloc(sizeof(*watch));
        if (!watch)
                return error_oom(error);
        *watch = (TargetWatch){
                .context = *context,
                .changed = changed,
                .userdata = userdata,
                .retry_delay = RETRY_FIRST,
        };
        r = sd_event_add_time_relative(context->event, &watch->timer, CLOCK_BOOTTIME, 0, TIMER_ACCURACY_EXACT,
                                       on_timer, watch);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(watch);
        return 0;
}

uint64_t target_watch_poll(TargetWatch *watch) {
        watch->asked = true;
        if (!watch->op)
                look_after(watch, 0);
        return watch->begun + 1;
}

bool target_watch_has_looked(const TargetWatch *watch, uint64_t look) {
        return watch->judged >= look;
}

int target_watch_offer(TargetWatch *watch, const void *envelope, size_t size, Error *error) {
        int r;

        if (wants_freshness(watch)) {
                (void) target_watch_poll(watch);
                return 0;
        }
        r = judge_envelope(watch, envelope, size, error);
        if (r < 0)
                return r;
        watch->fresh = true;
        watch->op = depot_op_free(watch->op); /* what it would find may be older */
        (void) target_watch_poll(watch);
        watch->changed(watch, watch->userdata);
        return 0;
}

void target_watch_set_interval(TargetWatch *watch, uint64_t interval) {
        bool shorter = interval < watch->context.interval;

        watch->context.interval = interval;
        if (shorter && !watch->op && !watch->asked)
                look_after(watch, with_jitter(interval));
}

bool target_watch_is_looking(const TargetWatch *watch) {
        return watch->op || watch->asked;
}

const Target *target_watch_target(const TargetWatch *watch) {
        return watch->fresh ? watch->target : NULL;
}

const char *target_watch_problem(const TargetWatch *watch) {
        return watch->problem[0] ? watch->problem : NULL;
}

TargetWatch *target_watch_free(TargetWatch *watch) {
        if (!watch)
                return NULL;
        sd_event_source_unref(watch->timer);
        depot_op_free(watch->op);
        free(watch->etag);
        target_free(watch->target);
        free(watch);
        return NULL;
}
