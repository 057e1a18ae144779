#pragma once

/* What the parts of units-driver share: each verb does one operation of units/ or hooks/ on the instance that it runs on, and
 * prints what came of it as "name=value" lines. */

#include "agent/base/clock.h"
#include "hooks/health.h"
#include "hooks/hook.h"
#include "units/transient.h"
#include "units/unit_job.h"

typedef struct Driver {
        sd_event *event;
        Manager *manager;
        uint64_t began;
        /* from the options */
        TransientSpec transient;
        UnitJobSpec job;
        HookContext hook;
        HookScript script;
        HealthCheck check;
} Driver;

typedef struct DriverVerb {
        const char *name;
        int (*run)(Driver *driver, char **arguments);
        int n_arguments; /* at least */
} DriverVerb;

extern const DriverVerb driver_unit_verbs[], driver_hook_verbs[]; /* end with a NULL name */

/* Prints the last lines and ends the event loop. */
void driver_finish(Driver *driver, int result, const Error *error);

/* Runs the event loop until driver_finish(), unless the start of the operation failed (R). */
int driver_wait(Driver *driver, int r, const Error *error);
