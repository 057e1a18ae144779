#include <string.h>

#include "agent/base/log.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/net/http.h"
#include "agent/net/sns.h"
#include "agent/notify.h"
#include "artifacts/layout.h"

#define TOLD "told-"

/* Where an event is on its way. */
typedef enum Step {
        STEP_LOOK, /* was it told already? */
        STEP_WEBHOOK,
        STEP_TOPIC,
        STEP_MARK,
        STEP_DONE,
        STEPS = STEP_DONE,
} Step;

typedef struct Telling Telling;
struct Telling {
        Notify *notify;
        Telling *next;
        Step step;
        unsigned tries[STEPS];
        bool over[STEPS];                                /* taken, or given up */
        bool taken;                                      /* by one of them at least */
        char name[NOTIFY_NAME_MAX + ROLLOUT_ID_MAX + 8]; /* for the journal */
        char id[NOTIFY_ID_MAX], place[NOTIFY_ID_MAX];
        char prefix[LAYOUT_KEY_MAX], mark[LAYOUT_KEY_MAX];
        char *app;
        char *group;
        char *kind;
        char *payload;
        char *subject;
        sd_event_source *timer;
        DepotOp *op;
        HttpTransfer *transfer;
        SnsRequest *publish;
};

/* The last event that was seen of a group. */
typedef struct Seen {
        char *place; /* "api/prod" */
        char *event; /* "r-1/stage-2" */
} Seen;

struct Notify {
        NotifyOptions options;
        HttpClient *http;
        Telling *tellings;
        unsigned n_tellings;
        Seen *seen;
        size_t n_seen;
};

static Telling *telling_free(Telling *telling) {
        sd_event_source_disable_unref(telling->timer);
        depot_op_free(telling->op);
        http_transfer_free(telling->transfer);
        sns_request_free(telling->publish);
        free(telling->app);
        free(telling->group);
        free(telling->kind);
        free(telling->payload);
        free(telling->subject);
        free(telling);
        return NULL;
}
DEFINE_CLEANUP(Telling *, telling_free)

static void end(Telling *telling) {
        Notify *notify = telling->notify;
        Telling **link = &notify->tellings;

        while (*link != telling)
                link = &(*link)->next;
        *link = telling->next;
        notify->n_tellings--;
        telling_free(telling);
}

static void again_after(Telling *telling, uint64_t usec) {
        (void) sd_event_source_set_time_relative(telling->timer, usec);
        (void) sd_event_source_set_enabled(telling->timer, SD_EVENT_ONESHOT);
}

/* What fails is tried again later, and later each time. */
static void go_to(Telling *telling, Step step) {
        uint64_t delay = telling->notify->options.retry ?: NOTIFY_RETRY;
        unsigned tries = step < STEPS ? telling->tries[step] : 0;

        telling->step = step;
        again_after(telling, tries > 0 ? delay << (2 * (tries - 1)) : 0);
}

static bool is_channel(Step step) {
        return step == STEP_WEBHOOK || step == STEP_TOPIC;
}

/* The next step, with or without success. What one of them has taken is marked at once: others who know of it wait
 * for that, while it is tried again with the other one. */
static void step_ends(Telling *telling) {
        telling->over[telling->step] = true;
        if (telling->taken && !telling->over[STEP_MARK])
                go_to(telling, STEP_MARK);
        else if (!telling->over[STEP_WEBHOOK])
                go_to(telling, STEP_WEBHOOK);
        else if (!telling->over[STEP_TOPIC])
                go_to(telling, STEP_TOPIC);
        else
                go_to(telling, STEP_DONE);
}

/* A webhook that is gone must not keep the topic from hearing of it, nor the other way round: they take turns. */
static void step_again(Telling *telling) {
        Step other = telling->step == STEP_WEBHOOK ? STEP_TOPIC : STEP_WEBHOOK;

        go_to(telling, is_channel(telling->step) && !telling->over[other] ? other : telling->step);
}

static void step_succeeds(Telling *telling) {
        if (is_channel(telling->step))
                telling->taken = true;
        step_ends(telling);
}

static const char *name_of(Step step) {
        static const char *const names[] = {
                [STEP_LOOK] = "the depot",
                [STEP_WEBHOOK] = "the webhook",
                [STEP_TOPIC] = "the topic",
                [STEP_MARK] = "the depot",
        };

        return names[step];
}

static void step_fails(Telling *telling, bool may_retry, const Error *error) {
        const NotifyOptions *options = &telling->notify->options;
        const LogFields fields = { .app = telling->app, .instance = options->reporter };

        if (may_retry && ++telling->tries[telling->step] < NOTIFY_TRIES) {
                step_again(telling);
                return;
        }
        log_message(LOG_WARNING, NULL, &fields, "notification of %s: %s has not taken it: %s", telling->name,
                    name_of(telling->step), error->message);
        step_ends(telling);
}

/* Looking and marking */

static void on_listed(DepotOp *op, int result, const Error *error, void *userdata) {
        Telling *telling = userdata;
        bool told = result >= 0 && depot_op_reply(op)->n_entries > 0;
        Error problem = *error; /* which goes with the operation */

        telling->op = depot_op_free(op);
        if (result < 0)
                step_fails(telling, true, &problem);
        else if (told)
                go_to(telling, STEP_DONE);
        else
                step_succeeds(telling);
}

static int look(Telling *telling, Error *error) {
        return depot_list_start(telling->notify->options.depot, telling->prefix, on_listed, telling,
                                &telling->op, error);
}

static void on_marked(DepotOp *op, int result, const Error *error, void *userdata) {
        Telling *telling = userdata;
        Error problem = *error;

        telling->op = depot_op_free(op);
        if (result < 0)
                step_fails(telling, true, &problem);
        else
                step_succeeds(telling);
}

static int mark(Telling *telling, Error *error) {
        return depot_put_start(telling->notify->options.depot, telling->mark, telling->payload,
                               strlen(telling->payload), DEPOT_CREATE, NULL, on_marked, telling, &telling->op,
                               error);
}

/* The webhook */

static void on_posted(HttpTransfer *transfer, int result, const Error *error, void *userdata) {
        Telling *telling = userdata;
        int status = http_transfer_status(transfer);
        Error problem = *error;

        telling->transfer = http_transfer_free(transfer);
        if (result >= 0 && status >= 200 && status < 300) {
                step_succeeds(telling);
                return;
        }
        if (result >= 0)
                (void) error_set_fault(&problem, -EIO, FAULT_HOST, "it answered with status %d", status);
        step_fails(telling, result < 0 || status == 408 || status == 429 || status >= 500, &problem);
}

static int post(Telling *telling, Error *error) {
        static char *const headers[] = { (char *) "Content-Type: application/json", NULL };
        Notify *notify = telling->notify;
        const HttpRequest request = {
                .method = "POST",
                .url = notify->options.webhook,
                .headers = headers,
                .body = { .data = telling->payload, .size = strlen(telling->payload) },
                .response_limit = 4096,
        };
        int r;

        if (!notify->options.webhook) {
                step_ends(telling);
                return 0;
        }
        r = http_start(notify->http, &request, on_posted, telling, &telling->transfer, error);
        return r < 0 ? error_set_fault(error, r, FAULT_INPUT, "its URL cannot be used") : r;
}

/* The topic */

static void on_published(SnsRequest *request, int result, const Error *error, void *userdata) {
        Telling *telling = userdata;
        Error problem = *error;

        telling->publish = sns_request_free(request);
        if (result < 0)
                step_fails(telling, result != -EACCES && result != -ENOENT && result != -EINVAL, &problem);
        else
                step_succeeds(telling);
}

static int publish(Telling *telling, Error *error) {
        const NotifyOptions *options = &telling->notify->options;
        const SnsMessage message = {
                .text = telling->payload,
                .subject = telling->subject,
                .order = telling->place,
                .id = telling->id,
                .attributes = { { "app", telling->app },
                                { "group", telling->group },
                                { "event", telling->kind } },
        };

        if (!options->topic) {
                step_ends(telling);
                return 0;
        }
        return sns_publish_start(options->aws, options->topic, &message, on_published, telling,
                                 &telling->publish, error);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        static int (*const steps[])(Telling * telling, Error * error) = {
                [STEP_LOOK] = look,
                [STEP_WEBHOOK] = post,
                [STEP_TOPIC] = publish,
                [STEP_MARK] = mark,
        };
        Telling *telling = userdata;
        Error error = {};

        if (telling->step == STEP_DONE)
                end(telling);
        else if (steps[telling->step](telling, &error) < 0)
                step_fails(telling, false, &error);
        return 0;
}

/* Beginning */

static int fill(Telling *telling, const NotifyFacts *facts) {
        char folder[NOTIFY_NAME_MAX + sizeof(TOLD)], name[NOTIFY_NAME_MAX], subject[NOTIFY_SUBJECT_MAX];
        _cleanup_free_ char *text = NULL;
        int r;

        notify_name(facts, name);
        notify_id(facts, telling->id);
        snprintf(telling->place, sizeof(telling->place), "%s/%s", facts->app, facts->group);
        snprintf(folder, sizeof(folder), TOLD "%s", name);
        snprintf(telling->name, sizeof(telling->name), "%s of %s", name, facts->plan->id);
        r = layout_marks(facts->app, facts->group, facts->plan->id, folder, telling->prefix, NULL);
        if (r >= 0)
                r = layout_mark(facts->app, facts->group, facts->plan->id, folder, facts->reporter,
                                telling->mark, NULL);
        if (r >= 0)
                r = notify_text(facts, &text);
        if (r >= 0)
                r = notify_payload(facts, &telling->payload);
        if (r < 0)
                return r;
        name[strcspn(name, "-")] = '\0';
        notify_subject(text, subject);
        telling->app = strdup(facts->app);
        telling->group = strdup(facts->group);
        telling->kind = strdup(name);
        telling->subject = strdup(subject);
        return telling->app && telling->group && telling->kind && telling->subject ? 0 : -ENOMEM;
}

static void tell(Notify *notify, const NotifyFacts *facts, uint64_t delay) {
        _cleanup_(telling_freep) Telling *telling = NULL;

        if (notify->n_tellings == NOTIFY_PENDING_MAX)
                return;
        telling = calloc(1, sizeof(*telling));
        if (!telling || fill(telling, facts) < 0 ||
            sd_event_add_time_relative(notify->options.event, &telling->timer, CLOCK_BOOTTIME, delay,
                                       TIMER_ACCURACY_EXACT, on_timer, telling) < 0) {
                log_warning("notification of %s: out of memory", facts->plan->id);
                return;
        }
        telling->notify = notify;
        telling->next = notify->tellings;
        notify->tellings = telling;
        notify->n_tellings++;
        telling = NULL; /* is the list's */
}

/* Whether this is another event than the last one of its group. -ENOMEM. */
static int note(Notify *notify, const char *place, const char *event) {
        Seen *seen = notify->seen;

        for (size_t i = 0; i < notify->n_seen; i++)
                if (strcmp(seen[i].place, place) == 0) {
                        if (string_equal(seen[i].event, event))
                                return 0;
                        return string_set(&seen[i].event, event) < 0 ? -ENOMEM : 1;
                }
        seen = reallocarray(notify->seen, notify->n_seen + 1, sizeof(*seen));
        if (!seen)
                return -ENOMEM;
        notify->seen = seen;
        seen[notify->n_seen] = (Seen){ strdup(place), strdup(event) };
        if (!seen[notify->n_seen].place || !seen[notify->n_seen].event) {
                free(seen[notify->n_seen].place);
                free(seen[notify->n_seen].event);
                return -ENOMEM;
        }
        notify->n_seen++;
        return 1;
}

static bool is_new(Notify *notify, const NotifyFacts *facts, uint64_t now) {
        char place[NOTIFY_ID_MAX], event[NOTIFY_ID_MAX], name[NOTIFY_NAME_MAX];

        notify_name(facts, name);
        snprintf(place, sizeof(place), "%s/%s%s", facts->app, facts->group,
                 facts->kind == NOTIFY_HELD ? "/held" : "");
        snprintf(event, sizeof(event), "%s/%s", facts->plan->id, name);
        return note(notify, place, event) > 0 && (facts->at > now || now - facts->at <= NOTIFY_AGE_MAX);
}

void notify_rollout(Notify *notify, const char *app, const char *group, const RolloutPlan *plan,
                    const Register *reg, bool own_write, uint64_t now) {
        NotifyFacts facts = { .app = app, .group = group, .plan = plan, .reg = reg };
        uint64_t delay = 0;

        if (!notify)
                return;
        facts.kind = notify_kind_of(reg, &facts.at);
        facts.reporter = notify->options.reporter;
        if (!is_new(notify, &facts, now))
                return;
        if (!own_write)
                delay = notify_delay(plan, reg, facts.reporter, random_u64());
        if (delay != USEC_INFINITY)
                tell(notify, &facts, own_write ? 0 : notify->options.delay ?: delay);
}

void notify_held(Notify *notify, const char *app, const char *group, const RolloutPlan *plan,
                 const char *reason, uint64_t now) {
        NotifyFacts facts = {
                .kind = NOTIFY_HELD, .app = app, .group = group, .plan = plan, .reason = reason, .at = now
        };

        if (!notify)
                return;
        facts.reporter = notify->options.reporter;
        if (is_new(notify, &facts, now))
                tell(notify, &facts, notify->options.delay ?: random_u64() % NOTIFY_DELAY_MIN);
}

int notify_new(const NotifyOptions *options, Notify **ret, Error *error) {
        const HttpOptions http = { .ca_bundle = options->ca_bundle };
        _cleanup_(notify_freep) Notify *notify = NULL;
        int r;

        if (!options->webhook && (!options->topic || !options->aws))
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "there is nobody to tell");
        notify = calloc(1, sizeof(*notify));
        if (!notify)
                return error_oom(error);
        notify->options = *options;
        r = options->webhook ? http_client_new(options->event, &http, &notify->http, error) : 0;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(notify);
        return 0;
}

Notify *notify_free(Notify *notify) {
        if (!notify)
                return NULL;
        while (notify->tellings)
                end(notify->tellings);
        for (size_t i = 0; i < notify->n_seen; i++) {
                free(notify->seen[i].place);
                free(notify->seen[i].event);
        }
        free(notify->seen);
        http_client_free(notify->http);
        free(notify);
        return NULL;
}
