#pragma once

/* How one app stands, as JSON: for the bus, the command line and the instance report. Pure. */

#include <jansson.h>

#include "agent/decision.h"
#include "artifacts/target.h"

typedef struct AppStatusFacts {
        const char *name;
        bool required;
        const Record *record;
        const Decision *decision;
        const Target *target;       /* the one in force, or NULL */
        const char *target_problem; /* why the last look at the depot failed, or NULL */
        bool deploying;
        bool serving;        /* the good release does, as far as is known */
        const char *problem; /* what holds the deployment up, or "" */
        int percent;         /* of the download, -1: none runs */
} AppStatusFacts;

/* -ENOMEM */
int app_history_to_json(const char *app, const Deployment *deployment, json_t **ret);

/* -ENOMEM */
int app_status_to_json(const AppStatusFacts *facts, json_t **ret);
