#pragma once

/* How the part of this instance in a rollout looks to others: the `rollout` of the status and of the instance report. Pure. */

#include "agent/rollout_record.h"

#define ROLLOUT_REASON_MAX 640U

typedef struct RolloutViewFacts {
        const RolloutRecord *part;
        PartFacts part_facts;
        const char *instance;
        RegisterFound found;
        const Register *reg; /* NULL unless REGISTER_THERE */
        const char *problem; /* "" or why the register, or a mark, is not where it should be */
        uint64_t now;        /* the depot's */
} RolloutViewFacts;

/* One sentence: what the instance waits for, "" where it waits for nothing; and the same with how the rollout stands and who
 * holds places, which changes with every write of the register. */
void rollout_view_reason(const RolloutViewFacts *facts, char ret[static ROLLOUT_REASON_MAX]);
void rollout_view_describe(const RolloutViewFacts *facts, char ret[static ROLLOUT_REASON_MAX]);

/* {"id", "release", "role", "state", "stage", "stages", "attempt", "waits_for", "holder", "since", "until"}. NULL:
 * out of memory. */
json_t *rollout_view_status(const RolloutViewFacts *facts);

/* The same without what changes with every write: the report is written as often as it changes, by the whole fleet. */
json_t *rollout_view_report(const RolloutViewFacts *facts);
