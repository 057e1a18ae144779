#pragma once

/* A rollout of four instances as the command line sees it, for tests of its views. */

#include "agent/cli/rollout_rows.h"

#define SCENE_NOW (UINT64_C(1767225600) * USEC_PER_SEC) /* 2026-01-01T00:00:00Z */

/* Stage 2 of 3 is open: i-1 runs the candidate, i-2 changes, i-3 asks, i-4 has failed and is back, i-5 waits, i-6 is gone. */
typedef struct RolloutScene {
        Target *target;
        RolloutPlan plan;
        Register *reg;
        RolloutMarks marks;
        Fleet fleet;
        json_t *failures;
        RolloutFacts facts;
} RolloutScene;

/* STATE, and what is added to the register (",\"reason\":\"…\""). */
void rollout_scene_open(RolloutScene *scene, const char *state, const char *members);
void rollout_scene_close(RolloutScene *scene);

/* The register is lost. */
void rollout_scene_lose(RolloutScene *scene, const char *problem);

json_t *rollout_scene_picture(const RolloutScene *scene);
