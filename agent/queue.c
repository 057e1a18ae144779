#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/base/timer.h"
#include "agent/messages.h"
#include "agent/net/aws_error.h"
#include "agent/net/sqs.h"
#include "agent/queue.h"
#include "agent/queue_seen.h"

#define RETRY_FIRST (1 * USEC_PER_SEC)
#define RETRY_MAX (60 * USEC_PER_SEC)
/* The wait after a batch for others alone, which is back at once, or after a long poll that was not one. */
#define PAUSE_FIRST (50 * USEC_PER_MSEC)
#define PAUSE_MAX (5 * USEC_PER_SEC)
#define HASTY (1 * USEC_PER_SEC) /* an empty answer to a long poll that comes sooner */
#define SET_ASIDE 900U /* seconds until what is not understood may stand in the way of the rest again */
#define HELD_FOR ((QUEUE_VISIBILITY - 5) * USEC_PER_SEC)

typedef struct Returns Returns;

/* Receipts on their way back to SQS, a batch at a time. */
struct Returns {
        Queue *queue;
        int (*start)(Returns *returns, char *const *batch, Error *error);
        char **receipts;
        SqsRequest *request;
        size_t n_sent;
        uint64_t n_done;
};

struct Queue {
        QueueContext context;
        const QueueHandlers *handlers;
        void *userdata;
        char *url;
        SqsRequest *receive; /* or the question for the URL */
        Returns removals, give_backs, set_asides;
        sd_event_source *timer;  /* receives */
        sd_event_source *looker; /* asks for looks that were put off */
        QueueHeld held;
        uint64_t *looks_until; /* boot time that each watcher's looks for messages' sake have used up */
        QueueSeen seen;        /* what could not be understood */
        QueueSeen told;        /* what was about this instance */
        unsigned n_singles;    /* messages to receive one by one, after ten were too large together */
        bool concerned;        /* a message that is about what the depot has for us has come */
        uint64_t n_received, n_not_understood;
        uint64_t retry_delay, pause;
        uint64_t asked_at; /* boot time of the long poll; 0: it does not wait */
        QueueState state;
        char reason[ERROR_MESSAGE_MAX];
        char return_problem[ERROR_MESSAGE_MAX]; /* why messages could not be removed or given back last */
};

static void receive(Queue *queue);
static void return_some(Returns *returns);

static uint64_t now(const Queue *queue) {
        return clock_boottime(queue->context.clock);
}

static void receive_after(Queue *queue, uint64_t usec) {
        (void) sd_event_source_set_time_relative(queue->timer, usec);
        (void) sd_event_source_set_enabled(queue->timer, SD_EVENT_ONESHOT);
}

static void set_state(Queue *queue, QueueState state, const char *reason) {
        const LogFields fields = { .instance = queue->context.self.instance };
        bool news = state != queue->state || !aws_error_is_same(queue->reason, reason);

        if (!news)
                return;
        queue->state = state;
        snprintf(queue->reason, sizeof(queue->reason), "%s", reason);
        if (state == QUEUE_HEALTHY)
                log_message(LOG_INFO, MESSAGE_QUEUE_HEALTHY, &fields, "queue %s answers",
                            queue->context.name);
        else
                log_message(LOG_WARNING, MESSAGE_QUEUE_FAILING, &fields, "queue %s: %s", queue->context.name,
                            reason);
        queue->handlers->changed(queue->userdata);
}

/* Looks are asked for at once, but of one app in the long run not more than one in QUEUE_LOOK_INTERVAL: each look uses up
 * such an interval, and they may be QUEUE_LOOK_BURST intervals ahead of time. */
static void ask_for_looks(Queue *queue) {
        uint64_t time = now(queue), next = USEC_INFINITY;

        for (size_t i = 0; i < queue->held.n_watchers; i++) {
                uint64_t until = MAX(queue->looks_until[i], time) + QUEUE_LOOK_INTERVAL;
                uint64_t allowed = time + QUEUE_LOOK_BURST * QUEUE_LOOK_INTERVAL;

                if (!queue_held_wants(&queue->held, i))
                        continue;
                if (until > allowed) {
                        next = MIN(next, time + (until - allowed));
                        continue;
                }
                queue->looks_until[i] = until;
                queue_held_asked(&queue->held, i, queue->handlers->look(queue->userdata, i));
        }
        if (next == USEC_INFINITY)
                return;
        (void) sd_event_source_set_time_relative(queue->looker, next - time);
        (void) sd_event_source_set_enabled(queue->looker, SD_EVENT_ONESHOT);
}

static int on_looker(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        ask_for_looks(userdata);
        return 0;
}

/* What goes back. What could not be removed comes again, which does no harm; the reason is logged once. */

static void note_returned(Queue *queue, const char *problem) {
        const LogFields fields = { .instance = queue->context.self.instance };

        if (aws_error_is_same(queue->return_problem, problem))
                return;
        snprintf(queue->return_problem, sizeof(queue->return_problem), "%s", problem);
        if (*problem)
                log_message(LOG_WARNING, MESSAGE_QUEUE_FAILING, &fields, "queue %s: messages come again: %s",
                            queue->context.name, problem);
}

static void on_returned(_unused_ SqsRequest *request, int result, const Error *error, void *userdata) {
        Returns *returns = userdata;
        char **left = NULL;
        size_t i = 0;

        note_returned(returns->queue, result < 0 ? error->message : "");
        if (result >= 0)
                returns->n_done += returns->n_sent;
        STRV_FOREACH(receipt, returns->receipts)
                if (i++ >= returns->n_sent)
                        (void) strv_append(&left, *receipt);
        strv_free(returns->receipts);
        returns->receipts = left;
        returns->request = sqs_request_free(returns->request);
        return_some(returns);
}

static int remove_batch(Returns *returns, char *const *batch, Error *error) {
        const Queue *queue = returns->queue;

        return sqs_delete_start(queue->context.aws, queue->url, batch, on_returned, returns,
                                &returns->request, error);
}

static int hide_batch(Returns *returns, char *const *batch, unsigned seconds, Error *error) {
        const Queue *queue = returns->queue;

        return sqs_hide_start(queue->context.aws, queue->url, batch, seconds, on_returned, returns,
                              &returns->request, error);
}

static int give_batch_back(Returns *returns, char *const *batch, Error *error) {
        return hide_batch(returns, batch, 0, error);
}

static int set_batch_aside(Returns *returns, char *const *batch, Error *error) {
        return hide_batch(returns, batch, SET_ASIDE, error);
}

static void return_some(Returns *returns) {
        char *batch[SQS_MESSAGES_MAX + 1];
        Error error = {};

        if (returns->request || !returns->receipts)
                return;
        returns->n_sent = 0;
        STRV_FOREACH(receipt, returns->receipts)
                if (returns->n_sent < SQS_MESSAGES_MAX)
                        batch[returns->n_sent++] = *receipt;
        batch[returns->n_sent] = NULL;
        if (returns->start(returns, batch, &error) < 0)
                log_debug("%s", error.message);
}

static void return_all(Queue *queue) {
        return_some(&queue->removals);
        return_some(&queue->give_backs);
        return_some(&queue->set_asides);
}

/* One message. */

typedef enum Fate {
        FATE_LEAVE, /* it comes again */
        FATE_REMOVE,
        FATE_GIVE_BACK,
        FATE_SET_ASIDE,
        FATE_HOLD,
} Fate;

static Fate not_understood(Queue *queue, const SqsMessage *message, const char *why) {
        const LogFields fields = { .instance = queue->context.self.instance };
        QueueSeenVerdict verdict = queue_seen(&queue->seen, message->id, now(queue));

        queue->n_not_understood += verdict != QUEUE_SEEN_BEFORE;
        if (verdict == QUEUE_SEEN_BEFORE || verdict == QUEUE_SEEN_QUIET)
                return FATE_SET_ASIDE;
        log_message(LOG_WARNING, MESSAGE_QUEUE_NOT_UNDERSTOOD, &fields,
                    "queue %s: message %.100s is left there: %s%s", queue->context.name, message->id, why,
                    verdict == QUEUE_SEEN_LAST ? " (more of them are not logged for a while)" : "");
        return FATE_SET_ASIDE;
}

static Fate fate_of_foreign(const Queue *queue) {
        return queue->context.shared ? FATE_GIVE_BACK : FATE_REMOVE;
}

static Fate offer(Queue *queue, const SqsMessage *message, const QueueMessage *parsed) {
        const char *envelope;
        Error error = {};
        size_t size;
        int r;

        envelope = queue_message_envelope(parsed, &size);
        r = queue->handlers->offer(queue->userdata, envelope, size, &error);
        if (r == QUEUE_OFFER_FOREIGN)
                return fate_of_foreign(queue);
        if (r >= 0) {
                queue->concerned = true;
                return FATE_REMOVE;
        }
        return error.fault == FAULT_HOST ? FATE_LEAVE : not_understood(queue, message, error.message);
}

static void tell(Queue *queue, const SqsMessage *message, const QueueNotice *notice) {
        QueueSeenVerdict verdict;

        if (notice->kind != QUEUE_NOTICE_LIFECYCLE && notice->kind != QUEUE_NOTICE_INTERRUPTION)
                return;
        verdict = queue_seen(&queue->told, message->id, now(queue));
        if (verdict != QUEUE_SEEN_BEFORE)
                queue->handlers->tell(queue->userdata, notice, verdict == QUEUE_SEEN_QUIET);
}

/* Of several notices that of the most consequence decides. */
static Fate follow(Queue *queue, const SqsMessage *message, const QueueNotice *notices, size_t n) {
        QueueRoute all = {};

        for (size_t i = 0; i < n; i++) {
                QueueRoute route = queue_route(&queue->context.self, &notices[i]);

                if (route.concern == QUEUE_CONCERNS_US)
                        tell(queue, message, &notices[i]);
                all.concern = MAX(all.concern, route.concern);
                all.apps |= route.apps;
                all.root |= route.root;
        }
        if (all.concern == QUEUE_CONCERNS_OTHERS)
                return fate_of_foreign(queue);
        if (!all.apps && !all.root)
                return FATE_REMOVE;
        queue->concerned = true;
        return queue_held_add(&queue->held, message->receipt, all.apps, all.root, now(queue) + HELD_FOR) < 0
                       ? FATE_LEAVE
                       : FATE_HOLD;
}

static Fate judge(Queue *queue, const SqsMessage *message) {
        _cleanup_(queue_message_freep) QueueMessage *parsed = NULL;
        const QueueNotice *notices;
        Error error = {};
        size_t n;
        int r;

        r = queue_message_parse(message->body, message->body_size, &parsed, &error);
        if (r == -ENOMEM)
                return FATE_LEAVE;
        if (r < 0)
                return not_understood(queue, message, error.message);
        notices = queue_message_notices(parsed, &n);
        if (notices[0].kind == QUEUE_NOTICE_TARGET)
                return offer(queue, message, parsed);
        return follow(queue, message, notices, n);
}

/* Whether all of it was for others. */
static bool take(Queue *queue, const SqsMessages *messages) {
        Returns *const returns[] = {
                [FATE_REMOVE] = &queue->removals,
                [FATE_GIVE_BACK] = &queue->give_backs,
                [FATE_SET_ASIDE] = &queue->set_asides,
        };
        bool foreign = messages->n > 0;

        for (size_t i = 0; i < messages->n; i++) {
                const SqsMessage *message = &messages->items[i];
                Fate fate = judge(queue, message);

                if (fate != FATE_LEAVE && fate != FATE_HOLD)
                        (void) strv_append(&returns[fate]->receipts, message->receipt);
                foreign = foreign && fate == FATE_GIVE_BACK;
        }
        queue->n_received += messages->n;
        return foreign;
}

/* Receiving. */

static void fail(Queue *queue, int result, const Error *error) {
        set_state(queue, QUEUE_FAILING, error->message);
        if (result == -ENOENT && queue->handlers->gone)
                queue->handlers->gone(queue->userdata);
        receive_after(queue, queue->retry_delay / 2 + random_below(queue->retry_delay / 2));
        queue->retry_delay = MIN(queue->retry_delay * 2, RETRY_MAX);
}

static void succeed(Queue *queue, bool in_vain) {
        if (queue->n_singles > 0)
                queue->n_singles--;
        queue->retry_delay = RETRY_FIRST;
        queue->pause = in_vain ? MIN(MAX(queue->pause * 2, PAUSE_FIRST), PAUSE_MAX) : 0;
        set_state(queue, QUEUE_HEALTHY, "");
        ask_for_looks(queue);
        queue_looked(queue);
        receive_after(queue, queue->pause);
}

/* Something in between that answers all by itself would be asked without end. */
static bool is_hasty(const Queue *queue, const SqsMessages *messages) {
        return messages->n == 0 && queue->asked_at > 0 && now(queue) < usec_add(queue->asked_at, HASTY);
}

static void on_received(SqsRequest *request, int result, const Error *receive_error, void *userdata) {
        Queue *queue = userdata;
        Error error = *receive_error;
        bool in_vain = false;

        if (result >= 0)
                in_vain = take(queue, sqs_request_messages(request)) ||
                          is_hasty(queue, sqs_request_messages(request));

        queue->receive = sqs_request_free(queue->receive);
        if (result >= 0)
                succeed(queue, in_vain);
        else if (result == -E2BIG && queue->n_singles == 0) {
                queue->n_singles = SQS_MESSAGES_MAX;
                receive_after(queue, 0);
        } else
                fail(queue, result, &error);
}

static void on_url(SqsRequest *request, int result, const Error *url_error, void *userdata) {
        Queue *queue = userdata;
        Error error = *url_error;

        if (result >= 0 && string_set(&queue->url, sqs_request_queue_url(request)) < 0)
                result = error_oom(&error);
        queue->receive = sqs_request_free(queue->receive);
        if (result < 0)
                fail(queue, result, &error);
        else
                receive(queue);
}

static bool is_url(const char *name) {
        return string_starts_with(name, "https://") || string_starts_with(name, "http://");
}

static size_t count_in_hand(const Queue *queue) {
        return queue->held.n + strv_length(queue->removals.receipts) +
               strv_length(queue->give_backs.receipts) + strv_length(queue->set_asides.receipts);
}

/* The first poll after a start or a failure does not wait, so that the state is known soon. */
static void receive(Queue *queue) {
        const SqsReceive order = {
                .queue_url = queue->url,
                .messages_max = queue->n_singles > 0 ? 1 : SQS_MESSAGES_MAX,
                .wait = queue->state == QUEUE_HEALTHY ? SQS_WAIT_MAX : 0,
                .visibility = QUEUE_VISIBILITY,
        };
        Error error = {};
        int r;

        queue->asked_at = order.wait > 0 ? now(queue) : 0;
        if (!queue->url)
                r = sqs_get_queue_url_start(queue->context.aws, queue->context.name, on_url, queue,
                                            &queue->receive, &error);
        else
                r = sqs_receive_start(queue->context.aws, &order, on_received, queue, &queue->receive,
                                      &error);
        if (r < 0)
                fail(queue, r, &error);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Queue *queue = userdata;

        if (queue->receive)
                return 0;
        queue_looked(queue); /* what waited too long is forgotten */
        if (count_in_hand(queue) >= QUEUE_HELD_MAX)
                receive_after(queue, QUEUE_LOOK_INTERVAL);
        else
                receive(queue);
        return 0;
}

void queue_receive_now(Queue *queue) {
        if (!queue->receive)
                receive_after(queue, 0);
}

void queue_looked(Queue *queue) {
        char *receipt;

        while ((receipt = queue_held_take(&queue->held, now(queue), queue->handlers->has_looked,
                                          queue->userdata))) {
                (void) strv_append(&queue->removals.receipts, receipt);
                free(receipt);
        }
        if (queue->url)
                return_all(queue);
}

/* Around it. */

static int open_queue(Queue *queue, Error *error) {
        const QueueContext *context = &queue->context;
        const char *url = !context->url && is_url(context->name) ? context->name : context->url;
        int r;

        queue->looks_until = calloc(context->self.n_apps + 1, sizeof(uint64_t));
        if (!queue->looks_until || string_set(&queue->url, url) < 0)
                return error_oom(error);
        r = sd_event_add_time_relative(context->event, &queue->timer, CLOCK_BOOTTIME, 0, TIMER_ACCURACY_EXACT,
                                       on_timer, queue);
        if (r >= 0)
                r = timer_new(context->event, CLOCK_BOOTTIME, on_looker, queue, &queue->looker);
        return r < 0 ? error_set_errno(error, r, "cannot use the event loop") : 0;
}

int queue_new(const QueueContext *context, const QueueHandlers *handlers, void *userdata, Queue **ret,
              Error *error) {
        _cleanup_(queue_freep) Queue *queue = calloc(1, sizeof(*queue));
        int r;

        if (!queue)
                return error_oom(error);
        queue->context = *context;
        queue->handlers = handlers;
        queue->userdata = userdata;
        queue->retry_delay = RETRY_FIRST;
        queue->removals = (Returns){ .queue = queue, .start = remove_batch };
        queue->give_backs = (Returns){ .queue = queue, .start = give_batch_back };
        queue->set_asides = (Returns){ .queue = queue, .start = set_batch_aside };
        queue_held_init(&queue->held, context->self.n_apps);
        queue_seen_init(&queue->seen, now(queue));
        queue_seen_init(&queue->told, now(queue));
        r = open_queue(queue, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(queue);
        return 0;
}

static void returns_deinit(Returns *returns) {
        sqs_request_free(returns->request);
        strv_free(returns->receipts);
}

Queue *queue_free(Queue *queue) {
        if (!queue)
                return NULL;
        sqs_request_free(queue->receive);
        returns_deinit(&queue->removals);
        returns_deinit(&queue->give_backs);
        returns_deinit(&queue->set_asides);
        sd_event_source_unref(queue->timer);
        sd_event_source_unref(queue->looker);
        queue_held_deinit(&queue->held);
        free(queue->looks_until);
        free(queue->url);
        free(queue);
        return NULL;
}

QueueState queue_state(const Queue *queue) {
        return queue->state;
}

bool queue_is_reliable(const Queue *queue) {
        return queue->state == QUEUE_HEALTHY && !queue->context.shared && queue->concerned;
}

int queue_status(const Queue *queue, json_t **ret) {
        static const char *const states[] = {
                [QUEUE_CONNECTING] = "connecting",
                [QUEUE_HEALTHY] = "healthy",
                [QUEUE_FAILING] = "failing",
        };

        *ret = json_pack("{s:s, s:b, s:s, s:s, s:I, s:I, s:I, s:I}", "queue", queue->context.name, "shared",
                         queue->context.shared, "state", states[queue->state], "reason",
                         queue->reason[0] ? queue->reason : queue->return_problem, "received",
                         (json_int_t) queue->n_received, "removed", (json_int_t) queue->removals.n_done,
                         "given_back", (json_int_t) queue->give_backs.n_done, "not_understood",
                         (json_int_t) queue->n_not_understood);
        return *ret ? 0 : -ENOMEM;
}
