#pragma once

/* What may become of a register: ARCHITECTURE.md ("Rollouts") has the states, the events and the transitions, tests/model the
 * proof that they are safe. A pure function of the register, one event and what its writer has seen. Nothing here writes: a
 * register that was changed is written by compare-and-swap with the ETag of the one that was read, or not at all. */

#include "agent/alarms.h"
#include "agent/register_view.h"
#include "agent/rollout_marks.h"

typedef enum RegisterEventKind {
        REGISTER_TAKE_IN, /* what marks, reports and time say; by any agent */
        REGISTER_PAUSE,   /* the others are an operator's */
        REGISTER_RESUME,
        REGISTER_PROMOTE,
        REGISTER_ABORT,
        REGISTER_EVENTS,
} RegisterEventKind;

typedef struct RegisterEvent {
        RegisterEventKind kind;
        const char *by;     /* PAUSE and after: who */
        const char *reason; /* PAUSE, ABORT: why; may be NULL */
        uint64_t stage;     /* PROMOTE: the one that may end, so that nothing is promoted twice */
} RegisterEvent;

/* What the writer has seen. The marks and reports must have been listed after the register was read. */
typedef struct RegisterSight {
        const RolloutPlan *plan;
        const RolloutMarks *marks; /* TAKE_IN; settled */
        const AlarmsSight *alarms; /* NULL: they were not looked at */
        uint64_t now;              /* S3's Date of the answer that brought the register */
} RegisterSight;

/* A register for a rollout that begins: active, in its first stage. FLEET is how many instances there are. Not written yet:
 * rev, nonce and writer are register_sign()'s. */
int register_open(const RolloutPlan *plan, uint64_t fleet, uint64_t now, Register **ret, Error *error);

/* Makes of REG what EVENT makes of it. 1 if it was changed, 0 if there is nothing to change, -EBUSY and others with a
 * sentence for what the state does not allow: -EINVAL (another rollout's register), -EPERM (not in this state), -ESTALE
 * (another stage), -EALREADY (so it is already). -ENOMEM may leave it changed in part; then it must not be written. */
int register_step(Register *reg, const RegisterEvent *event, const RegisterSight *sight, Error *error);

/* Stamps it for a write: the next rev, NONCE, WRITER and the time. -ENOMEM. */
int register_sign(Register *reg, const char *nonce, const char *writer, uint64_t now);

const char *register_event_to_string(RegisterEventKind kind);
