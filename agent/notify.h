#pragma once

/* Tells people of rollouts: a webhook and an SNS topic ([notify] in muster.conf) get what becomes of a register
 * (notify_event.h). Any agent may have made the move, so any may tell it: the one whose write made it so at once, a few others after a
 * while, if no mark says by then that it was told:
 *
 *   rollouts/<id>/told-<event>/<instance>.json
 *
 * made by whoever has told it. So each event is told once as far as possible, and again rather than never. Nothing here blocks,
 * fails or delays anything else; what is not taken after NOTIFY_TRIES is given up, with a line in the journal, in which no URL
 * stands: a webhook's is a secret. */

#include <systemd/sd-event.h>

#include "agent/net/aws.h"
#include "agent/notify_event.h"
#include "artifacts/depot.h"

#define NOTIFY_TRIES 5U
#define NOTIFY_PENDING_MAX 32U                    /* events on their way; what is beyond is left to others */
#define NOTIFY_AGE_MAX (UINT64_C(3600) * 1000000) /* what became true before that is no news */

typedef struct Notify Notify;

typedef struct NotifyOptions {
        sd_event *event;
        Depot *depot;        /* must stay, as do all others */
        AwsContext *aws;     /* may be NULL where TOPIC is */
        const char *webhook; /* URL; NULL: none */
        const char *topic;   /* ARN; NULL: none */
        const char *ca_bundle;
        const char *reporter; /* the name under which this instance reports */
        uint64_t delay;       /* 0, or for tests: in place of notify_delay()'s */
        uint64_t retry;       /* before the second try, doubled each time; 0: NOTIFY_RETRY */
} NotifyOptions;

#define NOTIFY_RETRY (UINT64_C(2) * 1000000)

/* -EINVAL if there is nobody to tell. */
int notify_new(const NotifyOptions *options, Notify **ret, Error *error);
Notify *notify_free(Notify *notify);
DEFINE_CLEANUP(Notify *, notify_free)

/* REG was read, or written by this instance (OWN_WRITE), at NOW of the depot. Cheap unless it says something new.
 * NOTIFY may be NULL, for the sake of callers. */
void notify_rollout(Notify *notify, const char *app, const char *group, const RolloutPlan *plan,
                    const Register *reg, bool own_write, uint64_t now);

/* The launch of this instance is held, for REASON. */
void notify_held(Notify *notify, const char *app, const char *group, const RolloutPlan *plan,
                 const char *reason, uint64_t now);
