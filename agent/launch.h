#pragma once

/* Completes the launch lifecycle action of this instance (launch_state.h decides when): finds out whether the instance is
 * held, sends heartbeats while a deployment runs, and tells the group, again and again until it has been heard. */

#include "agent/identity.h"
#include "agent/launch_state.h"

typedef struct Launch Launch;

typedef struct LaunchContext {
        sd_event *event;
        const Config *config;
        const Identity *identity;
        AwsContext *aws; /* NULL: there is no lifecycle to complete */
        int state_fd;    /* borrowed */
        const char *boot_id;
} LaunchContext;

/* Called when the state changes. */
typedef void (*LaunchChanged)(void *userdata);

int launch_new(const LaunchContext *context, LaunchChanged changed, void *userdata, Launch **ret,
               Error *error);
Launch *launch_free(Launch *launch);
DEFINE_CLEANUP(Launch *, launch_free)

/* What the required apps have come to. REASON (may be NULL) is that of the app that failed. DEPLOYING: heartbeats are
 * due. */
void launch_update(Launch *launch, const AppReadiness *required, size_t n, bool deploying,
                   const char *reason);

LaunchState launch_state(const Launch *launch);

/* Why it is in that state, "" if there is nothing to say. */
const char *launch_reason(const Launch *launch);

/* Why the group has not heard yet what was decided, or NULL; *RET_SINCE is when it was decided. */
const char *launch_undelivered(const Launch *launch, uint64_t *ret_since);
