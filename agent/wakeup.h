#pragma once

/* Joins the queue of the configuration to the apps: has them look at the depot when a message says so, hands them signed
 * targets, and has them look by themselves less often while the queue can be relied on. */

#include "agent/app.h"
#include "agent/root_update.h"

#define WAKEUP_POLL_FACTOR 10U /* how much longer the poll interval is meanwhile */

typedef struct Wakeup Wakeup;

typedef struct WakeupContext {
        sd_event *event;
        const Clock *clock;
        const Config *config; /* with a queue */
        const Identity *identity;
        AwsContext *aws; /* NULL for a depot that needs none: the queue then has its own */
        Depot *depot;
        const TrustRoot *root;
        RootUpdate *root_update;
        App *const *apps;
        size_t n_apps;
} WakeupContext;

/* Called when the queue's state changes. */
typedef void (*WakeupChanged)(void *userdata);

/* What the context points to must stay. */
int wakeup_new(const WakeupContext *context, WakeupChanged changed, void *userdata, Wakeup **ret,
               Error *error);
Wakeup *wakeup_free(Wakeup *wakeup);
DEFINE_CLEANUP(Wakeup *, wakeup_free)

/* An app, or who follows the trust root, has looked at the depot. */
void wakeup_looked(Wakeup *wakeup);

/* As queue_status(). */
int wakeup_status(const Wakeup *wakeup, json_t **ret);
