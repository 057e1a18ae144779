#pragma once

/* Whom a notice concerns, as seen from one instance. Pure. */

#include <stdint.h>

#include "agent/config.h"
#include "agent/queue_message.h"

typedef struct QueueApp {
        const char *name;
        const char *group;
} QueueApp;

/* Who looks at the queue. */
typedef struct QueueSelf {
        const char *instance;
        const char *depot; /* its URI: s3://BUCKET[/PREFIX]; an event of another one concerns others */
        const QueueApp *apps;
        size_t n_apps; /* at most CONFIG_APPS_MAX */
} QueueSelf;

typedef enum QueueConcern {
        QUEUE_CONCERNS_NOBODY, /* nothing has to be done about it, here or elsewhere */
        QUEUE_CONCERNS_OTHERS,
        QUEUE_CONCERNS_US,
} QueueConcern;

typedef struct QueueRoute {
        QueueConcern concern;
        uint64_t apps; /* bit I: QueueSelf.apps[I] has to look at the depot */
        bool root;     /* so has whoever looks after the trust root */
} QueueRoute;

/* Not for QUEUE_NOTICE_TARGET, of which nothing is known before its signature is. */
QueueRoute queue_route(const QueueSelf *self, const QueueNotice *notice);

/* The bits of the apps that have this name and group; NULL: any. */
uint64_t queue_route_apps(const QueueSelf *self, const char *app, const char *group);
