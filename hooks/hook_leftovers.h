#pragma once

/* What hooks left behind: processes of units that have ended well and were not stopped; and health checks that a musterd
 * which is no more had running. */

#include "agent/base/error.h"
#include "units/manager.h"

#define HOOK_LEFTOVERS_MAX 256U /* units of one app; more are left for the next time */

/* At ApplicationStop: ends what hooks of earlier deployments of APP left behind, all of it at the same time. Units of
 * KEEP_DEPLOYMENT (may be NULL) are kept. OTHERS (may be NULL) is the pattern of more units to end, that are not of
 * hooks. */
typedef struct HookLeftovers HookLeftovers;
typedef void (*HookLeftoversDone)(HookLeftovers *leftovers, int result, unsigned n_stopped,
                                  const Error *error, void *userdata);
int hook_leftovers_stop_start(Manager *manager, const char *app, const char *keep_deployment,
                              const char *others, HookLeftoversDone done, void *userdata, HookLeftovers **ret,
                              Error *error);

/* While no deployment of APP runs: has systemd forget units in which nothing runs any more, whose musterd was killed before
 * it could. What a hook left behind on purpose lives on. */
int hook_leftovers_collect_start(Manager *manager, const char *app, const char *others,
                                 HookLeftoversDone done, void *userdata, HookLeftovers **ret, Error *error);
HookLeftovers *hook_leftovers_free(HookLeftovers *leftovers);
DEFINE_CLEANUP(HookLeftovers *, hook_leftovers_free)
