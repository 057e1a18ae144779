#include <string.h>

#include "agent/base/log.h"
#include "agent/base/parse.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/life_metadata.h"
#include "agent/life_watch.h"
#include "agent/messages.h"

#define DESCRIBE_AGAIN_FIRST (5 * USEC_PER_SEC)
#define DESCRIBE_AGAIN_MAX (300 * USEC_PER_SEC)
#define ROUNDS_IN_VAIN_MAX                                                                                   \
        3U              /* without an answer from anybody, until the instance is taken for one of no group */
#define JITTER_PART 10U /* of an interval, at most, it is shorter */

typedef enum Item {
        ITEM_TARGET,
        ITEM_MARKET,
        ITEM_SPOT,
        ITEM_REBALANCE,
        ITEM_MAINTENANCE,
        ITEM_COUNT,
} Item;

static const char *const paths[ITEM_COUNT] = {
        [ITEM_TARGET] = "meta-data/autoscaling/target-lifecycle-state",
        [ITEM_MARKET] = "meta-data/instance-life-cycle",
        [ITEM_SPOT] = "meta-data/spot/instance-action",
        [ITEM_REBALANCE] = "meta-data/events/recommendations/rebalance",
        [ITEM_MAINTENANCE] = "meta-data/events/maintenance/scheduled",
};

struct LifeWatch {
        LifeWatchContext context;
        LifeChanged changed;
        void *userdata;
        sd_event_source *timer;
        uint64_t due;       /* of the timer, boot time */
        Item item;          /* that is asked for */
        bool looking;       /* a round is under way */
        bool look_again;    /* once it has ended */
        bool asked;         /* a message has asked for the round that comes */
        uint64_t asked_at;  /* boot time of the last round that one asked for; 0: none has */
        uint64_t began;     /* boot time at which the last round began */
        uint64_t looked_at; /* boot time of the end of the last round; 0: none has ended */
        bool failed;        /* something of this round was not answered */
        bool describing;    /* Auto Scaling is asked, which may take long where it is out of reach */
        unsigned rounds_in_vain;
        bool market_known, is_spot;
        uint64_t maintenance_due; /* boot time */
        char target[LIFE_WORD_SIZE];
        SpotAction spot;
        Maintenance maintenance;
        LifeFacts facts;
        uint64_t describe_due; /* boot time; USEC_INFINITY: the group is at rest */
        uint64_t describe_delay;
        char *group;
        LifeView view;
        uint64_t since;                  /* microseconds since 1970 */
        char problem[ERROR_MESSAGE_MAX]; /* of the metadata */
        char group_problem[ERROR_MESSAGE_MAX];
        ImdsRequest *imds;
        AutoScalingRequest *describe;
};

static void next_item(LifeWatch *watch);

bool life_watch_slept(uint64_t due, uint64_t now) {
        return now > usec_add(due, LIFE_WATCH_SLEPT);
}

/* A fault that lasts is told once, and its end. */
static void tell_problem(char *problem, size_t size, const char *what, const char *again) {
        if (strcmp(problem, what) == 0)
                return;
        if (!*problem)
                log_warning("what becomes of this instance cannot be seen: %s", what);
        else if (!*what)
                log_info("%s again", again);
        snprintf(problem, size, "%s", what);
}

static bool is_needed(const LifeWatch *watch, Item item, uint64_t now) {
        switch (item) {
        case ITEM_TARGET:
                return true;
        case ITEM_MARKET:
                return !watch->market_known;
        case ITEM_SPOT:
                return watch->is_spot;
        case ITEM_REBALANCE:
                return watch->is_spot && watch->context.drain_on_rebalance;
        case ITEM_MAINTENANCE:
                return watch->context.drain_for_maintenance && now >= watch->maintenance_due;
        default:
                return false;
        }
}

static void describe_after(LifeWatch *watch, uint64_t delay) {
        watch->describe_delay = MIN(delay, DESCRIBE_AGAIN_MAX);
        watch->describe_due = usec_add(clock_boottime(watch->context.clock), watch->describe_delay);
}

/* Once there it is there for good: who leaves a group is "Detached" or "Terminated". */
static int take_target(LifeWatch *watch, const char *text, Error *error) {
        bool known = text && life_metadata_is_word(text);
        const char *target = text ? (known ? text : "?") : NULL;

        if (watch->facts.target && !known)
                return error_set_fault(
                        error, -EBADMSG, FAULT_HOST,
                        "the instance metadata's target-lifecycle-state: expected a state, as before");
        if (watch->facts.target_known && string_equal(target, watch->facts.target))
                return 0;
        snprintf(watch->target, sizeof(watch->target), "%s", target ? target : "");
        watch->facts.target_known = true;
        watch->facts.target = target ? watch->target : NULL;
        if (target || watch->context.in_group)
                describe_after(watch, 0);
        return 0;
}

static int take_spot(LifeWatch *watch, const char *text, Error *error) {
        int r = text ? life_metadata_spot(text, &watch->spot, error) : 0;

        if (r < 0)
                return r;
        watch->facts.spot_action = text ? watch->spot.action : NULL;
        watch->facts.spot_at = watch->spot.at;
        return 0;
}

static int take_rebalance(LifeWatch *watch, const char *text, Error *error) {
        uint64_t at;
        int r = text ? life_metadata_rebalance(text, &at, error) : 0;

        if (r >= 0)
                watch->facts.rebalance = text;
        return r;
}

static int take_maintenance(LifeWatch *watch, const char *text, Error *error) {
        uint64_t now = clock_boottime(watch->context.clock);
        int r;

        watch->maintenance_due = usec_add(now, LIFE_WATCH_MAINTENANCE);
        r = text ? life_metadata_maintenance(text, &watch->maintenance, error) : 0;
        if (r < 0)
                return r;
        watch->facts.maintenance = r > 0 ? watch->maintenance.code : NULL;
        watch->facts.maintenance_at = watch->maintenance.not_before;
        return 0;
}

/* TEXT is NULL where the metadata have no such item. An answer that cannot be understood changes nothing. */
static int take(LifeWatch *watch, const char *text, Error *error) {
        switch (watch->item) {
        case ITEM_TARGET:
                return take_target(watch, text, error);
        case ITEM_MARKET:
                watch->market_known = true;
                watch->is_spot = string_equal(text, "spot");
                return 0;
        case ITEM_SPOT:
                return take_spot(watch, text, error);
        case ITEM_REBALANCE:
                return take_rebalance(watch, text, error);
        default:
                return take_maintenance(watch, text, error);
        }
}

static void look_after(LifeWatch *watch, uint64_t delay) {
        delay -= random_below(delay / JITTER_PART);
        watch->due = usec_add(clock_boottime(watch->context.clock), delay);
        (void) sd_event_source_set_time_relative(watch->timer, delay);
        (void) sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

static uint64_t pause_of(const LifeWatch *watch) {
        const LifeWatchContext *context = &watch->context;

        switch (watch->view.life) {
        case LIFE_ALONE:
                return watch->failed || watch->is_spot ? context->interval
                                                       : context->interval * LIFE_WATCH_ALONE;
        case LIFE_IN_SERVICE:
                return context->interval;
        default:
                return MIN(context->interval, LIFE_WATCH_SOON);
        }
}

static void log_view(const LifeWatch *watch) {
        const LogFields fields = { .instance = watch->context.instance };
        const LifeView *view = &watch->view;

        if (view->life == LIFE_LEAVING)
                log_message(LOG_NOTICE, MESSAGE_INSTANCE_LEAVES, &fields, "%s", view->reason);
        else
                log_message(LOG_INFO, MESSAGE_INSTANCE_LIFE, &fields, "this instance is %s%s%s",
                            instance_life_to_string(view->life), *view->reason ? ": " : "", view->reason);
}

static bool view_equal(const LifeView *a, const LifeView *b) {
        return a->life == b->life && a->cause == b->cause && a->deadline == b->deadline &&
               a->may_return == b->may_return && a->pending == b->pending &&
               strcmp(a->reason, b->reason) == 0;
}

/* Also time alone changes it: maintenance comes nearer. */
static void review(LifeWatch *watch) {
        LifeView before = watch->view;

        watch->facts.now = clock_realtime(watch->context.clock);
        instance_life(&watch->facts, &watch->view);
        if (view_equal(&before, &watch->view))
                return;
        if (before.life != watch->view.life || before.cause != watch->view.cause) {
                watch->since = watch->facts.now;
                log_view(watch);
        }
        watch->changed(watch->userdata);
}

/* Nobody has ever said anything. */
static void assume(LifeWatch *watch) {
        unsigned max = watch->context.may_be_alone ? 1 : ROUNDS_IN_VAIN_MAX;

        if (watch->describing || watch->facts.target_known || watch->facts.view != GROUP_NOT_ASKED ||
            watch->context.in_group || ++watch->rounds_in_vain < max)
                return;
        watch->facts.view = GROUP_NONE;
}

/* A group at rest is asked again where the metadata, which would say that it moves, say nothing. */
static void ask_instead(LifeWatch *watch) {
        if (watch->failed && watch->facts.view == GROUP_MEMBER && watch->describe_due == USEC_INFINITY)
                describe_after(watch, DESCRIBE_AGAIN_MAX);
}

static void wake(LifeWatch *watch) {
        log_info("this instance has slept: credentials and clocks are read anew");
        aws_context_woke(watch->context.aws);
        watch->maintenance_due = 0;
        describe_after(watch, 0);
}

static void end_round(LifeWatch *watch) {
        watch->looking = false;
        watch->looked_at = clock_boottime(watch->context.clock);
        if (!watch->failed && life_watch_slept(watch->began, watch->looked_at)) /* in the middle of it */
                wake(watch);
        ask_instead(watch);
        if (!watch->failed)
                tell_problem(watch->problem, sizeof(watch->problem), "", "the instance metadata answer");
        assume(watch);
        review(watch);
        if (watch->look_again) {
                watch->look_again = false;
                life_watch_look(watch);
        } else {
                look_after(watch, pause_of(watch));
        }
}

/* Whether it has come to where the metadata say that it goes. */
static bool is_at_rest(const LifeWatch *watch) {
        LifeView view;

        instance_life(&watch->facts, &view);
        switch (view.life) {
        case LIFE_IN_SERVICE:
        case LIFE_POOLED:
        case LIFE_STANDBY:
        case LIFE_ALONE:
                return true;
        case LIFE_DETACHED:
                return watch->facts.view != GROUP_MEMBER || watch->facts.in_group == INSTANCE_DETACHED;
        default:
                return false;
        }
}

static void on_described(AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        LifeWatch *watch = userdata;
        const AutoScalingInstance *instances;
        size_t n;

        watch->describing = false;
        describe_after(watch, MAX(watch->describe_delay * 2, DESCRIBE_AGAIN_FIRST));
        if (watch->facts.view == GROUP_ASKED)
                watch->facts.view = GROUP_NOT_ASKED;
        tell_problem(watch->group_problem, sizeof(watch->group_problem), result < 0 ? error->message : "",
                     "Auto Scaling answers");
        if (result >= 0) {
                instances = autoscaling_request_instances(request, &n);
                watch->facts.view = n > 0 ? GROUP_MEMBER : GROUP_NONE;
                watch->facts.in_group = n > 0 ? instances[0].state : INSTANCE_UNKNOWN;
                if (n > 0)
                        (void) string_set(&watch->group, instances[0].group);
                if (is_at_rest(watch))
                        watch->describe_due = USEC_INFINITY;
        }
        assume(watch);
        review(watch);
}

static void describe(LifeWatch *watch) {
        char *const ids[] = { (char *) watch->context.instance, NULL };
        Error error = {};

        watch->describe = autoscaling_request_free(watch->describe);
        if (autoscaling_describe_instances_start(watch->context.aws, ids, on_described, watch,
                                                 &watch->describe, &error) < 0)
                describe_after(watch, DESCRIBE_AGAIN_MAX);
        else
                watch->describing = true;
        if (watch->describing && watch->facts.view == GROUP_NOT_ASKED)
                watch->facts.view = GROUP_ASKED;
}

static void end_items(LifeWatch *watch) {
        uint64_t now = clock_boottime(watch->context.clock);

        if (watch->facts.target_known && !watch->facts.target && !watch->context.in_group)
                watch->describe_due = USEC_INFINITY;
        if (now >= watch->describe_due && !watch->describing)
                describe(watch);
        end_round(watch);
}

static void item_failed(LifeWatch *watch, const Error *error) {
        watch->failed = true;
        tell_problem(watch->problem, sizeof(watch->problem), error->message, "");
}

static void on_item(ImdsRequest *request, int result, const Error *error, void *userdata) {
        LifeWatch *watch = userdata;
        Error problem = {};

        if (result < 0) {
                item_failed(watch, error);
                end_items(watch); /* who does not answer one question is not asked the others */
                return;
        }
        if (take(watch, result == 0 ? imds_request_value(request) : NULL, &problem) < 0)
                item_failed(watch, &problem);
        watch->item++;
        next_item(watch);
}

static void next_item(LifeWatch *watch) {
        uint64_t now = clock_boottime(watch->context.clock);
        Error error = {};
        int r;

        while (watch->item < ITEM_COUNT && !is_needed(watch, watch->item, now))
                watch->item++;
        if (watch->item == ITEM_COUNT) {
                end_items(watch);
                return;
        }
        watch->imds = imds_request_free(watch->imds);
        r = imds_get_start(aws_context_imds(watch->context.aws), paths[watch->item], on_item, watch,
                           &watch->imds, &error);
        if (r >= 0)
                return;
        watch->failed = true;
        if (r == -EOPNOTSUPP) /* it is turned off, on purpose */
                watch->context.may_be_alone = true;
        else
                item_failed(watch, &error);
        end_items(watch);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        LifeWatch *watch = userdata;

        watch->began = clock_boottime(watch->context.clock);
        if (life_watch_slept(watch->due, watch->began))
                wake(watch);
        if (watch->asked)
                watch->asked_at = clock_boottime(watch->context.clock);
        watch->asked = false;
        watch->looking = true;
        watch->failed = false;
        watch->item = ITEM_TARGET;
        next_item(watch);
        return 0;
}

/* When a message may have the next look: soon after another one, but not at once, whoever sends them. */
static uint64_t due_for_message(const LifeWatch *watch, uint64_t now) {
        uint64_t due = watch->asked_at > 0 ? usec_add(watch->asked_at, LIFE_WATCH_SOON) : now;

        return MAX(MIN(due, watch->due), now);
}

static void look_at(LifeWatch *watch, uint64_t due, uint64_t now) {
        watch->due = due;
        (void) sd_event_source_set_time_relative(watch->timer, due - now);
        (void) sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

void life_watch_look(LifeWatch *watch) {
        uint64_t now = clock_boottime(watch->context.clock);

        if (watch->looking) {
                watch->look_again = true;
                return;
        }
        if (watch->asked)
                return;
        watch->asked = true;
        watch->maintenance_due = 0;
        describe_after(watch, 0);
        look_at(watch, due_for_message(watch, now), now);
}

bool life_watch_is_recent(LifeWatch *watch, uint64_t age) {
        uint64_t now = clock_boottime(watch->context.clock);

        if (watch->looked_at > 0 && now <= usec_add(watch->looked_at, age))
                return true;
        if (!watch->looking)
                look_at(watch, now, now);
        return false;
}

int life_watch_new(const LifeWatchContext *context, LifeChanged changed, void *userdata, LifeWatch **ret,
                   Error *error) {
        _cleanup_(life_watch_freep) LifeWatch *watch = malloc(sizeof(*watch));
        int r;

        if (!watch)
                return error_oom(error);
        *watch = (LifeWatch){
                .context = *context,
                .changed = changed,
                .userdata = userdata,
                .due = clock_boottime(context->clock),
                .facts = { .drain_on_rebalance = context->drain_on_rebalance,
                           .drain_for_maintenance = context->drain_for_maintenance,
                           .maintenance_ahead = context->maintenance_ahead },
        };
        instance_life(&watch->facts, &watch->view);
        watch->since = clock_realtime(context->clock);
        r = sd_event_add_time_relative(context->event, &watch->timer, CLOCK_BOOTTIME, 0, TIMER_ACCURACY_EXACT,
                                       on_timer, watch);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(watch);
        return 0;
}

LifeWatch *life_watch_free(LifeWatch *watch) {
        if (!watch)
                return NULL;
        sd_event_source_unref(watch->timer);
        imds_request_free(watch->imds);
        autoscaling_request_free(watch->describe);
        free(watch->group);
        free(watch);
        return NULL;
}

const LifeView *life_watch_view(const LifeWatch *watch) {
        return &watch->view;
}

bool life_watch_in_group(const LifeWatch *watch) {
        return watch->facts.target || watch->facts.view == GROUP_MEMBER;
}

const char *life_watch_group(const LifeWatch *watch) {
        return watch->group;
}

static json_t *time_or_null(uint64_t usec) {
        char text[TIME_TEXT_MAX];

        if (usec == USEC_INFINITY)
                return json_null();
        format_time(usec, text);
        return json_string(text);
}

int life_watch_status(const LifeWatch *watch, json_t **ret) {
        const LifeView *view = &watch->view;
        const char *problem = *watch->problem ? watch->problem : watch->group_problem;

        *ret = json_pack("{s:s, s:s, s:o, s:s, s:o, s:s}", "state", instance_life_to_string(view->life),
                         "cause", leave_cause_to_string(view->cause), "deadline",
                         time_or_null(view->deadline), "reason", view->reason, "since",
                         time_or_null(watch->since), "problem", problem);
        return *ret ? 0 : -ENOMEM;
}
