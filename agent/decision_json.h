#pragma once

/* What a decision was made on, and the decision, as JSON: kept with the deployment that it led to, so that it can be made
 * again (replay.h). A fact that decisions come to depend on must be added here. */

#include <jansson.h>

#include "agent/decision.h"

/* Compact text, new memory. -ENOMEM. */
int decision_to_text(const DecisionFacts *facts, const Decision *decision, char **ret);

/* What decision_to_text() has written; everything in it is owned. */
typedef struct DecisionCase {
        Record record;
        FailedChecks checks;
        json_t *json; /* the texts that the facts borrow */
        DecisionFacts facts;
        Decision decision;
} DecisionCase;

/* -EINVAL. The facts point into *RET, which must not move. */
int decision_case_parse(const char *text, DecisionCase *ret, Error *error);
void decision_case_deinit(DecisionCase *decision_case);
