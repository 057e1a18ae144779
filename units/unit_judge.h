#pragma once

/* Judgements on what a unit does, as pure functions of its states. A job's result alone says little: a reload that
 * the service did not survive, and a start that crashes a second later, are both "done". */

#include "units/unit_state.h"

typedef enum UnitVerb {
        UNIT_VERB_START,
        UNIT_VERB_STOP,
        UNIT_VERB_RESTART,           /* starts what does not run */
        UNIT_VERB_TRY_RESTART,       /* leaves what does not run */
        UNIT_VERB_RELOAD,            /* starts what does not run */
        UNIT_VERB_RELOAD_OR_RESTART, /* restarts what cannot be reloaded, starts what does not run */
} UnitVerb;

typedef enum UnitVerdict {
        VERDICT_GOOD,
        VERDICT_NO_UNIT,       /* not found, masked, or its file cannot be used */
        VERDICT_CANNOT_RELOAD, /* a reload was asked for, and the unit has none */
        VERDICT_JOB_FAILED,    /* systemd reports the start, reload, … as failed */
        VERDICT_JOB_TIMEOUT,   /* the job did not end before its deadline, and was cancelled */
        VERDICT_FAILED,        /* the unit failed after its job */
        VERDICT_RESTARTED,     /* it ended and was started anew, or waits for it */
        VERDICT_MAIN_GONE,     /* it calls itself active, but its main process is gone */
        VERDICT_WRONG_STATE,   /* it is not (or, after a stop: is still) active */
        VERDICT_OLD_CODE,      /* its main process does not run what it should */
} UnitVerdict;

/* Before the action: may VERB be done with a unit in this state? Then *RET_METHOD is the manager's method
 * ("ReloadUnit", …), NULL if there is nothing to do. */
UnitVerdict unit_judge_before(const char *unit, const UnitState *state, UnitVerb verb,
                              const char **ret_method, Error *error);

/* At the end of the job; RESULT is JobRemoved's word, NULL where the signal was lost with the connection. */
UnitVerdict unit_judge_job(const char *unit, const UnitState *state, UnitVerb verb, const char *result,
                           Error *error);

/* From the end of the job on: BASE is the state then (of a reload: before it), SETTLED_USEC how long ago that was.
 * Good means good so far, unless FINAL. */
UnitVerdict unit_judge_settling(const char *unit, const UnitState *base, const UnitState *state,
                                UnitVerb verb, uint64_t settled_usec, bool final, Error *error);

const char *unit_verb_to_string(UnitVerb verb);             /* "reload" */
int unit_verb_from_string(const char *text, UnitVerb *ret); /* -EINVAL */
const char *unit_verdict_to_string(UnitVerdict verdict);    /* "job-failed" */
