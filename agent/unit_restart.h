#pragma once

/* Restarts the units of a release that serves, one after the other, as a deployment would; those that a deployment leaves
 * alone are left alone, and a socket that listens goes on: what comes meanwhile waits in it. */

#include "artifacts/release.h"
#include "units/unit_job.h"

typedef struct UnitRestart UnitRestart;

/* RESULT as of unit_job.h, of the first unit that did not come up. */
typedef void (*UnitRestartDone)(UnitRestart *restart, int result, const Error *error, void *userdata);

/* RELEASE must stay. */
int unit_restart_start(Manager *manager, sd_event *event, const Release *release, uint64_t settle_usec,
                       UnitRestartDone done, void *userdata, UnitRestart **ret, Error *error);
UnitRestart *unit_restart_free(UnitRestart *restart);
DEFINE_CLEANUP(UnitRestart *, unit_restart_free)
