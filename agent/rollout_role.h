#pragma once

/* What one instance does next for the rollout of its group, given the register as it was just read, the signed plan, and how it
 * stands itself: a pure function. It names the step; taking it is the app's business. */

#include "agent/register_view.h"
#include "agent/rollout_pace.h"

typedef enum RolloutStanding {
        STANDING_BEFORE,    /* on the stable release, has said nothing in this attempt */
        STANDING_ASKED,     /* has made its mark "up" */
        STANDING_CHANGING,  /* deploys the new release */
        STANDING_COMMITTED, /* has made its mark "good", and still has its place */
        STANDING_MEMBER,
        STANDING_UNWANTED, /* runs what it is to leave: the new release, by which it is sick, or another one */
        STANDING_ASKED_DOWN, /* has made its mark "down" */
        STANDING_RETURNING,  /* on its way back, with a place */
        STANDING_OUT,        /* takes no part any more */
        ROLLOUT_STANDINGS,
} RolloutStanding;

typedef struct RoleFacts {
        const Register *reg;
        const RolloutPlan *plan;
        const RegisterPlace *place; /* its own in REG, or NULL */
        const char *instance;
        RolloutStanding standing;
        uint64_t attempt; /* the one that goes on, or the next */
        uint64_t said;    /* when it made its last mark; 0: it has made none that is not known to be heard */
        uint64_t now;     /* the depot's */
} RoleFacts;

typedef enum RoleStep {
        ROLE_WAIT,
        ROLE_ASK_UP,   /* make the mark "up" */
        ROLE_GO_UP,    /* deploy: it has a place */
        ROLE_BACK_OUT, /* end the attempt, back to the stable release if it has left it: mark "void" */
        ROLE_SETTLE,   /* its place has been taken back: it is a member */
        ROLE_ASK_DOWN, /* make the mark "down" */
        ROLE_GO_DOWN,  /* go back: it has a place, or needs none */
        ROLE_STEPS,
} RoleStep;

typedef struct Role {
        RoleStep step;
        bool writes;    /* a write of the register would help, and so it is one of the ... */
        uint64_t crowd; /* ... so many who think the same, since ... */
        uint64_t age;   /* ... so long (rollout_pace_writes()) */
        RolloutPart part;
        bool rests; /* nothing more can come of this register: neither time nor anybody changes what it says here */
        uint64_t look_by; /* something may be to be done from then on; USEC_INFINITY */
} Role;

void rollout_role(const RoleFacts *facts, Role *ret);

const char *role_step_to_string(RoleStep step);
