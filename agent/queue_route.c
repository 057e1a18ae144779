#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/queue_route.h"

_Static_assert(CONFIG_APPS_MAX <= 64, "an app is a bit");

uint64_t queue_route_apps(const QueueSelf *self, const char *app, const char *group) {
        uint64_t apps = 0;

        for (size_t i = 0; i < self->n_apps; i++)
                if ((!app || strcmp(self->apps[i].name, app) == 0) &&
                    (!group || strcmp(self->apps[i].group, group) == 0))
                        apps |= UINT64_C(1) << i;
        return apps;
}

static QueueRoute for_apps(uint64_t apps) {
        return (QueueRoute){ apps ? QUEUE_CONCERNS_US : QUEUE_CONCERNS_OTHERS, apps, false };
}

/* The key as the depot has it, NULL where the object lies outside. */
static const char *key_in_depot(const char *depot, const QueueNotice *notice) {
        size_t bucket = strlen(notice->bucket), prefix;
        const char *rest;

        if (!string_starts_with(depot, "s3://") || !string_starts_with(depot + 5, notice->bucket))
                return NULL;
        rest = depot + 5 + bucket;
        if (*rest == '\0')
                return notice->key;
        prefix = strlen(rest + 1);
        if (*rest != '/' || !string_starts_with(notice->key, rest + 1) || notice->key[prefix] != '/')
                return NULL;
        return notice->key + prefix + 1;
}

/* What instances look for: apps/<app>/groups/<group>/{target,freshness}.json and root/<N>.json. */
static QueueRoute route_object(const QueueSelf *self, const QueueNotice *notice) {
        const char *key = key_in_depot(self->depot, notice);
        char app[65], group[65], document[16];
        int end = 0;

        if (!key)
                return (QueueRoute){ QUEUE_CONCERNS_OTHERS, 0, false };
        if (string_starts_with(key, "root/"))
                return (QueueRoute){ QUEUE_CONCERNS_US, 0, true };
        if (sscanf(key, "apps/%64[^/]/groups/%64[^/]/%15[a-z].json%n", app, group, document, &end) != 3 ||
            end == 0 || key[end] != '\0' ||
            (strcmp(document, "target") != 0 && strcmp(document, "freshness") != 0))
                return (QueueRoute){ QUEUE_CONCERNS_NOBODY, 0, false };
        return for_apps(queue_route_apps(self, app, group));
}

QueueRoute queue_route(const QueueSelf *self, const QueueNotice *notice) {
        bool for_us = !notice->instance || strcmp(notice->instance, self->instance) == 0;

        switch (notice->kind) {
        case QUEUE_NOTICE_CHANGED:
                return for_apps(for_us ? queue_route_apps(self, notice->app, notice->group) : 0);
        case QUEUE_NOTICE_OBJECT:
                return route_object(self, notice);
        case QUEUE_NOTICE_LIFECYCLE:
        case QUEUE_NOTICE_INTERRUPTION:
                return (QueueRoute){ for_us ? QUEUE_CONCERNS_US : QUEUE_CONCERNS_OTHERS, 0, false };
        case QUEUE_NOTICE_TARGET:
        case QUEUE_NOTICE_NONE:
                break;
        }
        return (QueueRoute){ QUEUE_CONCERNS_NOBODY, 0, false };
}
