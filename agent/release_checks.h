#pragma once

/* The health checks of a release, as hooks/health.h wants them. */

#include "agent/engine.h"
#include "artifacts/release.h"
#include "hooks/health.h"

typedef struct ReleaseChecks {
        const EngineContext *context;
        const ReleaseRef *ref;
        const Release *release;   /* with at least one check */
        char *const *environment; /* the group's values for it */
} ReleaseChecks;

int release_checks_start(const ReleaseChecks *what, HealthDone done, void *userdata, Health **ret,
                         Error *error);
