#pragma once

/* What lies in a depot, and what of it somebody needs: the depot listed, its targets read and verified, and the releases that
 * stay read for the artifacts that they are made of. */

#include "agent/cli/documents.h"
#include "agent/cli/gc_plan.h"

typedef struct GcSurvey {
        const DepotAccess *access;
        const TrustRoot *root;
        const char *app; /* only this one; NULL: all */
        DepotReply list;
        Target **targets; /* verified */
        size_t n_targets;
        GcNeeds needs;
} GcSurvey;

void gc_survey_deinit(GcSurvey *survey);
#define _cleanup_gc_survey_ _cleanup_(gc_survey_deinit)

/* ACCESS and ROOT must stay. Any target that cannot be read or verified ends it, and any stable or candidate release that
 * cannot: what it needs would be taken for what nobody needs. */
int gc_survey_look(GcSurvey *survey, uint64_t age, Error *error);

/* All that there is, of one app or of all. */
int gc_survey_list(const DepotAccess *access, const char *app, DepotReply *ret, Error *error);
