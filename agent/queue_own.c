#include <string.h>

#include "agent/base/log.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/messages.h"
#include "agent/net/aws_error.h"
#include "agent/net/sns.h"
#include "agent/net/sqs.h"
#include "agent/queue_note.h"
#include "agent/queue_own.h"

#define RETRY_FIRST (5 * USEC_PER_SEC)
#define RETRY_MAX (600 * USEC_PER_SEC)
#define PAGES_MAX 200U /* of a topic's subscriptions, a hundred each */

/* One after the other; each says which comes next. */
typedef enum Step {
        STEP_OLD,           /* is there a queue that should not be? */
        STEP_OLD_LOOK,      /* what is it called in full? */
        STEP_OLD_SUBSCRIBE, /* once more, to know the subscription that a crash did not note */
        STEP_UNSUBSCRIBE,   /* it */
        STEP_OLD_URL,
        STEP_DELETE,
        STEP_FORGET,
        STEP_CREATE,
        STEP_URL,  /* of one that was there already */
        STEP_LOOK, /* at its attributes */
        STEP_SET,  /* them */
        STEP_SUBSCRIBE,
        STEP_FIND, /* the subscription that was there already */
        STEP_END,
} Step;

#define ASKED (STEP_END + 1) /* in place of a step: an answer will say */

struct QueueOwn {
        QueueOwnContext context;
        const QueueOwnHandlers *handlers;
        void *userdata;
        char name[QUEUE_PLAN_NAME_MAX];
        QueueNote note;
        Step step;
        SqsRequest *sqs;
        SnsRequest *sns;
        json_t *attributes; /* that it should have */
        char *arn;
        char *token; /* of the next page of subscriptions */
        unsigned pages;
        sd_event_source *timer; /* begins */
        uint64_t retry_delay;
        bool ready;
        char problem[ERROR_MESSAGE_MAX];
        char left_behind[ERROR_MESSAGE_MAX]; /* why something could not be removed */
        bool leaving;
        QueueOwnLeft left;
        void *left_userdata;
};

static void go(QueueOwn *own, int step);

static LogFields fields_of(const QueueOwn *own) {
        return (LogFields){ .instance = own->context.plan.instance };
}

static void begin_after(QueueOwn *own, uint64_t usec) {
        (void) sd_event_source_set_time_relative(own->timer, usec);
        (void) sd_event_source_set_enabled(own->timer, SD_EVENT_ONESHOT);
}

/* What failed is said once, as long as it lasts. */
static void set_problem(QueueOwn *own, const char *problem) {
        const LogFields fields = fields_of(own);

        if (aws_error_is_same(own->problem, problem))
                return;
        snprintf(own->problem, sizeof(own->problem), "%s", problem);
        if (*problem && own->name[0])
                log_message(LOG_WARNING, MESSAGE_QUEUE_FAILING, &fields,
                            "queue %s is not to be had, so the depot is polled: %s", own->name, problem);
        else if (*problem)
                log_message(LOG_WARNING, MESSAGE_QUEUE_FAILING, &fields, "queue %s has yet to be removed: %s",
                            own->note.name, problem);
        own->handlers->changed(own->userdata);
}

static void end_leave(QueueOwn *own, int result, const Error *error) {
        own->left(result, error, own->left_userdata);
}

static void fail(QueueOwn *own, int result, const Error *error) {
        own->ready = false;
        if (own->leaving) {
                end_leave(own, result, error);
                return;
        }
        set_problem(own, error->message);
        if (result == -EBUSY) {
                begin_after(own, (SQS_DELETED_SECONDS + 1) * USEC_PER_SEC);
                return;
        }
        begin_after(own, own->retry_delay / 2 + random_below(own->retry_delay / 2));
        own->retry_delay = MIN(own->retry_delay * 2, RETRY_MAX);
}

static void succeed(QueueOwn *own) {
        const LogFields fields = fields_of(own);
        Error error = {};

        if (own->leaving) {
                if (own->left_behind[0])
                        end_leave(own, error_set(&error, -EACCES, "%s", own->left_behind), &error);
                else
                        end_leave(own, 0, &error);
                return;
        }
        own->retry_delay = RETRY_FIRST;
        if (!own->name[0])
                return;
        if (!own->ready)
                log_message(LOG_INFO, MESSAGE_QUEUE_MADE, &fields, "queue %s is there, subscribed to %s",
                            own->name, own->context.plan.topic);
        own->ready = true;
        set_problem(own, "");
        begin_after(own, own->context.interval - random_below(own->context.interval / 4));
        own->handlers->ready(own->userdata, own->note.url);
}

static int save_note(QueueOwn *own, Error *error) {
        return queue_note_save(own->context.state_fd, &own->note, error);
}

static int set_text(char **to, const char *value, Error *error) {
        return string_set(to, value) < 0 ? error_oom(error) : 0;
}

static int look(QueueOwn *own, Error *error);
static void on_sqs(SqsRequest *request, int result, const Error *error, void *userdata);
static void on_sns(SnsRequest *request, int result, const Error *error, void *userdata);

/* What should not be there. */

static int look_for_old(QueueOwn *own, _unused_ Error *error) {
        if (own->note.name && (own->leaving || strcmp(own->note.name, own->name) != 0))
                return own->note.url && !own->note.subscription ? STEP_OLD_LOOK : STEP_UNSUBSCRIBE;
        return own->name[0] && !own->leaving ? STEP_CREATE : STEP_END;
}

/* What may not be removed stays, and does not stand in the way of anything else. */
static void leave_behind(QueueOwn *own, const Error *error) {
        const LogFields fields = fields_of(own);

        snprintf(own->left_behind, sizeof(own->left_behind), "%s", error->message);
        log_message(LOG_WARNING, MESSAGE_QUEUE_FAILING, &fields,
                    "queue %s is left behind (muster queue gc removes it): %s", own->note.name,
                    error->message);
}

static bool is_left_behind(QueueOwn *own, int result, const Error *error) {
        if (result == -EACCES)
                leave_behind(own, error);
        return result == -EACCES;
}

static int take_arn(QueueOwn *own, Error *error) {
        const char *arn = json_string_value(json_object_get(sqs_request_values(own->sqs), "QueueArn"));

        return arn ? set_text(&own->arn, arn, error)
                   : error_set_fault(error, -EBADMSG, FAULT_HOST, "SQS GetQueueAttributes: no QueueArn");
}

/* Who may not look, or not subscribe, has not subscribed. */
static int look_at_old(QueueOwn *own, int result, Error *error) {
        if (result == -ENOENT || result == -EACCES)
                return STEP_UNSUBSCRIBE;
        if (result >= 0)
                result = take_arn(own, error);
        return result < 0 ? result : STEP_OLD_SUBSCRIBE;
}

static int subscribe_old(QueueOwn *own, Error *error) {
        int r = sns_subscribe_start(own->context.aws, own->note.topic, own->arn, on_sns, own, &own->sns,
                                    error);

        return r < 0 ? r : ASKED;
}

/* Its topic took its subscriptions with it. */
static int subscribed_old(QueueOwn *own, int result, Error *error) {
        if (result == -EEXIST)
                leave_behind(own, error);
        if (result == -ENOENT || result == -EACCES || result == -EEXIST)
                return STEP_UNSUBSCRIBE;
        if (result >= 0)
                result = set_text(&own->note.subscription, sns_request_subscription(own->sns), error);
        return result < 0 ? result : STEP_UNSUBSCRIBE;
}

static int unsubscribe(QueueOwn *own, Error *error) {
        int r;

        if (!own->note.subscription)
                return STEP_OLD_URL;
        r = sns_unsubscribe_start(own->context.aws, own->note.subscription, on_sns, own, &own->sns, error);
        return r < 0 ? r : ASKED;
}

static int unsubscribed(QueueOwn *own, int result, Error *error) {
        return result >= 0 || is_left_behind(own, result, error) ? STEP_OLD_URL : result;
}

static int ask_url(QueueOwn *own, Error *error) {
        int r;

        if (own->note.url)
                return STEP_DELETE;
        r = sqs_get_queue_url_start(own->context.aws, own->note.name, on_sqs, own, &own->sqs, error);
        return r < 0 ? r : ASKED;
}

static int take_old_url(QueueOwn *own, int result, Error *error) {
        if (result == -ENOENT || is_left_behind(own, result, error))
                return STEP_FORGET;
        if (result >= 0)
                result = set_text(&own->note.url, sqs_request_queue_url(own->sqs), error);
        return result < 0 ? result : STEP_DELETE;
}

static int delete (QueueOwn *own, Error *error) {
        int r = sqs_delete_queue_start(own->context.aws, own->note.url, on_sqs, own, &own->sqs, error);

        return r < 0 ? r : ASKED;
}

static int deleted(QueueOwn *own, int result, Error *error) {
        return result >= 0 || result == -ENOENT || is_left_behind(own, result, error) ? STEP_FORGET : result;
}

static int forget(QueueOwn *own, Error *error) {
        const LogFields fields = fields_of(own);
        int r;

        if (!own->left_behind[0])
                log_message(LOG_INFO, MESSAGE_QUEUE_MADE, &fields,
                            "queue %s and its subscription are removed", own->note.name);
        queue_note_deinit(&own->note);
        r = save_note(own, error);
        return r < 0 ? r : STEP_OLD;
}

/* What should be there. */

static int create(QueueOwn *own, Error *error) {
        const QueuePlan *plan = &own->context.plan;
        json_auto_t *attributes = queue_plan_attributes(plan, NULL), *tags = queue_plan_tags(plan);
        int r = 0;

        if (!own->note.name) {
                if (string_set(&own->note.instance, plan->instance) < 0 ||
                    string_set(&own->note.name, own->name) < 0 ||
                    string_set(&own->note.topic, plan->topic) < 0)
                        return error_oom(error);
                r = save_note(own, error);
        }
        if (r >= 0)
                r = sqs_create_queue_start(own->context.aws, own->name, attributes, tags, on_sqs, own,
                                           &own->sqs, error);
        return r < 0 ? r : ASKED;
}

static int take_url(QueueOwn *own, int result, Error *error) {
        if (result == -EEXIST && own->step == STEP_CREATE)
                return STEP_URL;
        if (result >= 0)
                result = set_text(&own->note.url, sqs_request_queue_url(own->sqs), error);
        return result < 0 ? result : STEP_LOOK;
}

static int ask_url_of_present(QueueOwn *own, Error *error) {
        int r = sqs_get_queue_url_start(own->context.aws, own->name, on_sqs, own, &own->sqs, error);

        return r < 0 ? r : ASKED;
}

static int look(QueueOwn *own, Error *error) {
        int r = sqs_get_attributes_start(own->context.aws, own->note.url, on_sqs, own, &own->sqs, error);

        return r < 0 ? r : ASKED;
}

static int looked(QueueOwn *own, int result, Error *error) {
        if (result >= 0)
                result = take_arn(own, error);
        if (result < 0)
                return result;
        json_decref(own->attributes);
        own->attributes = queue_plan_attributes(&own->context.plan, own->arn);
        if (!own->attributes)
                return error_oom(error);
        return queue_plan_is_met(own->attributes, sqs_request_values(own->sqs)) ? STEP_SUBSCRIBE : STEP_SET;
}

static int set(QueueOwn *own, Error *error) {
        int r = sqs_set_attributes_start(own->context.aws, own->note.url, own->attributes, on_sqs, own,
                                         &own->sqs, error);

        return r < 0 ? r : ASKED;
}

static int was_set(_unused_ QueueOwn *own, int result, _unused_ Error *error) {
        return result < 0 ? result : STEP_SUBSCRIBE;
}

/* A note with the URL and no subscription says that there may be one. */
static int subscribe(QueueOwn *own, Error *error) {
        int r = own->note.subscription ? 0 : save_note(own, error);

        if (r >= 0)
                r = sns_subscribe_start(own->context.aws, own->context.plan.topic, own->arn, on_sns, own,
                                        &own->sns, error);
        return r < 0 ? r : ASKED;
}

static int take_subscription(QueueOwn *own, const char *arn, Error *error) {
        int r;

        if (string_equal(own->note.subscription, arn))
                return STEP_END;
        r = set_text(&own->note.subscription, arn, error);
        if (r >= 0)
                r = save_note(own, error);
        return r < 0 ? r : STEP_END;
}

/* With attributes that somebody else gave it, it will do: messages in SNS's envelope are understood too. */
static int subscribed(QueueOwn *own, int result, Error *error) {
        if (result == -EEXIST) {
                own->pages = 0;
                return string_set(&own->token, NULL) < 0 ? error_oom(error) : STEP_FIND;
        }
        return result < 0 ? result : take_subscription(own, sns_request_subscription(own->sns), error);
}

static int find(QueueOwn *own, Error *error) {
        int r = sns_list_start(own->context.aws, own->context.plan.topic, own->token, on_sns, own, &own->sns,
                               error);

        return r < 0 ? r : ASKED;
}

static int take_page(QueueOwn *own, int result, Error *error) {
        const SnsSubscription *subscriptions;
        size_t n;

        if (result < 0)
                return result;
        subscriptions = sns_request_subscriptions(own->sns, &n);
        for (size_t i = 0; i < n; i++)
                if (strcmp(subscriptions[i].protocol, "sqs") == 0 &&
                    strcmp(subscriptions[i].endpoint, own->arn) == 0)
                        return take_subscription(own, subscriptions[i].arn, error);
        result = set_text(&own->token, sns_request_token(own->sns), error);
        if (result < 0 || (own->token && ++own->pages < PAGES_MAX))
                return result < 0 ? result : STEP_FIND;
        return error_set_fault(error, -ENOENT, FAULT_HOST,
                               "%s has a subscription of this queue that cannot be found",
                               own->context.plan.topic);
}

static const struct {
        int (*start)(QueueOwn *own, Error *error);
        int (*take)(QueueOwn *own, int result, Error *error);
} steps[] = {
        [STEP_OLD] = { look_for_old, NULL },
        [STEP_OLD_LOOK] = { look, look_at_old },
        [STEP_OLD_SUBSCRIBE] = { subscribe_old, subscribed_old },
        [STEP_UNSUBSCRIBE] = { unsubscribe, unsubscribed },
        [STEP_OLD_URL] = { ask_url, take_old_url },
        [STEP_DELETE] = { delete, deleted },
        [STEP_FORGET] = { forget, NULL },
        [STEP_CREATE] = { create, take_url },
        [STEP_URL] = { ask_url_of_present, take_url },
        [STEP_LOOK] = { look, looked },
        [STEP_SET] = { set, was_set },
        [STEP_SUBSCRIBE] = { subscribe, subscribed },
        [STEP_FIND] = { find, take_page },
};

static void go(QueueOwn *own, int step) {
        Error error = {};

        while (step >= 0 && step < STEP_END) {
                own->step = (Step) step;
                step = steps[step].start(own, &error);
        }
        if (step < 0)
                fail(own, step, &error);
        else if (step == STEP_END)
                succeed(own);
}

static void take(QueueOwn *own, int result, const Error *request_error) {
        Error error = *request_error;
        int next = steps[own->step].take(own, result, &error);

        own->sqs = sqs_request_free(own->sqs);
        own->sns = sns_request_free(own->sns);
        if (next < 0)
                fail(own, next, &error);
        else
                go(own, next);
}

static void on_sqs(_unused_ SqsRequest *request, int result, const Error *error, void *userdata) {
        take(userdata, result, error);
}

static void on_sns(_unused_ SnsRequest *request, int result, const Error *error, void *userdata) {
        take(userdata, result, error);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        QueueOwn *own = userdata;

        if (!own->sqs && !own->sns)
                go(own, STEP_OLD);
        return 0;
}

void queue_own_ensure(QueueOwn *own) {
        own->ready = false;
        if (!own->leaving && !own->sqs && !own->sns)
                begin_after(own, 0);
}

void queue_own_leave(QueueOwn *own, QueueOwnLeft left, void *userdata) {
        own->sqs = sqs_request_free(own->sqs);
        own->sns = sns_request_free(own->sns);
        own->leaving = true;
        own->left = left;
        own->left_userdata = userdata;
        own->left_behind[0] = '\0';
        begin_after(own, 0);
}

int queue_own_new(const QueueOwnContext *context, const QueueOwnHandlers *handlers, void *userdata,
                  QueueOwn **ret, Error *error) {
        _cleanup_(queue_own_freep) QueueOwn *own = calloc(1, sizeof(*own));
        int r;

        if (!own)
                return error_oom(error);
        own->context = *context;
        own->handlers = handlers;
        own->userdata = userdata;
        own->retry_delay = RETRY_FIRST;
        own->context.interval = context->interval > 0 ? context->interval : QUEUE_OWN_INTERVAL;
        if (context->plan.topic && queue_plan_name(&context->plan, own->name) < 0)
                return error_oom(error);
        r = queue_note_load(context->state_fd, context->plan.instance, &own->note, error);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(context->event, &own->timer, CLOCK_BOOTTIME, 0, TIMER_ACCURACY_EXACT,
                                       on_timer, own);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(own);
        return 0;
}

QueueOwn *queue_own_free(QueueOwn *own) {
        if (!own)
                return NULL;
        sqs_request_free(own->sqs);
        sns_request_free(own->sns);
        sd_event_source_unref(own->timer);
        queue_note_deinit(&own->note);
        json_decref(own->attributes);
        free(own->arn);
        free(own->token);
        free(own);
        return NULL;
}

const char *queue_own_name(const QueueOwn *own) {
        return own->name;
}

const char *queue_own_problem(const QueueOwn *own) {
        return own->problem;
}

bool queue_own_is_ready(const QueueOwn *own) {
        return own->ready;
}
