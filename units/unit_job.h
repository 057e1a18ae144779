#pragma once

/* Reloads, restarts, starts or stops one unit, and judges it by what it does then: subscribe, look at it, act, wait for the
 * job, watch the unit for its settle time. The first bad verdict ends it; a good one comes at the end of the settle
 * time. */

#include "units/manager.h"
#include "units/unit_judge.h"

typedef struct UnitJob UnitJob;

#define UNIT_JOB_DEADLINE_USEC (120 * UINT64_C(1000000))

typedef struct UnitJobSpec {
        const char *unit;
        UnitVerb verb;
        uint64_t deadline_usec; /* for the job; 0: UNIT_JOB_DEADLINE_USEC. Then the job is cancelled */
        uint64_t settle_usec;   /* 0: the job's result and the state right after it are all that counts */
        /* NULL, or a release folder (absolute path): at the end the main process must run from there, else
         * VERDICT_OLD_CODE. Leave it NULL where a health check asserts the version. See unit_process.h. */
        const char *runs_from;
} UnitJobSpec;

/* RESULT: VERDICT_GOOD (0); a positive UnitVerdict, with its sentence and the release's fault; or a negative errno when
 * systemd cannot be asked (the host's fault). */
typedef void (*UnitJobDone)(UnitJob *job, int result, const Error *error, void *userdata);

int unit_job_start(Manager *manager, const UnitJobSpec *spec, UnitJobDone done, void *userdata, UnitJob **ret,
                   Error *error);

/* After a bad verdict: what the unit and systemd wrote into the journal in its last run, the last lines, "" if there
 * is nothing. Belongs to the job. */
const char *unit_job_journal(const UnitJob *job);

/* The last state seen; valid from the callback on. */
const UnitState *unit_job_state(const UnitJob *job);

/* Leaves the unit as it is, and systemd's job running. */
UnitJob *unit_job_free(UnitJob *job);
DEFINE_CLEANUP(UnitJob *, unit_job_free)
