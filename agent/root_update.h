#pragma once

/* Follows the trust root: looks in the depot for the version after the one that is believed, which counts only if the
 * keys of both signed it (trust_root.h), and keeps it as <state_dir>/root.json. The root that is installed beside the
 * configuration stays as it is, and is the beginning of the chain; a later one of those wins over a kept one. */

#include <systemd/sd-event.h>

#include "agent/base/clock.h"
#include "artifacts/depot.h"
#include "artifacts/trust_root.h"

#define ROOT_UPDATE_INTERVAL (3600 * USEC_PER_SEC)

typedef struct RootUpdate RootUpdate;

/* A later root has been kept: the one in use is to be loaded anew. */
typedef void (*RootUpdateDone)(RootUpdate *update, void *userdata);

typedef struct RootUpdateContext {
        sd_event *event;
        const Clock *clock;
        Depot *depot;
        const TrustRoot *root;
        int state_fd;
} RootUpdateContext;

/* Looks at once, and then every ROOT_UPDATE_INTERVAL. What the context points to must stay. */
int root_update_new(const RootUpdateContext *context, RootUpdateDone done, void *userdata, RootUpdate **ret,
                    Error *error);
RootUpdate *root_update_free(RootUpdate *update);
DEFINE_CLEANUP(RootUpdate *, root_update_free)

/* The later one of the installed root at PATH and the kept one. */
int root_update_load(const char *path, int state_fd, TrustRoot **ret, Error *error);
