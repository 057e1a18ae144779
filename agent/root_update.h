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

/* A look has ended. KEPT: a later root was found, and the one in use is to be loaded anew. */
typedef void (*RootUpdateDone)(RootUpdate *update, bool kept, void *userdata);

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
/* Looks now, as target_watch_poll() and target_watch_has_looked() do. */
uint64_t root_update_poll(RootUpdate *update);
bool root_update_has_looked(const RootUpdate *update, uint64_t look);

RootUpdate *root_update_free(RootUpdate *update);
DEFINE_CLEANUP(RootUpdate *, root_update_free)

/* The later one of the installed root at PATH and the kept one. */
int root_update_load(const char *path, int state_fd, TrustRoot **ret, Error *error);
