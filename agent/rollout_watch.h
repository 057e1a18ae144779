#pragma once

/* This instance in the rollout of its group, on the event loop: looks at the register in the pace of rollout_pace.h, follows
 * rollout_role.h, makes the marks that rollout_record.h says it owes, and has the register take in what there is to take in when
 * it is its turn to write. What it is about to do is in the deploy record before it is done.
 *
 * It deploys nothing: it says what the app is to run. */

#include "agent/record.h"
#include "agent/register_watch.h"

typedef struct RolloutWatch RolloutWatch;

typedef struct RolloutWatchContext {
        RegisterWatchContext look;
        Record *record; /* its part is kept here, */
        int app_fd;     /* which is in this folder */
} RolloutWatchContext;

/* What the app knows; borrowed for the call. */
typedef struct RolloutSituation {
        const Target *target; /* NULL: none that may be acted on */
        const char *env_sha256;
        bool life_known;
        bool absent, leaves; /* as in PartFacts */
        bool deploying;
} RolloutSituation;

/* Something is new: the app decides again. */
typedef void (*RolloutWatchChanged)(RolloutWatch *watch, void *userdata);

/* What the context points to must stay. */
int rollout_watch_new(const RolloutWatchContext *context, RolloutWatchChanged changed, void *userdata,
                      RolloutWatch **ret, Error *error);
RolloutWatch *rollout_watch_free(RolloutWatch *watch);
DEFINE_CLEANUP(RolloutWatch *, rollout_watch_free)

/* Takes in what the app knows, and does what follows. Before the app decides. */
void rollout_watch_settle(RolloutWatch *watch, const RolloutSituation *situation);

/* What the app is to run, as of the last settling. False: there is no rollout to heed, so it is the target's stable
 * release. HELD in words is rollout_watch_reason(). */
bool rollout_watch_wish(const RolloutWatch *watch, RolloutWish *ret);
const char *rollout_watch_reason(const RolloutWatch *watch);

/* Reads the register now, where the running deployment depends on it. CHANGED follows. */
void rollout_watch_look(RolloutWatch *watch);
bool rollout_watch_is_looking(const RolloutWatch *watch);

/* Why the deployment that runs may not go on, or NULL. SWITCHING: it has yet to switch. */
const char *rollout_watch_objects(RolloutWatch *watch, bool switching);

/* Whether an instance that leaves has yet to say so, and to be heard: others wait for its place. Not for long,
 * whatever becomes of it. */
bool rollout_watch_is_parting(const RolloutWatch *watch);

/* Whether the health of what serves is looked at for the rollout: before it is changed, and from then on until the
 * last stage has baked; and what a round of its checks has come to. The release that does not stay healthy is led
 * back. */
bool rollout_watch_wants_health(const RolloutWatch *watch);
void rollout_watch_take_health(RolloutWatch *watch, bool good, const char *reason);

/* A deployment to RELEASE has begun: the rollout's, if this is what it is about. Before the record is saved. */
void rollout_watch_deploys(RolloutWatch *watch, const ReleaseRef *release, const char *id);

/* For the status, or in few words for the report, which is written as often as it changes. null: there is no rollout.
 * NULL: out of memory. */
json_t *rollout_watch_to_json(const RolloutWatch *watch, bool report);
