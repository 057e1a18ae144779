#include <string.h>

#include "agent/base/log.h"
#include "agent/config_aws.h"
#include "agent/messages.h"
#include "agent/queue.h"
#include "agent/queue_note.h"
#include "agent/queue_own.h"
#include "agent/wakeup.h"
#include "artifacts/layout.h"
#include "artifacts/target.h"

struct Wakeup {
        WakeupContext context;
        WakeupChanged changed;
        void *userdata;
        AwsContext *aws, *own_aws; /* the latter where the depot needs none */
        QueueApp *apps;
        char report[LAYOUT_KEY_MAX];
        QueueOwn *own;
        Queue *queue;                        /* NULL: there is none, or not yet */
        uint64_t interval;                   /* of the apps' looks */
        sd_event_source *leaving;            /* says that there was nothing to take away */
        json_t *before;                      /* the status when the instance began to leave; NULL: it stays */
        char left_behind[ERROR_MESSAGE_MAX]; /* why something could not be taken away */
        WakeupLeft left;
        void *left_userdata;
};

static uint64_t on_look(void *userdata, size_t watcher) {
        const Wakeup *wakeup = userdata;
        const WakeupContext *context = &wakeup->context;

        return watcher < context->n_apps ? app_poll(context->apps[watcher])
                                         : root_update_poll(context->root_update);
}

static bool on_has_looked(void *userdata, size_t watcher, uint64_t look) {
        const Wakeup *wakeup = userdata;
        const WakeupContext *context = &wakeup->context;

        return watcher < context->n_apps ? app_has_looked(context->apps[watcher], look)
                                         : root_update_has_looked(context->root_update, look);
}

/* Which app and group it is for is known only once its signature is. */
static int open_target(const Wakeup *wakeup, const char *envelope, size_t size, Target **ret, Error *error) {
        const WakeupContext *context = &wakeup->context;
        _cleanup_free_ uint8_t *payload = NULL;
        int r;

        r = trust_root_verify_document(context->root, TRUST_ROLE_TARGET, "target", TARGET_TYPE, envelope,
                                       size, clock_realtime(context->clock), &payload, &size, error);
        return r < 0 ? r : target_parse(payload, size, ret, error);
}

static int on_offer(void *userdata, const char *envelope, size_t size, Error *error) {
        const Wakeup *wakeup = userdata;
        const WakeupContext *context = &wakeup->context;
        const QueueSelf self = { .apps = wakeup->apps, .n_apps = context->n_apps };
        _cleanup_target_ Target *target = NULL;
        uint64_t apps;
        int r;

        r = open_target(wakeup, envelope, size, &target, error);
        if (r < 0)
                return r;
        apps = queue_route_apps(&self, target->app, target->group);
        if (!apps)
                return QUEUE_OFFER_FOREIGN;
        r = app_offer_target(context->apps[__builtin_ctzll(apps)], envelope, size, error);
        return r == -ESTALE ? 0 : r; /* a newer one is in force: there is nothing left to do about it */
}

static void log_notice(const Wakeup *wakeup, const QueueNotice *notice) {
        const LogFields fields = { .instance = wakeup->context.identity->instance };

        if (notice->kind == QUEUE_NOTICE_INTERRUPTION)
                log_message(LOG_NOTICE, MESSAGE_INSTANCE_TOLD, &fields, "EC2 says: %.128s", notice->event);
        else
                log_message(LOG_NOTICE, MESSAGE_INSTANCE_TOLD, &fields,
                            "Auto Scaling group %.128s %s this instance and waits for hook %.128s",
                            notice->group, notice->launches ? "launches" : "terminates", notice->hook);
}

static void on_tell(void *userdata, const QueueNotice *notice, bool quiet) {
        const Wakeup *wakeup = userdata;

        if (!quiet)
                log_notice(wakeup, notice);
        wakeup->context.told(wakeup->userdata);
}

static void on_gone(void *userdata) {
        const Wakeup *wakeup = userdata;

        if (wakeup->own)
                queue_own_ensure(wakeup->own);
}

uint64_t wakeup_poll_interval(uint64_t interval, const WakeupTrust *trust) {
        return trust->reliable && (!trust->own || trust->subscribed) ? interval * WAKEUP_POLL_FACTOR
                                                                     : interval;
}

static void choose_interval(Wakeup *wakeup) {
        const WakeupContext *context = &wakeup->context;
        const WakeupTrust trust = {
                .reliable = wakeup->queue && queue_is_reliable(wakeup->queue),
                .own = config_has_own_queue(context->config),
                .subscribed = wakeup->own && queue_own_is_ready(wakeup->own),
        };
        uint64_t interval = wakeup_poll_interval(context->config->poll_interval, &trust);

        if (interval == wakeup->interval)
                return;
        wakeup->interval = interval;
        for (size_t i = 0; i < context->n_apps; i++)
                app_set_poll_interval(context->apps[i], interval);
}

void wakeup_looked(Wakeup *wakeup) {
        if (wakeup->queue)
                queue_looked(wakeup->queue);
        choose_interval(wakeup);
}

static void on_changed(void *userdata) {
        Wakeup *wakeup = userdata;

        wakeup_looked(wakeup);
        wakeup->changed(wakeup->userdata);
}

static const QueueHandlers handlers = {
        .look = on_look,
        .has_looked = on_has_looked,
        .offer = on_offer,
        .tell = on_tell,
        .changed = on_changed,
        .gone = on_gone,
};

static int open_queue(Wakeup *wakeup, const char *name, const char *url, Error *error) {
        const WakeupContext *context = &wakeup->context;
        const QueueContext queue = {
                .event = context->event,
                .clock = context->clock,
                .aws = wakeup->aws,
                .name = name,
                .url = url,
                .shared = !config_has_own_queue(context->config) && context->config->queue_shared,
                .self = { .instance = context->identity->instance,
                          .depot = depot_uri(context->depot),
                          .apps = wakeup->apps,
                          .n_apps = context->n_apps },
        };

        return queue_new(&queue, &handlers, wakeup, &wakeup->queue, error);
}

/* It may have been made once more. */
static void on_ready(void *userdata, const char *url) {
        Wakeup *wakeup = userdata;
        Error error = {};

        if (wakeup->queue)
                queue_receive_now(wakeup->queue);
        else if (open_queue(wakeup, queue_own_name(wakeup->own), url, &error) < 0)
                log_error("%s", error.message);
        choose_interval(wakeup);
}

static const QueueOwnHandlers own_handlers = { .ready = on_ready, .changed = on_changed };

/* Without a topic it does nothing but remove what an earlier configuration had made. */
static int open_own(Wakeup *wakeup, const char *topic, Error *error) {
        const WakeupContext *context = &wakeup->context;
        const Identity *identity = context->identity;
        const QueueOwnContext own = {
                .event = context->event,
                .aws = wakeup->aws,
                .state_fd = context->state_fd,
                .plan = { .depot = depot_uri(context->depot),
                          .group = identity->group,
                          .instance = identity->instance,
                          .owner = identity->report_id,
                          .report = wakeup->report,
                          .topic = topic },
        };
        int r;

        r = layout_instance(wakeup->apps[0].name, wakeup->apps[0].group, identity->report_id, wakeup->report,
                            error);
        return r < 0 ? r : queue_own_new(&own, &own_handlers, wakeup, &wakeup->own, error);
}

static int has_own_of_before(const WakeupContext *context, bool *ret, Error *error) {
        _cleanup_(queue_note_deinit) QueueNote note = {};
        int r;

        r = queue_note_load(context->state_fd, context->identity->instance, &note, error);
        if (r >= 0)
                *ret = note.name;
        return r;
}

static int list_apps(Wakeup *wakeup, Error *error) {
        const WakeupContext *context = &wakeup->context;

        wakeup->apps = calloc(context->n_apps, sizeof(QueueApp));
        if (!wakeup->apps)
                return error_oom(error);
        for (size_t i = 0; i < context->n_apps; i++)
                wakeup->apps[i] = (QueueApp){ app_name(context->apps[i]), app_group(context->apps[i]) };
        return 0;
}

static int open_aws(Wakeup *wakeup, Error *error) {
        const WakeupContext *context = &wakeup->context;
        int r;

        wakeup->aws = context->aws;
        if (wakeup->aws)
                return 0;
        r = config_aws_context(context->config, context->event, &wakeup->own_aws, error);
        wakeup->aws = wakeup->own_aws;
        return r;
}

static int open_wakeup(Wakeup *wakeup, Error *error) {
        const Config *config = wakeup->context.config;
        bool of_before;
        int r;

        r = has_own_of_before(&wakeup->context, &of_before, error);
        if (r < 0 || (!config->queue && !of_before))
                return r;
        r = list_apps(wakeup, error);
        if (r >= 0)
                r = open_aws(wakeup, error);
        if (r >= 0 && (of_before || config_has_own_queue(config)))
                r = open_own(wakeup, config->queue_topic, error);
        if (r >= 0 && config->queue && !config_has_own_queue(config))
                r = open_queue(wakeup, config->queue, NULL, error);
        return r;
}

int wakeup_new(const WakeupContext *context, WakeupChanged changed, void *userdata, Wakeup **ret,
               Error *error) {
        _cleanup_(wakeup_freep) Wakeup *wakeup = malloc(sizeof(*wakeup));
        int r;

        if (!wakeup)
                return error_oom(error);
        *wakeup = (Wakeup){ .context = *context,
                            .changed = changed,
                            .userdata = userdata,
                            .interval = context->config->poll_interval };
        r = open_wakeup(wakeup, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(wakeup);
        return 0;
}

Wakeup *wakeup_free(Wakeup *wakeup) {
        if (!wakeup)
                return NULL;
        sd_event_source_unref(wakeup->leaving);
        queue_free(wakeup->queue);
        queue_own_free(wakeup->own);
        aws_context_free(wakeup->own_aws);
        json_decref(wakeup->before);
        free(wakeup->apps);
        free(wakeup);
        return NULL;
}

static void on_left(int result, const Error *error, void *userdata) {
        Wakeup *wakeup = userdata;

        if (result < 0)
                snprintf(wakeup->left_behind, sizeof(wakeup->left_behind), "%s", error->message);
        wakeup->left(result, error, wakeup->left_userdata);
}

static int on_nothing_to_leave(_unused_ sd_event_source *source, void *userdata) {
        const Error error = {};

        on_left(0, &error, userdata);
        return 0;
}

void wakeup_leave(Wakeup *wakeup, WakeupLeft left, void *userdata) {
        (void) wakeup_status(wakeup, &wakeup->before);
        wakeup->queue = queue_free(wakeup->queue);
        choose_interval(wakeup);
        wakeup->left = left;
        wakeup->left_userdata = userdata;
        if (wakeup->own)
                queue_own_leave(wakeup->own, on_left, wakeup);
        else
                (void) sd_event_add_defer(wakeup->context.event, &wakeup->leaving, on_nothing_to_leave,
                                          wakeup);
}

/* Of a queue that is not there yet, in the shape of queue_status(). */
static int status_of_missing(const Wakeup *wakeup, json_t **ret) {
        const char *name = wakeup->own ? queue_own_name(wakeup->own) : "",
                   *problem = wakeup->own ? queue_own_problem(wakeup->own) : "";

        *ret = *name ? json_pack("{s:s, s:b, s:s, s:s, s:i, s:i, s:i, s:i}", "queue", name, "shared", false,
                                 "state", *problem ? "failing" : "connecting", "reason", problem, "received",
                                 0, "removed", 0, "given_back", 0, "not_understood", 0)
                     : json_null();
        return *ret ? 0 : -ENOMEM;
}

/* A queue that answers and has lost its topic is of no use. */
static int add_own_problem(const Wakeup *wakeup, json_t *status) {
        const char *problem = wakeup->own ? queue_own_problem(wakeup->own) : "";

        if (!*problem || !config_has_own_queue(wakeup->context.config) || !json_is_object(status))
                return 0;
        return json_object_set_new(status, "state", json_string("failing")) < 0 ||
                               json_object_set_new(status, "reason", json_string(problem)) < 0
                       ? -ENOMEM
                       : 0;
}

/* Nobody looks at it any more, whether or not it is there. */
static int status_of_left(const Wakeup *wakeup, json_t **ret) {
        const char *reason = wakeup->left_behind[0] ? wakeup->left_behind : "the instance leaves";
        json_auto_t *status = json_deep_copy(wakeup->before);

        if (!status ||
            (json_is_object(status) && (json_object_set_new(status, "state", json_string("left")) < 0 ||
                                        json_object_set_new(status, "reason", json_string(reason)) < 0)))
                return -ENOMEM;
        *ret = TAKE_PTR(status);
        return 0;
}

int wakeup_status(const Wakeup *wakeup, json_t **ret) {
        const char *topic = wakeup->context.config->queue_topic;
        json_auto_t *status = NULL;
        int r;

        if (wakeup->before)
                return status_of_left(wakeup, ret);
        r = wakeup->queue ? queue_status(wakeup->queue, &status) : status_of_missing(wakeup, &status);
        if (r >= 0)
                r = add_own_problem(wakeup, status);
        if (r < 0)
                return r;
        if (topic && json_object_set_new(status, "topic", json_string(topic)) < 0 && json_is_object(status))
                return -ENOMEM;
        *ret = TAKE_PTR(status);
        return 0;
}
