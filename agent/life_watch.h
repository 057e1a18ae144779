#pragma once

/* Watches what this instance is to its group (instance_life.h): asks the instance metadata every so often, less a jitter, for
 * what can concern an instance of its kind, and Auto Scaling where something has changed there, until it has come to rest.
 *
 *   target-lifecycle-state       at every look; six times as seldom while the instance is in no group
 *   spot/instance-action,        at every look of a spot instance
 *   events/recommendations/…     likewise, where the configuration says that it counts
 *   events/maintenance/scheduled every five minutes, likewise
 *
 * A fault of either is told once, and so is an answer that cannot be understood. What was known before stays in force meanwhile,
 * and Auto Scaling is asked every five minutes about an instance at rest. Where the metadata have never answered, Auto
 * Scaling is asked, and if nobody knows of a group the instance is taken for one of none. */

#include <jansson.h>
#include <systemd/sd-event.h>

#include "agent/base/clock.h"
#include "agent/config.h"
#include "agent/instance_life.h"
#include "agent/net/aws.h"

/* Between two looks while the instance is on its way somewhere, and for messages' sake. */
#define LIFE_WATCH_SOON (5 * USEC_PER_SEC)
#define LIFE_WATCH_MAINTENANCE (300 * USEC_PER_SEC)
#define LIFE_WATCH_ALONE 6U /* times the interval */

typedef struct LifeWatch LifeWatch;

typedef struct LifeWatchContext {
        sd_event *event;
        const Clock *clock;
        AwsContext *aws;
        const char *instance;
        bool in_group; /* it is known to be in an Auto Scaling group */
        bool may_be_alone; /* it need not be an EC2 instance: with no answer at all, it is taken for none at once */
        uint64_t interval; /* between two looks */
        bool drain_on_rebalance;
        bool drain_for_maintenance;
        uint64_t maintenance_ahead;
} LifeWatchContext;

/* The view is another one. */
typedef void (*LifeChanged)(void *userdata);

/* Looks for the first time from the event loop. What CONTEXT points to must stay. */
int life_watch_new(const LifeWatchContext *context, LifeChanged changed, void *userdata, LifeWatch **ret,
                   Error *error);
LifeWatch *life_watch_free(LifeWatch *watch);
DEFINE_CLEANUP(LifeWatch *, life_watch_free)

/* A message says that something has changed: looks now, or in LIFE_WATCH_SOON where messages had it look just before. */
void life_watch_look(LifeWatch *watch);

/* Whether what is known is no older than AGE; if it is, looks. A look that nobody answered counts: what was known before it
 * stays in force. */
bool life_watch_is_recent(LifeWatch *watch, uint64_t age);

const LifeView *life_watch_view(const LifeWatch *watch);

/* Whether the metadata or Auto Scaling know it as one of a group. */
bool life_watch_in_group(const LifeWatch *watch);

/* The Auto Scaling group, as that last told; NULL: it has not. */
const char *life_watch_group(const LifeWatch *watch);

/* {"state", "cause", "deadline", "reason", "since", "problem"} */
int life_watch_status(const LifeWatch *watch, json_t **ret);

/* Whether a timer that was due then ran so late that the machine must have slept: a hibernated instance goes on with the
 * tokens, credentials and clocks of another day. */
#define LIFE_WATCH_SLEPT (30 * USEC_PER_SEC)
bool life_watch_slept(uint64_t due, uint64_t now);
