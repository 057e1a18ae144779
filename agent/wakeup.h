#pragma once

/* Joins the queue of the configuration, or one of the instance's own (queue_own.h), to the apps: has them look at the depot
 * when a message says so, hands them signed targets, and has them look by themselves less often while the queue can be
 * relied on. */

#include "agent/app.h"
#include "agent/root_update.h"

#define WAKEUP_POLL_FACTOR 10U /* how much longer the poll interval is meanwhile */

typedef struct Wakeup Wakeup;

/* A message says that this instance comes, goes or is about to be taken: which is believed only after a look. */
typedef void (*WakeupTold)(void *userdata);

typedef struct WakeupContext {
        sd_event *event;
        const Clock *clock;
        const Config *config;
        const Identity *identity;
        int state_fd;
        AwsContext *aws; /* NULL for a depot that needs none: the queue then has its own */
        Depot *depot;
        const TrustRoot *root;
        RootUpdate *root_update;
        App *const *apps;
        size_t n_apps;
        WakeupTold told; /* with the userdata of wakeup_new() */
} WakeupContext;

/* Called when the queue's state changes. */
typedef void (*WakeupChanged)(void *userdata);

/* What is known of the queue. */
typedef struct WakeupTrust {
        bool reliable; /* queue_is_reliable() */
        bool own;      /* the instance has made it */
        bool subscribed; /* and knows it to be subscribed: without that it would answer, and be silent for ever */
} WakeupTrust;

/* How often an app looks at the depot by itself, where INTERVAL is configured. Pure. */
uint64_t wakeup_poll_interval(uint64_t interval, const WakeupTrust *trust);

/* What the context points to must stay. */
int wakeup_new(const WakeupContext *context, WakeupChanged changed, void *userdata, Wakeup **ret,
               Error *error);
Wakeup *wakeup_free(Wakeup *wakeup);
DEFINE_CLEANUP(Wakeup *, wakeup_free)

/* An app, or who follows the trust root, has looked at the depot. */
void wakeup_looked(Wakeup *wakeup);

/* The instance goes for good: what musterd made in SQS and SNS is taken away, and no message is received any more. LEFT is
 * called once, from the event loop, also where there was nothing to do; RESULT is 0, or a negative errno where something is
 * left behind, for `muster queue gc`. One try, which the end of the process or wakeup_free() may cut short. */
typedef void (*WakeupLeft)(int result, const Error *error, void *userdata);
void wakeup_leave(Wakeup *wakeup, WakeupLeft left, void *userdata);

/* As queue_status(), with "topic" where the queue is the instance's own, and with the state "left" once the instance leaves;
 * NULL in JSON where there is no queue. */
int wakeup_status(const Wakeup *wakeup, json_t **ret);
