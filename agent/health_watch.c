#include <string.h>

#include "agent/base/log.h"
#include "agent/base/random.h"
#include "agent/base/timer.h"
#include "agent/engine_step.h"
#include "agent/health_watch.h"
#include "agent/messages.h"
#include "agent/net/autoscaling.h"
#include "agent/recheck.h"
#include "agent/unit_restart.h"

#define ASK_JITTER (5 * USEC_PER_SEC) /* instances that fail for one reason do not ask their group at once */

struct HealthWatch {
        EngineContext context;
        HealthPolicy policy;
        uint64_t interval;
        HealthState *state;
        HealthWatchChanged changed;
        void *userdata;
        sd_event_source *timer;
        void (*next)(HealthWatch *watch); /* what the timer runs */
        Recheck *round;
        Release *release; /* while its units restart */
        UnitRestart *restart;
        AutoScalingRequest *request;
        sd_event_source *turn;          /* of this instance among those of its group, while rounds go on */
        bool waits;                     /* for it */
        bool has_turn;                  /* it is asked and told */
        char reason[ERROR_MESSAGE_MAX]; /* of the last round that failed */
        char replacement[ERROR_MESSAGE_MAX]; /* what has come of telling the group */
};

static void begin_round(HealthWatch *watch);

static void log_watch(const HealthWatch *watch, int priority, const char *message_id, const char *what,
                      const char *why) {
        const LogFields fields = { .app = watch->context.app,
                                   .version = watch->context.record->good.version,
                                   .event = "HEALTH",
                                   .instance = watch->context.instance };

        log_message(priority, message_id, &fields, "%s%s%s", what, *why ? ": " : "", why);
}

static void run_after(HealthWatch *watch, void (*next)(HealthWatch *), uint64_t usec) {
        watch->next = next;
        (void) sd_event_source_set_time_relative(watch->timer, usec);
        (void) sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

static void go_on(HealthWatch *watch) {
        run_after(watch, begin_round, watch->interval);
        watch->changed(watch->userdata);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        HealthWatch *watch = userdata;

        watch->next(watch);
        return 0;
}

/* Replacement. */

static void say_replacement(HealthWatch *watch, int priority, const char *message_id, const char *text) {
        bool had_turn = watch->has_turn;

        watch->has_turn = false;
        if (strcmp(watch->replacement, text) != 0) {
                snprintf(watch->replacement, sizeof(watch->replacement), "%s", text);
                log_watch(watch, priority, message_id, text, "");
        }
        if (had_turn)
                watch->changed(watch->userdata);
        else
                go_on(watch);
}

static void on_told(_unused_ AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        HealthWatch *watch = userdata;

        if (result < 0) {
                say_replacement(watch, LOG_WARNING, NULL, error->message);
                return;
        }
        watch->state->told = clock_boottime(watch->context.clock);
        say_replacement(watch, LOG_ERR, MESSAGE_HEALTH_REPLACED,
                        "the Auto Scaling group is told that this instance is unhealthy and to be replaced");
}

static void replace(HealthWatch *watch);

static int on_turn(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        HealthWatch *watch = userdata;

        watch->waits = false;
        watch->has_turn = watch->state->unhealthy; /* it may have recovered meanwhile */
        if (watch->has_turn)
                replace(watch);
        return 0;
}

/* False if it is this instance's turn. */
static bool wait_for_turn(HealthWatch *watch, const AutoScalingGroup *group) {
        uint64_t wait = health_turn(group->serving, watch->context.instance,
                                    clock_realtime(watch->context.clock), random_u64());

        if (watch->has_turn || wait == 0)
                return false;
        watch->waits = true;
        (void) sd_event_source_set_time_relative(watch->turn, wait);
        (void) sd_event_source_set_enabled(watch->turn, SD_EVENT_ONESHOT);
        go_on(watch);
        return true;
}

static void on_group(AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        HealthWatch *watch = userdata;
        const AutoScalingGroup *group = result == 0 ? autoscaling_request_group(request) : NULL;
        Error problem = *error;
        char text[256];

        if (result == 0 && health_may_replace(&watch->policy, group)) {
                AutoScalingRequest *before;

                if (wait_for_turn(watch, group))
                        return;
                before = TAKE_PTR(watch->request);
                result = autoscaling_set_unhealthy_start(watch->context.traffic.aws, watch->context.instance,
                                                         on_told, watch, &watch->request, &problem);
                autoscaling_request_free(before);
                if (result >= 0)
                        return;
        }
        if (result < 0) {
                say_replacement(watch, LOG_WARNING, NULL, problem.message);
                return;
        }
        snprintf(
                text, sizeof(text),
                "not replaced: %u of %u desired instances of the group are healthy, and %u %% of them must stay "
                "without this one",
                group ? group->healthy : 0, group ? group->desired : 0, watch->policy.percent);
        say_replacement(watch, LOG_WARNING, MESSAGE_HEALTH_KEPT, text);
}

static int ask_group(HealthWatch *watch, const char *group, Error *error) {
        AutoScalingRequest *before = TAKE_PTR(watch->request); /* GROUP may be of its answer */
        int r;

        r = autoscaling_describe_group_start(watch->context.traffic.aws, group, on_group, watch,
                                             &watch->request, error);
        autoscaling_request_free(before);
        return r;
}

static void on_instance(AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        HealthWatch *watch = userdata;
        const AutoScalingInstance *instances;
        Error problem = *error;
        size_t n;

        instances = autoscaling_request_instances(request, &n);
        if (result == 0 && n == 0)
                result = error_set(&problem, -ENOENT,
                                   "the instance is in no Auto Scaling group that could replace it");
        if (result == 0 && instances[0].state != INSTANCE_IN_SERVICE)
                result = error_set(&problem, -EBUSY,
                                   "the instance is %s in its Auto Scaling group, not in service",
                                   instances[0].state_text);
        if (result == 0)
                result = ask_group(watch, instances[0].group, &problem);
        if (result < 0)
                say_replacement(watch, LOG_WARNING, NULL, problem.message);
}

/* Asked right before it is told: what others have just said of themselves counts. */
static void replace(HealthWatch *watch) {
        char *const ids[] = { (char *) watch->context.instance, NULL };
        Error error = {};

        watch->request = autoscaling_request_free(watch->request);
        if (autoscaling_describe_instances_start(watch->context.traffic.aws, ids, on_instance, watch,
                                                 &watch->request, &error) < 0)
                say_replacement(watch, LOG_WARNING, NULL, error.message);
}

/* Restart. */

static void on_restarted(_unused_ UnitRestart *restart, int result, const Error *error, void *userdata) {
        HealthWatch *watch = userdata;

        if (result != 0)
                log_watch(watch, LOG_WARNING, NULL, "the restart did not help", error->message);
        watch->restart = unit_restart_free(watch->restart);
        watch->release = release_free(watch->release);
        go_on(watch);
}

static void restart_units(HealthWatch *watch) {
        const EngineContext *context = &watch->context;
        Error error = {};
        int r;

        log_watch(watch, LOG_WARNING, MESSAGE_HEALTH_RESTARTED,
                  "the health checks fail, the units are restarted", watch->reason);
        r = engine_load_release(context->store, &context->record->good, &watch->release, &error);
        if (r >= 0)
                r = unit_restart_start(context->manager, context->event, watch->release,
                                       context->config->settle_time, on_restarted, watch, &watch->restart,
                                       &error);
        if (r < 0) {
                watch->release = release_free(watch->release);
                log_watch(watch, LOG_ERR, NULL, "the units cannot be restarted", error.message);
                go_on(watch);
        } else {
                watch->changed(watch->userdata);
        }
}

/* Rounds. */

static void act(HealthWatch *watch, HealthAction action) {
        switch (action) {
        case HEALTH_RESTART:
                restart_units(watch);
                break;
        case HEALTH_REPLACE:
                if (watch->waits || watch->has_turn) {
                        go_on(watch);
                        break;
                }
                if (watch->context.traffic.aws) {
                        run_after(watch, replace, random_below(ASK_JITTER));
                        watch->changed(watch->userdata);
                        break;
                }
                say_replacement(watch, LOG_WARNING, NULL,
                                "there is no Auto Scaling group to tell: the depot is not on AWS");
                break;
        default:
                go_on(watch);
                break;
        }
}

static void take_round(HealthWatch *watch, int result, const Error *error) {
        bool was_unhealthy = watch->state->unhealthy, failed = watch->state->failed > 0;
        HealthAction action;

        snprintf(watch->reason, sizeof(watch->reason), "%s", result != 0 ? error->message : "");
        watch->round = recheck_free(watch->round);
        action = health_verdict(&watch->policy, watch->state, result == 0,
                                clock_boottime(watch->context.clock));
        if (result == 0) {
                watch->replacement[0] = '\0';
                if (failed || was_unhealthy)
                        log_watch(watch, LOG_NOTICE, MESSAGE_HEALTH_RECOVERED, "the app is healthy again",
                                  "");
        } else if (watch->state->unhealthy && !was_unhealthy) {
                log_watch(watch, LOG_ERR, MESSAGE_HEALTH_UNHEALTHY,
                          "the app is unhealthy, and restarts do not help", watch->reason);
        } else if (!failed) {
                log_watch(watch, LOG_WARNING, NULL, "the health checks fail", watch->reason);
        }
        act(watch, action);
}

static void on_round(_unused_ Recheck *round, int result, const Error *error, void *userdata) {
        take_round(userdata, result, error);
}

static void begin_round(HealthWatch *watch) {
        Error error = {};

        if (recheck_start(&watch->context, on_round, watch, &watch->round, &error) >= 0)
                return;
        /* Not that it is unhealthy: nobody knows. */
        log_watch(watch, LOG_WARNING, NULL, "cannot check the app's health", error.message);
        go_on(watch);
}

int health_watch_new(const EngineContext *context, const AppConfig *config, HealthState *state,
                     HealthWatchChanged changed, void *userdata, HealthWatch **ret, Error *error) {
        _cleanup_(health_watch_freep) HealthWatch *watch = calloc(1, sizeof(*watch));
        int r;

        if (!watch)
                return error_oom(error);
        watch->context = *context;
        watch->policy = (HealthPolicy){
                .failures = (unsigned) config->health_failures,
                .restarts = (unsigned) config->health_restarts,
                .replace = config->on_unhealthy == ON_UNHEALTHY_REPLACE,
                .percent = (unsigned) config->healthy_percent,
        };
        watch->interval = config->health_interval;
        watch->state = state;
        watch->changed = changed;
        watch->userdata = userdata;
        watch->next = begin_round;
        r = sd_event_add_time_relative(context->event, &watch->timer, CLOCK_BOOTTIME, watch->interval,
                                       TIMER_ACCURACY_EXACT, on_timer, watch);
        if (r >= 0)
                r = timer_new(context->event, CLOCK_BOOTTIME, on_turn, watch, &watch->turn);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(watch);
        return 0;
}

static const char *state_of(const HealthWatch *watch) {
        if (watch->restart)
                return "restarting";
        if (watch->state->unhealthy)
                return "unhealthy";
        return watch->state->failed > 0 ? "failing" : "healthy";
}

int health_watch_to_json(const HealthWatch *watch, json_t **ret) {
        *ret = json_pack("{s:s, s:I, s:I, s:s, s:s}", "state", state_of(watch), "failed",
                         (json_int_t) watch->state->failed, "restarts", (json_int_t) watch->state->n_restarts,
                         "reason", watch->reason, "replacement", watch->replacement);
        return *ret ? 0 : -ENOMEM;
}

HealthWatch *health_watch_free(HealthWatch *watch) {
        if (!watch)
                return NULL;
        sd_event_source_unref(watch->timer);
        sd_event_source_unref(watch->turn);
        recheck_free(watch->round);
        unit_restart_free(watch->restart);
        release_free(watch->release);
        autoscaling_request_free(watch->request);
        free(watch);
        return NULL;
}
