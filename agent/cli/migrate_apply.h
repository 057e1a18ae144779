#pragma once

/* Takes over what CodeDeploy's agent has installed: has musterd adopt it (agent/adopt.h) and waits until it has. */

#include "agent/cli/migrate_plan.h"
#include "agent/cli/release_source.h"

/* SOURCE is the revision, opened. What CodeDeploy does not act on (units, health checks, traffic) is left out: nothing of
 * the app is started. RET is the deployment's entry in the history, which may be one that failed. */
int migrate_apply(const Cli *cli, const CodedeployGroup *group, ReleaseSource *source, json_t **ret,
                  Error *error);
