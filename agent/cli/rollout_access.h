#pragma once

/* The rollout of a group as the command line works on it: the signed target, what it plans, and where its register is. */

#include "agent/cli/documents.h"
#include "agent/cli/register_access.h"

typedef struct RolloutValues {
        const char *app;
        const char *group;
        const char *root;
        const char *by; /* NULL: see register_access_name() */
        DepotValues depot;
} RolloutValues;

typedef struct RolloutAccess {
        const RolloutValues *values;
        DepotAccess depot;
        TrustRoot *root;
        Target *target;
        RolloutPlan plan; /* of the target */
        char name[LAYOUT_INSTANCE_MAX + 1];
        RegisterSite site;
} RolloutAccess;

void rollout_access_deinit(RolloutAccess *access);
#define _cleanup_rollout_access_ _cleanup_(rollout_access_deinit)

/* Opens depot and trust root, and reads the target. VALUES must stay, and ACCESS where it is. -ENOENT: there is no target. */
int rollout_access_open(RolloutAccess *access, const Cli *cli, const RolloutValues *values, Error *error);

/* Reads the target again: it may be another one. */
int rollout_access_look(RolloutAccess *access, const Cli *cli, Error *error);

/* -ENOENT with a sentence if the target plans no rollout. */
int rollout_access_check_staged(const RolloutAccess *access, Error *error);
