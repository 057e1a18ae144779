#pragma once

/* What becomes of a hook's unit once its result is recorded: systemd forgets it, unless processes of it are left. Those
 * live until the next ApplicationStop. */

#include <stdbool.h>

#include "agent/base/error.h"
#include "units/manager.h"

/* Looks whether processes of UNIT are left; if none are, stops it, which also makes systemd forget a failure. */
typedef struct HookCollect HookCollect;
typedef void (*HookCollectDone)(HookCollect *collect, int result, bool processes_left, const Error *error,
                                void *userdata);
int hook_collect_start(Manager *manager, const char *unit, HookCollectDone done, void *userdata,
                       HookCollect **ret, Error *error);
HookCollect *hook_collect_free(HookCollect *collect);
DEFINE_CLEANUP(HookCollect *, hook_collect_free)
