#pragma once

/* What an operator asks of a rollout or of a freeze, as a target has it. Pure: texts of the command line in, values out. All
 * refusals are -EDESTADDRREQ (the command line) with one sentence that names the option and what was expected. */

#include <jansson.h>

#include "agent/cli/option.h"
#include "artifacts/target.h"

#define ROLLOUT_STAGES_DEFAULT "1:10m,25%:10m,100%"

typedef struct RolloutRequest {
        const char *id;         /* NULL: to be chosen, by rollout_request_id() */
        const char *stages;     /* "1:10m,25%:10m,100%": share and bake of each */
        const char *not_before; /* NULL: now */
        const char *promote;    /* "auto", "manual" */
        char **canaries;
        char **alarms;
        OptionNumber max_failures;
        OptionNumber min_healthy_time;
        OptionNumber progress_deadline;
} RolloutRequest;

/* The member "rollout" of a target; NOW is the depot's time. */
int rollout_request_to_json(const RolloutRequest *request, const char *id, uint64_t now, json_t **ret,
                            Error *error);

/* "r-20261121-3": the NUMBER-th of the day. */
#define ROLLOUT_REQUEST_ID_MAX 40
void rollout_request_id(uint64_t now, unsigned number, char ret[static ROLLOUT_REQUEST_ID_MAX]);

/* "25%" or "10", of the option --NAME. */
int rollout_request_share(const char *name, const char *text, TargetShare *ret, Error *error);

/* RFC 3339 with its zone, of the option --NAME. */
int rollout_request_time(const char *name, const char *text, uint64_t *ret, Error *error);
