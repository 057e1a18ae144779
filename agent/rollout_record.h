#pragma once

/* What the deploy record knows of this instance's part in the rollout of its group, and what follows from it: pure functions
 * of that, of the plan, and of what has become of the deployments. rollout_role.h says what to do next in the rollout; this
 * says what that makes of the part, what the instance owes to say (a mark, after what it tells of), and so what it is to
 * run. */

#include <jansson.h>

#include "agent/deployment_id.h"
#include "agent/rollout_marks.h"
#include "agent/rollout_role.h"

typedef struct Record Record;

#define OWES_NOTHING MARK_KINDS

typedef struct RolloutRecord {
        char id[ROLLOUT_ID_MAX]; /* of the register; "": it takes part in none */
        RolloutStanding standing;
        unsigned attempt;
        uint64_t said; /* when its latest mark was made, by the depot's clock */
        MarkKind owes; /* the mark that is to be made next, or OWES_NOTHING */
        MarkKind then; /* STANDING_RETURNING: what it will owe once it is back */
        bool good;     /* it has said so, and not that it is back */
        bool failed;   /* it has said so: it does not ask again */
        bool sick_before; /* what served before this attempt did not pass its checks: the attempt says nothing of the release */
        char deployment
                [DEPLOYMENT_ID_SIZE]; /* STANDING_CHANGING: the one that brings the release; "": none yet */
} RolloutRecord;

/* What it all goes by. */
typedef struct PartFacts {
        const RolloutPlan *plan;
        const Record *record;
        const char *env_sha256; /* of the target's environment values */
        bool absent;            /* the instance is pinned by itself, leaves, or waits in standby */
        bool leaves;
        bool deploying;
        uint64_t now;       /* the wall clock, as failures are stamped by it */
        uint64_t depot_now; /* the depot's, as the stages are */
} PartFacts;

/* Brings PART in line with what has happened: another rollout, the end of a deployment, a pin. True if that changed it. */
bool rollout_record_settle(RolloutRecord *part, const PartFacts *facts);

/* Takes the step that rollout_role() names. True if that changed it; what is under way still, or not yet allowed, does not. */
bool rollout_record_take(RolloutRecord *part, const PartFacts *facts, RoleStep step);

/* The release is committed, but has yet to be healthy for `min_healthy_time`; and then it has been. */
bool rollout_record_is_proving(const RolloutRecord *part, const PartFacts *facts);
void rollout_record_prove(RolloutRecord *part);

/* The release that it runs does not pass its checks any more. */
void rollout_record_sicken(RolloutRecord *part);

/* The mark that it owed was made, at NOW of the depot's clock. */
void rollout_record_say(RolloutRecord *part, uint64_t now);

/* The mark that it owed is there from an attempt that it does not remember: it goes on with the next one. */
void rollout_record_begin_anew(RolloutRecord *part);

/* When it may ask for a place again after a failure: USEC_INFINITY: not in this rollout; 0: now. */
uint64_t rollout_record_asks_at(const RolloutRecord *part, const PartFacts *facts);

typedef enum RegisterFound {
        REGISTER_NOT_READ, /* nobody has looked yet */
        REGISTER_THERE,
        REGISTER_MISSING,
        REGISTER_UNREADABLE, /* rubbish, another rollout's, or the depot does not answer */
} RegisterFound;

/* What the app is to run. */
typedef struct RolloutWish {
        const TargetRelease *release;
        bool candidate;             /* it is the target's candidate */
        bool held;                  /* it waits with that: for a place, or for the register */
        const TargetRelease *ahead; /* what is to be in the store for later, or NULL */
} RolloutWish;

/* REG is NULL unless it is REGISTER_THERE. */
void rollout_record_wish(const RolloutRecord *part, const PartFacts *facts, RegisterFound found,
                         const Register *reg, RolloutWish *ret);

/* null for no part. NULL: out of memory. */
json_t *rollout_record_to_json(const RolloutRecord *part);

/* NULL and null are no part. -EINVAL. */
int rollout_record_from_json(json_t *json, RolloutRecord *ret);

/* "in-line": for views. */
const char *rollout_record_role(const RolloutRecord *part, const PartFacts *facts);
