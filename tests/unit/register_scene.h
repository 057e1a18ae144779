#pragma once

/* A rollout for the tests of registers: ten instances, i-0 to i-9, stages of 1 (baking for ten minutes), 50 % and 100 %, two
 * changing at once, no failure allowed. */

#include "agent/base/clock.h"
#include "agent/register_step.h"

#define MINUTE (60 * USEC_PER_SEC)
#define START (UINT64_C(1795255200) * USEC_PER_SEC)
#define DIGEST "3939fb7807f8cb1aa2bb54f87b61fee0b36f2987a676a6db647110add167c9ba"

extern TargetStage scene_stages[3];

typedef struct Scene {
        Target target;
        RolloutPlan plan;
        RolloutMarks marks;
        Register *reg;
        const AlarmsSight *alarms; /* that the next writer sees; NULL: it does not look */
        uint64_t now;
        Error error;
} Scene;

/* cmocka setup and teardown: *STATE is a Scene. */
int scene_setup(void **state);
int scene_teardown(void **state);

const char *scene_name(unsigned i);

/* Instance I makes its mark, of the first attempt. */
void scene_say(Scene *s, unsigned i, MarkKind kind);

/* register_step() by the operator "ana"; no refresh is due. */
int scene_step(Scene *s, RegisterEventKind kind, uint64_t stage, const char *reason);
int scene_take_in(Scene *s);

/* Instance I asks, gets its place and is good; it is gone. */
void scene_bring_up(Scene *s, unsigned i);
void scene_die(Scene *s, unsigned i);
