#pragma once

/* What each instance of a group has to do with its rollout, from the register, the marks and the reports: one row
 * each. Pure. */

#include <jansson.h>

#include "agent/cli/fleet.h"
#include "agent/register_view.h"
#include "agent/rollout_marks.h"

typedef struct RolloutFacts {
        const RolloutPlan *plan;
        const Register *reg;       /* NULL: there is none that can be read */
        const char *problem;       /* why there is none, or NULL */
        const RolloutMarks *marks; /* settled; of who is live, too */
        const Fleet *fleet;
        const json_t *failures; /* {name of the report: what the instance left when it failed}; or NULL */
        uint64_t now;           /* the depot's */
} RolloutFacts;

/* In the order in which they are listed. */
typedef enum RowState {
        ROW_CHANGING,   /* deploys the release, has a place */
        ROW_PROVING,    /* runs it, and has to stay healthy for a while */
        ROW_GOING_BACK, /* has a place for the way back */
        ROW_TO_GO_BACK, /* asks for one */
        ROW_FAILED,     /* by the release's fault */
        ROW_IN_LINE,    /* asks for a place */
        ROW_MEMBER,     /* runs it, and counts */
        ROW_WAITING,    /* its stage has not come */
        ROW_OUT,        /* takes no part */
        ROW_GONE,       /* is not heard of any more */
        ROW_STATES,
} RowState;

const char *rollout_row_state_to_string(RowState state);

/* [{"instance", "name", "version", "state", "since", "until", "late", "why"}], as FACTS has them. NULL: no memory. */
json_t *rollout_rows_make(const RolloutFacts *facts);

/* What failed there: {"instance", "version", "step", "reason", "at", "output": [lines]} for each that did, by the release's
 * fault, at most ROLLOUT_FAILURES_SHOWN. NULL: no memory. */
#define ROLLOUT_FAILURES_SHOWN 5U
#define ROLLOUT_FAILURE_LINES 10U
json_t *rollout_failures_make(const RolloutFacts *facts);
