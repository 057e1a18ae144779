#include <string.h>

#include "agent/base/log.h"
#include "agent/config_aws.h"
#include "agent/messages.h"
#include "agent/queue.h"
#include "agent/wakeup.h"
#include "artifacts/target.h"

struct Wakeup {
        WakeupContext context;
        WakeupChanged changed;
        void *userdata;
        AwsContext *own_aws;
        QueueApp *apps;
        Queue *queue;
        bool relied_on;
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

static void on_tell(void *userdata, const QueueNotice *notice) {
        const Wakeup *wakeup = userdata;
        const LogFields fields = { .instance = wakeup->context.identity->instance };

        if (notice->kind == QUEUE_NOTICE_INTERRUPTION)
                log_message(LOG_NOTICE, MESSAGE_INSTANCE_TOLD, &fields, "EC2 says: %.128s", notice->event);
        else
                log_message(LOG_NOTICE, MESSAGE_INSTANCE_TOLD, &fields,
                            "Auto Scaling group %.128s %s this instance and waits for hook %.128s",
                            notice->group, notice->launches ? "launches" : "terminates", notice->hook);
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
};

static void rely_on_queue(Wakeup *wakeup, bool rely) {
        const WakeupContext *context = &wakeup->context;
        uint64_t interval = context->config->poll_interval;

        if (rely == wakeup->relied_on)
                return;
        wakeup->relied_on = rely;
        for (size_t i = 0; i < context->n_apps; i++)
                app_set_poll_interval(context->apps[i], rely ? interval * WAKEUP_POLL_FACTOR : interval);
}

void wakeup_looked(Wakeup *wakeup) {
        if (!wakeup->queue) /* it is being made */
                return;
        queue_looked(wakeup->queue);
        rely_on_queue(wakeup, queue_is_reliable(wakeup->queue));
}

static int open_queue(Wakeup *wakeup, Error *error) {
        const WakeupContext *context = &wakeup->context;
        QueueContext queue = {
                .event = context->event,
                .clock = context->clock,
                .aws = context->aws,
                .name = context->config->queue,
                .shared = context->config->queue_shared,
                .self = { .instance = context->identity->instance,
                          .depot = depot_uri(context->depot),
                          .n_apps = context->n_apps },
        };
        int r;

        wakeup->apps = calloc(context->n_apps, sizeof(QueueApp));
        if (!wakeup->apps)
                return error_oom(error);
        for (size_t i = 0; i < context->n_apps; i++)
                wakeup->apps[i] = (QueueApp){ app_name(context->apps[i]), app_group(context->apps[i]) };
        queue.self.apps = wakeup->apps;
        if (!context->aws) {
                r = config_aws_context(context->config, context->event, &wakeup->own_aws, error);
                if (r < 0)
                        return r;
                queue.aws = wakeup->own_aws;
        }
        return queue_new(&queue, &handlers, wakeup, &wakeup->queue, error);
}

int wakeup_new(const WakeupContext *context, WakeupChanged changed, void *userdata, Wakeup **ret,
               Error *error) {
        _cleanup_(wakeup_freep) Wakeup *wakeup = malloc(sizeof(*wakeup));
        int r;

        if (!wakeup)
                return error_oom(error);
        *wakeup = (Wakeup){ .context = *context, .changed = changed, .userdata = userdata };
        r = open_queue(wakeup, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(wakeup);
        return 0;
}

Wakeup *wakeup_free(Wakeup *wakeup) {
        if (!wakeup)
                return NULL;
        queue_free(wakeup->queue);
        aws_context_free(wakeup->own_aws);
        free(wakeup->apps);
        free(wakeup);
        return NULL;
}

int wakeup_status(const Wakeup *wakeup, json_t **ret) {
        return queue_status(wakeup->queue, ret);
}
