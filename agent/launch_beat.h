#pragma once

/* The heartbeats that hold a launching instance while its deployments make progress (launch_pace.h), or while it holds on
 * purpose. Each hook gets one at a third of the shortest time-out; one that fails is sent again soon. Where nothing gets on
 * any more none is sent, and the journal says so once. No heartbeat helps beyond a hook's global time-out: that is said
 * when it is near. */

#include <systemd/sd-event.h>

#include "agent/base/clock.h"
#include "agent/launch_pace.h"
#include "agent/lifecycle_hooks.h"

#define LAUNCH_BEAT_MIN (1 * USEC_PER_SEC)
#define LAUNCH_BEAT_UNKNOWN (20 * USEC_PER_SEC) /* within the shortest time-out that there can be, 30 s */
#define LAUNCH_BEAT_NEAR 10U                    /* the global time-out is near when a tenth of it is left */

typedef struct LaunchBeat LaunchBeat;

typedef struct LaunchBeatContext {
        sd_event *event;
        const Clock *clock;
        AwsContext *aws;
        const char *instance;
        uint64_t interval; /* 0: a third of the shortest time-out */
} LaunchBeatContext;

/* What CONTEXT points to must stay. */
int launch_beat_new(const LaunchBeatContext *context, LaunchBeat **ret, Error *error);
LaunchBeat *launch_beat_free(LaunchBeat *beat);
DEFINE_CLEANUP(LaunchBeat *, launch_beat_free)

/* The instance is held by HOOKS, both of which must stay, since HELD_AT on the boot-time clock (0: not known). May be called
 * again when more is known of the hooks. */
void launch_beat_begin(LaunchBeat *beat, const char *group, const LifecycleHooks *hooks, uint64_t held_at);
void launch_beat_end(LaunchBeat *beat);

/* HOLD: beats go on whatever the deployments do. */
void launch_beat_hold(LaunchBeat *beat, bool hold);

/* How far the deployment of the app with that index has come. */
void launch_beat_note(LaunchBeat *beat, size_t app, const LaunchWork *work);

/* Whether deployments hang, and no heartbeats are sent any more. */
bool launch_beat_is_silent(const LaunchBeat *beat);

/* Why no heartbeats are sent, or that the global time-out is near; "" while all is well. */
const char *launch_beat_remark(const LaunchBeat *beat);
