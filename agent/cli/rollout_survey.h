#pragma once

/* All that is to be read about a rollout, read again and again: target, register, marks, reports, and what instances left when
 * they failed. Of what has not changed little is read again. */

#include "agent/cli/fleet_read.h"
#include "agent/cli/rollout_access.h"
#include "agent/cli/rollout_rows.h"

typedef struct RolloutSurvey {
        const Cli *cli;
        RolloutAccess access;
        FleetReader reader;
        RegisterOp *op; /* of the register, or NULL */
        char problem[ERROR_MESSAGE_MAX];
        RolloutMarks marks;
        json_t *failures; /* {name: document} */
        json_t *picture;  /* of the last look; NULL: there was none */
        uint64_t now;     /* the depot's time of it */
} RolloutSurvey;

/* Opens, and looks once. VALUES must stay, and SURVEY where it is. */
int rollout_survey_open(RolloutSurvey *survey, const Cli *cli, const RolloutValues *values, Error *error);
void rollout_survey_deinit(RolloutSurvey *survey);
#define _cleanup_rollout_survey_ _cleanup_(rollout_survey_deinit)

/* Looks again. After a failure the picture is what it was. */
int rollout_survey_look(RolloutSurvey *survey, Error *error);
